"""The sentences about scenes: "a small red disc at the top left and a big thing", written and read without ambiguity.

A phrase tells of one object as four integers: its shape, colour, size and place, each -1 where it is left out. A
sentence is an array [2, 4] of two phrases, the second all -2 where only one object is described.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from pointwise._types import Floats, Integers
from pointwise.errors import InputError

# Every shape, every size and the word for no shape have two forms, equally likely; colours and places have one.
FORMS = 2
SHAPES = (
    ("circle", "disc"),
    ("square", "box"),
    ("triangle", "wedge"),
    ("cross", "plus"),
    ("diamond", "rhombus"),
    ("ring", "hoop"),
)
COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan", "pink", "brown")
SIZES = (("small", "little"), ("large", "big"))
NO_SHAPE = ("thing", "shape")
PLACES = {
    1: ("centre",),
    2: ("top left", "top right", "bottom left", "bottom right"),
    3: ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"),
}
LEFT_OUT, NO_PHRASE = -1, -2

_PHRASE = re.compile(r"a (?:(?P<size>\S+) )??(?:(?P<colour>\S+) )?(?P<shape>\S+)(?: at the (?P<place>.+))?")
_SHAPE = {word: i for i, words in enumerate(SHAPES) for word in words} | dict.fromkeys(NO_SHAPE, LEFT_OUT)
_COLOUR = {word: i for i, word in enumerate(COLOURS)}
_SIZE = {word: i for i, words in enumerate(SIZES) for word in words}


def write(sentences: Integers, forms: Integers, *, grid: int) -> list[str]:
    """Return sentences [n, 2, 4] in words; forms [n, 2, 2] chooses the first or second word for shapes and sizes."""
    written = []
    for sentence, form in zip(sentences.tolist(), forms.tolist(), strict=True):
        phrases = [_phrase(meaning, chosen, grid) for meaning, chosen in zip(sentence, form, strict=True)]
        written.append(" and ".join(phrases[: 1 if sentence[1][0] == NO_PHRASE else 2]))
    return written


def read(captions: Sequence[str], *, values: Sequence[int], grid: int) -> Integers:
    """Return captions, as `write` writes them, as int64 [n, 2, 4].

    Raises:
        InputError: one is not a sentence of the law that has so many shapes, colours, sizes and places.
    """
    if isinstance(captions, str):
        raise InputError(f"y is the single string {captions!r}; it must be a sequence of captions, one per pair.")
    sentences = np.full((len(captions), 2, 4), NO_PHRASE, dtype=np.int64)
    known: dict[str, tuple[int, ...] | None] = {}  # most phrases come again and again
    for row, caption in enumerate(captions):
        phrases = str(caption).split(" and ")
        known.update((phrase, _meaning(phrase, values, grid)) for phrase in phrases if phrase not in known)
        meanings = [known[phrase] for phrase in phrases]
        if len(phrases) > 2 or None in meanings:
            odd = phrases[meanings.index(None)] if None in meanings else phrases[-1]
            raise InputError(
                f"caption {row}, {str(caption)!r}, is no sentence of this law at {odd!r}; "
                "take captions from sample() or every_caption() of the same law."
            )
        sentences[row, : len(meanings)] = np.array(meanings, dtype=np.int64)
    return sentences


def log_share_of_forms(sentences: Integers) -> Floats:
    """Return the log-probability of the chosen words of sentences [n, 2, 4], given what they tell, float64 [n]."""
    there = sentences[..., 0] != NO_PHRASE
    chosen: Floats = there.sum(axis=1) + (sentences[..., 2] >= 0).sum(axis=1)
    return -math.log(FORMS) * chosen


def every_phrase(meanings: Sequence[Sequence[int]], *, grid: int) -> list[tuple[int, str]]:
    """Return each phrase, with its place, whose shape, colour, size and place are among these."""
    return [
        (meaning[3], _phrase(meaning, forms, grid))
        for meaning in itertools.product(*meanings)
        for forms in itertools.product(range(FORMS), range(FORMS if meaning[2] >= 0 else 1))
    ]


def join(phrases: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Yield the sentences of two of the phrases; the objects are never at the same place."""
    for (place, first), (other, second) in itertools.product(phrases, repeat=2):
        if place != other or place == LEFT_OUT:
            yield f"{first} and {second}"


def _phrase(meaning: Sequence[int], forms: Sequence[int], grid: int) -> str:
    shape, colour, size, place = meaning
    words = ["a"]
    if size >= 0:
        words.append(SIZES[size][forms[1]])
    if colour >= 0:
        words.append(COLOURS[colour])
    words.append((SHAPES[shape] if shape >= 0 else NO_SHAPE)[forms[0]])
    if place >= 0:
        words.append(f"at the {PLACES[grid][place]}")
    return " ".join(words)


def _meaning(phrase: str, values: Sequence[int], grid: int) -> tuple[int, ...] | None:
    """Read one phrase; None where it is none."""
    match = _PHRASE.fullmatch(phrase)
    if match is None:
        return None
    size, colour = match["size"], match["colour"]
    if size is None and colour in _SIZE:  # one word before the noun: either
        size, colour = colour, None
    words = (match["shape"], colour, size, match["place"])
    places = {name: i for i, name in enumerate(PLACES[grid])}
    meaning = tuple(
        LEFT_OUT if word is None else meanings.get(word, count)
        for word, meanings, count in zip(words, (_SHAPE, _COLOUR, _SIZE, places), values, strict=True)
    )
    return meaning if all(one < count for one, count in zip(meaning, values, strict=True)) else None
