"""Five statistics of how far two columns order the same items alike, for many weightings of the items at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pointwise._types import Floats, Integers

STATISTICS = ("kendall_b", "kendall_c", "spearman", "pearson", "pairwise_accuracy")


class Ranking:
    """A column whose items are sorted once, so that any weights of them are ranked without sorting again.

    Args:
        values: float64 [n], finite.
    """

    def __init__(self, values: Floats) -> None:
        distinct, levels = np.unique(values, return_inverse=True)
        self.levels: Integers = levels.astype(np.int64)  # [n], 0 for the smallest value
        self.level_count = len(distinct)
        self.scaled: Floats = values / (np.abs(values).max() or 1.0)  # squares of huge values stay finite
        self._order = np.argsort(self.levels, kind="stable")
        self._edges = np.concatenate([[0], np.cumsum(np.bincount(self.levels))])
        self._first, self._end = self._edges[self.levels], self._edges[self.levels + 1]

    def rank(self, weights: Integers) -> Ranks:
        """Rank the items when item i is there ``weights[b, i]`` times; tied ones share the middle of their places."""
        below = _running_sum(weights.take(self._order, 1))  # [b, n + 1]
        total = below[:, -1:]
        centred = (below.take(self._first, 1) + below.take(self._end, 1) - total) / 2
        sizes = self._sizes(below)
        return Ranks(
            centred,
            np.count_nonzero(sizes, axis=1),
            _pairs(sizes).sum(1),
            _cube_less_self(total[:, 0]) - _cube_less_self(sizes).sum(1),
        )

    def tied_pairs(self, weights: Integers) -> Integers:
        """Return [b], how many pairs have the same value."""
        if self.level_count == len(self.levels):
            sizes = weights
        else:
            sizes = self._sizes(_running_sum(weights.take(self._order, 1)))
        return np.asarray(_pairs(sizes).sum(1))

    def _sizes(self, below: Integers) -> Integers:
        """How many items have each value: [b, levels]."""
        return np.diff(below.take(self._edges, 1), axis=1)


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of one column under b weightings.

    Args:
        centred: float64 [b, n], less their mean, which is (total + 1) / 2.
        levels: int64 [b], how many distinct values are there.
        tied_pairs: int64 [b], how many pairs have the same value.
        spread: float64 [b], 12 times the sum of the squares of the centred ranks.
    """

    centred: Floats
    levels: Integers
    tied_pairs: Integers
    spread: Floats


class Association:
    r"""The five statistics of two columns, in O(n log L) for each weighting, where L is the fewer distinct values.

    Pairs that both columns order alike (concordant pairs) are counted bit by bit, as a radix sort would sort them. Two
    levels of the one column differ first in some bit; among the items that share the bits above it, those with a 1 in
    that bit are higher than those with a 0. With the items sorted by the other column, a running sum of the weights of
    the zeros says how many of them lie below each one. Which items these are does not depend on the weights: it is
    found once.

    Args:
        x: a column of n items.
        y: another column of the same items.
    """

    def __init__(self, x: Ranking, y: Ranking) -> None:
        self._x, self._y = x, y
        self._both = Ranking((x.levels * y.level_count + y.levels).astype(np.float64))
        few, many = (x, y) if x.level_count < y.level_count else (y, x)
        self._bits = [
            _bit_plan(few.levels, many.levels, bit=bit) for bit in reversed(range((few.level_count - 1).bit_length()))
        ]

    def statistics(self, weights: Integers, x: Ranks, y: Ranks) -> Floats:
        """Return float64 [b, 5], in the order of `STATISTICS`; nan where a column is constant.

        Args:
            weights: int64 [b, n], how often each item is there.
            x: the first column's ranks under these weights.
            y: the second column's.
        """
        total = weights.sum(1)
        pairs = _pairs(total)
        untied_x, untied_y = pairs - x.tied_pairs, pairs - y.tied_pairs
        untied = untied_x - y.tied_pairs + self._both.tied_pairs(weights)
        balance = 2 * self._concordant(weights) - untied  # concordant less discordant pairs
        levels = np.minimum(x.levels, y.levels)
        mass = weights.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # of constant columns
            columns = (
                balance / np.sqrt(untied_x.astype(np.float64) * untied_y),
                2 * balance / total.astype(np.float64) ** 2 * levels / (levels - 1),
                12 * _dot(mass * x.centred, y.centred) / np.sqrt(x.spread * y.spread),
                _correlation(mass, self._x.scaled, self._y.scaled),
                (1 + balance / untied_y) / 2,
            )
        defined = (untied_x > 0) & (untied_y > 0)
        return np.where(defined[:, None], np.stack(columns, axis=1).clip(-1, 1), np.nan)  # 1 + 1e-16 is 1

    def _concordant(self, weights: Integers) -> Integers:
        count = np.zeros(len(weights), dtype=np.int64)
        for plan in self._bits:
            below = _running_sum(weights.take(plan.zeros, 1))
            count += _dot(weights.take(plan.ones, 1), below.take(plan.end, 1) - below.take(plan.start, 1))
        return count


@dataclass(frozen=True, eq=False)
class _BitPlan:
    """For one bit: items with a 0, in order, and for each item with a 1 which run of them is below it in both columns.

    Args:
        zeros: items whose level has a 0 in this bit, sorted by the bits above it, then by the other column.
        ones: items whose level has a 1 in this bit and that have such zeros below them.
        start: where their run begins in zeros.
        end: where it ends.
    """

    zeros: Integers
    ones: Integers
    start: Integers
    end: Integers


def _bit_plan(few: Integers, many: Integers, *, bit: int) -> _BitPlan:
    above = few >> (bit + 1)
    has_one = (few >> bit) & 1 == 1
    key = above * (many.max() + 1) + many
    order = np.argsort(key, kind="stable")
    zeros, ones = order[~has_one[order]], order[has_one[order]]
    start, end = np.searchsorted(above[zeros], above[ones]), np.searchsorted(key[zeros], key[ones])
    some = end > start
    return _BitPlan(zeros, ones[some], start[some], end[some])


def _running_sum(weights: Integers) -> Integers:
    """[b, n] to [b, n + 1]: the sum of the weights before each place."""
    sums = np.zeros((len(weights), weights.shape[1] + 1), dtype=np.int64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _dot(left: Any, right: Any) -> Any:
    return np.einsum("bi,bi->b", left, right)


def _pairs(count: Integers) -> Integers:
    return count * (count - 1) // 2


def _cube_less_self(count: Integers) -> Floats:
    """In float64: the cube of millions of items is beyond 64-bit integers."""
    size = count.astype(np.float64)
    return size * (size * size - 1)


def _correlation(mass: Floats, x: Floats, y: Floats) -> Floats:
    total = mass.sum(1)
    x, y = (column - (np.einsum("bi,i->b", mass, column) / total)[:, None] for column in (x, y))  # [b, n]
    weighted = mass * x
    correlation: Floats = _dot(weighted, y) / np.sqrt(_dot(weighted, x) * _dot(mass * y, y))
    return correlation
