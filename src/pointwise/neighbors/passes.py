"""The passes over tables that were prepared once: neighbours within one, and across two with all that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from pointwise._options import one_of
from pointwise._types import Steps
from pointwise.neighbors.balls import Balls
from pointwise.neighbors.certify import certified_nearest
from pointwise.neighbors.frame import Frame
from pointwise.neighbors.sweep import Sweep
from pointwise.neighbors.sweep_torch import TorchSweep

# The engines of the search by name.
SWEEPS: dict[str, Sweep[Any]] = {"auto": TorchSweep(), "torch": TorchSweep()}


def sweep_named(engine: str) -> Sweep[Any]:
    """The sweep of this name, or an InputError that lists the names."""
    return SWEEPS[one_of(engine, "engine", SWEEPS)]


class Nearest(NamedTuple):
    """The k nearest partners of n rows, nearest first; on the device of the tables."""

    distances: torch.Tensor  # float64 [n, k]
    indices: torch.Tensor  # int64 [n, k]


@dataclass(frozen=True)
class Crossing:
    """What one pass over all pairs of x and y tells."""

    of_x: Nearest  # the nearest y of each x
    of_y: Nearest  # the nearest x of each y
    y_in_balls_of_x: torch.Tensor  # int64 [len(y), number of radii]
    x_in_balls_of_y: torch.Tensor  # int64 [len(x), number of radii]


class Prepared:
    """A table and the frame in which it is searched, ready for any number of passes.

    The sweep's copy of it is made when it is first needed and kept for as long as the frame stays the same; there is
    never more than one.
    """

    def __init__(self, table: torch.Tensor, sweep: Sweep[Any], own: Frame, frame: Frame) -> None:
        self.table, self.sweep, self.own, self.frame = table, sweep, own, frame
        self._placed: Any = None

    def placed(self, frame: Frame) -> Any:
        """The sweep's copy of the table in this frame."""
        if self._placed is None or self._placed.frame is not frame:
            self._placed = None  # let go of before the next is made
            self._placed = self.sweep.place(self.table, frame)
        return self._placed


@torch.no_grad()
def prepare(table: torch.Tensor, *, sweep: Sweep[Any] | None = None, like: Prepared | None = None) -> Prepared:
    """Prepare a table [n, d] of float32 or float64, on the device where the passes shall run.

    `like` is a table that this one will be crossed with, as the generated ones with the real one: its sweep is taken,
    and its frame unless that suits this one badly, so that one copy serves all passes.

    Raises:
        InputError: squares of distances do not fit into float64.
    """
    own = Frame.of(table)
    if like is None:
        return Prepared(table, sweep or SWEEPS["auto"], own, own)
    return Prepared(table, like.sweep, own, like.frame if like.frame.suits(table, own) else own)


@torch.no_grad()
def within(x: Prepared, k: int, *, progress: Steps | None = None) -> Nearest:
    """The k nearest other rows of every row of x."""
    placed = x.placed(x.frame)
    offers = x.sweep.within(placed, k, progress)
    return Nearest(*certified_nearest(x.table, x.table, placed, offers, k, exclude_self=True))


@torch.no_grad()
def nearest(x: Prepared, y: Prepared, k: int, *, progress: Steps | None = None) -> Nearest:
    """The k nearest rows of y of every row of x."""
    frame = x.frame.holding(y.own)
    placed = x.placed(frame)
    offers, _ = x.sweep.across(placed, y.placed(frame), k, None, progress)
    return Nearest(*certified_nearest(x.table, y.table, placed, offers, k, exclude_self=False))


@torch.no_grad()
def across(
    x: Prepared,
    y: Prepared,
    k: int,
    *,
    radii_x: torch.Tensor,
    radii_y: torch.Tensor,
    progress: Steps | None = None,
) -> Crossing:
    """One pass over all pairs of x and y: the k nearest either way, and who lies in balls of these radii.

    Args:
        x: n rows, in whose frame both are searched.
        y: m rows.
        k: neighbours of each row of x among y, and of each row of y among x.
        radii_x: float64 [n, number of radii], of the balls around x in which y are counted.
        radii_y: float64 [m, number of radii], of the balls around y in which x are counted.
        progress: called with (steps done, steps in all).
    """
    frame = x.frame.holding(y.own)
    placed_x, placed_y = x.placed(frame), y.placed(frame)
    balls = (
        Balls(x.table, y.table, radii_x, placed_x.lowest(radii_x), placed_x.highest(radii_x)),
        Balls(y.table, x.table, radii_y, placed_y.lowest(radii_y), placed_y.highest(radii_y)),
    )
    of_x, of_y = x.sweep.across(placed_x, placed_y, k, balls, progress)
    return Crossing(
        Nearest(*certified_nearest(x.table, y.table, placed_x, of_x, k, exclude_self=False)),
        Nearest(*certified_nearest(y.table, x.table, placed_y, of_y, k, exclude_self=False)),
        balls[0].counts,
        balls[1].counts,
    )
