"""Files of tables: one reader and one writer a suffix, columns in, columns out."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.tables import numpy_files, parquet, tensors, torch_files
from pointwise.tables.columns import FOR_IMAGES, Columns


class _Format(NamedTuple):
    read: Callable[[Path], Columns]
    write: Callable[[Columns, BinaryIO], None] | None
    start: bytes  # of its files


_FORMATS = {
    ".npy": _Format(numpy_files.read_npy, numpy_files.write_npy, b"\x93NUMPY"),
    ".npz": _Format(numpy_files.read_npz, numpy_files.write_npz, b"PK"),
    ".safetensors": _Format(tensors.read_table, tensors.write_table, b""),  # its ninth byte tells
    ".parquet": _Format(parquet.read, parquet.write, b"PAR1"),
    ".pt": _Format(torch_files.read, None, b"PK"),
}
_KINDS = {
    b"\x93NUMPY": "a .npy file",
    b"PK": "a zip file, as .npz and .pt are",
    b"PAR1": "a .parquet file",
    b"\x80": "a pickle, which can run code",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}


def read(path: Path) -> Columns:
    """Return the columns of a file, or of a folder of .parquet shards; messages do not name the path."""
    if path.is_dir():
        return parquet.read(path)
    if not path.is_file():
        raise InputError("there is no such file or folder.")
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"the suffix {path.suffix!r} is not one of {', '.join(_FORMATS)}. {FOR_IMAGES}")
    with path.open("rb") as file:  # before any library is asked to make sense of it
        start = file.read(9)
    if not start:
        raise InputError("it is empty.")
    if not (start[8:] == b"{" if suffix == ".safetensors" else start.startswith(_FORMATS[suffix].start)):
        kind = next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), f"the bytes {start!r}")
        raise InputError(f"it is no {suffix} file: it begins like {kind}. Give it the suffix of what it is.")
    return _FORMATS[suffix].read(path)


def write(columns: Columns, path: str | os.PathLike[str]) -> None:
    """Write columns, arrays of NumPy, to a .npy, .npz, .safetensors or .parquet file, whole or not at all."""
    suffix = Path(path).suffix
    writers = {name: form.write for name, form in _FORMATS.items() if form.write is not None}
    if suffix.lower() not in writers:
        only_read = " (a .pt file is only read)" if suffix.lower() == ".pt" else ""
        raise InputError(f"cannot write {path}: the suffix {suffix!r} is not one of {', '.join(writers)}{only_read}.")
    with atomic_write(path) as file:
        try:
            writers[suffix.lower()](columns, file)
        except InputError as error:
            raise InputError(f"cannot write {path}: {error}") from None
