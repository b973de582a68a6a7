"""The columns of a table as files name them, and how they are found in a file that others wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from pointwise._arrays import Column
from pointwise.errors import InputError
from pointwise.tables.table import FeatureTable

COLUMNS = ("features", "text", "ids", "modes", "captions", "meta")
FOR_IMAGES = "Images go through an encoder first: pointwise compare, or pointwise.encode in Python."
_SHOWN = 8  # keys named in a message


def arrays_of(table: FeatureTable) -> dict[str, Column]:
    """Return the columns that the table carries as NumPy arrays; meta is none of them."""
    arrays = {"features": table.features.cpu().numpy()}
    if table.text is not None:
        arrays["text"] = table.text.cpu().numpy()
    columns = {"ids": table.ids, "modes": table.modes, "captions": table.captions}
    return arrays | {name: column for name, column in columns.items() if column is not None}


def bytes_of(array: Column) -> memoryview:
    """Return the bytes of a contiguous array without copying them."""
    return array.data.cast("B") if array.size else memoryview(b"")


def find_columns(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return {column: key}: which of the arrays that a file holds is which column of the table.

    Arrays keep their own names. ``labels`` stands in for modes, and the one 2-D array of another name for features,
    where the file has none of that name; arrays of other names are left alone.

    Raises:
        InputError: no array can be taken for the features without guessing.

    >>> find_columns({"embeddings": (10, 4), "labels": (10,), "index": (10,)})
    {'modes': 'labels', 'features': 'embeddings'}
    """
    found = {name: name for name in COLUMNS if name in shapes}
    if "modes" not in found and "labels" in shapes:
        found["modes"] = "labels"
    if "features" in found:
        return found
    flat = [key for key, shape in shapes.items() if len(shape) == 2 and key not in (*COLUMNS, "labels")]
    if len(flat) != 1:
        held = ", ".join(f"{key} {list(shape)}" for key, shape in list(shapes.items())[:_SHOWN]) or "nothing"
        more = f" and {len(shapes) - _SHOWN} more" if len(shapes) > _SHOWN else ""
        deep = any(len(shape) > 2 for shape in shapes.values())
        raise InputError(
            f"it has no array named features, and {len(flat) or 'no'} other 2-D arrays where one could stand in; "
            f"it holds {held}{more}. Name the [n, d] array features." + (f" {FOR_IMAGES}" if deep else "")
        )
    return found | {"features": flat[0]}


def refuse_images(shape: tuple[int, ...], dtype: object) -> None:
    """Raise InputError where an array that should be features is a stack of images, uint8 [n, h, w, 3]."""
    if len(shape) == 4 and shape[-1] in (1, 3, 4) and str(dtype).endswith("uint8"):
        raise InputError(f"it holds images (uint8 {list(shape)}), not features. {FOR_IMAGES}")


def meta_to_json(table: FeatureTable) -> str:
    """Return the meta of a table as JSON."""
    return json.dumps(dict(table.meta))


def meta_from_json(text: Any) -> dict[str, Any]:
    """Return the meta that a file holds as JSON.

    Raises:
        InputError: it is not the JSON of an object.
    """
    try:
        meta = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise InputError(f"its meta is {str(text)[:80]!r}; it must be a JSON object such as {{}}.")
    return meta


def pack_strings(strings: Column) -> tuple[Column, Column]:
    """Return the strings as UTF-8 bytes, one after the other, and the n + 1 places where they begin and end."""
    encoded = [item.encode("utf-8", "surrogatepass") for item in strings.tolist()]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), ends


def unpack_strings(utf8: Column, ends: Column) -> list[str]:
    """Return the strings that pack_strings packed.

    Raises:
        InputError: the bytes are not UTF-8.
    """
    packed, places = utf8.tobytes(), ends.tolist()
    try:
        return [packed[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(places)]
    except UnicodeDecodeError as error:
        raise InputError(f"its strings are damaged ({error}).") from None


def first_line(error: Exception) -> str:
    """Return what an error of another library says, as a part of a sentence."""
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
