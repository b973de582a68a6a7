"""Named arrays and a few words about them in a .safetensors file, with digests by which damage is noticed.

All that is kept as .safetensors is written by `write_tensors` and read by `open_tensors`: tables, fitted summaries,
models, tokens. `save_arrays` and `load_arrays` are the two for a file of one kind of thing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

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


class Damaged(ValueError):
    """A file is no .safetensors file, is cut short, or holds other bytes than were written: why, without advice."""


class TensorFile:
    """A .safetensors file that is open: its arrays are read, and compared with their digests, when asked for.

    Attributes:
        shapes: of each array; strings are one array [n].
        metadata: the words about them.
        digests: the SHA-256 of each; None in a file that others wrote.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}
        packed = [name for name in (key.removesuffix(".utf8") for key in self.shapes) if self._is_packed(name)]
        for name in packed:
            del self.shapes[f"{name}.utf8"]
            self.shapes[name] = (self.shapes.pop(f"{name}.ends")[0] - 1,)
        self._packed = frozenset(packed)
        self.metadata: dict[str, str] = dict(file.metadata() or {})
        self.digests: dict[str, str] | None = None
        if (digests := self.metadata.pop(_DIGESTS, None)) is not None:
            try:
                self.digests = dict(json.loads(digests))
            except (TypeError, ValueError):
                raise Damaged("its digests cannot be read") from None
            self._compare(_HEADER, sha256_of(self.metadata))

    def _is_packed(self, name: str) -> bool:
        parts = [self.shapes.get(f"{name}.{part}", ()) for part in ("utf8", "ends")]
        return [len(shape) for shape in parts] == [1, 1]

    def read(self, name: str) -> Any:
        """Return one array as a torch tensor, or strings as a list.

        Raises:
            Damaged: it is not what was written.
        """
        if name not in self._packed:
            return self._tensor(name)
        utf8, ends = (self._tensor(f"{name}.{part}").numpy() for part in ("utf8", "ends"))
        try:
            return unpack_strings(utf8, ends)
        except (InputError, TypeError) as error:
            raise Damaged(str(error).rstrip(".")) from None

    def _tensor(self, key: str) -> Any:
        tensor = self._file.get_tensor(key)
        if self.digests is not None:
            self._compare(key, sha256_of_array(tensor.numpy()))
        return tensor

    def _compare(self, key: str, digest: str) -> None:
        if self.digests is not None and self.digests.get(key) != digest:
            what = "its header" if key == _HEADER else f"its array {key}"
            raise Damaged(f"it is damaged: {what} is not what was written, as its SHA-256 shows")


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """Open a .safetensors file, of ours or of others, to read some or all of its arrays.

    Raises:
        Damaged: it is cut short or something else, or what is read of it is not what was written.
        OSError: it is not there, or may not be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            yield TensorFile(file)
    except SafetensorError as error:
        raise Damaged(f"it is cut short or not a .safetensors file: {first_line(error)}") from None


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
        kind = {"f": "F", "i": "I", "u": "U", "b": "BOOL"}[array.dtype.kind]
        header[name] = {
            "dtype": kind if kind == "BOOL" else f"{kind}{8 * array.itemsize}",
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    # Written here because safetensors' own save_file renames a file of its own making over the given one, unreadable
    # to others, and its save() holds the arrays in memory twice and the words in an order that differs between runs.
    file.write(len(head).to_bytes(8, "little") + head)
    for _, array in wide_first:
        file.write(bytes_of(array))


def save_arrays(path: str | os.PathLike[str], arrays: Arrays, *, kind: str, words: Mapping[str, str]) -> None:
    """Write arrays and words to a .safetensors file that says what kind of thing it holds, whole or not at all.

    Raises:
        InputError: the path cannot be written.
    """
    with atomic_write(path) as file:
        write_tensors(file, arrays, {"format": f"pointwise.{kind}/1", **words})


def load_arrays(path: str | os.PathLike[str], *, kind: str, called: str) -> tuple[Arrays, dict[str, str]]:
    """Read what `save_arrays` wrote for this kind of thing, which messages call so.

    Raises:
        InputError: the file cannot be read, is damaged, or holds something else.
    """
    try:
        with open_tensors(path) as file:
            if file.metadata.get("format") != f"pointwise.{kind}/1":
                raise InputError(f"{path} does not hold {called}: it was not saved as such by pointwise.")
            held = {name: file.read(name) for name in file.shapes}
            # A copy, so that the file is no longer mapped.
            arrays = {name: np.array(x if isinstance(x, list) else x.numpy()) for name, x in held.items()}
            return arrays, file.metadata
    except (OSError, Damaged) as error:
        raise InputError(f"{path} cannot be read as {called} ({error}); make and save it again.") from None


def read_table(path: Path) -> Columns:
    """Return the columns of a .safetensors file."""
    try:
        with open_tensors(path) as file:
            names = find_columns(file.shapes)
            columns: Columns = {column: file.read(key) for column, key in names.items()}
    except Damaged as error:
        raise InputError(f"{error}; write it again.") from None
    if file.digests is not None:
        columns["fingerprint"] = file.digests[names["features"]]
    refuse_images(tuple(columns["features"].shape), columns["features"].dtype)
    return columns | ({"meta": meta_from_json(file.metadata["meta"])} if "meta" in file.metadata else {})


def write_table(columns: Columns, file: BinaryIO) -> None:
    """Write every column as .safetensors, meta as JSON under the key ``meta`` of the header."""
    arrays = {name: column for name, column in columns.items() if name != "meta"}
    write_tensors(file, arrays, {"meta": json.dumps(columns["meta"])} if "meta" in columns else {})
