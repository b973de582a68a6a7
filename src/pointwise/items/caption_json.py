"""Captions from JSON: an object a line, a list of objects, COCO's annotations, or {image: caption}."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointwise.errors import InputError
from pointwise.items.caption_rows import Rows, decoded, lines_of, nth, rows_of_objects, shortened


def read_jsonl(path: Path, *, text_column: str | None, id_column: str | None) -> Rows:
    """Return the rows of a .jsonl: one object a line, blank lines left out."""
    objects, lines = [], []
    for line, text in enumerate(lines_of(decoded(path.read_bytes()), ends="\n"), start=1):
        if not text.isspace():
            objects.append(_parsed(text.removesuffix("\n"), line))
            lines.append(line)
    if not objects:
        raise InputError('it is empty; write one object a line, such as {"file_name": "a.jpg", "caption": "a cat"}.')
    return rows_of_objects(objects, lambda i: f"line {lines[i]}", text_column=text_column, id_column=id_column)


def read_json(path: Path, *, text_column: str | None, id_column: str | None) -> Rows:
    """Return the rows of a .json: a list of objects or of strings, COCO's annotations, or {image: caption}."""
    content = parsed_json(decoded(path.read_bytes()))
    strings = isinstance(content, list) and all(isinstance(item, str) for item in content)
    if content and isinstance(content, list) and not strings:
        return rows_of_objects(content, nth("entry"), text_column=text_column, id_column=id_column)
    if text_column is not None or id_column is not None:
        raise InputError(f"it holds {_outline(content)}, which has no columns to choose from; a list of objects has.")
    if content and strings:
        return Rows(None, content, nth("entry"))
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _coco(content["annotations"], content.get("images"))
    if content and isinstance(content, dict) and all(map(_is_text, content.values())):
        names = list(content)
        return Rows(names, list(content.values()), lambda i: f"the entry {names[i][:80]!r}")
    raise InputError(
        f"it holds {_outline(content)}, which is none of the forms that captions have: a list of objects such as "
        '{"file_name": "a.jpg", "caption": "a cat"}, COCO\'s {"images": [...], "annotations": [...]}, '
        'or {"a.jpg": "a cat", ...}.'
    )


def parsed_json(text: str) -> Any:
    """Return what a JSON text holds.

    Raises:
        InputError: it is not JSON.
    """
    return _parsed(text, 1)


def _parsed(text: str, first_line: int) -> Any:
    try:
        return _DECODER.decode(text)
    except InputError as error:
        raise InputError(f"the JSON from line {first_line} on cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"line {first_line + error.lineno - 1} is not JSON ({error.msg}, character {error.colno}); "
            "mend it or write the file again."
        ) from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists without end
        raise InputError(f"the JSON from line {first_line} on cannot be read ({error}).") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys, which are the same in thousands of them, are kept once."""
    content = {sys.intern(key): value for key, value in pairs}
    if len(content) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise InputError(f"an object has the key {twice[:80]!r} more than once; which of them counts would be a guess.")
    return content


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _coco(annotations: list[Any], images: Any) -> Rows:
    """The captions of COCO's annotations; they name images by file name, or by id where no images are listed."""
    if not any(isinstance(item, Mapping) and "caption" in item for item in annotations):
        raise InputError(
            f"none of its {len(annotations)} annotations has a caption; COCO keeps captions in captions_*.json."
        )
    rows = rows_of_objects(annotations, nth("annotation"), text_column="caption", id_column="image_id")
    if not isinstance(images, list) or not images:
        return rows
    file_names: dict[Any, str] = {}
    for i, image in enumerate(images):
        if not isinstance(image, Mapping) or not isinstance(image.get("file_name"), str) or "id" not in image:
            raise InputError(f"{nth('image')(i)} is {shortened(image)}; it must be an object with id and file_name.")
        name = file_names.setdefault(_key(image["id"]), image["file_name"])
        if name != image["file_name"]:
            raise InputError(f"the image id {image['id']!r} stands for two files, {name} and {image['file_name']}.")
    ids = [file_names.get(_key(id_)) for id_ in rows.ids or ()]
    lost = [i for i, name in enumerate(ids) if name is None]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(ids)} annotations have an image_id that none of the {len(images)} images has "
            f"(first: {rows.place(lost[0])}, with {annotations[lost[0]].get('image_id')!r}); add the images, or take "
            "those annotations away."
        )
    return rows._replace(ids=ids)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _key(id_: Any) -> str:
    return json.dumps(id_)  # whatever it is, it can be looked up; 1, "1" and true stay different


def _outline(content: Any) -> str:
    if isinstance(content, dict):
        return f"an object with the keys {', '.join(map(repr, list(content)[:8])) or '(none)'}"
    return "an empty list" if content == [] else shortened(content)
