"""Captions: texts and the images that they belong to, read from the files they are published in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from pointwise._arrays import Column
from pointwise.errors import InputError
from pointwise.items.archives import TARS
from pointwise.items.caption_json import read_json, read_jsonl
from pointwise.items.caption_rows import Rows, checked
from pointwise.items.caption_tables import read_csv, read_parquet, read_tsv
from pointwise.items.caption_texts import read_beside_images, read_lines

_TABLES: dict[str, Callable[..., Rows]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
}
_ARCHIVES = (".zip", *TARS)


@dataclass(frozen=True, eq=False, repr=False)
class Captions:
    """Texts in the order of their file, and the image that each names.

    Args:
        source: where they come from, for messages and provenance.
        ids: [n], the path, file name or id of an image, as strings; None where the file names no images. Several rows
            may name one image.
        texts: the n captions.
    """

    source: str
    _: KW_ONLY
    ids: Column | None
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
    try:
        ids, texts = checked(_rows(path, text_column=text_column, id_column=id_column))
    except InputError as error:
        raise InputError(f"cannot read captions from {path}: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read captions from {path}: {error.strerror or error}.") from error
    return Captions(str(source), ids=None if ids is None else np.array(ids, dtype=str), texts=tuple(texts))


def _rows(path: Path, *, text_column: str | None, id_column: str | None) -> Rows:
    name, suffix = path.name.lower(), path.suffix.lower()
    if not path.exists():
        raise InputError("there is no such file or folder.")
    if path.is_file() and suffix in _TABLES:
        return _TABLES[suffix](path, text_column=text_column, id_column=id_column)
    if text_column is not None or id_column is not None:
        raise InputError(f"it has no columns to choose from; only {', '.join(_TABLES)} files have.")
    if path.is_dir() or name.endswith(_ARCHIVES):
        return read_beside_images(path)
    if suffix == ".txt":
        return read_lines(path)
    raise InputError(
        f"the suffix {path.suffix!r} is not one of {', '.join([*_TABLES, '.txt', *_ARCHIVES])}; a folder with a .txt "
        "beside each image is read too."
    )
