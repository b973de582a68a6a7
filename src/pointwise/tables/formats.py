"""Tables on disk: load and save, one reader and one writer a suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.tables import numpy_files, parquet, tensor_files
from pointwise.tables.columns import FOR_IMAGES
from pointwise.tables.table import FeatureTable

_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".npy": numpy_files.read_npy,
    ".npz": numpy_files.read_npz,
    ".safetensors": tensor_files.read_safetensors,
    ".parquet": parquet.read_file,
    ".pt": tensor_files.read_pt,
}
_WRITERS: dict[str, Callable[[FeatureTable, BinaryIO], None]] = {
    ".npy": numpy_files.write_npy,
    ".npz": numpy_files.write_npz,
    ".safetensors": tensor_files.write_safetensors,
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


def load(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a table from a .npy, .npz, .safetensors, .parquet or .pt file, or from a folder of .parquet shards.

    ====================  ==========================================================================================
    .npy                  the features alone
    .npz                  arrays features, text, ids, modes, captions, and meta as a JSON string
    .safetensors          tensors of these names; strings as UTF-8 bytes and ends; meta as JSON in the header
    .parquet              columns features and text (lists), id, mode and caption; meta as JSON with the schema
    .pt                   a tensor of features, or a dict with these names
    ====================  ==========================================================================================

    In .npz, .safetensors and .pt files of others, ``labels`` are taken as modes, and the only 2-D array as features,
    where those names are missing. Other arrays and columns are left alone. The shards of a folder are read in the order
    of their names. Nothing is unpickled.

    Raises:
        InputError: nothing is there, the suffix is not one of these or not what the file is, the file is cut short, or
            what it holds is no table.

    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "real.npz"
    >>> FeatureTable(np.eye(3), modes=["a", "b", "b"], meta={"encoder": "identity"}).save(path)
    >>> load(path)
    FeatureTable(3 x 3 float64, 2 modes)
    """
    path = Path(path)
    try:
        return FeatureTable(**_read(path))
    except InputError as error:
        raise InputError(f"cannot load {path}: {error}") from None
    except OSError as error:
        raise InputError(f"cannot load {path}: {error.strerror or error}.") from error


def save(table: FeatureTable, path: str | os.PathLike[str]) -> None:
    """Write a table to a .npy, .npz, .safetensors or .parquet file, whole or not at all; see load for what goes where.

    Raises:
        InputError: the suffix is not one of these, the format cannot hold a column, or the path cannot be written.
    """
    writer = _WRITERS.get(Path(path).suffix.lower())
    if writer is None:
        only_read = " (a .pt file is only read)" if Path(path).suffix.lower() == ".pt" else ""
        raise InputError(
            f"cannot write {path}: the suffix {Path(path).suffix!r} is not one of {', '.join(_WRITERS)}{only_read}."
        )
    with atomic_write(path) as file:
        try:
            writer(table, file)
        except InputError as error:
            raise InputError(f"cannot write {path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    if path.is_dir():
        return parquet.read_folder(path)
    if not path.is_file():
        raise InputError("there is no such file or folder.")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise InputError(f"the suffix {path.suffix!r} is not one of {', '.join(_READERS)}. {FOR_IMAGES}")
    _require_start(path, suffix)
    return _READERS[suffix](path)


def _require_start(path: Path, suffix: str) -> None:
    """Refuse a file whose first bytes are not those of its suffix, before any library is asked to make sense of it."""
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise InputError("it is empty.")
    fits = start[8:] == b"{" if suffix == ".safetensors" else start.startswith(_STARTS[suffix])
    if not fits:
        kind = next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), f"the bytes {start!r}")
        raise InputError(f"it is no {suffix} file: it begins like {kind}. Give it the suffix of what it is.")
