"""Ranks: the place of the first right candidate of each query, where equally similar ones come in random order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointwise.errors import InputError

Counts = np.ndarray[Any, np.dtype[np.int64]]
Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Ranks:
    """What is known of the most similar right candidate of each of n queries.

    Everything that is computed is an exact expectation over the random order of candidates that tie with it.

    Args:
        ahead: [n], wrong candidates that are more similar.
        tied: [n], wrong candidates that are just as similar.
        right: [n], right candidates that are just as similar, itself included.

    >>> ranks = Ranks(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1, 1, 1]))
    >>> ranks.hits(2).tolist(), ranks.expected().tolist()
    ([1.0, 1.0, 0.5], [1.0, 2.0, 2.5])
    """

    ahead: Counts
    tied: Counts
    right: Counts

    def at(self, queries: Counts) -> Ranks:
        """Return what is known of these queries."""
        return Ranks(self.ahead[queries], self.tied[queries], self.right[queries])

    def expected(self) -> Values:
        """Return the rank of the first right candidate, from 1: the mean of the least of `right` among all that tie."""
        return self.ahead + (self.tied + self.right + 1) / (self.right + 1)

    def hits(self, k: int) -> Values:
        """Return the chance that a right candidate is among the first k: 1 or 0 where nothing ties across place k."""
        return 1 - _misses(self.tied, self.right, np.maximum(k - self.ahead, 0))

    def reciprocal(self) -> Values:
        """Return the mean of 1 / rank."""
        values: Values = 1 / (self.ahead + 1.0)
        some = np.flatnonzero(self.tied)
        cases, case_of = np.unique(
            np.stack([self.ahead[some], self.tied[some], self.right[some]], axis=1), axis=0, return_inverse=True
        )
        means = np.empty(len(cases))
        for case, (ahead, tied, right) in enumerate(cases.tolist()):
            places = np.arange(tied + 1)
            beyond = _misses(
                np.full(tied + 1, tied), np.full(tied + 1, right), places
            )  # P(not among the first `places`)
            here = beyond - np.append(beyond[1:], 0.0)
            means[case] = (here / (ahead + places + 1)).sum()
        values[some] = means[case_of.ravel()]
        return values


def checked_ks(ks: Sequence[int]) -> list[int]:
    """Return the numbers of candidates that are looked at, or raise an InputError that says which cannot be."""
    checked = []
    for k in ks:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise InputError(f"ks holds {k!r}; each must be a whole number of at least 1.")
        checked.append(int(k))
    if not checked:
        raise InputError("ks is empty; give at least one number of candidates, as ks=[1, 5, 10].")
    return checked


def _misses(tied: Counts, right: Counts, drawn: Counts) -> Values:
    """The chance that none of `right` is among the first `drawn` of tied + right in random order.

    C(tied, drawn) / C(tied + right, drawn), as a product of `right` factors.
    """
    left = np.maximum(tied - drawn, -right)  # a factor is 0 as soon as more are drawn than are wrong
    chance = np.ones(len(tied))
    for i in range(1, int(right.max(initial=0)) + 1):
        chance *= np.where(i <= right, np.maximum(left + i, 0) / (tied + i), 1.0)
    return chance
