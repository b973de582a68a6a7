"""The seam between the engines, which are quick, and what makes their results exact.

A *sweep* holds tables in a frame, in its own precision and tiles, and goes over all pairs of rows once. It may be wrong
about every distance, but not about how wrong: it offers candidates, says what bounds all that it did not offer, and
states what its closeness can be at a distance. `certify` measures the candidates, proves the choice from these
statements, and searches again in float64 where they prove nothing. So every sweep gives the same results.

*Closeness* is what a sweep computes of a pair, about c = -|a - b|^2 / 2 for rows a and b in the frame: the larger, the
nearer. It stores a as a', b as b', and computes a'.b' - |b'|^2 / 2 - |a'|^2 / 2. Let N = |a'|, let b lie within a
distance D of a, let v be the unit of rounding with which rows are *stored* and u the one with which the product is
*summed*: 2^-24 in float32, 2^-8 in bfloat16, which rounds to 8 bits. As |b| <= |a| + D, the length
s = (1 + 4 v) (2 N + D) is at least |a| + |b| and at least |a'| + |b'|. Closeness is off by no more than:

1. Storing moves a - b by at most v (|a| + |b|) <= v s, so c by at most v s D + (v s)^2 / 2.
2. Summing d products and one term more, in any order, is off by at most (d + 1) u (|a'| |b'| + |b'|^2 / 2). Rounding
   the half squares, the last difference, and an edge that is compared with it adds at most u s^2 / 2 each. In all, less
   than (d / 2 + 4) u s^2.
3. Distances are measured in float64, by subtraction: of their squares, (d + 6) 2^-53 may be rounding.
4. What is too small for the range may become zero: 2 d times float32's smallest number, which is bfloat16's too.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from pointwise._types import Steps
from pointwise.neighbors.balls import Balls
from pointwise.neighbors.frame import Frame

P = TypeVar("P", bound="Placed")
_SMALLEST = 2.0**-126
_SECOND_ORDER = 1 + 2.0**-10  # products of roundings, for rows of up to 2^-13 / u columns


@dataclass(frozen=True)
class Placed:
    """A table of n rows as a sweep holds it, and what closeness can be at a distance from each of them."""

    frame: Frame
    norms: torch.Tensor  # float64 [n, 1], |a'|
    dim: int
    storing: float  # v
    summing: float  # u

    def lowest(self, distances: torch.Tensor) -> torch.Tensor:
        """Whatever lies within these distances [n, c] of the rows has at least this closeness: -D^2 / 2 - error(D)."""
        scaled = distances * self.frame.scale
        return -(scaled**2) / 2 - self._error(scaled)

    def highest(self, distances: torch.Tensor) -> torch.Tensor:
        """Whatever has more closeness than this lies within these distances [n, c] of the rows.

        At distance D closeness is at most f(D) = -D^2 / 2 + error(D), which falls only beyond some D*, since the error
        grows with D too. So the answer is f at D or at D*, whichever is the farther.
        """
        summing, storing, measuring = self._shares()
        falling = 1 - 2 * (summing + storing + measuring)
        if falling <= 0:  # no closeness proves anything
            return torch.full_like(distances, torch.inf)
        scaled = torch.maximum(distances * self.frame.scale, self.norms * (4 * summing + 2 * storing) / falling)
        return -(scaled**2) / 2 + self._error(scaled)

    def _error(self, scaled: torch.Tensor) -> torch.Tensor:
        summing, storing, measuring = self._shares()
        length = 2 * self.norms + scaled
        rounding = summing * length**2 + storing * length * scaled + measuring * scaled**2
        return rounding + 2 * self.dim * _SMALLEST

    def _shares(self) -> tuple[float, float, float]:
        """The coefficients of (2 N + D)^2, (2 N + D) D and D^2 in the error."""
        stretch = 1 + 4 * self.storing  # of s
        summing = (self.dim / 2 + 4) * self.summing * _SECOND_ORDER + self.storing**2
        return summing * stretch**2, self.storing * stretch, (self.dim / 2 + 3) * 2.0**-53


@dataclass(frozen=True)
class Offers:
    """The candidates of every row of a table, in any order, each at most once and never the row itself."""

    placed: Placed  # which says what their closeness means
    partners: torch.Tensor  # int64 [n, at least k]
    closeness: torch.Tensor  # of the same shape; -inf where there is no candidate
    beyond: torch.Tensor  # [n]; no partner that is not offered has more closeness


class Sweep(Protocol[P]):
    """An engine of the search."""

    def place(self, table: torch.Tensor, frame: Frame) -> P:
        """Hold a table in a frame: about one copy of it."""

    def within(self, x: P, k: int, progress: Steps | None) -> Offers:
        """Go over all pairs of different rows of one table; offer k candidates of each, and some to spare."""

    def across(
        self, x: P, y: P, k: int, balls: tuple[Balls, Balls] | None, progress: Steps | None
    ) -> tuple[Offers, Offers]:
        """Go over all pairs of two tables: candidates of both and counts in their balls; or, without, of x alone."""
