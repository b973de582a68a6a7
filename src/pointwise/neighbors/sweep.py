"""The seam between the engines, which are quick, and what makes their results exact.

A *sweep* holds a table in a frame, in its own precision and tiles, and goes over all pairs of rows once. It may be
wrong about every distance, but not about how wrong: it offers candidates, says what bounds all that it did not offer,
and states what its closeness can be at a distance. `certify` measures the candidates, proves the choice from these
statements, and searches again in float64 where they prove nothing. So every sweep gives the same results.

*Closeness* is what a sweep computes for a pair; the larger, the nearer. `certify` knows nothing else of it than what
`lowest` and `highest` say. (It expects about -|a - b|^2 / 2 in the frame, and works more where that is far off.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from pointwise._types import Steps
from pointwise.neighbors.balls import Balls
from pointwise.neighbors.frame import Frame


class Placed(Protocol):
    """A table as a sweep holds it; n rows."""

    frame: Frame

    def lowest(self, distances: torch.Tensor) -> torch.Tensor:
        """Whatever lies within these distances [n, c] of the rows has at least this closeness, float64 [n, c]."""

    def highest(self, distances: torch.Tensor) -> torch.Tensor:
        """Whatever has more closeness than this lies within these distances [n, c] of the rows, float64 [n, c]."""


@dataclass(frozen=True)
class Offers:
    """The candidates of every row of a table, in any order, each at most once and never the row itself."""

    partners: torch.Tensor  # int64 [n, depth]
    closeness: torch.Tensor  # [n, depth]; -inf where there is no candidate
    beyond: torch.Tensor  # [n]; no partner that is not offered has more closeness


P = TypeVar("P", bound=Placed)


class Sweep(Protocol[P]):
    """An engine of the search."""

    def place(self, table: torch.Tensor, frame: Frame) -> P:
        """Hold a table in a frame: about one copy of it."""

    def within(self, x: P, depth: int, progress: Steps | None) -> Offers:
        """Go over all pairs of different rows of one table; `depth` candidates or so for each row."""

    def across(
        self, x: P, y: P, depth_x: int, depth_y: int, balls: tuple[Balls, Balls] | None, progress: Steps | None
    ) -> tuple[Offers, Offers]:
        """Go over all pairs of rows of two tables; count those in balls around x and around y if there are any.

        A depth of 0 asks for no candidates of that side.
        """
