"""StoredTokens: token features that stay on disk, and stand among the inputs of a model where a tensor does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of

DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype(np.float16), "F32": np.dtype(np.float32)}


class Part(NamedTuple):
    """Where a file has tokens [n, t, h], row by row.

    start: the byte of the file at which the first row begins.
    dtype: float16 or float32.
    sha256: of the rows.
    """

    path: str
    start: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    sha256: str


class StoredTokens:
    """Tokens [n, t, h] of several files, padded with zeros to the longest; rows are read when they are asked for.

    An index takes rows as that of a tensor does, and gives a tensor. What is read is not kept, and what is not asked
    for is not read.

    Args:
        parts: of one width h.
        order: int64 [n], the place of each row among the rows of all parts, one part after the other.

    Attributes:
        shape, dtype: as of a tensor.
        sha256: of the parts and the order, so that nothing is read for it.
    """

    def __init__(self, parts: Sequence[Part], order: Tensor) -> None:
        self._parts, self._order = parts, order
        self._ends = list(accumulate(part.shape[0] for part in parts))
        longest = max(part.shape[1] for part in parts)
        self.shape = torch.Size((len(order), longest, parts[0].shape[2]))
        halves = all(part.dtype == np.float16 for part in parts)
        self.dtype = torch.float16 if halves else torch.float32
        order_sha256 = hashlib.sha256(order.numpy().tobytes()).hexdigest()
        self.sha256 = sha256_of([part.sha256 for part in parts], list(self.shape), str(self.dtype), order_sha256)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> Tensor:
        asked = self._order[index]
        rows = asked.reshape(-1).numpy()
        out = torch.zeros((len(rows), *self.shape[1:]), dtype=self.dtype)
        part_of = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(part_of).tolist():
            places = np.flatnonzero(part_of == number)
            part = self._parts[number]
            first = self._ends[number] - part.shape[0]
            _read(part, rows[places] - first, out.numpy(), places)
        return out.reshape(*asked.shape, *self.shape[1:])

    def to(self, device: str | torch.device) -> Tensor:
        """Return all tokens on a device."""
        return self[:].to(device)


def _read(part: Part, rows: np.ndarray[Any, np.dtype[np.int64]], out: np.ndarray[Any, Any], places: Any) -> None:
    """Put rows of a part where they belong in ``out``.

    By plain reads, each of a row: a memory map of the file reads as fast from memory, but from a disk it takes fifteen
    times as long, a page at a time, and counts as memory of the process.
    """
    row = np.empty(part.shape[1:], dtype=part.dtype)
    try:
        with open(part.path, "rb", buffering=0) as file:
            for number, place in zip(rows.tolist(), places.tolist(), strict=True):
                file.seek(part.start + number * row.nbytes)
                if file.readinto(row.data.cast("B")) != row.nbytes:
                    raise InputError(f"{part.path} is shorter than it was when it was opened; make the tokens again.")
                out[place, : part.shape[1]] = row
    except OSError as error:
        raise InputError(
            f"{part.path} cannot be read any more ({error.strerror or error}): tokens stay on disk and are read when "
            "they are needed; put it back, or make the tokens again."
        ) from None
