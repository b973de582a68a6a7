"""Five statistics of how far two columns order the same items alike, for many weightings of the items at once."""

import numpy as np

from pointwise._types import Floats, Integers

STATISTICS = ("kendall_b", "kendall_c", "spearman", "pearson", "pairwise_accuracy")


class Ranking:
    """A column [n], sorted once, so that any weights of its items are ranked without sorting again."""

    def __init__(self, values: Floats | Integers) -> None:
        distinct, self.levels = np.unique(values, return_inverse=True)  # [n], 0 for the smallest value
        self.level_count = len(distinct)
        self._order = np.argsort(self.levels, kind="stable")
        self._starts = np.searchsorted(self.levels, np.arange(self.level_count), sorter=self._order)

    def sizes(self, weights: Integers) -> Integers:
        """Return [b, levels], how many items have each value when item i is there ``weights[b, i]`` times."""
        return np.add.reduceat(weights.take(self._order, 1), self._starts, axis=1)

    def ranks(self, sizes: Integers) -> Floats:
        """Return [b, n], the ranks less their mean where each value has so many items, which share their mean rank."""
        of_level: Floats = np.cumsum(sizes, axis=1) - (sizes + sizes.sum(1, keepdims=True)) / 2
        return of_level.take(self.levels, 1)


class Association:
    """The five statistics of two columns [n], in O(n log L) for each weighting, where L is the fewer distinct values.

    Pairs that both columns order alike (concordant pairs) are counted bit by bit, as a radix sort would sort them. Two
    levels of the one column differ first in some bit; among the items that share the bits above it, those with a 1 in
    that bit are higher than those with a 0. With the items sorted by the other column, a running sum of the weights of
    the zeros says how many of them lie below each one. Which items these are does not depend on the weights: it is
    found once.
    """

    def __init__(self, scores: Floats, ratings: Floats) -> None:
        self._columns = [column / (np.abs(column).max() or 1.0) for column in (scores, ratings)]  # squares stay finite
        self._x, self._y = x, y = Ranking(scores), Ranking(ratings)
        self._both = Ranking(x.levels * y.level_count + y.levels)
        few, many = (x, y) if x.level_count < y.level_count else (y, x)
        self._bits = [_below(few.levels, many.levels, bit) for bit in range((few.level_count - 1).bit_length())]

    def statistics(self, weights: Integers) -> Floats:
        """Return [b, 5], in the order of `STATISTICS`, when item i is there ``weights[b, i]`` times.

        They are nan where a column is constant.
        """
        x, y = self._x.sizes(weights), self._y.sizes(weights)
        total = weights.sum(1)
        pairs, tied_x, tied_y = _pairs(total), _pairs(x).sum(1), _pairs(y).sum(1)
        untied_x, untied_y = pairs - tied_x, pairs - tied_y
        untied = untied_x - tied_y + _pairs(self._both.sizes(weights)).sum(1)
        balance = 2 * self._concordant(weights) - untied  # concordant less discordant pairs
        levels = np.minimum(np.count_nonzero(x, axis=1), np.count_nonzero(y, axis=1))
        mass = weights.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # of constant columns
            statistics = (
                balance / np.sqrt(untied_x.astype(np.float64) * untied_y),
                2 * balance / total.astype(np.float64) ** 2 * levels / (levels - 1),
                _correlation(mass, self._x.ranks(x), self._y.ranks(y)),
                _correlation(mass, *(column - _weighted_mean(mass, column) for column in self._columns)),
                (1 + balance / untied_y) / 2,
            )
        defined = (untied_x > 0) & (untied_y > 0)
        return np.where(defined[:, None], np.stack(statistics, axis=1).clip(-1, 1), np.nan)  # 1 + 1e-16 is 1

    def _concordant(self, weights: Integers) -> Integers:
        count = np.zeros(len(weights), dtype=np.int64)
        for zeros, ones, start, end in self._bits:
            below = np.zeros((len(weights), len(zeros) + 1), dtype=np.int64)
            np.cumsum(weights.take(zeros, 1), axis=1, out=below[:, 1:])
            count += np.einsum("bi,bi->b", weights.take(ones, 1), below.take(end, 1) - below.take(start, 1))
        return count


def _below(few: Integers, many: Integers, bit: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Items with a 0 in this bit, in order, those with a 1, and start and end of the run of zeros below each of these.

    They are ordered by the bits above it, then by the other column, so that what is below in both is one run.
    """
    above = few >> (bit + 1)
    key = above * (many.max() + 1) + many
    order = np.argsort(key, kind="stable")
    has_one = (few[order] >> bit) & 1 == 1
    zeros, ones = order[~has_one], order[has_one]
    start, end = np.searchsorted(above[zeros], above[ones]), np.searchsorted(key[zeros], key[ones])
    some = end > start
    return zeros, ones[some], start[some], end[some]


def _pairs(count: Integers) -> Integers:
    return count * (count - 1) // 2


def _weighted_mean(mass: Floats, column: Floats) -> Floats:  # not by @, whose last digit hangs on how many rows
    mean: Floats = np.einsum("bi,i->b", mass, column) / mass.sum(1)
    return mean[:, None]


def _correlation(mass: Floats, x: Floats, y: Floats) -> Floats:
    """Of columns [b, n] whose means, weighted by mass, are 0."""
    covariance, x2, y2 = (np.einsum("bi,bi->b", mass * one, other) for one, other in ((x, y), (x, x), (y, y)))
    correlation: Floats = covariance / np.sqrt(x2 * y2)
    return correlation
