"""What every law of pairs asks of its arguments."""

from __future__ import annotations

import math
from collections.abc import Sized

import numpy as np

from pointwise._arrays import Array, Column, as_features, as_numbers
from pointwise._types import Floats as Values
from pointwise.errors import InputError


def generator(n: int, seed: int, *, stream: int = 0) -> np.random.Generator:
    """Return the generator of n draws; streams of one seed are independent of each other."""
    require_whole(n, name="n", low=0)
    require_whole(seed, name="seed", low=0)
    return np.random.default_rng([stream, seed])


def require_whole(value: int, *, name: str, low: int, high: int | None = None) -> None:
    """Raise an InputError unless value is an integer from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} is {value!r}; it must be an integer.")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{name} is {value}; it must be {allowed}.")


def require_between(value: float, *, name: str, low: float, high: float) -> None:
    """Raise an InputError unless value is a number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{name} is {value!r}; it must be a number.")
    if not low <= value <= high or math.isnan(value):
        raise InputError(f"{name} is {value:g}; it must be from {low:g} to {high:g}.")


def require_pairs(x: Sized, y: Sized) -> None:
    """Raise an InputError unless both are equally long."""
    if len(x) != len(y):
        raise InputError(
            f"x has {len(x)} rows and y has {len(y)}; pmi goes pair by pair. For all combinations use pmi_matrix."
        )


def as_rows(x: Array, *, width: int, name: str) -> Values:
    """Return x as finite float64 [n, width]."""
    rows = as_features(x, name=name).cpu().double().numpy()
    if rows.shape[1] != width:
        raise InputError(f"{name} has {rows.shape[1]} columns; this law has {width}.")
    return rows


def as_whole_numbers(x: Array, *, low: int, high: int, name: str) -> Column:
    """Return x, of any shape, as int64, each value from low to high."""
    numbers = as_numbers(x, name=name)
    wrong = (numbers != np.floor(numbers)) | (numbers < low) | (numbers > high)
    if wrong.any():
        raise InputError(f"{name} holds {numbers[wrong][0]:g}; its values must be integers from {low} to {high}.")
    return numbers.astype(np.int64)
