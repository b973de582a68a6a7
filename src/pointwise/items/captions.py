"""Captions: texts and the images that they belong to, read from the files they are published in."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointwise._files import reading
from pointwise._types import Column
from pointwise.errors import InputError
from pointwise.items.archives import ARCHIVES
from pointwise.items.beside_images import read_beside_images
from pointwise.tables.columns import find_captions
from pointwise.tables.rows import READERS, TEXT_KINDS, Place, Rows, nth, open_rows, rows_of_objects
from pointwise.tables.text import decoded, parse_json, shortened

_FLICKR = re.compile(r"([^\t]+?\.(?:jpe?g|png))(?:#\d+)?\t", re.IGNORECASE)  # a.jpg#0<tab>caption
_LONGEST = 131_072  # characters of a caption, as many as the csv module takes
_LONGEST_ID = 4_096  # characters of an id, as many as a path may have
_UNPRINTABLE = re.compile("[\\0\ud800-\udfff]")


@dataclass(frozen=True, eq=False, repr=False)
class Captions:
    """Texts in the order of their file, and the image that each names; several may name one image."""

    source: str  # where they come from, for messages and provenance
    _: KW_ONLY
    ids: Column | None  # [n], the path, file name or id of an image, as strings; None where the file names no images
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"Captions({len(self)} from {self.source}{', without ids' if self.ids is None else ''})"


def read_captions(
    source: str | os.PathLike[str], *, text_column: str | None = None, id_column: str | None = None
) -> Captions:
    """Read captions from a table, a JSON or text file, or from the texts beside images in a folder or archive.

    ======================  ========================================================================================
    .csv .tsv .parquet      a column caption (or text, prompt, sentence, title, comment) and one that names the image:
                            image, file, file_name, filename, path, filepath, image_name, image_path; where there is
                            none of these image_id or key; else id
    .jsonl .ndjson          objects with these keys, one a line
    .json                   a list of them, COCO's images and annotations, or {image: caption}
    .txt                    one caption a line; or, as Flickr8k has it, image#number, a tab, a caption
    folder, .zip, .tar      a.txt (or a.caption, a.json) beside a.jpg
    ======================  ========================================================================================

    All text is UTF-8. A caption may be a list of several. Nothing is unpickled, or unpacked to disk.

    Args:
        source: the path.
        text_column: the column of a table, or key of objects, that holds the captions, where its name does not say so.
        id_column: the one that names the images.

    Raises:
        InputError: it cannot be read, a caption is missing or blank, or which column is which would be a guess.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "captions.csv"
    >>> with path.open("w") as file:
    ...     print('file_name,caption', 'cat.jpg,"a cat, asleep"', sep=chr(10), file=file)
    >>> read_captions(path).texts
    ('a cat, asleep',)
    """
    path = Path(source)
    options = {"text_column": text_column, "id_column": id_column}
    with reading(f"cannot read captions from {path}"):
        ids, texts = _checked(_read(path, **{name: it for name, it in options.items() if it is not None}))
    return Captions(str(source), ids=None if ids is None else np.array(ids, dtype=str), texts=tuple(texts))


class _Unchecked(NamedTuple):
    """What each row of a file names, its caption or captions, and where in the file it is."""

    ids: Sequence[Any] | None
    texts: Sequence[Any]
    place: Place


def _read(path: Path, **columns: str) -> _Unchecked:
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError("there is no such file or folder.")
    if path.is_file() and suffix == ".json":
        return _of_json(parse_json(decoded(path.read_bytes())), **columns)
    if path.is_file() and suffix in READERS:
        return _of_rows(open_rows(path), **columns)
    if columns:
        raise InputError(f"it has no columns to choose from; only {', '.join(READERS)} files have.")
    if path.is_dir() or path.name.lower().endswith(ARCHIVES):
        return _Unchecked(*read_beside_images(path))
    if suffix == ".txt":
        return _of_lines(decoded(path.read_bytes()))
    raise InputError(
        f"the suffix {path.suffix!r} is not one of {', '.join([*READERS, '.txt', *ARCHIVES])}; a folder with a .txt "
        "beside each image is read too."
    )


def _of_rows(rows: Rows, **columns: str) -> _Unchecked:
    fields = list(zip(rows.names, rows.kinds, strict=True))
    names = [name for name, kind in fields if kind in TEXT_KINDS]
    try:
        chosen = find_captions(names, **columns)
    except InputError as error:
        others = ", ".join(f"{name!r} ({kind[:40]})" for name, kind in fields if kind not in TEXT_KINDS)
        raise InputError(f"{error}{' Columns of other types are not looked at: ' * bool(others)}{others}") from None
    (texts, *ids), place = rows.read(chosen)
    return _Unchecked(ids[0] if ids else None, texts, place)


def _of_json(content: Any, **columns: str) -> _Unchecked:
    """A list of objects or of strings, COCO's annotations, or {image: caption}."""
    strings = isinstance(content, list) and all(isinstance(item, str) for item in content)
    if content and isinstance(content, list) and not strings:
        return _of_rows(rows_of_objects(content, nth("entry")), **columns)
    if columns:
        raise InputError(f"it holds {_outline(content)}, which has no columns to choose from; a list of objects has.")
    if content and strings:
        return _Unchecked(None, content, nth("entry"))
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _of_coco(content["annotations"], content.get("images"))
    if content and isinstance(content, dict) and all(map(_is_text, content.values())):
        names = list(content)
        return _Unchecked(names, list(content.values()), lambda i: f"the entry {names[i][:80]!r}")
    raise InputError(
        f"it holds {_outline(content)}, which is none of the forms that captions have: a list of objects such as "
        '{"file_name": "a.jpg", "caption": "a cat"}, COCO\'s {"images": [...], "annotations": [...]}, '
        'or {"a.jpg": "a cat", ...}.'
    )


