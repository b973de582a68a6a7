"""Tables as .npy (features alone) and .npz (every column), read without pickle."""

import json
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from pointwise._types import Column
from pointwise.errors import InputError, first_line
from pointwise.tables.columns import FOR_IMAGES, Columns, bytes_of, find_columns, meta_from_json, refuse_images

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


def read_npy(path: Path) -> Columns:
    """Return the columns of a .npy file: its one array as features."""
    with path.open("rb") as file:
        return {"features": _read_array(file, path.stat().st_size, "the array")}


def write_npy(columns: Columns, file: BinaryIO) -> None:
    """Write the features as .npy, refusing anything else."""
    others = [name for name in columns if name != "features"]
    if others:
        raise InputError(
            f"a .npy file holds features alone and this table also has {', '.join(others)}; "
            "write .npz, .safetensors or .parquet, or keep the features with FeatureTable(table.features)."
        )
    features = columns["features"]
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(features))
    file.write(bytes_of(features))  # np.save would lose the reason of a failure


def read_npz(path: Path) -> Columns:
    """Return the columns of an .npz file: features, text, ids, modes, captions and meta, a JSON string."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            if not names and archive.namelist():
                raise InputError(
                    f"it is a zip file but holds no .npy arrays (its first entry is {archive.namelist()[0]}). "
                    + FOR_IMAGES
                )
            shapes: dict[str, tuple[int, ...]] = {}
            columns: Columns = {}
            for name in names:
                with archive.open(f"{name}.npy") as member:
                    shapes[name] = _read_header(member, name)[0]
            for column, name in find_columns(shapes).items():
                with archive.open(f"{name}.npy") as member:
                    columns[column] = _read_array(member, archive.getinfo(f"{name}.npy").file_size, name)
    except _DAMAGE as error:
        raise InputError(f"it is cut short or damaged ({error}); write it again.") from None
    if "meta" in columns:
        meta = columns["meta"]
        columns["meta"] = meta_from_json(meta.item() if meta.size == 1 else meta)
    return columns


def write_npz(columns: Columns, file: BinaryIO) -> None:
    """Write every column as .npz, uncompressed; meta as a JSON string."""
    arrays: Any = {name: np.array(json.dumps(it)) if name == "meta" else it for name, it in columns.items()}
    np.savez(file, **arrays)


def _read_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version in readers:
            shape, _, dtype = readers[version](file)
            if min(shape, default=0) < 0:
                raise ValueError(f"shape {shape}")
            return shape, dtype
    except (ValueError, SyntaxError, tokenize.TokenError) as error:
        raise InputError(f"{name} has no readable .npy header ({error}); write the file again.") from None
    raise InputError(f"{name} has version {version} of the .npy format; (1, 0) and (2, 0) can be read.")


def _read_array(file: IO[bytes], size: int, name: str) -> Column:
    shape, dtype = _read_header(file, name)
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects (type {dtype}), which are pickled and can run code, so it is not read; "
            "write it again as numbers, or as strings with x.astype(str)."
        )
    refuse_images(shape, dtype)
    needed, present = math.prod(shape) * dtype.itemsize, size - file.tell()
    if needed > present:  # before memory is asked for
        raise InputError(f"{name} is cut short: {list(shape)} of {dtype} takes {needed} bytes and {present} are there.")
    file.seek(0)
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{name} is cut short ({first_line(error)}); write the file again.") from None
