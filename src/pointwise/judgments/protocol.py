"""Judgments: what people said of pairs of an image and a text, and how a metric is held against it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pointwise._types import Floats, Integers
from pointwise.items.images import Images
from pointwise.judgments.tree import Paths


@dataclass(frozen=True, eq=False)
class Ratings:
    """People rated pairs: a metric is right as far as it orders them alike (Kendall's tau)."""

    pair: Integers  # [r], the pair that each rating is of; a pair may have several
    value: Floats  # [r], higher is better
    statistics: tuple[str, ...]  # "kendall_b" or "kendall_c", with which the set is reported


@dataclass(frozen=True, eq=False)
class Choices:
    """People chose between two texts of an image: a metric is right where it scores that one higher (accuracy)."""

    # [c], of pairs 0 and 1, 2 and 3, and so on: 1 where the first was chosen, 0 where the second, 0.5 at equal votes
    first_chosen: Floats
    tie: float  # what equal scores of a metric count: 0 as a mistake, 0.5 as a coin
    categories: Sequence[str] | None = None  # [c]; accuracy is given for each too


@dataclass(frozen=True, eq=False, repr=False)
class Judgments:
    """A set of human judgments, each image and each text in it once."""

    name: str
    images: Images
    texts: Sequence[str]  # candidates and references, without the prefix
    pairs: Integers  # [n, 2], the rows of images and texts of each judged pair
    # Variant of the protocol -> draws -> the rows of the reference texts of each pair; empty where there are none.
    # Accuracies are means over the draws.
    references: Mapping[str, Sequence[Sequence[Sequence[int]]]]
    fit: Integers  # [m, 2], the pairs of an image and a reference that MID's Gaussian is fitted on, no judged one
    verdict: Ratings | Choices  # what people said
    prefix: str = ""  # put before each text by those who published numbers of the set
    published: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (metric, statistic) -> 100 times theirs

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Judgments({self.name}: {len(self)} pairs, {len(self.images)} images, {len(self.texts)} texts)"


class Annotations(NamedTuple):
    """What the files of a set say, by names of images and by sentences."""

    pairs: Sequence[tuple[str, str]]  # name of the image, and text, of each judged pair
    verdict: Ratings | Choices
    references: Mapping[str, Sequence[Sequence[Sequence[str]]]]  # as those of Judgments, but sentences
    fit: Iterable[tuple[str, str]]  # image and reference text; judged and repeated ones will be left out


class Published(NamedTuple):
    """A set as its authors publish it."""

    name: str
    files: Sequence[str]  # of its annotations
    images: str  # the folders of its images, for messages
    read: Callable[[Paths, np.random.Generator], Annotations]  # takes where each file lies, and what to draw with
    prefix: str = ""  # put before each text by those who published numbers
    statistics: Sequence[str] = ()  # of which numbers are published
    numbers: Mapping[str, Sequence[float]] = {}  # metric -> 100 times each of these statistics