def _of_coco(annotations: list[Any], images: Any) -> _Unchecked:
    """The captions of COCO's annotations; they name images by file name, or by id where no images are listed."""
    if not any(isinstance(item, Mapping) and "caption" in item for item in annotations):
        raise InputError(
            f"none of its {len(annotations)} annotations has a caption; COCO keeps captions in captions_*.json."
        )
    rows = rows_of_objects(annotations, nth("annotation"))
    captions = _of_rows(rows, text_column="caption", id_column="image_id")
    if not isinstance(images, list) or not images:
        return captions
    file_names: dict[str, str] = {}  # by the JSON of the id: whatever it is, and 1, "1" and true stay different
    for i, image in enumerate(images):
        if not isinstance(image, Mapping) or not isinstance(image.get("file_name"), str) or "id" not in image:
            raise InputError(f"{nth('image')(i)} is {shortened(image)}; it must be an object with id and file_name.")
        name = file_names.setdefault(json.dumps(image["id"]), image["file_name"])
        if name != image["file_name"]:
            raise InputError(f"the image id {image['id']!r} stands for two files, {name} and {image['file_name']}.")
    names = [file_names.get(json.dumps(id_)) for id_ in captions.ids or ()]
    lost = [i for i, name in enumerate(names) if name is None]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(names)} annotations have an image_id that none of the {len(images)} images has "
            f"(first: {captions.place(lost[0])}, with {annotations[lost[0]].get('image_id')!r}); add the images, or "
            "take those annotations away."
        )
    return captions._replace(ids=names)


