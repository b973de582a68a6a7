"""Ruler: distances by exact subtraction in float64."""

from __future__ import annotations

import torch

_BYTES_AT_ONCE = 1 << 23  # of differences: small enough for the cache


class Ruler:
    """Measures |x_i - y_j|: the only way in which a distance that is kept comes about.

    All differences are summed as rows of one matrix, so that equal pairs get equal distances to the last bit. The
    room for them is kept from step to step: fresh memory costs more than the arithmetic.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self._x, self._y = x, y
        self._at_once = max(1, _BYTES_AT_ONCE // (8 * x.shape[1]))
        self._rows = y.new_empty(0, y.shape[1])
        self._differences = torch.empty(0, y.shape[1], dtype=torch.float64, device=y.device)

    def pairs(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """The distance of each pair of rows, float64 [n]."""
        distances = torch.empty(len(i), dtype=torch.float64, device=i.device)
        for start in range(0, len(i), self._at_once):
            some = slice(start, start + self._at_once)
            differences = self._gathered(j[some])
            differences -= torch.index_select(self._x, 0, i[some])
            distances[some] = torch.linalg.vector_norm(differences, dim=1)
        return distances

    def first_partners(self, partner: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """The distances of each row of x to at least the first `count` of its partners; inf for the others."""
        distances = torch.full(partner.shape, torch.inf, dtype=torch.float64, device=partner.device)
        at_once = max(1, self._at_once // max(1, int(count.max())))
        for start, counts in zip(range(0, len(partner), at_once), count.split(at_once), strict=True):
            some = partner[start : start + at_once, : int(counts.max())]
            differences = self._gathered(some.flatten())
            by_row = differences.view(*some.shape, -1)
            by_row -= self._x[start : start + at_once, None, :]
            distances[start : start + at_once, : some.shape[1]] = torch.linalg.vector_norm(differences, dim=1).view(
                some.shape
            )
        return distances

    def _gathered(self, j: torch.Tensor) -> torch.Tensor:
        """These rows of y in float64, in the kept room."""
        if len(j) > len(self._rows):
            self._rows = self._y.new_empty(len(j), self._y.shape[1])
            self._differences = torch.empty_like(self._rows, dtype=torch.float64)
        torch.index_select(self._y, 0, j, out=self._rows[: len(j)])
        return self._differences[: len(j)].copy_(self._rows[: len(j)])
