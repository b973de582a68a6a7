"""A part is a .safetensors file of named arrays and meta, with digests that are verified where these are read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pointwise._files import atomic_write
from pointwise._types import Column
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of

_DTYPES = {f"{name}{8 * size}": f"<{name.lower()}{size}" for name in "FIU" for size in (1, 2, 4, 8)} | {"BOOL": "?"}
_LONGEST_HEADER = 100_000_000  # bytes; that of safetensors


class ArrayOnDisk(NamedTuple):
    """Where a file has an array: its first byte; and the SHA-256 of dtype, shape and bytes."""

    path: str
    name: str
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    sha256: str

    def read(self) -> Column:
        """Return the array.

        Raises:
            InputError: it is not what was written.
        """
        try:
            array = np.fromfile(self.path, self.dtype, math.prod(self.shape), offset=self.start)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read any more ({error.strerror or error}); put it back.") from None
        if array.size != math.prod(self.shape) or _digest(array.reshape(self.shape)) != self.sha256:
            raise InputError(f"{self.path} is damaged: {self.name} is not what was written. Make it again.")
        return array.reshape(self.shape)


def save_part(
    path: str | os.PathLike[str], arrays: Mapping[str, Column], meta: Mapping[str, Any], *, kind: str
) -> None:
    """Write arrays, and meta that can be written as JSON, whole or not at all; equal content gives equal bytes.

    Raises:
        InputError: the path cannot be written.
    """
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    digests = {name: _digest(array) for name, array in whole.items()}
    words = json.dumps({"meta": dict(meta), "arrays": digests, "sha256": sha256_of(dict(meta), digests)})
    content = save(whole, metadata={kind: words})  # one entry, as several are written in an order that differs
    with atomic_write(path) as file:
        file.write(content)


def open_part(path: str | os.PathLike[str], *, kind: str, called: str) -> tuple[dict[str, ArrayOnDisk], dict[str, Any]]:
    """Return where a file that `save_part` wrote has its arrays, of which none is read, and its meta.

    Raises:
        InputError: the file cannot be read, is damaged, or is of another kind than that which messages call so.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        description = header.pop("__metadata__", {})
        if kind not in description:
            raise InputError(f"{path} does not hold {called}: another program wrote it, or another version did.")
        words = json.loads(description[kind])
        meta, digests = words["meta"], words["arrays"]
        if words["sha256"] != sha256_of(meta, digests) or digests.keys() != header.keys():
            raise ValueError("its header is damaged")
        arrays = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
            if end - begin != math.prod(shape) * dtype.itemsize or not 0 < begin <= end <= size:
                raise ValueError("it is cut short, or its header is damaged")
            arrays[name] = ArrayOnDisk(os.fspath(path), name, begin, dtype, shape, digests[name])
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as {called} ({error}); make it again.") from None
    return arrays, meta


def _digest(array: Column) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
