"""Neighbours by blocks: every tile against every tile, each product used for all that can be learned from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pointwise.neighbors.balls import BallCounts
from pointwise.neighbors.exact import certified_nearest, repeat_in_float64
from pointwise.neighbors.nearest import Nearest
from pointwise.neighbors.tiles import Tiles, closeness, common_frame, tile

_SPARE = 4  # candidates beyond k: with them nearly every row is certain at once, as the k-th and k+4-th rarely tie

Found = tuple[torch.Tensor, torch.Tensor]  # distances float64 [n, k], indices int64 [n, k]
Progress = Callable[[int, int], None]  # tiles done, tiles in all


@dataclass(frozen=True)
class Crossing:
    """What one pass over all pairs of x and y tells; the parts that were not asked for are None."""

    of_x: Found | None  # the nearest y of each x
    of_y: Found | None  # the nearest x of each y
    y_in_balls_of_x: torch.Tensor | None  # int64 [len(y), number of radii]
    x_in_balls_of_y: torch.Tensor | None  # int64 [len(x), number of radii]


@torch.no_grad()
def within(x: torch.Tensor, k: int, *, width: int | None = None, progress: Progress | None = None) -> Found:
    """The k nearest other rows of every row of x. Each pair of tiles is multiplied once and read both ways."""
    tiles = tile(x, common_frame(x), width=width)
    nearest = Nearest(len(tiles) * tiles.width, k + _SPARE, like=tiles.half_squares)
    total = len(tiles) * (len(tiles) + 1) // 2
    done = 0
    for i in range(len(tiles)):
        for j in range(i, len(tiles)):
            close = closeness(tiles, i, tiles, j)
            if i == j:
                close.fill_diagonal_(-torch.inf)
            nearest.offer(tiles.padded_rows(i), close, j * tiles.width)
            if i != j:
                nearest.offer(tiles.padded_rows(j), close.t(), i * tiles.width)
            done += 1
            if progress:
                progress(done, total)
    return _settle(x, x, tiles, nearest, k, exclude_self=True)


@torch.no_grad()
def across(
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    k_of_x: int = 0,
    k_of_y: int = 0,
    radii_x: torch.Tensor | None = None,
    radii_y: torch.Tensor | None = None,
    width: int | None = None,
    progress: Progress | None = None,
) -> Crossing:
    """One pass over all pairs of x and y: nearest neighbours either way, and counts of balls of given radii."""
    frame = common_frame(x, y)
    tiles_x, tiles_y = tile(x, frame, width=width), tile(y, frame, width=width)
    padded_x, padded_y = len(tiles_x) * tiles_x.width, len(tiles_y) * tiles_y.width
    of_x = Nearest(padded_x, k_of_x + _SPARE, like=tiles_x.half_squares) if k_of_x else None
    of_y = Nearest(padded_y, k_of_y + _SPARE, like=tiles_y.half_squares) if k_of_y else None
    balls_x = None if radii_x is None else BallCounts(x, y, tiles_x, radii_x, padded=padded_y)
    balls_y = None if radii_y is None else BallCounts(y, x, tiles_y, radii_y, padded=padded_x)
    done = 0
    for i in range(len(tiles_x)):
        for j in range(len(tiles_y)):
            close = closeness(tiles_x, i, tiles_y, j)
            rows, columns = tiles_x.padded_rows(i), tiles_y.padded_rows(j)
            if of_x:
                of_x.offer(rows, close, columns.start)
            if of_y:
                of_y.offer(columns, close.t(), rows.start)
            if balls_x:
                balls_x.offer(rows, columns, close)
            if balls_y:
                balls_y.offer(columns, rows, close.t())
            done += 1
            if progress:
                progress(done, len(tiles_x) * len(tiles_y))
    return Crossing(
        of_x and _settle(x, y, tiles_x, of_x, k_of_x, exclude_self=False),
        of_y and _settle(y, x, tiles_y, of_y, k_of_y, exclude_self=False),
        balls_x and balls_x.counts[: len(y)],
        balls_y and balls_y.counts[: len(x)],
    )


def _settle(
    x: torch.Tensor, y: torch.Tensor, tiles: Tiles, candidates: Nearest, k: int, *, exclude_self: bool
) -> Found:
    distances, indices, uncertain = certified_nearest(x, y, tiles, candidates, k)
    if len(uncertain):
        again = repeat_in_float64(
            x, y, uncertain, distances[uncertain, k - 1], tiles.frame, k, exclude_self=exclude_self
        )
        distances[uncertain], indices[uncertain] = again
    return distances, indices
