"""Token features of pairs on disk, so that they are made once: a .safetensors file, or a folder of them."""

import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pointwise._files import atomic_write
from pointwise._types import Column, Integers
from pointwise.errors import InputError
from pointwise.resumable.parts import SUFFIX
from pointwise.tables.digest import sha256_of
from pointwise.tables.tensors import ArrayOnDisk, TensorFile, open_arrays, reading, save_arrays
from pointwise.training.inputs import Inputs, Pairs

KIND = "tokens"
INDEX = "tokens.json"  # of a folder; without it not all tokens are made yet
_CALLED = "tokens of pairs"


class StoredTokens:
    """Tokens [n, t, h] of several files, padded with zeros to the longest; rows are read when they are asked for.

    An index takes rows as that of a tensor does, and gives a tensor; what is read is not kept. ``checks`` has the
    CRC-32 of each row of all parts, which is verified where the row is first read, and ``order`` [n] the place of each
    row among these. ``sha256`` is of the parts and the order, so that nothing is read for it.
    """

    def __init__(self, parts: Sequence[ArrayOnDisk], checks: Sequence[int], order: Tensor) -> None:
        self._parts, self._checks, self._order = parts, checks, order
        self._verified = np.zeros(len(checks), dtype=bool)
        self._ends = list(accumulate(part.shape[0] for part in parts))
        longest = max(part.shape[1] for part in parts)
        self.shape = torch.Size((len(order), longest, parts[0].shape[2]))
        halves = all(part.dtype == torch.float16 for part in parts)
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
            self._read(number, rows, np.flatnonzero(part_of == number), out.numpy())
        return out.reshape(*asked.shape, *self.shape[1:])

    def to(self, device: str | torch.device) -> Tensor:
        """Return all tokens on a device."""
        return self[:].to(device)

    def _read(self, number: int, rows: Integers, places: Integers, out: Column) -> None:
        """Put those rows that are at these places, all of one part, where they belong in ``out``.

        By plain reads, each of a row: a memory map of the file reads as fast from memory, but from a disk it takes
        fifteen times as long, a page at a time, and counts as memory of the process.
        """
        part = self._parts[number]
        row: Column = torch.empty(part.shape[1:], dtype=part.dtype).numpy()
        data = row.reshape(-1).view(np.uint8).data
        try:
            with open(part.path, "rb", buffering=0) as file:
                for place in places.tolist():
                    which = int(rows[place])
                    file.seek(part.start + (which - self._ends[number] + part.shape[0]) * row.nbytes)
                    if file.readinto(data) != row.nbytes:
                        raise InputError(
                            f"{part.path} is shorter than it was when it was opened; make the tokens again."
                        )
                    if not self._verified[which]:
                        if zlib.crc32(data) != self._checks[which]:
                            raise InputError(
                                f"{part.path} is damaged: some of its tokens are not what was written. Remove it, and "
                                "make the tokens again, which makes those of this file alone."
                            )
                        self._verified[which] = True
                    out[place, : part.shape[1]] = row
        except OSError as error:
            raise InputError(
                f"{part.path} cannot be read any more ({error.strerror or error}): tokens stay on disk and are read "
                "when they are needed; put it back, or make the tokens again."
            ) from None


