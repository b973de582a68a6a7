"""The sentences about scenes: "a small red disc at the top left and a big thing", written and read without ambiguity.

A phrase tells of one object as four integers: its shape, colour, size and place, each -1 where it is left out. A
sentence is an array [2, 4] of two phrases, the second all -2 where only one object is described.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from pointwise._types import Integers
from pointwise.errors import InputError

_Words: TypeAlias = "np.ndarray[Any, np.dtype[np.object_]]"

LEFT_OUT, NO_PHRASE = -1, -2
FORMS = 2  # equally likely, of every shape, every size and the word for no shape

# The words for each value of an attribute; the last, which -1 finds, are those where it is left out.
SHAPES = (
    ("circle", "disc"),
    ("square", "box"),
    ("triangle", "wedge"),
    ("cross", "plus"),
    ("diamond", "rhombus"),
    ("ring", "hoop"),
    ("thing", "shape"),
)
COLOURS = ("red ", "green ", "blue ", "yellow ", "purple ", "cyan ", "pink ", "brown ", "")
SIZES = (("small ", "little "), ("large ", "big "), ("", ""))
PLACES = {
    1: ("centre",),
    2: ("top left", "top right", "bottom left", "bottom right"),
    3: ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"),
}


def phrases(meanings: Integers, forms: Integers, *, grid: int) -> _Words:
    """Return in words what phrases [..., 4] tell; forms [..., 2] chooses the word for the shape and for the size."""
    shape, colour, size, place = np.moveaxis(meanings, -1, 0)
    places = [*(f" at the {name}" for name in PLACES[grid]), ""]
    shapes, colours, sizes, ends = (np.array(words, dtype=object) for words in (SHAPES, COLOURS, SIZES, places))
    written: _Words = "a " + sizes[size, forms[..., 1]] + colours[colour] + shapes[shape, forms[..., 0]] + ends[place]
    return written


def write(sentences: Integers, forms: Integers, *, grid: int) -> list[str]:
    """Return sentences [n, 2, 4] in words, of these forms [n, 2, 2]."""
    first, second = phrases(sentences, forms, grid=grid).T  # of no phrase words that are not used
    return list(np.where(sentences[:, 1, 0] == NO_PHRASE, first, first + " and " + second))


def vocabulary(meanings: Sequence[Iterable[int]], *, grid: int) -> dict[str, tuple[int, ...]]:
    """Return every phrase, with what it tells, whose shape, colour, size and place are among these."""
    every = np.array([*itertools.product(*meanings, range(FORMS), range(FORMS))])
    written = phrases(every[:, :4], every[:, 4:], grid=grid)
    return dict(zip(written, map(tuple, every[:, :4].tolist()), strict=True))


def read(captions: Sequence[str], known: Mapping[str, Sequence[int]]) -> Integers:
    """Return captions, as `write` writes them of the phrases of a vocabulary, as int64 [n, 2, 4]."""
    if isinstance(captions, str):
        raise InputError(f"y is the single string {captions!r}; it must be a sequence of captions, one per pair.")
    sentences = np.full((len(captions), 2, 4), NO_PHRASE, dtype=np.int64)
    for row, caption in enumerate(captions):
        for i, phrase in enumerate(str(caption).split(" and ")):
            if i > 1 or phrase not in known:
                raise InputError(
                    f"caption {row}, {str(caption)!r}, is no sentence of this law at {phrase!r}; "
                    "take captions from sample() or every_caption() of the same law."
                )
            sentences[row, i] = known[phrase]
    return sentences
