"""What every law of pairs asks of the values that it is given."""

from collections.abc import Sized

import numpy as np

from pointwise._arrays import as_features, as_numbers
from pointwise._options import whole_number
from pointwise._types import Array, Floats, Integers
from pointwise.errors import InputError


def generator(n: int, seed: int, *, stream: int = 0) -> np.random.Generator:
    """Return the generator of n draws; streams of one seed are independent of each other."""
    whole_number(n, "n", least=0)
    return np.random.default_rng([stream, whole_number(seed, "seed", least=0)])


def require_pairs(x: Sized, y: Sized) -> None:
    """Raise an InputError unless both are equally long."""
    if len(x) != len(y):
        raise InputError(
            f"x has {len(x)} rows and y has {len(y)}; pmi goes pair by pair. For all combinations use pmi_matrix."
        )


def as_rows(x: Array, *, width: int, name: str) -> Floats:
    """Return x as finite float64 [n, width]."""
    rows: Floats = as_features(x, name=name).cpu().double().numpy()
    if rows.shape[1] != width:
        raise InputError(f"{name} has {rows.shape[1]} columns; this law has {width}.")
    return rows


def as_whole_numbers(x: Array, *, low: int, high: int, name: str) -> Integers:
    """Return x, of any shape, as int64, each value from low to high."""
    numbers = as_numbers(x, name=name)
    wrong = (numbers != np.floor(numbers)) | (numbers < low) | (numbers > high)
    if wrong.any():
        raise InputError(f"{name} holds {numbers[wrong][0]:g}; its values must be integers from {low} to {high}.")
    return numbers.astype(np.int64)
