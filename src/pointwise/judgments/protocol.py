"""Judgments: what people said of pairs of an image and a text, and how a metric is held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from pointwise._types import Floats, Integers
from pointwise.items.images import Images
from pointwise.judgments.tree import Paths

Kendall: TypeAlias = Literal["kendall_b", "kendall_c"]


@dataclass(frozen=True, eq=False)
class Ratings:
    """People rated pairs: a metric is right as far as it orders them alike (Kendall's tau).

    Attributes:
        pair: int64 [r], the pair that each rating is of; a pair may have several.
        value: float64 [r], higher is better.
        statistics: which of Kendall's taus the set is reported with.
    """

    pair: Integers
    value: Floats
    statistics: tuple[Kendall, ...]


@dataclass(frozen=True, eq=False)
class Choices:
    """People chose between two texts of an image: a metric is right where it scores the chosen one higher (accuracy).

    Attributes:
        first_chosen: float64 [c], of pairs 0 and 1, 2 and 3, and so on: 1 where the first was chosen, 0 where the
            second, 0.5 where votes were equal.
        tie: what equal scores of a metric count: 0 as a mistake, 0.5 as a coin.
        categories: [c], or None; accuracy is given for each too.
    """

    first_chosen: Floats
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
        references: variant of the protocol -> draws -> the rows of the reference texts of each pair; empty where there
            are none. Accuracies are means over the draws.
        fit: int64 [m, 2], the pairs of an image and a reference that MID's Gaussian is fitted on, no judged one.
        verdict: what people said.
        prefix: put before each text by those who published numbers of the set.
        published: (metric, statistic) -> their number, times 100.
    """

    name: str
    images: Images
    texts: Sequence[str]
    pairs: Integers
    references: Mapping[str, Sequence[Sequence[Sequence[int]]]]
    fit: Integers
    verdict: Ratings | Choices
    prefix: str = ""
    published: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Judgments({self.name}: {len(self)} pairs, {len(self.images)} images, {len(self.texts)} texts)"


class Annotations(NamedTuple):
    """What the files of a set say, by names of images and by sentences.

    pairs: name of the image, and text, of each judged pair.
    verdict: what people said.
    references: variant of the protocol -> draws -> the sentences of each pair.
    fit: image and reference text; those that are themselves judged, and repeated ones, will be left out.
    """

    pairs: Sequence[tuple[str, str]]
    verdict: Ratings | Choices
    references: Mapping[str, Sequence[Sequence[Sequence[str]]]]
    fit: Iterable[tuple[str, str]]


class Published(NamedTuple):
    """A set as its authors publish it.

    name: of the set.
    files: of its annotations.
    images: the folders of its images, for messages.
    read: takes where each file lies, and what to draw with.
    prefix: put before each text by those who published numbers.
    numbers: (metric, statistic) -> their number, times 100.
    """

    name: str
    files: Sequence[str]
    images: str
    read: Callable[[Paths, np.random.Generator], Annotations]
    prefix: str
    numbers: Mapping[tuple[str, str], float]
