"""The columns of a table as files name them, and how they are recognized in a file that others wrote.

A reader of files returns `Columns` and a writer takes them: features and text as arrays [n, d], ids, modes and captions
as arrays or lists of n, meta as a mapping; those that are not there are left out. A reader that compared the features
with their fingerprint returns that too.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from pointwise._types import Column
from pointwise.errors import InputError

Columns: TypeAlias = dict[str, Any]

COLUMNS = ("features", "text", "ids", "modes", "captions", "meta")
FOR_IMAGES = "Images go through an encoder first: pointwise compare, or pointwise.encode in Python."
_TEXT_NAMES = ("caption", "text", "prompt", "sentence", "title", "comment")
_ID_NAMES = (  # the first of these lines that a file has a column of is looked at alone
    ("image", "file", "file_name", "filename", "path", "filepath", "image_name", "image_path"),
    ("image_id", "key"),
    ("id",),
)
_SHOWN = 8  # arrays named in a message
_SHOWN_NAMES = 12  # and columns


def find_columns(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return {column: key}: which of the arrays that a file holds is which column of the table.

    Arrays keep their own names. ``labels`` stands in for modes, and the one 2-D array of another name for features,
    where the file has none of that name; arrays of other names are left alone.
    """
    keys = {name: name for name in COLUMNS if name in shapes}
    if "modes" not in keys and "labels" in shapes:
        keys["modes"] = "labels"
    if "features" in keys:
        return keys
    flat = [key for key, shape in shapes.items() if len(shape) == 2 and key not in (*COLUMNS, "labels")]
    if len(flat) != 1:
        held = ", ".join(f"{key} {list(shape)}" for key, shape in list(shapes.items())[:_SHOWN]) or "nothing"
        more = f" and {len(shapes) - _SHOWN} more" if len(shapes) > _SHOWN else ""
        deep = any(len(shape) > 2 for shape in shapes.values())
        raise InputError(
            f"it has no array named features, and {len(flat) or 'no'} other 2-D arrays where one could stand in; "
            f"it holds {held}{more}. Name the [n, d] array features." + (f" {FOR_IMAGES}" if deep else "")
        )
    return keys | {"features": flat[0]}


def find_captions(names: Sequence[str], *, text_column: str | None = None, id_column: str | None = None) -> list[str]:
    """Return the column of captions and, if any, that which names the images: those asked for, else by their names."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    held = ", ".join(map(repr, names[:_SHOWN_NAMES])) + more or "none"
    for option, column in (("text_column", text_column), ("id_column", id_column)):
        if column is not None and names.count(column) != 1:
            times = f"{names.count(column)} times" if column in names else "not there"
            raise InputError(f"{option} is {column!r}, a column that is {times}; the columns are {held}.")
    texts = [text_column] if text_column is not None else [name for name in names if _plain(name) in _TEXT_NAMES]
    if not texts:
        raise InputError(
            f"it has no column of captions: the columns are {held} (of a .csv or .tsv the first line names them). Name "
            f"one of them {', '.join(_TEXT_NAMES[:-1])} or {_TEXT_NAMES[-1]}, or say which it is: text_column=... in "
            "Python."
        )
    others = [name for name in names if name != texts[0]]
    lines = ([name for name in others if _plain(name) in line] for line in _ID_NAMES)
    ids = [id_column] if id_column is not None else next(filter(None, lines), [])
    for what, option, fitting in (("hold the captions", "text_column", texts), ("name the images", "id_column", ids)):
        if len(fitting) > 1:
            raise InputError(
                f"columns {' and '.join(map(repr, fitting))} may each {what}; keep one of these names, or say which it "
                f"is: {option}={fitting[0]!r} in Python."
            )
    if others and not ids:
        raise InputError(
            f"which of its columns names the images is not known: the columns are {held}. Name it file_name, say which "
            "it is (id_column=... in Python), or leave the captions alone in the file to match them by order."
        )
    return [*texts, *ids]


def refuse_images(shape: tuple[int, ...], dtype: object) -> None:
    """Raise InputError where an array that should be features is a stack of images, uint8 [n, h, w, 3]."""
    if len(shape) == 4 and shape[-1] in (1, 3, 4) and str(dtype).endswith("uint8"):
        raise InputError(f"it holds images (uint8 {list(shape)}), not features. {FOR_IMAGES}")


def meta_from_json(text: Any) -> dict[str, Any]:
    """Return the meta that a file holds as JSON, refusing what is not the JSON of an object."""
    try:
        meta = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise InputError(f"its meta is {str(text)[:80]!r}; it must be a JSON object such as {{}}.")
    return meta


def bytes_of(array: Column) -> memoryview:
    """Return the bytes of a contiguous array without copying them."""
    return array.data.cast("B") if array.size else memoryview(b"")


def pack_strings(strings: Column) -> tuple[Column, Column]:
    """Return the strings as UTF-8 bytes, one after the other, and the n + 1 places where they begin and end."""
    encoded = [item.encode("utf-8", "surrogatepass") for item in strings.tolist()]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), ends


def unpack_strings(utf8: Column, ends: Column) -> list[str]:
    """Return the strings that `pack_strings` packed, refusing bytes that are not UTF-8."""
    packed = utf8.tobytes()
    try:
        return [packed[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(ends.tolist())]
    except UnicodeDecodeError as error:
        raise InputError(f"its strings are damaged ({error}).") from None


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
