"""The passes over tables that were prepared once: neighbours within one, and across two with all that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pointwise._options import one_of
from pointwise._types import Steps
from pointwise.neighbors.balls import Balls
from pointwise.neighbors.certify import Nearest, certified_nearest
from pointwise.neighbors.frame import Frame
from pointwise.neighbors.sweep import Sweep
from pointwise.neighbors.sweep_torch import TorchSweep

# The engines of the search by name.
SWEEPS: dict[str, Sweep[Any]] = {"auto": TorchSweep(), "torch": TorchSweep()}


def sweep_named(engine: str) -> Sweep[Any]:
    """The sweep of this name, or an InputError that lists the names."""
    return SWEEPS[one_of(engine, "engine", SWEEPS)]


@dataclass(frozen=True)
class Crossing:
    """What one pass over all pairs of x and y tells."""

    of_x: Nearest  # the nearest y of each x
    of_y: Nearest  # the nearest x of each y
    y_in_balls_of_x: torch.Tensor  # int64 [len(y), number of radii]
    x_in_balls_of_y: torch.Tensor  # int64 [len(x), number of radii]


class Prepared:
    """A table [n, d], on the device where the passes shall run, with the frame in which it is searched.

    `like` is a table that this one will be crossed with, as the generated ones with the real one: its sweep is taken,
    and its frame unless that suits this one badly, so that one copy serves all passes. The copy is made when it is
    first needed; there is never more than one. Squares of distances that do not fit into float64 raise an InputError.
    """

    @torch.no_grad()
    def __init__(self, table: torch.Tensor, *, sweep: Sweep[Any] | None = None, like: Prepared | None = None) -> None:
        self.table, self.own = table, Frame.of(table)
        self.sweep: Sweep[Any] = like.sweep if like else sweep or SWEEPS["auto"]
        self.frame: Frame = like.frame if like and like.frame.suits(table, self.own) else self.own
        self._placed: Any = None

    def placed(self, frame: Frame) -> Any:
        """The sweep's copy of the table in this frame."""
        if self._placed is None or self._placed.frame is not frame:
            self._placed = None  # let go of before the next is made
            self._placed = self.sweep.place(self.table, frame)
        return self._placed


@torch.no_grad()
def within(x: Prepared, k: int, *, progress: Steps | None = None) -> Nearest:
    """The k nearest other rows of every row of x."""
    return certified_nearest(x.table, x.table, x.sweep.within(x.placed(x.frame), k, progress), k, exclude_self=True)


@torch.no_grad()
def nearest(x: Prepared, y: Prepared, k: int, *, progress: Steps | None = None) -> Nearest:
    """The k nearest rows of y of every row of x."""
    frame = x.frame.holding(y.own)
    offers, _ = x.sweep.across(x.placed(frame), y.placed(frame), k, None, progress)
    return certified_nearest(x.table, y.table, offers, k, exclude_self=False)


@torch.no_grad()
def across(
    x: Prepared, y: Prepared, k: int, *, radii_x: torch.Tensor, radii_y: torch.Tensor, progress: Steps | None = None
) -> Crossing:
    """One pass over all pairs of x and y: the k nearest either way, and who lies in balls around x and around y.

    Radii are float64 [n, number of radii] and [m, number of radii].
    """
    frame = x.frame.holding(y.own)
    placed_x, placed_y = x.placed(frame), y.placed(frame)
    balls = (
        Balls(x.table, y.table, radii_x, placed_x.lowest(radii_x), placed_x.highest(radii_x)),
        Balls(y.table, x.table, radii_y, placed_y.lowest(radii_y), placed_y.highest(radii_y)),
    )
    of_x, of_y = x.sweep.across(placed_x, placed_y, k, balls, progress)
    return Crossing(
        certified_nearest(x.table, y.table, of_x, k, exclude_self=False),
        certified_nearest(y.table, x.table, of_y, k, exclude_self=False),
        balls[0].counts,
        balls[1].counts,
    )
