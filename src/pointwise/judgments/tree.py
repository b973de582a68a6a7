"""Files of a published set: found by name at any depth of a folder, read as text, and pictures opened by name."""

import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointwise._files import reading
from pointwise.errors import InputError
from pointwise.items.archives import Files, files_of
from pointwise.items.images import SUFFIXES, Images, images_in
from pointwise.tables.text import decoded

Paths = Mapping[str, Path]  # by the name of the file alone


def find(folder: str | Path, *, needed: Sequence[str], name: str) -> Paths:
    """Return where each file of a folder lies, by its name; of several of one name the one nearest to the top."""
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is not a folder; give the one that holds {', '.join(needed)}, at any depth.")
    paths: dict[str, Path] = {}
    for file in sorted(files_of(Path(folder)).names, key=lambda file: file.count("/")):
        paths.setdefault(posixpath.basename(file), Path(folder, file))
    missing = [file for file in needed if file not in paths]
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} of the {len(needed)} files that {name} is published as: "
            f"{', '.join(missing)}. Expected at any depth of it: {', '.join(needed)}, and the images; "
            "docs/judgments.md says where they are published."
        )
    return paths


def read_text(path: Path, parse: Callable[[str], Any] = str) -> Any:
    """Return the text of a UTF-8 file, or what it is parsed to, by ``parse_json``, say."""
    with reading(f"{path} cannot be read"):
        return parse(decoded(path.read_bytes()))


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the columns of each line of a file of tab-separated values without a header."""
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


def pictures(paths: Paths, names: Sequence[str], *, source: str, within: str) -> Images:
    """Return the images of these names, in this order, from where `find` found them."""
    missing = [name for name in names if name not in paths or not name.lower().endswith(SUFFIXES)]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(names)} images that the annotations name are not in {source}, the first "
            f"{', '.join(missing[:3])}; they belong into {within}."
        )
    files = Files(Path(source), names=names, order=names, open=lambda name: paths[name].open("rb"))
    return images_in(files, names, ids=np.asarray(names), reading_order=range(len(names)))
