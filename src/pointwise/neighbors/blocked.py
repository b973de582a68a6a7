"""Neighbours by blocks: every tile against every tile, each product used for all that can be learned from it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from pointwise.neighbors.balls import BallCounts
from pointwise.neighbors.exact import certified_nearest, repeat_in_float64
from pointwise.neighbors.nearest import Nearest
from pointwise.neighbors.tiles import Tiles, closeness, common_frame, tile

_SPARE = 8  # candidates beyond k: with them nearly every row is certain at once, as the k-th and k+8-th rarely tie

Found = tuple[torch.Tensor, torch.Tensor]  # distances float64 [n, k], indices int64 [n, k]
Progress = Callable[[int, int], None]  # tiles done, tiles in all


@dataclass(frozen=True)
class Crossing:
    """What one pass over all pairs of x and y tells."""

    of_x: Found  # the nearest y of each x
    of_y: Found  # the nearest x of each y
    y_in_balls_of_x: torch.Tensor  # int64 [len(y), number of radii]
    x_in_balls_of_y: torch.Tensor  # int64 [len(x), number of radii]


@torch.no_grad()
def within(x: torch.Tensor, k: int, *, width: int | None = None, progress: Progress | None = None) -> Found:
    """The k nearest other rows of every row of x. Each pair of tiles is multiplied once and read both ways."""
    tiles = tile(x, common_frame(x), width=width)
    candidates = _candidates(tiles, k)
    total = len(tiles) * (len(tiles) + 1) // 2
    done = 0
    for i in range(len(tiles)):
        for j in range(i, len(tiles)):
            close = closeness(tiles, i, tiles, j)
            if i == j:
                close.fill_diagonal_(-torch.inf)
            candidates.offer(tiles.padded_rows(i), close, j * tiles.width)
            if i != j:
                candidates.offer(tiles.padded_rows(j), close.t(), i * tiles.width)
            done += 1
            if progress:
                progress(done, total)
    return _settle(x, x, tiles, candidates, k, exclude_self=True)


@torch.no_grad()
def nearest(
    x: torch.Tensor, y: torch.Tensor, k: int, *, width: int | None = None, progress: Progress | None = None
) -> Found:
    """The k nearest rows of y of every row of x."""
    frame = common_frame(x, y)
    tiles_x, tiles_y = tile(x, frame, width=width), tile(y, frame, width=width)
    of_x = _candidates(tiles_x, k)
    for rows, columns, close in _sweep(tiles_x, tiles_y, progress):
        of_x.offer(rows, close, columns.start)
    return _settle(x, y, tiles_x, of_x, k, exclude_self=False)


@torch.no_grad()
def across(
    x: torch.Tensor,
    y: torch.Tensor,
    k: int,
    *,
    radii_x: torch.Tensor,
    radii_y: torch.Tensor,
    width: int | None = None,
    progress: Progress | None = None,
) -> Crossing:
    """One pass over all pairs of x and y: the k nearest either way, and who lies in balls of these radii.

    Args:
        x: [n, d].
        y: [m, d].
        k: neighbours of each row of x among y, and of each row of y among x.
        radii_x: float64 [n, number of radii], of the balls around x in which y are counted.
        radii_y: float64 [m, number of radii], of the balls around y in which x are counted.
        width: rows of a tile, for tests.
        progress: called with (tiles done, tiles in all).
    """
    frame = common_frame(x, y)
    tiles_x, tiles_y = tile(x, frame, width=width), tile(y, frame, width=width)
    of_x, of_y = _candidates(tiles_x, k), _candidates(tiles_y, k)
    balls_x = BallCounts(x, y, tiles_x, radii_x, padded=tiles_y.padded_count)
    balls_y = BallCounts(y, x, tiles_y, radii_y, padded=tiles_x.padded_count)
    for rows, columns, close in _sweep(tiles_x, tiles_y, progress):
        of_x.offer(rows, close, columns.start)
        of_y.offer(columns, close.t(), rows.start)
        balls_x.offer(rows, columns, close)
        balls_y.offer(columns, rows, close.t())
    return Crossing(
        _settle(x, y, tiles_x, of_x, k, exclude_self=False),
        _settle(y, x, tiles_y, of_y, k, exclude_self=False),
        balls_x.counts[: len(y)],
        balls_y.counts[: len(x)],
    )


def _sweep(tiles_x: Tiles, tiles_y: Tiles, progress: Progress | None) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Every tile of x against every tile of y: the rows and columns that it spans, padding included, and closeness."""
    for done, (i, j) in enumerate(itertools.product(range(len(tiles_x)), range(len(tiles_y)))):
        yield tiles_x.padded_rows(i), tiles_y.padded_rows(j), closeness(tiles_x, i, tiles_y, j)
        if progress:
            progress(done + 1, len(tiles_x) * len(tiles_y))


def _candidates(tiles: Tiles, k: int) -> Nearest:
    return Nearest(tiles.padded_count, k + _SPARE, like=tiles.half_squares)


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
