"""The checks of options, each written once: they return the value as what it must be, or say what is allowed."""

import math
from collections.abc import Iterable

import numpy as np
import torch

from pointwise.errors import InputError


def whole_number(value: object, name: str, *, least: int = 1, most: float = math.inf) -> int:
    """Return a whole number of at least `least`, and at most `most`.

    >>> whole_number(0, "k")
    Traceback (most recent call last):
    pointwise.errors.InputError: k is 0; it must be a whole number of at least 1.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value <= most:
        return int(value)
    limits = f"of at least {least}" if most == math.inf else f"from {least} to {int(most)}"
    raise InputError(f"{name} is {value!r}; it must be a whole number {limits}.")


def number(
    value: object,
    name: str,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    closed: bool = False,
) -> float:
    """Return a finite number above one bound and below another, or at most one; closed: `above`, `below` are allowed.

    >>> number("1", "share", above=0, below=1)
    Traceback (most recent call last):
    pointwise.errors.InputError: share is '1'; it must be a number above 0 and below 1.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        if math.isfinite(value) and value <= most and (above < value < below or (closed and value in (above, below))):
            return float(value)
    words = ("of at least", "at most") if closed else ("above", "below")
    bounds = zip((*words, "at most"), (above, below, most), strict=True)
    limits = [f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound)]
    raise InputError(
        f"{name} is {value!r}; it must be a {'' if limits else 'finite '}number {' and '.join(limits)}".rstrip() + "."
    )


def one_of(value: object, name: str, allowed: Iterable[str]) -> str:
    """Return the value if it is one of these words.

    >>> one_of("mean", "pooling", ["cls", "max"])
    Traceback (most recent call last):
    pointwise.errors.InputError: pooling is 'mean'; it must be one of 'cls', 'max'.
    """
    words = list(allowed)
    if isinstance(value, str) and value in words:
        return value
    raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, words))}.")


def usable_device(device: str | torch.device | None) -> torch.device | None:
    """Return the device if arrays can be made on it, and None for None."""
    if device is None:
        return None
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {str(device)!r} cannot be used here ({reason}); use 'cpu', or 'cuda' on a GPU."
        ) from None
