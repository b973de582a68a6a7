"""Pictures of a few coloured shapes, with sentences that tell of part of them: the information is known exactly."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from scipy.special import xlogy

from pointwise._options import number, whole_number
from pointwise._types import Array, Floats, Integers, Pixels
from pointwise.errors import InputError
from pointwise.synthetic import scene_sentences as sentences
from pointwise.synthetic.checks import as_whole_numbers, generator, require_pairs
from pointwise.synthetic.scene_pictures import SMALLEST_CELL, paint

_Indicators: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"  # 0 and 1
_Attribute: TypeAlias = "tuple[tuple[int, int], float]"  # what two phrases say of one attribute, with its probability

_ROWS_AT_ONCE = 256  # so that what is held besides the result stays small
_OUTCOMES = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True)
class Scenes:
    r"""Scenes of coloured shapes in the cells of a grid, and sentences about one or two of them; PMI in nats.

    A scene has 1 to ``most_objects`` objects, every number equally likely, in distinct cells, all equally likely, each
    of a shape, a colour and a size, all equally likely. A sentence d tells of one object of the scene or of an ordered
    pair, drawn uniformly; of each attribute (shape, colour, size, cell) it tells with probability ``detail``, in one of
    its words. With probability :math:`\varepsilon` = ``mismatched`` it is about another scene. So, for a sentence whose
    words fit k of the N objects or ordered pairs of a scene x with m objects,

    .. math:: e^{\mathrm{PMI}(x, d)} = \varepsilon + (1 - \varepsilon) \frac{P(j \mid m)\, k / N}{P(j)\, P(\text{fit})}

    where j is whether one object or two are told of, and P(fit) the chance that a random object or pair fits: one over
    the number of values for each attribute told, and for two cells one over the ordered pairs of cells. Neither the
    words chosen nor what a picture has beyond its scene (background, noise, place inside the cell) tells anything, so
    this is also the PMI of picture and sentence.

    Args:
        grid: cells along each side, 1 to 3.
        shapes: number of shapes, 1 to 6.
        colours: number of colours, 1 to 8.
        sizes: number of sizes, 1 or 2.
        most_objects: largest number of objects in a scene, 1 to the number of cells.
        detail: probability that an attribute is told.
        pairs: probability that a sentence tells of two objects where there are two or more.
        mismatched: probability that a sentence is about another scene; at 0 the PMI of a sentence that fits nothing is
            -inf.
        pixels: height and width of the pictures, at least 10 for each cell.

    Raises:
        InputError: an argument is outside of its range.

    >>> law = Scenes()
    >>> x, captions = law.sample(3, seed=0)
    >>> captions[0]
    'a large yellow thing at the top right and a yellow triangle at the bottom left'
    >>> images = law.render(x, seed=0)
    >>> images.shape, law.pmi(x, captions).shape, law.pmi_matrix(x, captions).shape
    ((3, 32, 32, 3), (3,), (3, 3))
    >>> round(law.mutual_information(), 4)
    2.2391
    """

    grid: int = 2
    _: KW_ONLY
    shapes: int = 4
    colours: int = 4
    sizes: int = 2
    most_objects: int = 3
    detail: float = 0.5
    pairs: float = 0.5
    mismatched: float = 0.1
    pixels: int = 32

    def __post_init__(self) -> None:
        whole_number(self.grid, "grid", most=max(sentences.PLACES))
        whole_number(self.shapes, "shapes", most=len(sentences.SHAPES))
        whole_number(self.colours, "colours", most=len(sentences.COLOURS))
        whole_number(self.sizes, "sizes", most=len(sentences.SIZES))
        whole_number(self.most_objects, "most_objects", most=self.cells)
        whole_number(self.pixels, "pixels", least=SMALLEST_CELL * self.grid)
        for name in ("detail", "pairs", "mismatched"):
            number(getattr(self, name), name, above=0, below=1, closed=True)

    @property
    def cells(self) -> int:
        """Number of cells of the grid, counted row by row from the top left."""
        return self.grid**2

    @property
    def kinds(self) -> int:
        """Number of kinds of objects: shapes by colours by sizes, counted in this order, sizes fastest."""
        return self.shapes * self.colours * self.sizes

    def sample(self, n: int, *, seed: int) -> tuple[Integers, list[str]]:
        """Return n independent pairs: scenes, int64 [n, cells], the kind in each cell or -1; and their captions."""
        rng = generator(n, seed)
        scenes = self._draw(n, rng)
        described = np.where(rng.random((n, 1)) < self.mismatched, self._draw(n, rng), scenes)
        order = np.where(described >= 0, rng.random((n, self.cells)), 2).argsort(axis=1)
        phrases = np.full((n, 2, 4), sentences.NO_PHRASE)
        two = ((described >= 0).sum(axis=1) >= 2) & (rng.random(n) < self.pairs)
        mentions, forms = rng.random((n, 2, 4)) < self.detail, rng.integers(sentences.FORMS, size=(n, 2, 2))
        for i, rows in enumerate((np.arange(n), np.flatnonzero(two))):
            cell = order[rows, min(i, self.cells - 1)]
            attributes = np.column_stack([self._attributes[described[rows, cell]], cell])
            phrases[rows, i] = np.where(mentions[rows, i], attributes, sentences.LEFT_OUT)
        return scenes, sentences.write(phrases, forms, grid=self.grid)

    def render(self, x: Array, *, seed: int) -> Pixels:
        """Return a picture of each scene [n, cells], uint8 [n, pixels, pixels, 3].

        Pictures of one scene differ in background, noise and the place of objects inside their cells; two scenes never
        have the same picture. The seed may be that of ``sample``: the two are independent.
        """
        scenes = self._scenes(x)
        rng = generator(len(scenes), seed, stream=1)
        return paint(scenes, values=(self.shapes, self.colours, self.sizes), pixels=self.pixels, rng=rng)

    def pmi(self, x: Array, y: Sequence[str]) -> Floats:
        """Return the PMI of each scene [n, cells] with its caption, float64 [n], in nats."""
        scenes, phrases = self._scenes(x), self._phrases(y)
        require_pairs(scenes, phrases)
        pmi = np.empty(len(scenes))
        for start in range(0, len(scenes), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            there, fits = self._there(scenes[rows]), self._fits(phrases[rows])
            pmi[rows] = self._pmi(scenes[rows], phrases[rows], [(there * fit).sum(axis=1) for fit in fits])
        return pmi

    def pmi_matrix(self, x: Array, y: Sequence[str]) -> Floats:
        """Return the PMI of every scene [n, cells] with every one of b captions, float64 [n, b], in nats."""
        scenes, phrases = self._scenes(x), self._phrases(y)
        matrix, fits = np.empty((len(scenes), len(phrases))), self._fits(phrases)
        for start in range(0, len(scenes), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            there = self._there(scenes[rows])
            matrix[rows] = self._pmi(scenes[rows, None], phrases, [there @ fit.T for fit in fits])
        return matrix

    def log_probability(self, y: Sequence[str]) -> Floats:
        """Return log p(caption) over all scenes, float64 [b]."""
        return self._log_probability(sentences.read(y, values=self._values, grid=self.grid))

    def every_caption(self) -> Iterator[str]:
        """Yield every caption of positive probability once; with the default arguments they are 1.3 million."""
        silence = [sentences.LEFT_OUT] * (self.detail < 1)
        meanings = [[*silence, *(range(count) if self.detail > 0 else ())] for count in self._values]
        phrases = sentences.every_phrase(meanings, grid=self.grid)
        if self._share_of_two < 1:
            yield from (phrase for _, phrase in phrases)
        if self._share_of_two > 0:
            yield from sentences.join(phrases)

    def mutual_information(self) -> float:
        r"""Return I(X; Y) in nats, exact to rounding.

        It is the mean of :math:`f \ln f` with :math:`f = e^{\mathrm{PMI}}` over independent scenes and sentences. By
        symmetry f depends on which attributes two phrases tell, whether alike, and on the numbers of objects that fit
        the first, the second and both; over all of these the mean is summed.
        """
        return self._mutual_information

    def _draw(self, n: int, rng: np.random.Generator) -> Integers:
        rank = rng.random((n, self.cells)).argsort(axis=1)
        count = rng.integers(1, self.most_objects, size=(n, 1), endpoint=True)
        return np.where(rank < count, rng.integers(self.kinds, size=(n, self.cells)), -1)

    @property
    def _values(self) -> tuple[int, int, int, int]:
        return self.shapes, self.colours, self.sizes, self.cells

    @property
    def _attributes(self) -> Integers:
        """Shape, colour and size of every kind, [kinds, 3]."""
        return np.stack(np.unravel_index(np.arange(self.kinds), self._values[:3]), axis=1)

    @property
    def _share_of_two(self) -> float:
        return self.pairs * (self.most_objects - 1) / self.most_objects

    def _scenes(self, x: Array) -> Integers:
        scenes = as_whole_numbers(x, low=-1, high=self.kinds - 1, name="x")
        if scenes.ndim != 2 or scenes.shape[1] != self.cells:
            raise InputError(f"x has shape {scenes.shape}; scenes of this law are [n, {self.cells}], a kind per cell.")
        count = (scenes >= 0).sum(axis=1)
        wrong = (count < 1) | (count > self.most_objects)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"scene {row} has {count[row]} objects; scenes of this law have from 1 to {self.most_objects}."
            )
        return scenes

    def _phrases(self, captions: Sequence[str]) -> Integers:
        phrases = sentences.read(captions, values=self._values, grid=self.grid)
        impossible = self._log_probability(phrases) == -math.inf
        if impossible.any():
            row = int(np.argmax(impossible))
            raise InputError(
                f"caption {row}, {captions[row]!r}, has probability 0 under this law, so it has no PMI; "
                "take captions from sample() or every_caption() of the same law."
            )
        return phrases

    def _log_probability(self, phrases: Integers) -> Floats:
        given = np.where(phrases >= 0, self.detail, np.where(phrases == sentences.LEFT_OUT, 1 - self.detail, 1.0))
        with np.errstate(divide="ignore"):
            log_meaning = np.log(given.prod(axis=(1, 2)) * self._prior(phrases))
        return np.asarray(log_meaning + sentences.log_share_of_forms(phrases))

    def _prior(self, phrases: Integers) -> Floats:
        """P(j) P(fit) of each sentence [b, 2, 4]."""
        two = phrases[:, 1, 0] != sentences.NO_PHRASE
        fit = (1 / np.where(phrases >= 0, self._values, 1)).prod(axis=(1, 2))
        places = phrases[:, :, 3]
        both = (places >= 0).all(axis=1)
        other_cell = np.where(places[:, 0] == places[:, 1], 0.0, self.cells / max(1, self.cells - 1))
        share = np.where(two, self._share_of_two, 1 - self._share_of_two)
        return np.asarray(share * fit * np.where(both, other_cell, 1.0))

    def _pmi(self, scenes: Integers, phrases: Integers, fitting: Sequence[Array]) -> Floats:
        """PMI where so many objects fit the first phrase, the second and both; scenes [n, cells] or [n, 1, cells]."""
        first, second, both = fitting
        two, count = phrases[:, 1, 0] != sentences.NO_PHRASE, (scenes >= 0).sum(axis=-1)
        fits = np.where(two, first * second - both, first)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._ratio(two, count, fits, self._prior(phrases))))

    def _ratio(self, two: Array, count: Array, fitting: Array, prior: Array) -> Floats:
        """e^PMI of a sentence about one or two objects that fits so many of the objects, or pairs, of a scene."""
        share_of_two = np.where(count >= 2, self.pairs, 0.0)
        chance = np.where(two, share_of_two, 1 - share_of_two)
        among = np.where(two, np.maximum(count * (count - 1), 1), count)
        return np.asarray(self.mismatched + (1 - self.mismatched) * chance * fitting / among / prior)

    def _there(self, scenes: Integers) -> _Indicators:
        """1 for the kind of object in each cell, [n, cells * kinds], in float32 for the sake of products."""
        return np.asarray(scenes[:, :, None] == np.arange(self.kinds), dtype=np.float32).reshape(len(scenes), -1)

    def _fits(self, phrases: Integers) -> tuple[_Indicators, _Indicators, _Indicators]:
        """1 where the first phrase, the second and both fit a kind of object in a cell, [b, cells * kinds] each."""
        alike = (phrases[:, :, None, :3] == self._attributes) | (phrases[:, :, None, :3] < 0)
        here = (phrases[:, :, 3:] == np.arange(self.cells)) | (phrases[:, :, 3:] < 0)
        fits = (here[:, :, :, None] & alike.all(axis=3)[:, :, None]).reshape(len(phrases), 2, -1).astype(np.float32)
        return fits[:, 0], fits[:, 1], fits[:, 0] * fits[:, 1]

    @cached_property
    def _mutual_information(self) -> float:
        total = 0.0
        for weight, phrases in self._classes():
            two, law = bool(phrases[1, 0] != sentences.NO_PHRASE), self._fitting(phrases)
            count, first, second, both = np.array([*law]).T
            ratio = self._ratio(two, count, first * second - both if two else first, self._prior(phrases[None]))
            total += weight * float(xlogy(ratio, ratio) @ [*law.values()])
        return total

    def _classes(self) -> Iterator[tuple[float, Integers]]:
        """Yield one sentence [2, 4] for all that are alike up to a renaming of values, with their joint probability."""
        silent, tells = 1 - self.detail, self.detail
        alone: list[_Attribute] = [((-1, sentences.NO_PHRASE), silent), ((0, sentences.NO_PHRASE), tells)]
        together: list[list[_Attribute]] = []
        for count in self._values:
            same = 1 / count if len(together) < 3 else 0.0  # two objects are never in the same cell
            repeated: list[_Attribute] = [((0, 0), tells**2 * same), ((0, 1), tells**2 * (1 - same))]
            once: list[_Attribute] = [((-1, -1), silent**2), ((0, -1), tells * silent), ((-1, 0), silent * tells)]
            together.append(once + repeated)
        for share, options in ((1 - self._share_of_two, [alone] * 4), (self._share_of_two, together)):
            for choice in itertools.product(*options):
                weight = share * math.prod(probability for _, probability in choice)
                if weight > 0:
                    yield weight, np.array([values for values, _ in choice]).T

    def _fitting(self, phrases: Integers) -> dict[tuple[int, int, int, int], float]:
        """The law of (objects, those that fit the first phrase, the second, both) over scenes, cell by cell."""
        first_fit, second_fit, _ = (fit.reshape(self.cells, self.kinds) for fit in self._fits(phrases[None]))
        shares = [((first_fit == one) & (second_fit == other)).mean(axis=1) for one, other in _OUTCOMES]
        law = {(0, 0, 0, 0): 1.0}
        for cell in range(self.cells):
            further = defaultdict(float, law)  # the cell stays empty
            for (count, first, second, both), weight in law.items():
                for (one, other), share in zip(_OUTCOMES, shares, strict=True):
                    if share[cell] > 0 and count < self.most_objects:
                        further[count + 1, first + one, second + other, both + one * other] += weight * share[cell]
            law = further
        return {
            state: weight / math.comb(self.cells, state[0]) / self.most_objects
            for state, weight in law.items()
            if state[0] > 0
        }
