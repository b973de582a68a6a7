"""Named arrays and a few words about them in a .safetensors file, with digests by which damage is noticed.

All that is kept as .safetensors is written by `write_tensors` and read as a `TensorFile`: tables, fitted summaries,
models, parts of a run, tokens. `save_arrays`, `open_arrays` and `load_arrays` are for a file of one kind of thing.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import torch

from pointwise._files import atomic_write
from pointwise._types import Column
from pointwise.errors import InputError, first_line
from pointwise.tables.columns import (
    Columns,
    bytes_of,
    find_columns,
    meta_from_json,
    pack_strings,
    refuse_images,
    unpack_strings,
)
from pointwise.tables.digest import sha256_of, sha256_of_array

Arrays: TypeAlias = dict[str, Column]

_DIGESTS = "pointwise.sha256"  # the entry of the header that holds the digests
_HEADER = "__metadata__"
_LONGEST_HEADER = 100_000_000  # bytes; that of the safetensors package
_DTYPES = {f"{name[0].upper()}{bits}": f"{name}{bits}" for name in ("float", "int", "uint") for bits in (8, 16, 32, 64)}
_DTYPES |= {"BOOL": "bool", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class Damaged(ValueError):
    """A file is no .safetensors file, is cut short, or holds other bytes than were written: why, without advice."""


class ArrayOnDisk(NamedTuple):
    """Where a file has an array: its first byte; and the SHA-256 of dtype, shape and bytes, None in files of others."""

    path: str
    name: str
    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    sha256: str | None

    def read(self) -> torch.Tensor:
        """Return the array; Damaged where it is not what was written.

        By a plain read: a memory map would count as memory of the process, and crash it where the file is cut.
        """
        data = np.empty(math.prod(self.shape) * self.dtype.itemsize, np.uint8)  # of huge pages, as torch's are not
        with open(self.path, "rb") as file:
            file.seek(self.start)
            whole = file.readinto(data.data) == data.size
        flat = torch.from_numpy(data).view(self.dtype) if data.size else torch.empty(0, dtype=self.dtype)
        array = flat.reshape(self.shape)
        if not whole or self.sha256 not in (None, sha256_of_array(array)):
            raise Damaged(f"it is damaged: its array {self.name} is not what was written, as its SHA-256 shows")
        return array


class TensorFile:
    """A .safetensors file, of ours or of others: its header is read at once, its arrays when they are asked for.

    In ``arrays`` strings are bytes and ends, as they are kept; in ``shapes`` they are one array [n].
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            head = file.read(min(length, _LONGEST_HEADER))
        try:
            header = json.loads(head)
            self.words: dict[str, str] = dict(header.pop(_HEADER, {}))
            places = {name: [8 + length + offset for offset in header[name]["data_offsets"]] for name in header}
            if max((end for _, end in places.values()), default=8 + length) != size:
                raise ValueError(f"it has {size} bytes")
            digests = self._digests(header)
            self.arrays: dict[str, ArrayOnDisk] = {}
            for name, (start, end) in places.items():
                dtype, shape = getattr(torch, _DTYPES[header[name]["dtype"]]), torch.Size(header[name]["shape"])
                if end - start != math.prod(shape) * dtype.itemsize or min(0, start - 8 - length, *shape) < 0:
                    raise ValueError(f"its array {name} has {end - start} bytes")
                self.arrays[name] = ArrayOnDisk(self.path, name, start, dtype, shape, digests.get(name))
        except Damaged:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"it is cut short or not a .safetensors file: {first_line(error)}") from None
        self.shapes = {name: array.shape for name, array in self.arrays.items()}
        for name in [name.removesuffix(".utf8") for name in self.shapes if name.endswith(".utf8")]:
            if [len(self.shapes.get(f"{name}.{part}", ())) for part in ("utf8", "ends")] == [1, 1]:
                del self.shapes[f"{name}.utf8"]
                self.shapes[name] = (self.shapes.pop(f"{name}.ends")[0] - 1,)

    def _digests(self, header: Mapping[str, Any]) -> dict[str, str]:
        """Take the digests out of the words, and compare these with theirs; none in a file that others wrote."""
        if (packed := self.words.pop(_DIGESTS, None)) is None:
            return {}
        try:
            digests = dict(json.loads(packed))
        except (TypeError, ValueError):
            raise Damaged("its digests cannot be read") from None
        if digests.pop(_HEADER, None) != sha256_of(self.words) or digests.keys() != header.keys():
            raise Damaged("it is damaged: its header is not what was written, as its SHA-256 shows")
        return digests

    def read(self, name: str) -> Any:
        """Return one array as a torch tensor, or strings as a list; Damaged where it is not what was written."""
        if name in self.arrays:
            return self.arrays[name].read()
        utf8, ends = (self.arrays[f"{name}.{part}"].read().numpy() for part in ("utf8", "ends"))
        try:
            return unpack_strings(utf8, ends)
        except (InputError, TypeError) as error:
            raise Damaged(str(error).rstrip(".")) from None


