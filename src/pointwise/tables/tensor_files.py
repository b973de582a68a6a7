"""Tables as .safetensors (every column), and as .pt, which is read only."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pointwise.errors import InputError
from pointwise.tables.columns import (
    arrays_of,
    bytes_of,
    find_columns,
    first_line,
    meta_from_json,
    meta_to_json,
    pack_strings,
    refuse_images,
    unpack_strings,
)
from pointwise.tables.table import FeatureTable


def read_safetensors(path: Path) -> dict[str, Any]:
    """Return the columns of a .safetensors file, as write_safetensors lays them out."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}
            strings = [
                key.removesuffix(".utf8") for key in shapes if key.endswith(".utf8") and f"{key[:-5]}.ends" in shapes
            ]
            shapes |= {name: (shapes[f"{name}.ends"][0] - 1,) for name in strings}
            columns: dict[str, Any] = {}
            for column, key in find_columns(shapes).items():
                if key in strings:
                    columns[column] = unpack_strings(
                        file.get_tensor(f"{key}.utf8").numpy(), file.get_tensor(f"{key}.ends").numpy()
                    )
                else:
                    columns[column] = file.get_tensor(key)
            described = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"it is cut short or not a .safetensors file ({first_line(error)}); write it again.") from None
    refuse_images(tuple(columns["features"].shape), columns["features"].dtype)
    if "meta" in described:
        columns["meta"] = meta_from_json(described["meta"])
    return columns


def write_safetensors(table: FeatureTable, file: BinaryIO) -> None:
    """Write every column as .safetensors.

    features, text and integer columns are tensors of their own names. A column of strings is two tensors:
    ``ids.utf8``, the bytes of all strings one after the other, and ``ids.ends``, int64 [n + 1], so that string i is
    ``utf8[ends[i]:ends[i + 1]]`` (the header, where strings could also go, is limited to 100 MB). meta is JSON under
    the key ``meta`` of the header.
    """
    tensors = {}
    for name, array in arrays_of(table).items():
        if array.dtype.kind == "U":
            tensors[f"{name}.utf8"], tensors[f"{name}.ends"] = pack_strings(array)
        else:
            tensors[name] = array
    header: dict[str, Any] = {"__metadata__": {"meta": meta_to_json(table)}} if table.meta else {}
    place = 0
    wide_first = sorted(tensors.items(), key=lambda item: -item[1].itemsize)  # so that every tensor is aligned
    for name, array in wide_first:
        kind = {"f": "F", "i": "I", "u": "U"}[array.dtype.kind]
        header[name] = {
            "dtype": f"{kind}{8 * array.itemsize}",
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    # Written here because safetensors' own save_file renames a file of its own making over the given one, unreadable
    # to others, and its save() holds the table in memory twice.
    file.write(len(head).to_bytes(8, "little") + head)
    for _, array in wide_first:
        file.write(bytes_of(array))


def read_pt(path: Path) -> dict[str, Any]:
    """Return the columns of a file that torch.save wrote: a tensor of features, or a dict of columns."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            "it holds Python objects other than tensors, numbers, strings, lists and dicts; these can run code, "
            "so it is not read. Save the tensor alone, or a dict of tensors and lists."
        ) from None
    except (
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:  # torch's
        raise InputError(f"it is cut short or no file of torch.save ({first_line(error)}); write it again.") from None
    if isinstance(held, torch.Tensor):
        held = {"features": held}
    if not isinstance(held, Mapping):
        raise InputError(
            f"it holds a {type(held).__name__}; it must hold a tensor [n, d], or a dict with features and, "
            "as far as known, text, ids, modes, captions and meta."
        )
    named = {str(key): value for key, value in held.items()}
    found = find_columns({key: _shape(value) for key, value in named.items()})
    columns = {column: named[key] for column, key in found.items()}
    refuse_images(_shape(columns["features"]), getattr(columns["features"], "dtype", None))
    if not isinstance(columns.get("meta", {}), Mapping):
        raise InputError(f"its meta is a {type(columns['meta']).__name__}; it must be a dict.")
    return columns


def _shape(value: object) -> tuple[int, ...]:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    return (len(value),) if isinstance(value, list | tuple) else ()