def _of_lines(text: str) -> _Unchecked:
    """One caption a line; where the first is like those of Flickr8k, ``a.jpg#0``, a tab and a caption, all must be."""
    lines = re.split("\r\n|\r|\n", text)
    while lines and not lines[-1].strip():
        lines.pop()
    rows = _Unchecked(None, lines, lambda i: f"line {i + 1}")
    if not lines or not _FLICKR.match(lines[0]):
        return rows
    cells = [line.partition("\t") for line in lines]
    lacking = [i for i, (_, tab, _) in enumerate(cells) if not tab]
    if lacking:
        raise InputError(
            f"its first line is an image, a tab and a caption, but {len(lacking)} of {len(lines)} lines have no tab "
            f"(first: {rows.place(lacking[0])}); write all lines alike."
        )
    names = [re.sub(r"#\d+$", "", name) for name, _, _ in cells]
    return rows._replace(ids=names, texts=[caption.strip() for _, _, caption in cells])


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _outline(content: Any) -> str:
    if isinstance(content, dict):
        return f"an object with the keys {', '.join(map(repr, list(content)[:8])) or '(none)'}"
    return "an empty list" if content == [] else shortened(content)


def _checked(rows: _Unchecked) -> tuple[list[str] | None, list[str]]:
    """Return the ids and texts of the rows as strings; a row with a list of captions becomes as many rows."""
    if rows.ids is not None and any(isinstance(text, list) for text in rows.texts):
        named, place = rows.ids, rows.place
        several = [(text or [None]) if isinstance(text, list) else [text] for text in rows.texts]
        origin = [i for i, some in enumerate(several) for _ in some]
        rows = _Unchecked([named[i] for i in origin], list(chain.from_iterable(several)), lambda i: place(origin[i]))
    texts = list(rows.texts)
    if not texts:
        raise InputError("it holds no captions.")
    _refuse(rows, "are missing", "write them, or take those rows away.", [text is None for text in texts])
    odd = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if odd is not None:
        raise InputError(f"{rows.place(odd)} has the caption {shortened(texts[odd])}; captions must be strings.")
    blank = [not text or text.isspace() for text in texts]
    _refuse(rows, "are empty or white space alone", "write them, or take those rows away.", blank)
    long = [len(text) > _LONGEST for text in texts]
    _refuse(rows, f"have more than {_LONGEST} characters", "this is no file of captions, or it is damaged.", long)
    _refuse_unprintable(texts, rows, "caption")
    if rows.ids is None:
        return None, texts
    nameless = [id_ is None or id_ == "" for id_ in rows.ids]
    _refuse(rows, "name no image: their id is empty or missing", "write it, or take those rows away.", nameless)
    odd = next((i for i, id_ in enumerate(rows.ids) if not isinstance(id_, str | int) or isinstance(id_, bool)), None)
    if odd is not None:
        what = shortened(rows.ids[odd])
        raise InputError(f"{rows.place(odd)} has the id {what}; ids must be strings (file names, paths) or integers.")
    ids = [str(id_) for id_ in rows.ids]
    long = [len(id_) > _LONGEST_ID for id_ in ids]
    _refuse(rows, f"have an id of more than {_LONGEST_ID} characters", "name the images by path or number.", long)
    _refuse_unprintable(ids, rows, "id")
    return ids, texts


def _refuse(rows: _Unchecked, what: str, advice: str, bad: Sequence[bool]) -> None:
    """Refuse rows of which any is bad: how many, and the first with its place and the image that it names."""
    if any(bad):
        first = bad.index(True)
        id_ = None if rows.ids is None else rows.ids[first]
        place = rows.place(first) + ("" if id_ in (None, "") else f", of {str(id_)[:80]}")
        raise InputError(f"{sum(bad)} of {len(bad)} captions {what} (first: {place}); {advice}")


def _refuse_unprintable(strings: Sequence[str], rows: _Unchecked, what: str) -> None:
    """Refuse NUL characters and lone surrogates, which no tokenizer and no file of tables takes."""
    bad = [i for i, string in enumerate(strings) if _UNPRINTABLE.search(string)]
    if not bad:
        return
    kind = "a NUL character" if "\0" in strings[bad[0]] else "half of a surrogate pair, which is not valid Unicode"
    raise InputError(
        f"{len(bad)} of {len(strings)} captions (first: {rows.place(bad[0])}) {'has' if len(strings) == 1 else 'have'} "
        f"a character in the {what} that cannot be kept ({kind}, in {strings[bad[0]][:60]!r}); replace it."
    )