class Tokens:
    """Tokens of pairs on disk, of which no more is read than is asked for; ``meta`` says how they were made.

    In ``pairs`` tokens, float16 or float32 [n, t, h], are read row by row; their masks are in memory.
    """

    def __init__(self, files: Sequence[TensorFile], meta: Mapping[str, Any]) -> None:
        self._files, self.meta = files, meta
        self._order = torch.argsort(torch.cat(self._read("places")))
        self.pairs = Pairs(self._inputs("image"), self._inputs("text"))

    @cached_property
    def ids(self) -> list[str]:
        """The id of each pair."""
        return self._strings("ids")

    @cached_property
    def captions(self) -> list[str]:
        """The text of each pair."""
        return self._strings("captions")

    def _read(self, name: str) -> list[Any]:
        """What each file has under this name."""
        columns = []
        for file in self._files:
            with reading(file.path, called=_CALLED):
                columns.append(file.read(name))
        return columns

    def _strings(self, name: str) -> list[str]:
        strings = list(chain(*self._read(name)))
        return [strings[place] for place in self._order.tolist()]

    def _inputs(self, side: str) -> Inputs:
        parts = [file.arrays[f"{side}_tokens"] for file in self._files]
        tokens = StoredTokens(parts, torch.cat(self._read(f"{side}_checks")).tolist(), self._order)
        masks = self._read(f"{side}_mask")
        mask = torch.cat([F.pad(some, (0, tokens.shape[1] - some.shape[1])) for some in masks])
        # It is indexed as a tensor is, and nothing else is done to it.
        return Inputs(cast(Tensor, tokens), None if bool(mask.all()) else mask[self._order])


def token_arrays(
    pairs: Pairs, *, ids: Sequence[str], captions: Sequence[str], places: Sequence[int] | None = None
) -> dict[str, Column]:
    """Return the arrays of a file of tokens.

    ``image_tokens``, ``text_tokens``, their ``_mask``, and ``_checks``, the CRC-32 of each of their rows; ``ids`` and
    ``captions``; and ``places`` among the pairs of all files of a folder, from 0 on if left out.
    """
    arrays: dict[str, Column] = {"places": np.arange(pairs.n) if places is None else np.array(places)}
    for side, inputs in (("image", pairs.images), ("text", pairs.texts)):
        arrays[f"{side}_tokens"] = tokens = inputs.x.contiguous().numpy()
        rows = tokens.reshape(pairs.n, -1).view(np.uint8)
        arrays[f"{side}_checks"] = np.array([zlib.crc32(row.data) for row in rows])
        arrays[f"{side}_mask"] = np.ones(tokens.shape[:2], bool) if inputs.mask is None else inputs.mask.numpy()
    return arrays | {"ids": np.array(list(ids), dtype=str), "captions": np.array(list(captions), dtype=str)}


def save_tokens(path: str | os.PathLike[str], pairs: Pairs, *, meta: Mapping[str, Any], **columns: Any) -> None:
    """Write tokens of pairs to a file of their own; see `token_arrays` for its columns."""
    save_arrays(path, token_arrays(pairs, **columns), kind=KIND, words={"meta": json.dumps(dict(meta))})


def save_index(folder: Path, files: Sequence[str], meta: Mapping[str, Any]) -> None:
    """Say that the tokens in a folder are whole, and which of its files they are, in which order."""
    with atomic_write(folder / INDEX) as file:
        file.write(json.dumps({"files": list(files), "meta": dict(meta)}, indent=1).encode())


def load_tokens(path: str | os.PathLike[str]) -> Tokens:
    """Open what `save_tokens` wrote, a file or a folder of files with an index; the tokens stay on disk."""
    path = Path(path)
    if not path.is_dir():
        file = open_arrays(path, kind=KIND, called=_CALLED)
        return Tokens([file], json.loads(file.words["meta"]))
    try:
        index = json.loads((path / INDEX).read_bytes())
        files, meta = [path / name for name in index["files"]], dict(index["meta"])
    except (OSError, ValueError, LookupError, TypeError):
        raise InputError(
            f"the tokens in {path} are not all made yet, or have no {INDEX}; run the training that makes them again, "
            "which goes on where it was stopped."
        ) from None
    return Tokens([open_arrays(file, kind=KIND, called=_CALLED) for file in files], meta)


def is_tokens(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is a file that `save_tokens` wrote, or a folder of them, finished or not."""
    if os.path.isdir(path):
        return os.path.exists(os.path.join(path, INDEX)) or any(Path(path).glob(f"*{SUFFIX}"))
    if not str(path).endswith(".safetensors") or not os.path.isfile(path):
        return False
    try:
        open_arrays(path, kind=KIND, called=_CALLED)
    except InputError:
        return False
    return True