def write_tensors(file: BinaryIO, arrays: Mapping[str, Column], metadata: Mapping[str, str]) -> None:
    """Write arrays, and words about them, as .safetensors: the same bytes for the same content.

    Numbers and booleans of any shape are tensors of their own names. An array of strings [n] is two tensors:
    ``ids.utf8``, the bytes of all one after the other, and ``ids.ends``, int64 [n + 1], so that string i is
    ``utf8[ends[i]:ends[i + 1]]`` (the header, where strings could also go, is limited to 100 MB). The header has the
    words, and a SHA-256 of them and of each tensor.
    """
    tensors: Arrays = {}
    for name, array in arrays.items():
        if array.dtype.kind == "U":
            tensors[f"{name}.utf8"], tensors[f"{name}.ends"] = pack_strings(array)
        else:
            tensors[name] = np.asarray(array, order="C")
    digests = {name: sha256_of_array(array) for name, array in tensors.items()}
    words = dict(metadata) | {_DIGESTS: json.dumps({_HEADER: sha256_of(dict(metadata)), **digests})}
    header: dict[str, Any] = {_HEADER: words}
    place = 0
    wide_first = sorted(tensors.items(), key=lambda item: -item[1].itemsize)  # so that every tensor is aligned
    for name, array in wide_first:
        offsets = [place, place + array.nbytes]
        header[name] = {"dtype": _NAMES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        place += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    # Written here because safetensors' own save_file renames a file of its own making over the given one, unreadable
    # to others, and its save() holds the arrays in memory twice and the words in an order that differs between runs.
    file.write(len(head).to_bytes(8, "little") + head)
    for _, array in wide_first:
        file.write(bytes_of(array))


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Column], *, kind: str, words: Mapping[str, str]
) -> None:
    """Write arrays and words to a .safetensors file that says what kind of thing it holds, whole or not at all."""
    with atomic_write(path) as file:
        write_tensors(file, arrays, {"format": f"pointwise.{kind}/1", **words})


@contextmanager
def reading(path: str | os.PathLike[str], *, called: str) -> Iterator[None]:
    """Turn what keeps a file from being read into an InputError, in which what it should hold is called so."""
    try:
        yield
    except (OSError, Damaged) as error:
        raise InputError(f"{path} cannot be read as {called} ({error}); make and save it again.") from None


def open_arrays(path: str | os.PathLike[str], *, kind: str, called: str) -> TensorFile:
    """Open what `save_arrays` wrote for this kind of thing, which messages call so; no array is read yet."""
    with reading(path, called=called):
        file = TensorFile(path)
    if file.words.get("format") != f"pointwise.{kind}/1":
        raise InputError(f"{path} does not hold {called}: it was not saved as such by this version of pointwise.")
    return file


def load_arrays(path: str | os.PathLike[str], *, kind: str, called: str) -> tuple[Arrays, dict[str, str]]:
    """Read all arrays and words that `save_arrays` wrote, as `open_arrays` does."""
    file = open_arrays(path, kind=kind, called=called)
    with reading(path, called=called):
        held = {name: file.read(name) for name in file.shapes}
    return {name: np.array(x, str) if isinstance(x, list) else x.numpy() for name, x in held.items()}, file.words


def read_table(path: Path) -> Columns:
    """Return the columns of a .safetensors file."""
    try:
        file = TensorFile(path)
        names = find_columns(file.shapes)
        columns: Columns = {column: file.read(key) for column, key in names.items()}
    except Damaged as error:
        raise InputError(f"{error}; write it again.") from None
    if (digest := file.arrays[names["features"]].sha256) is not None:
        columns["fingerprint"] = digest
    refuse_images(tuple(columns["features"].shape), columns["features"].dtype)
    return columns | ({"meta": meta_from_json(file.words["meta"])} if "meta" in file.words else {})


def write_table(columns: Columns, file: BinaryIO) -> None:
    """Write every column as .safetensors, meta as JSON under the key ``meta`` of the header."""
    arrays = {name: column for name, column in columns.items() if name != "meta"}
    write_tensors(file, arrays, {"meta": json.dumps(columns["meta"])} if "meta" in columns else {})
