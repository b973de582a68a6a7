"""Token features of pairs on disk, so that they are made once: a .safetensors file, or a folder of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from pointwise._files import atomic_write
from pointwise.encoding.work import PART
from pointwise.errors import InputError
from pointwise.tables.columns import pack_strings, unpack_strings
from pointwise.tokens.stored import DTYPES, Part, StoredTokens
from pointwise.training.inputs import Inputs, Pairs

_FORMAT = "pointwise.tokens/2"
INDEX = "tokens.json"  # of a folder; without it not all tokens are made yet


class Tokens:
    """Tokens of pairs on disk, of which no more is read than is asked for.

    Args:
        files: which hold them.
        meta: how they were made.

    Attributes:
        pairs: tokens float16 or float32 [n, t, h] of images and texts, read row by row when they are asked for, with
            masks, which are in memory.
        meta: as given.
    """

    def __init__(self, files: Sequence[str], meta: Mapping[str, Any]) -> None:
        heads = [_head(file) for file in files]
        self._files, self.meta = files, meta
        self._order = torch.argsort(torch.cat([head.places for head in heads]))
        self.pairs = Pairs(*(self._inputs([head.sides[i] for head in heads]) for i in range(2)))

    @cached_property
    def ids(self) -> list[str]:
        """The id of each pair."""
        return self._strings("ids")

    @cached_property
    def captions(self) -> list[str]:
        """The text of each pair."""
        return self._strings("captions")

    def _inputs(self, sides: Sequence[tuple[Part, Tensor | None]]) -> Inputs:
        tokens = StoredTokens([part for part, _ in sides], self._order)
        longest = tokens.shape[1]
        whole = None
        if any(mask is not None or part.shape[1] < longest for part, mask in sides):
            whole = torch.zeros(len(tokens), longest, dtype=torch.bool)
            begin = 0
            for part, mask in sides:
                whole[begin : begin + part.shape[0], : part.shape[1]] = True if mask is None else mask
                begin += part.shape[0]
            whole = whole[self._order]
        return Inputs(cast(Tensor, tokens), whole)  # it is indexed as a tensor is, and nothing else is done to it

    def _strings(self, name: str) -> list[str]:
        strings: list[str] = []
        for file in self._files:
            with _opened(file) as held:
                utf8, ends = (held.get_tensor(f"{name}.{part}").numpy() for part in ("utf8", "ends"))
                try:
                    strings += unpack_strings(utf8, ends)
                except InputError as error:
                    raise InputError(f"{file} is damaged: {error} Make it again.") from None
        return [strings[place] for place in self._order.tolist()]


class _Head(NamedTuple):
    """What is known of one file without its tokens: those of images and of texts with their masks, and the places."""

    sides: list[tuple[Part, Tensor | None]]
    places: Tensor


def save_tokens(
    path: str | os.PathLike[str],
    pairs: Pairs,
    *,
    ids: Sequence[str],
    captions: Sequence[str],
    meta: Mapping[str, Any],
    places: Sequence[int] | None = None,
) -> None:
    """Write tokens of pairs to one .safetensors file, whole or not at all.

    ``image_tokens``, ``text_tokens`` and, where anything is padded, ``image_mask``, ``text_mask``; ids and captions
    as bytes and ends, as tables have them; ``places``; meta as JSON in the header.

    Args:
        path: of the file.
        pairs: n of them, float16 or float32.
        ids: n.
        captions: n.
        meta: how they were made.
        places: n, among the pairs of all files of a folder; from 0 on in a file alone.

    Raises:
        InputError: the path cannot be written.
    """
    from safetensors.torch import save

    tensors = {"places": torch.arange(pairs.n) if places is None else torch.tensor(list(places))}
    digests = {}
    for side, inputs in (("image", pairs.images), ("text", pairs.texts)):
        tensors[f"{side}_tokens"] = whole = inputs.x.contiguous()
        digests[side] = hashlib.sha256(whole.numpy().data.cast("B")).hexdigest()
        if inputs.mask is not None:
            tensors[f"{side}_mask"] = inputs.mask.contiguous()
    for name, column in (("ids", ids), ("captions", captions)):
        utf8, ends = pack_strings(np.array(list(column), dtype=str))
        tensors[f"{name}.utf8"], tensors[f"{name}.ends"] = torch.tensor(utf8), torch.tensor(ends)
    # one entry: several are written in an order that differs from file to file
    content = save(tensors, metadata={_FORMAT: json.dumps({"meta": dict(meta), "sha256": digests})})
    with atomic_write(path) as file:
        file.write(content)


def save_index(folder: Path, files: Sequence[str], meta: Mapping[str, Any]) -> None:
    """Say that the tokens in a folder are whole, and which of its files they are, in which order."""
    with atomic_write(folder / INDEX) as file:
        file.write(json.dumps({"format": _FORMAT, "files": list(files), "meta": dict(meta)}, indent=1).encode())


def load_tokens(path: str | os.PathLike[str]) -> Tokens:
    """Open what `save_tokens` wrote, a file or a folder of files with an index; the tokens stay on disk.

    Raises:
        InputError: it is not there, not finished, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_dir():
        with _opened(path) as file:
            return Tokens([str(path)], _said(file)["meta"])
    index = _index(path)
    if index is None:
        raise InputError(
            f"the tokens in {path} are not all made yet, or have no {INDEX}; run the training that makes them again, "
            "which goes on where it was stopped."
        )
    return Tokens([str(path / name) for name in index["files"]], index["meta"])


def is_tokens(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is a file that `save_tokens` wrote, or a folder of them, finished or not."""
    if os.path.isdir(path):
        return os.path.exists(os.path.join(path, INDEX)) or any(Path(path).glob(f"*{PART}"))
    if not str(path).endswith(".safetensors") or not os.path.isfile(path):
        return False
    try:
        with _opened(path):
            return True
    except InputError:
        return False


def _index(folder: Path) -> dict[str, Any] | None:
    """The "files" and "meta" of a folder of tokens; None where there is no index that can be read."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(index, dict) or index.get("format") != _FORMAT or not index.keys() >= {"files", "meta"}:
        return None
    return index


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            if _FORMAT not in (file.metadata() or {}):
                raise InputError(
                    f"{path} does not hold tokens of pairs: pointwise train did not write it, or another version did."
                )
            yield file
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as tokens of pairs ({error}); make it again.") from None


def _said(file: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(file.metadata()[_FORMAT])
    return said


def _head(path: str) -> _Head:
    starts = _starts(path)
    sides: list[tuple[Part, Tensor | None]] = []
    with _opened(path) as file:
        names, digests = set(file.keys()), _said(file)["sha256"]
        for side in ("image", "text"):
            rows = file.get_slice(f"{side}_tokens")
            n, t, h = rows.get_shape()
            part = Part(path, starts[f"{side}_tokens"], (n, t, h), DTYPES[rows.get_dtype()], digests[side])
            mask = file.get_tensor(f"{side}_mask").clone() if f"{side}_mask" in names else None
            sides.append((part, mask))
        return _Head(sides, file.get_tensor("places").clone())  # a clone does not keep the whole file mapped


def _starts(path: str) -> dict[str, int]:
    """The byte at which each tensor of a .safetensors file begins: after the header, whose length is in 8 bytes."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        return {name: 8 + length + entry["data_offsets"][0] for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as tokens of pairs ({error}); make it again.") from None
