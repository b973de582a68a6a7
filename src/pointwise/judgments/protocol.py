"""Judgments: what people said of pairs of an image and a text, and how a metric is held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from pointwise.errors import InputError
from pointwise.items.images import Images

Rows: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Values: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Sentences: TypeAlias = Sequence[Sequence[str]]  # of each judged pair, its reference texts
Draw: TypeAlias = Sequence[Sequence[int]]  # the same as rows of all texts
Kendall: TypeAlias = Literal["kendall_b", "kendall_c"]


@dataclass(frozen=True, eq=False)
class Ratings:
    """People rated pairs: a metric is right as far as it orders them alike (Kendall's tau).

    Attributes:
        pair: int64 [r], the pair that each rating is of; a pair may have several.
        value: float64 [r], higher is better.
        statistics: which of Kendall's taus the set is reported with.
    """

    pair: Rows
    value: Values
    statistics: tuple[Kendall, ...]


@dataclass(frozen=True, eq=False)
class Choices:
    """People chose between two texts of an image: a metric is right where it scores the chosen one higher (accuracy).

    Attributes:
        first: int64 [c], one pair of each choice.
        second: int64 [c], the other.
        first_chosen: float64 [c]: 1 where the first was chosen, 0 where the second, 0.5 where votes were equal.
        tie: what equal scores of a metric count: 0 as a mistake, 0.5 as a coin.
        categories: [c], or None; accuracy is given for each too.
    """

    first: Rows
    second: Rows
    first_chosen: Values
    tie: float
    categories: Sequence[str] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Judgments:
    """A set of human judgments, each image and each text in it once.

    Attributes:
        name: of the set.
        images: the pictures.
        texts: candidates and references, without the prefix.
        pairs: int64 [n, 2], the rows of images and texts of each judged pair.
        references: variant of the protocol -> draws -> the reference rows of each pair; empty where there are none.
            Accuracies are means over the draws.
        fit: int64 [m, 2], the pairs of an image and a reference that MID's Gaussian is fitted on, no judged one.
        verdict: what people said.
        prefix: put before each text by those who published numbers of the set.
        published: (metric, statistic) -> their number, times 100.
    """

    name: str
    images: Images
    texts: Sequence[str]
    pairs: Rows
    references: Mapping[str, Sequence[Draw]]
    fit: Rows
    verdict: Ratings | Choices
    prefix: str = ""
    published: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Judgments({self.name}: {len(self)} pairs, {len(self.images)} images, {len(self.texts)} texts)"


def judgments(
    name: str,
    *,
    pairs: Sequence[tuple[str, str]],
    references: Mapping[str, Sequence[Sentences]],
    fit: Iterable[tuple[str, str]],
    verdict: Ratings | Choices,
    open_named: Callable[[Sequence[str]], Images],
    prefix: str,
    published: Mapping[tuple[str, str], float],
) -> Judgments:
    """Return the set, given by names of images and by sentences; runs of white space count as one space.

    Args:
        name: of the set.
        pairs: name of the image and text of each judged pair.
        references: variant -> draws -> sentences of each pair.
        fit: image and reference text; those that are themselves judged, and repeated ones, are left out.
        verdict: what people said.
        open_named: opens the images of these names.
        prefix: put before each text.
        published: (metric, statistic) -> number.

    Raises:
        InputError: there are no pairs, a judged text is empty, or pairs have no reference.
    """
    if not pairs:
        raise InputError(f"{name} holds no judged pairs; its annotation files seem to be empty.")
    images: dict[str, int] = {}
    texts: dict[str, int] = {}

    def row(image: str, text: str) -> tuple[int, int]:
        return images.setdefault(image, len(images)), texts.setdefault(_one_line(text), len(texts))

    judged = [row(*pair) for pair in pairs]
    empty = [image for (image, _), (_, text) in zip(pairs, judged, strict=True) if text == texts.get("")]
    if empty:
        raise InputError(f"{name}: {len(empty)} judged texts are empty, the first of image {empty[0]}; leave them out.")
    _require_references(name, pairs, references)
    drawn = {
        variant: [
            [[texts.setdefault(_one_line(text), len(texts)) for text in shown] for shown in draw] for draw in draws
        ]
        for variant, draws in references.items()
    }
    seen = set(judged)
    fitted = [pair for pair in dict.fromkeys(row(*pair) for pair in fit) if pair not in seen]
    return Judgments(
        name,
        images=open_named(list(images)),
        texts=list(texts),
        pairs=np.asarray(judged, dtype=np.int64).reshape(-1, 2),
        references=drawn,
        fit=np.asarray(fitted, dtype=np.int64).reshape(-1, 2),
        verdict=verdict,
        prefix=prefix,
        published=published,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _require_references(
    name: str, pairs: Sequence[tuple[str, str]], references: Mapping[str, Sequence[Sentences]]
) -> None:
    for draws in references.values():
        for draw in draws:
            without = [image for (image, _), shown in zip(pairs, draw, strict=True) if not shown]
            if without:
                raise InputError(
                    f"{name}: {len(without)} of {len(pairs)} judged pairs have no reference caption that is not itself "
                    f"judged; the first is of image {without[0]}. Complete the file of captions."
                )
