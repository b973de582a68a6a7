"""The captions of a file before they are used: what cannot be is counted, and the first named by its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from pointwise.errors import InputError
from pointwise.tables.rows import Place
from pointwise.tables.text import shortened

LONGEST = 131_072  # characters of a caption, as many as the csv module takes
_LONGEST_ID = 4_096  # characters of an id, as many as a path may have
_UNPRINTABLE = re.compile("[\\0\ud800-\udfff]")


class Unchecked(NamedTuple):
    """What each row of a file names, its caption or captions, and where in the file it is."""

    ids: Sequence[Any] | None
    texts: Sequence[Any]
    place: Place


def checked(rows: Unchecked) -> tuple[list[str] | None, list[str]]:
    """Return the ids and texts of the rows as strings; a row with a list of captions becomes as many rows.

    Raises:
        InputError: there are none, one is missing, blank, too long, not a string or not valid Unicode.
    """
    if rows.ids is not None and any(isinstance(text, list) for text in rows.texts):
        rows = _spread(rows.ids, rows.texts, rows.place)
    texts = list(rows.texts)
    if not texts:
        raise InputError("it holds no captions.")
    _refuse(rows, "are missing", "write them, or take those rows away.", [text is None for text in texts])
    odd = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if odd is not None:
        raise InputError(f"{rows.place(odd)} has the caption {shortened(texts[odd])}; captions must be strings.")
    blank = [not text or text.isspace() for text in texts]
    _refuse(rows, "are empty or white space alone", "write them, or take those rows away.", blank)
    long = [len(text) > LONGEST for text in texts]
    _refuse(rows, f"have more than {LONGEST} characters", "this is no file of captions, or it is damaged.", long)
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


def _spread(ids: Sequence[Any], texts: Sequence[Any], place: Place) -> Unchecked:
    """One row for each caption, where rows have a list of several for the image that they name."""
    several = [(text or [None]) if isinstance(text, list) else [text] for text in texts]
    origin = [i for i, some in enumerate(several) for _ in some]
    return Unchecked([ids[i] for i in origin], list(chain.from_iterable(several)), lambda i: place(origin[i]))


def _refuse(rows: Unchecked, what: str, advice: str, bad: Sequence[bool]) -> None:
    """Refuse rows of which any is bad: how many, and the first with its place and the image that it names."""
    if any(bad):
        first = bad.index(True)
        id_ = None if rows.ids is None else rows.ids[first]
        place = rows.place(first) + ("" if id_ in (None, "") else f", of {str(id_)[:80]}")
        raise InputError(f"{sum(bad)} of {len(bad)} captions {what} (first: {place}); {advice}")


def _refuse_unprintable(strings: Sequence[str], rows: Unchecked, what: str) -> None:
    """Refuse NUL characters and lone surrogates, which no tokenizer and no file of tables takes."""
    if not _UNPRINTABLE.search("".join(strings)):
        return
    bad = [i for i, string in enumerate(strings) if _UNPRINTABLE.search(string)]
    kind = "a NUL character" if "\0" in strings[bad[0]] else "half of a surrogate pair, which is not valid Unicode"
    raise InputError(
        f"{len(bad)} of {len(strings)} captions (first: {rows.place(bad[0])}) {'has' if len(strings) == 1 else 'have'} "
        f"a character in the {what} that cannot be kept ({kind}, in {strings[bad[0]][:60]!r}); replace it."
    )
