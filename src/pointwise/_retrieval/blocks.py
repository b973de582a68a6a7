"""Blocks: a matrix of similarities by some of its rows at a time, given whole or by a function that makes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch

from pointwise._arrays import as_column, as_numbers
from pointwise._options import whole_number
from pointwise._types import Array, Column
from pointwise.errors import InputError

Similarity: TypeAlias = "Array | Callable[[slice], Array] | Blocks"


class Blocks:
    """The rows of similarities of n items, some at a time, as floating-point tensors on the device they come on.

    Minus infinity is allowed, for a pair that is ruled out. NaN and +inf are refused, in the block where they appear.

    Similarity is an array [n, ...], or a function from a slice of n rows to that part of it, which then is never held
    as a whole. A block has so many entries at most, unless a single row has more.
    """

    def __init__(
        self, similarity: Array | Callable[[slice], Array], *, n: int | None = None, entries: int = 1 << 23
    ) -> None:
        if callable(similarity):
            if n is None:
                raise InputError("similarity is a function, so how many rows it has must be said: give n=.")
            n, self._of = whole_number(n, "n"), similarity
        else:
            rows = length_of(similarity, "similarity")
            if n is not None and n != rows:
                raise InputError(f"similarity has {rows} rows, but n is {n}; leave n out.")
            n, self._of = rows, lambda some: similarity[some]
        if n < 1:
            raise InputError("similarity has 0 rows; it must have at least one.")
        self.n = n
        self.shape: tuple[int, ...] = ()  # of one row, which tells it
        self.shape = tuple(self._block(slice(0, 1)).shape[1:])
        if 0 in self.shape:
            raise InputError(f"similarity has shape {[n, *self.shape]}: there is nothing that its rows are similar to.")
        self._step = max(1, entries // math.prod(self.shape))

    @classmethod
    def of(cls, similarity: Similarity, *, n: int | None = None) -> Blocks:
        """Return the similarity as blocks, which it may be already."""
        return similarity if isinstance(similarity, Blocks) else cls(similarity, n=n)

    def columns(self) -> int:
        """Return the number of columns; an InputError where the similarity is not [n, b]."""
        if len(self.shape) != 1:
            raise InputError(f"similarity has shape {[self.n, *self.shape]}; it must have two dimensions [n, b].")
        return self.shape[0]

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        for start in range(0, self.n, self._step):
            rows = slice(start, min(start + self._step, self.n))
            yield rows, self._block(rows)

    def _block(self, rows: slice) -> torch.Tensor:
        with torch.no_grad():
            given = self._of(rows)
        if not (isinstance(given, torch.Tensor) and given.is_floating_point()):
            given = torch.from_numpy(as_numbers(given, name="similarity"))
        block: torch.Tensor = given.detach().float() if given.dtype.itemsize < 4 else given.detach()
        expected = (rows.stop - rows.start, *self.shape)
        if block.ndim < 2 or block.shape[0] != expected[0] or (self.shape and tuple(block.shape) != expected):
            raise InputError(
                f"similarity has shape {list(block.shape)} in rows {rows.start} to {rows.stop - 1}; "
                f"it must be {list(expected) if self.shape else f'[{expected[0]}, b]'} there."
            )
        bad = block.isnan() | block.isposinf()
        if bad.any():
            place = bad.nonzero()[0].tolist()
            raise InputError(
                f"similarity has {float(block[tuple(place)])} in row {rows.start + place[0]}, column {place[1]}; "
                "values must be finite, or -inf for a pair that is ruled out."
            )
        return block


def as_groups(values: Array | None, *, name: str, what: str, length: int) -> Column:
    """Return the group of each row or column (`what`), one for each: 0 to length - 1 where values is None."""
    if values is None:
        return np.arange(length)
    count = length_of(values, name)
    if count != length:
        raise InputError(f"{name} has {count} values but similarity has {length} {what}; give one for each.")
    return as_column(values, name=name, length=length)


def length_of(x: Array, name: str) -> int:
    """Return how many rows or values there are; an InputError where that makes no sense."""
    try:
        return len(x)
    except TypeError:
        raise InputError(f"{name} has no length (its type is {type(x).__name__}); give an array.") from None
