"""Files of a published set: found by name at any depth of a folder, read as text, and pictures opened by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointwise.errors import InputError
from pointwise.items.caption_json import parsed_json
from pointwise.items.caption_rows import decoded
from pointwise.items.images import SUFFIXES, Images, Pixels, open_images

Paths = Mapping[str, Path]  # by the name of the file alone

_NAMED = 3  # names in a message


def find(folder: str | Path, *, needed: Sequence[str], name: str) -> Paths:
    """Return where each file of a folder lies, by its name; of several of one name the one nearest to the top.

    Raises:
        InputError: the folder does not exist, or files that are needed are not in it.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder; give the one that holds {', '.join(needed)}, at any depth.")
    found: dict[str, Path] = {}
    for path in _walk(Path(folder)):
        found.setdefault(path.name, path)
    missing = [file for file in needed if file not in found]
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} of the {len(needed)} files that {name} is published as: "
            f"{', '.join(missing)}. Expected at any depth of it: {', '.join(needed)}, and the images; "
            "docs/judgments.md says where they are published."
        )
    return found


def _walk(top: Path) -> Iterator[Path]:
    """All files, those nearest to the top first; folders that were seen under another name (links) only once."""
    level, seen = [top], {os.path.realpath(top)}
    while level:
        below = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                raise InputError(
                    f"the folder {folder} cannot be read ({error.strerror}); allow it or remove it."
                ) from None
            for entry in entries:
                if entry.is_dir():
                    real = os.path.realpath(entry.path)
                    if real not in seen:
                        seen.add(real)
                        below.append(Path(entry.path))
                elif not entry.name.startswith("._"):  # what macOS leaves beside each file
                    yield Path(entry.path)
        level = below


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return decoded(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except InputError as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the columns of each line of a file of tab-separated values without a header.

    Raises:
        InputError: a line has another number of columns.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(columns):
            raise InputError(
                f"{path}, line {number}, has {len(cells)} columns separated by tabs; "
                f"it must have {len(columns)}: {', '.join(columns)}."
            )
        yield number, cells


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: it is not JSON.
    """
    text = read_text(path)
    try:
        return parsed_json(text)
    except InputError as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def pictures(paths: Paths, names: Sequence[str], *, source: str, within: str) -> Images:
    """Return the images of these names, in this order.

    Args:
        paths: as `find` returns them.
        names: of files.
        source: the folder, for messages.
        within: where the images are said to lie, for messages.

    Raises:
        InputError: images are not there, with their number and the first names.
    """
    missing = [name for name in names if name not in paths or not name.lower().endswith(SUFFIXES)]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(names)} images that the annotations name are not in {source}, the first "
            f"{', '.join(missing[:_NAMED])}; they belong into {within}."
        )
    opened = {folder: open_images(folder) for folder in {paths[name].parent for name in names}}
    position = {folder: {str(image): i for i, image in enumerate(images.ids)} for folder, images in opened.items()}

    def read(i: int) -> Pixels:
        path = paths[names[i]]
        return opened[path.parent][position[path.parent][path.name]]

    def digest(i: int) -> str:
        path = paths[names[i]]
        return opened[path.parent].digest(position[path.parent][path.name])

    ids, order = np.asarray(names), range(len(names))
    return Images(source, ids=ids, modes=None, reading_order=order, _read=read, _digest=digest)
