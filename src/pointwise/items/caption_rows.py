"""What every file of captions comes down to: rows of an id and a text, which column is which, and what is refused."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pointwise.errors import InputError, ordinal

LONGEST = 131_072  # characters of a caption, as many as the csv module takes
_LONGEST_ID = 4_096  # characters of an id, as many as a path may have
_TEXT_NAMES = ("caption", "text", "prompt", "sentence", "title", "comment")
_ID_NAMES = (  # the first of these lines that a file has a column of is looked at alone
    ("image", "file", "file_name", "filename", "path", "filepath", "image_name", "image_path"),
    ("image_id", "key"),
    ("id",),
)
_SHOWN = 12  # columns named in a message


class Rows(NamedTuple):
    """The captions of a file before they are checked: what each row names, its text, and where in the file it is."""

    ids: Sequence[Any] | None
    texts: Sequence[Any]
    place: Callable[[int], str]


class Columns(NamedTuple):
    """The names of the column of captions and of that which names the images, if any."""

    text: str
    id: str | None


def find_columns(names: Sequence[str], *, text_column: str | None, id_column: str | None) -> Columns:
    """Return which of the columns hold the captions and the names of images: those asked for, else by their names.

    Raises:
        InputError: a column that is asked for is not there, or which one it is would be a guess.

    >>> find_columns(["File Name", "Caption", "id"], text_column=None, id_column=None)
    Columns(text='Caption', id='File Name')
    """
    held = ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    for option, column in (("text_column", text_column), ("id_column", id_column)):
        if column is not None and names.count(column) != 1:
            times = f"{names.count(column)} times" if column in names else "not there"
            raise InputError(f"{option} is {column!r}, a column that is {times}; the columns are {held or 'none'}.")
    texts = [text_column] if text_column is not None else [name for name in names if _plain(name) in _TEXT_NAMES]
    if not texts:
        raise InputError(
            f"it has no column of captions: the columns are {held or 'none'} (of a .csv or .tsv the first line names "
            f"them). Name one of them "
            f"{', '.join(_TEXT_NAMES[:-1])} or {_TEXT_NAMES[-1]}, or say which it is: text_column=... in Python."
        )
    if len(texts) > 1:
        raise InputError(
            f"columns {' and '.join(map(repr, texts))} may each hold the captions; keep one of these names, "
            f"or say which it is: text_column={texts[0]!r} in Python."
        )
    if id_column is not None:
        return Columns(texts[0], id_column)
    others = [name for name in names if name != texts[0]]
    ids = next(filter(None, ([name for name in others if _plain(name) in line] for line in _ID_NAMES)), [])
    if others and not ids:
        raise InputError(
            f"which of its columns names the images is not known: the columns are {held}. Name it file_name, say which "
            "it is (id_column=... in Python), or leave the captions alone in the file to match them by order."
        )
    if len(ids) > 1:
        raise InputError(
            f"columns {' and '.join(map(repr, ids))} may each name the images; keep one of these names, "
            f"or say which it is: id_column={ids[0]!r} in Python."
        )
    return Columns(texts[0], ids[0] if ids else None)


def rows_of_objects(
    objects: Sequence[Any], place: Callable[[int], str], *, text_column: str | None, id_column: str | None
) -> Rows:
    """Return the rows of objects as JSON has them, {column: value}; a value that is not there is None."""
    odd = next((i for i, item in enumerate(objects) if not isinstance(item, Mapping)), None)
    if odd is not None:
        raise InputError(
            f"{place(odd)} is {shortened(objects[odd])}; it must be an object such as "
            '{"file_name": "a.jpg", "caption": "a cat"}.'
        )
    names = list(dict.fromkeys(name for item in objects for name in item))
    columns = find_columns(names, text_column=text_column, id_column=id_column)
    ids = None if columns.id is None else [item.get(columns.id) for item in objects]
    return Rows(ids, [item.get(columns.text) for item in objects], place)


def checked(rows: Rows) -> tuple[list[str] | None, list[str]]:
    """Return the ids and texts of the rows as strings; a row with a list of captions becomes as many rows.

    Raises:
        InputError: there are none, one is missing, blank, too long, not a string or not valid Unicode.
    """
    rows = _spread(rows)
    if not rows.texts:
        raise InputError("it holds no captions.")
    missing = [i for i, text in enumerate(rows.texts) if text is None]
    _refuse(missing, rows, "are missing", "write them, or take those rows away.")
    odd = next((i for i, text in enumerate(rows.texts) if not isinstance(text, str)), None)
    if odd is not None:
        raise InputError(f"{rows.place(odd)} has the caption {shortened(rows.texts[odd])}; captions must be strings.")
    texts = list(rows.texts)
    blank = [i for i, text in enumerate(texts) if not text or text.isspace()]
    _refuse(blank, rows, "are empty or white space alone", "write them, or take those rows away.")
    long = [i for i, text in enumerate(texts) if len(text) > LONGEST]
    _refuse(long, rows, f"have more than {LONGEST} characters", "this is no file of captions, or it is damaged.")
    _refuse_unprintable(texts, rows, "caption")
    return None if rows.ids is None else _checked_ids(rows.ids, rows), texts


def decoded(data: bytes) -> str:
    """Return bytes as text: UTF-8, with or without a byte order mark.

    Raises:
        InputError: it is in another encoding.
    """
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        return data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        kind = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "not UTF-8"
        line = data.count(b"\n", 0, at) + 1
        raise InputError(
            f"it is {kind}: line {line} has the byte 0x{data[at]:02x} (byte {at} of the file); save it as UTF-8."
        ) from None


def lines_of(text: str, *, ends: str = "\r\n|\r|\n") -> Iterator[str]:
    """Yield the lines of a text one by one, each with its end, so that they are not all there at once.

    Args:
        text: any.
        ends: the regular expression of what ends a line.
    """
    start = 0
    for end in re.finditer(ends, text):
        yield text[start : end.end()]
        start = end.end()
    if start < len(text):
        yield text[start:]


def shortened(value: Any) -> str:
    """Return a value as it is written in a message, with its type."""
    text = repr(value)
    return f"{text[:60]}{'...' * (len(text) > 60)} of type {type(value).__name__}"


def nth(what: str) -> Callable[[int], str]:
    """Return the place of row i in words: the 1st entry, the 2nd entry ..."""
    return lambda i: f"the {ordinal(i + 1)} {what}"


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _spread(rows: Rows) -> Rows:
    """One row for each caption, where rows have a list of several for the image that they name."""
    if rows.ids is None or not any(isinstance(text, list) for text in rows.texts):
        return rows
    ids, texts, origin = [], [], []
    for i, (id_, text) in enumerate(zip(rows.ids, rows.texts, strict=True)):
        for one in (text or [None]) if isinstance(text, list) else [text]:
            ids.append(id_)
            texts.append(one)
            origin.append(i)
    return Rows(ids, texts, lambda i: rows.place(origin[i]))


def _checked_ids(ids: Sequence[Any], rows: Rows) -> list[str]:
    nameless = [i for i, id_ in enumerate(ids) if id_ is None or id_ == ""]
    _refuse(nameless, rows, "name no image: their id is empty or missing", "write it, or take those rows away.")
    odd = next((i for i, id_ in enumerate(ids) if not isinstance(id_, str | int) or isinstance(id_, bool)), None)
    if odd is not None:
        raise InputError(
            f"{rows.place(odd)} has the id {shortened(ids[odd])}; ids must be strings (file names, paths) or integers."
        )
    strings = [id_ if isinstance(id_, str) else str(id_) for id_ in ids]
    long = [i for i, id_ in enumerate(strings) if len(id_) > _LONGEST_ID]
    _refuse(long, rows, f"have an id of more than {_LONGEST_ID} characters", "name the images by path or number.")
    _refuse_unprintable(strings, rows, "id")
    return strings


def _refuse_unprintable(strings: Sequence[str], rows: Rows, what: str) -> None:
    """Refuse NUL characters and lone surrogates, which no tokenizer and no file of tables takes."""
    joined = "".join(strings)
    if "\0" not in joined and _encodes(joined):
        return
    bad = [i for i, string in enumerate(strings) if "\0" in string or not _encodes(string)]
    kind = "a NUL character" if "\0" in strings[bad[0]] else "half of a surrogate pair, which is not valid Unicode"
    raise InputError(
        f"{_some(bad, rows)} a character in the {what} that cannot be kept ({kind}, in {strings[bad[0]][:60]!r}); "
        "replace it."
    )


def _encodes(string: str) -> bool:
    if string.isascii():
        return True
    try:
        string.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _some(bad: Sequence[int], rows: Rows) -> str:
    have = "has" if len(rows.texts) == 1 else "have"
    return f"{len(bad)} of {len(rows.texts)} captions (first: {rows.place(bad[0])}) {have}"


def _refuse(bad: Iterable[int], rows: Rows, what: str, advice: str) -> None:
    bad = list(bad)
    if bad:
        raise InputError(f"{len(bad)} of {len(rows.texts)} captions {what} (first: {_named(bad[0], rows)}); {advice}")


def _named(i: int, rows: Rows) -> str:
    """The place of row i, and the image that it names."""
    id_ = None if rows.ids is None else rows.ids[i]
    return rows.place(i) if id_ in (None, "") else f"{rows.place(i)}, of {str(id_)[:80]}"
