"""Pictures of a few coloured shapes, with sentences that tell of part of them: the information is known exactly."""

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

_Truths: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"

_ROWS_AT_ONCE = 256  # so that what is held besides the result stays small


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
        whole_number(self.shapes, "shapes", most=len(sentences.SHAPES) - 1)
        whole_number(self.colours, "colours", most=len(sentences.COLOURS) - 1)
        whole_number(self.sizes, "sizes", most=len(sentences.SIZES) - 1)
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
        two = ((described >= 0).sum(axis=1) >= 2) & (rng.random(n) < self.pairs)
        mentions, forms = rng.random((n, 2, 4)) < self.detail, rng.integers(sentences.FORMS, size=(n, 2, 2))
        cells = order[:, [0, min(1, self.cells - 1)]]
        objects = self._objects(np.take_along_axis(described, cells, axis=1), cells)
        phrases = np.where(mentions, objects, sentences.LEFT_OUT)
        phrases[~two, 1] = sentences.NO_PHRASE
        return scenes, sentences.write(phrases, forms, grid=self.grid)

    def render(self, x: Array, *, seed: int) -> Pixels:
        """Return a picture of each scene [n, cells], uint8 [n, pixels, pixels, 3].

        Pictures of one scene differ in background, noise and the place of objects inside their cells; two scenes never
        have the same picture. The seed may be that of ``sample``: the two are independent.
        """
        scenes = self._scenes(x)
        rng = generator(len(scenes), seed, stream=1)
        return paint(scenes, values=self._values[:3], pixels=self.pixels, rng=rng)

    def pmi(self, x: Array, y: Sequence[str]) -> Floats:
        """Return the PMI of each scene [n, cells] with its caption, float64 [n], in nats."""
        scenes, phrases = self._scenes(x), self._phrases(y)
        require_pairs(scenes, phrases)
        there = scenes >= 0
        fits = _fits(phrases, self._objects(scenes, np.arange(self.cells))[:, None]) & there
        return _log(self._ratio(phrases, there.sum(axis=1), *fits.sum(axis=2)))

    def pmi_matrix(self, x: Array, y: Sequence[str]) -> Floats:
        """Return the PMI of every scene [n, cells] with every one of b captions, float64 [n, b], in nats."""
        scenes, phrases = self._scenes(x), self._phrases(y)
        matrix = np.empty((len(scenes), len(phrases)))
        fits = _fits(phrases, self._every_object).astype(np.float32)  # for the sake of products
        for start in range(0, len(scenes), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            there = (scenes[rows, :, None] == np.arange(self.kinds)).reshape(-1, fits.shape[2]).astype(np.float32)
            count = there.sum(axis=1, keepdims=True)
            matrix[rows] = _log(self._ratio(phrases, count, *(there @ fit.T for fit in fits)))
        return matrix

    def log_probability(self, y: Sequence[str]) -> Floats:
        """Return log p(caption) over all scenes, float64 [b]."""
        return self._log_probability(sentences.read(y, self._vocabulary))

    def every_caption(self) -> Iterator[str]:
        """Yield every caption of positive probability once; with the default arguments they are 1.3 million."""
        silent, stated = self.detail < 1, self.detail > 0
        phrases = sentences.vocabulary([range(-silent, count * stated) for count in self._values], grid=self.grid)
        if self._share_of_two < 1:
            yield from phrases
        if self._share_of_two > 0:
            for (first, one), (second, other) in itertools.product(phrases.items(), repeat=2):
                if one[3] != other[3] or one[3] == sentences.LEFT_OUT:  # two objects are never in the same cell
                    yield f"{first} and {second}"

    def mutual_information(self) -> float:
        r"""Return I(X; Y) in nats, exact to rounding.

        It is the mean of :math:`f \ln f` with :math:`f = e^{\mathrm{PMI}}` over independent scenes and sentences. By
        symmetry f depends on which attributes two phrases tell, whether alike, and on the numbers of objects that fit
        the first, the second and both; over all of these the mean is summed.
        """
        phrases, weights = self._classes()
        fits = _fits(phrases, self._every_object).reshape(3, len(phrases), self.cells, self.kinds)
        total = 0.0
        for i in np.flatnonzero(weights):
            law = self._fitting(fits[0, i], fits[1, i])
            ratio = self._ratio(phrases[i, None], *np.array([*law]).T)
            total += float(weights[i] * (xlogy(ratio, ratio) @ [*law.values()]))
        return total

    def _draw(self, n: int, rng: np.random.Generator) -> Integers:
        rank = rng.random((n, self.cells)).argsort(axis=1)
        count = rng.integers(1, self.most_objects, size=(n, 1), endpoint=True)
        return np.where(rank < count, rng.integers(self.kinds, size=(n, self.cells)), -1)

    @property
    def _values(self) -> tuple[int, int, int, int]:
        return self.shapes, self.colours, self.sizes, self.cells

    @property
    def _share_of_two(self) -> float:
        return self.pairs * (self.most_objects - 1) / self.most_objects

    @cached_property
    def _vocabulary(self) -> dict[str, tuple[int, ...]]:
        return sentences.vocabulary([range(-1, count) for count in self._values], grid=self.grid)

    def _objects(self, kinds: Integers, cells: Integers) -> Integers:
        """Shape, colour, size and cell of objects of these kinds in these cells, [..., 4]; of no object any."""
        attributes = np.unravel_index(kinds % self.kinds, self._values[:3])
        return np.stack(np.broadcast_arrays(*attributes, cells), axis=-1)

    @property
    def _every_object(self) -> Integers:
        """Every kind of object in every cell, [cells * kinds, 4]."""
        return self._objects(np.arange(self.kinds), np.arange(self.cells)[:, None]).reshape(-1, 4)

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
        phrases = sentences.read(captions, self._vocabulary)
        impossible = self._log_probability(phrases) == -math.inf
        if impossible.any():
            row = int(np.argmax(impossible))
            raise InputError(
                f"caption {row}, {captions[row]!r}, has probability 0 under this law, so it has no PMI; "
                "take captions from sample() or every_caption() of the same law."
            )
        return phrases

    def _log_probability(self, phrases: Integers) -> Floats:
        words = (phrases[:, :, [0, 2]] >= (sentences.LEFT_OUT, 0)).sum(axis=(1, 2))  # that have forms
        return np.asarray(_log(self._chance(phrases)) - math.log(sentences.FORMS) * words)

    def _chance(self, phrases: Integers) -> Floats:
        """The probability that so much is told, and this, of sentences [b, 2, 4] in whatever words."""
        stated = np.where(phrases >= 0, self.detail, np.where(phrases == sentences.LEFT_OUT, 1 - self.detail, 1.0))
        return np.asarray(stated.prod(axis=(1, 2)) * self._prior(phrases))

    def _prior(self, phrases: Integers) -> Floats:
        """P(j) P(fit) of each sentence [b, 2, 4]."""
        fit = (1 / np.where(phrases >= 0, self._values, 1)).prod(axis=(1, 2))
        places = phrases[:, :, 3]
        both = (places >= 0).all(axis=1)
        other_cell = np.where(places[:, 0] == places[:, 1], 0.0, self.cells / max(1, self.cells - 1))
        two = phrases[:, 1, 0] != sentences.NO_PHRASE
        share = np.where(two, self._share_of_two, 1 - self._share_of_two)
        return np.asarray(share * fit * np.where(both, other_cell, 1.0))

    def _ratio(self, phrases: Integers, count: Array, first: Array, second: Array, both: Array) -> Floats:
        """e^PMI of sentences where so many of the objects of a scene fit the first phrase, the second and both."""
        two = phrases[:, 1, 0] != sentences.NO_PHRASE
        share_of_two = np.where(count >= 2, self.pairs, 0.0)
        chance = np.where(two, share_of_two, 1 - share_of_two)
        fitting = np.where(two, first * second - both, first)
        among = np.where(two, np.maximum(count * (count - 1), 1), count)
        return np.asarray(self.mismatched + (1 - self.mismatched) * chance * fitting / among / self._prior(phrases))

    def _classes(self) -> tuple[Integers, Floats]:
        """One sentence [2, 4] for all that are alike up to a renaming of values, with the probability of them all."""
        alone, together = [(-1, -2), (0, -2)], [(-1, -1), (-1, 0), (0, -1), (0, 0), (0, 1)]
        pairs = [*itertools.product(alone, repeat=4), *itertools.product(together, repeat=4)]
        phrases = np.array(pairs).swapaxes(1, 2)
        first, second, values = phrases[:, 0], phrases[:, 1], np.array(self._values)
        # What either tells may be any value; what the second tells otherwise than the first, any other.
        renamings = np.where((first < 0) & (second < 0), 1, values) * np.where(second == 1, values - 1, 1)
        return phrases, renamings.prod(axis=1) * self._chance(phrases)

    def _fitting(self, first: _Truths, second: _Truths) -> dict[tuple[int, int, int, int], float]:
        """The law of (objects, those that fit the first phrase, the second, both) over scenes, cell by cell."""
        outcomes = list(itertools.product((0, 1), repeat=2))
        shares = [((first == one) & (second == other)).mean(axis=1) for one, other in outcomes]
        law = {(0, 0, 0, 0): 1.0}
        for cell in range(self.cells):
            further = defaultdict(float, law)  # the cell stays empty
            for (count, fit_first, fit_second, fit_both), weight in law.items():
                for (one, other), share in zip(outcomes, shares, strict=True):
                    if share[cell] > 0 and count < self.most_objects:
                        state = count + 1, fit_first + one, fit_second + other, fit_both + one * other
                        further[state] += weight * share[cell]
            law = further
        del law[0, 0, 0, 0]  # no scene is empty
        return {state: weight / math.comb(self.cells, state[0]) / self.most_objects for state, weight in law.items()}


def _fits(phrases: Integers, objects: Integers) -> _Truths:
    """Whether the first phrase, the second and both fit objects [o, 4], or [b, 1, o, 4] of their own: [3, b, o]."""
    values = phrases[:, :, None]
    first, second = ((values == objects) | (values < 0)).all(axis=3).swapaxes(0, 1)
    return np.stack([first, second, first & second])


def _log(x: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x))
