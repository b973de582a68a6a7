"""Bound: how far off a closeness that was computed in low precision can be.

Closeness is c = -|a - b|^2 / 2, for rows a and b in a frame: the larger, the nearer. A sweep stores a as a', b as b',
and computes c' = a'.b' - |b'|^2 / 2 - |a'|^2 / 2. Let N = |a'|, let b lie within a distance D of a, and let v be the
unit of rounding with which rows are *stored*, u the one with which the product is *summed* (2^-24 in float32, 2^-8 in
bfloat16, which rounds to 8 bits). As |b| <= |a| + D, the length s = (1 + 4 v) (2 N + D) is at least |a| + |b| and at
least |a'| + |b'|.

1. Storing moves a - b by at most v (|a| + |b|) <= v s, so c by at most v s D + (v s)^2 / 2 <= v s (D + v s).
2. Summing d products and one term more, in any order, is off by at most (d + 1) u (|a'| |b'| + |b'|^2 / 2). Rounding
   the half squares, the last difference, and an edge that is compared with it adds at most u s^2 / 2 each. In all, less
   than (d / 2 + 4) u s^2.
3. Distances are measured in float64, by subtraction: of their square, (d + 6) 2^-53 may be rounding.
4. What is too small for the range becomes zero: 2 d times its smallest number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_SECOND_ORDER = 1 + 2.0**-10  # products of the roundings above, for rows of up to 2^13 / u columns


@dataclass(frozen=True)
class Bound:
    """What closeness can be at a distance, for rows of norms N as they are stored; all in the frame."""

    dim: int
    storing: float
    summing: float
    smallest: float

    @staticmethod
    def of(dim: int, *, storing: torch.dtype, summing: torch.dtype) -> Bound:
        """The bound for rows that are stored in one type and multiplied in another."""
        sums = torch.finfo(summing)
        return Bound(dim, torch.finfo(storing).eps / 2, sums.eps / 2, sums.tiny)

    def lowest(self, norms: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """Whatever lies within these distances of the rows has at least this closeness: -D^2 / 2 - error(D)."""
        return -(distances**2) / 2 - self._error(norms, distances)

    def highest(self, norms: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """Whatever has more closeness than this lies within these distances of the rows.

        At distance D closeness is at most f(D) = -D^2 / 2 + error(D), which falls only beyond some D*, since the error
        grows with D too. So the answer is f at D or at D*, whichever is the farther.
        """
        summing, storing, measuring = self._shares
        if summing + storing + measuring >= 1 / 2:  # no closeness proves anything
            return torch.full_like(distances, torch.inf)
        turn = norms * (4 * summing + 2 * storing) / (1 - 2 * (summing + storing + measuring))
        farther = torch.maximum(distances, turn)
        return -(farther**2) / 2 + self._error(norms, farther)

    def _error(self, norms: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        summing, storing, measuring = self._shares
        length = 2 * norms + distances
        rounding = summing * length**2 + storing * length * distances + measuring * distances**2
        return rounding + 2 * self.dim * self.smallest

    @property
    def _shares(self) -> tuple[float, float, float]:
        """The coefficients of length^2, length x distance and distance^2 in the error."""
        stretch = 1 + 4 * self.storing
        # (v s)^2 counts with the summing, whose error is a multiple of s^2 too.
        summing = (self.dim / 2 + 4) * self.summing * _SECOND_ORDER + self.storing**2
        return summing * stretch**2, self.storing * stretch, (self.dim / 2 + 3) * 2.0**-53
