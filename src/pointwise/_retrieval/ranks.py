"""Ranks: the place of the first right candidate of each query, where equally similar ones come in random order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pointwise._options import whole_number
from pointwise._types import Floats, Integers
from pointwise.errors import InputError


class Ranks(NamedTuple):
    """What is known of the most similar right candidate of each of n queries.

    Everything that is computed is an exact expectation over the random order of candidates that tie with it.

    >>> ranks = Ranks(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1, 1, 1]))
    >>> ranks.hits(2).tolist(), ranks.expected().tolist()
    ([1.0, 1.0, 0.5], [1.0, 2.0, 2.5])
    """

    ahead: Integers  # [n], wrong candidates that are more similar
    tied: Integers  # [n], wrong candidates that are just as similar
    right: Integers  # [n], right candidates that are just as similar, itself included

    @classmethod
    def none(cls, n: int) -> Ranks:
        """Return the ranks of n queries of which nothing is counted yet."""
        return cls(*np.zeros((3, n), dtype=np.int64))

    def add(self, some: slice, block: torch.Tensor, right: torch.Tensor, *, best: torch.Tensor, dim: int) -> None:
        """Add the candidates along a dimension of a block, where right is True for right ones, to some queries.

        Best is the similarity of the most similar right one of each.
        """
        equal = block == best
        for total, here in zip(self, (block > best, equal & ~right, equal & right), strict=True):
            total[some] += here.sum(dim=dim, dtype=torch.int32).cpu().numpy()  # much sooner than in int64

    def expected(self) -> Floats:
        """Return the rank of the first right candidate, from 1: the mean of the least of `right` among all that tie."""
        return self.ahead + (self.tied + self.right + 1) / (self.right + 1)

    def hits(self, k: int) -> Floats:
        """Return the chance that a right candidate is among the first k: 1 or 0 where nothing ties across place k."""
        return 1 - _misses(self.tied, self.right, np.maximum(k - self.ahead, 0))

    def reciprocal(self) -> Floats:
        """Return the mean of 1 / rank."""
        values: Floats = 1 / (self.ahead + 1.0)
        some = np.flatnonzero(self.tied)
        cases, case_of = np.unique(np.stack([counts[some] for counts in self], axis=1), axis=0, return_inverse=True)
        means = np.empty(len(cases))
        for case, (ahead, tied, right) in enumerate(cases.tolist()):
            places = np.arange(tied + 1)
            later = _misses(np.full_like(places, tied), np.full_like(places, right), places)  # P(after so many places)
            here = later - np.append(later[1:], 0.0)
            means[case] = (here / (ahead + places + 1)).sum()
        values[some] = means[case_of.ravel()]
        return values


def checked_ks(ks: Sequence[int]) -> list[int]:
    """Return the numbers of candidates that are looked at, once each is known to be one."""
    checked = [whole_number(k, "a number in ks") for k in ks]
    if not checked:
        raise InputError("ks is empty; give at least one number of candidates, as ks=[1, 5, 10].")
    return checked


def _misses(tied: Integers, right: Integers, drawn: Integers) -> Floats:
    """The chance that none of `right` is among the first `drawn` of tied + right in random order.

    C(tied, drawn) / C(tied + right, drawn), as a product of `right` factors.
    """
    left = np.maximum(tied - drawn, -right)  # a factor is 0 as soon as more are drawn than are wrong
    chance = np.ones(len(tied))
    for i in range(1, int(right.max(initial=0)) + 1):
        chance *= np.where(i <= right, np.maximum(left + i, 0) / (tied + i), 1.0)
    return chance
