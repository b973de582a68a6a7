"""Files of tables: one reader and one writer a suffix, columns in, columns out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.tables import numpy_files, parquet, tensors, torch_files
from pointwise.tables.columns import FOR_IMAGES, Columns

_READERS: dict[str, Callable[[Path], Columns]] = {
    ".npy": numpy_files.read_npy,
    ".npz": numpy_files.read_npz,
    ".safetensors": tensors.read_table,
    ".parquet": parquet.read_file,
    ".pt": torch_files.read,
}
_WRITERS: dict[str, Callable[[Columns, BinaryIO], None]] = {
    ".npy": numpy_files.write_npy,
    ".npz": numpy_files.write_npz,
    ".safetensors": tensors.write_table,
    ".parquet": parquet.write,
}
_STARTS = {".npy": b"\x93NUMPY", ".npz": b"PK", ".parquet": b"PAR1", ".pt": b"PK"}
_KINDS = {
    b"\x93NUMPY": "a .npy file",
    b"PK": "a zip file, as .npz and .pt are",
    b"PAR1": "a .parquet file",
    b"\x80": "a pickle, which can run code",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}


def read(path: Path) -> Columns:
    """Return the columns of a file of one of these suffixes, or of a folder of .parquet shards.

    Raises:
        InputError: it is not there, or not what its suffix says; the message does not name the path.
    """
    if path.is_dir():
        return parquet.read_folder(path)
    if not path.is_file():
        raise InputError("there is no such file or folder.")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise InputError(f"the suffix {path.suffix!r} is not one of {', '.join(_READERS)}. {FOR_IMAGES}")
    with path.open("rb") as file:  # before any library is asked to make sense of it
        start = file.read(9)
    if not start:
        raise InputError("it is empty.")
    if not (start[8:] == b"{" if suffix == ".safetensors" else start.startswith(_STARTS[suffix])):
        kind = next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), f"the bytes {start!r}")
        raise InputError(f"it is no {suffix} file: it begins like {kind}. Give it the suffix of what it is.")
    return _READERS[suffix](path)


def write(columns: Columns, path: str | os.PathLike[str]) -> None:
    """Write columns, arrays of NumPy, to a .npy, .npz, .safetensors or .parquet file, whole or not at all.

    Raises:
        InputError: the suffix is not one of these, the format cannot hold a column, or the path cannot be written.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in _WRITERS:
        only_read = " (a .pt file is only read)" if suffix.lower() == ".pt" else ""
        raise InputError(f"cannot write {path}: the suffix {suffix!r} is not one of {', '.join(_WRITERS)}{only_read}.")
    with atomic_write(path) as file:
        try:
            _WRITERS[suffix.lower()](columns, file)
        except InputError as error:
            raise InputError(f"cannot write {path}: {error}") from None
