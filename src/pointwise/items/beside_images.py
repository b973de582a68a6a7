"""Captions in a file beside each image of a folder or archive."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointwise.errors import InputError
from pointwise.items.archives import Files, files_of, printable
from pointwise.items.images import SUFFIXES
from pointwise.tables.rows import Place
from pointwise.tables.text import decoded, parse_json

_TEXT_SUFFIXES = (".txt", ".caption")  # the first that an image has counts
_JSON_FIELDS = ("caption", "text")
_LARGEST = 1 << 20  # bytes of one file beside an image
_LARGEST_ALL = 1 << 31  # bytes of all, so that a small archive cannot fill the memory


def read_beside_images(path: Path) -> tuple[list[str], list[str], Place]:
    """Return ids, captions and places of a folder, .zip or .tar with a file of the same name beside each image.

    The caption of ``cat/a.jpg`` is in ``cat/a.txt``, else in ``cat/a.caption``, else it is the field "caption" or
    "text" of ``cat/a.json``. In archives the name may also end at its first dot, as in webdataset: ``a.txt`` is that
    of ``a.left.jpg`` too. A row names its image by the path that ``open_images`` has as the id, or, where the
    image is not there, by the path without suffix. An image without a caption gives no row.
    """
    files = files_of(path)
    images = [name for name in files.names if name.lower().endswith(SUFFIXES)]
    texts = {stem: name for suffix in reversed(_TEXT_SUFFIXES) for stem, name in _stems(files, suffix)}
    objects = dict(_stems(files, ".json"))

    file_of: dict[str, str] = {}  # the image: the file that has its caption
    for image in images:
        stems = [posixpath.splitext(image)[0]]
        if not path.is_dir():  # webdataset knows a sample by its path up to the first dot
            folder, slash, base = image.rpartition("/")
            stems.append(f"{folder}{slash}{base.partition('.')[0]}")
        name = next((place[stem] for place in (texts, objects) for stem in stems if stem in place), None)
        if name is not None:
            file_of[image] = name
    taken = set(file_of.values())
    file_of |= {stem: name for stem, name in texts.items() if name not in taken}

    captions = _read_all(files, set(file_of.values()))
    named = sorted(name for name in file_of if file_of[name] in captions)
    if not named:
        raise InputError(
            f"it holds {len(images)} images and no captions; files that end in {' or '.join(_TEXT_SUFFIXES)} were "
            "looked for. A table of captions in it is given by its own path, such as folder/metadata.jsonl."
        )
    ids = files.ids(named, of=images or named)
    return ids, [captions[file_of[name]] for name in named], lambda i: printable(file_of[named[i]])


def _stems(files: Files, suffix: str) -> Iterator[tuple[str, str]]:
    return ((name[: -len(suffix)], name) for name in files.names if name.lower().endswith(suffix))


def _read_all(files: Files, wanted: set[str]) -> dict[str, str]:
    """The caption in each of these files; a .json without one is left out."""
    captions: dict[str, str] = {}
    total = 0
    for name in [name for name in files.order if name in wanted]:
        data = files.read(name, limit=_LARGEST)
        total += len(data)
        if total > _LARGEST_ALL:
            raise InputError(f"its captions unpack to more than {_LARGEST_ALL} bytes; give it in parts.")
        try:
            texts: list[Any] = [decoded(data)]
            if name.lower().endswith(".json"):
                content = parse_json(texts[0])
                texts = [content.get(field) for field in _JSON_FIELDS] if isinstance(content, dict) else []
        except InputError as error:
            raise InputError(f"in {printable(name)}, {error}") from None
        text = next((text for text in texts if isinstance(text, str)), None)
        if text is not None:
            captions[name] = text.strip()
    return captions
