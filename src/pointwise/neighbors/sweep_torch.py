"""The sweep in plain torch: tiles of both tables are multiplied, and each product is used for all that it can tell.

A tile is a block of rows in float32, or in float64 where there are few columns. What tiles are padded with is
infinitely far from everything.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch

from pointwise._products import full_precision, product
from pointwise._types import Steps
from pointwise.neighbors.balls import Balls
from pointwise.neighbors.bound import Bound
from pointwise.neighbors.candidates import Candidates, set_entries
from pointwise.neighbors.frame import Frame
from pointwise.neighbors.sweep import Offers

_GROUP = 32  # tiles are padded to a multiple of this, so that rows can be reduced in equal groups
_WIDTH = 1536  # rows of a tile: 1536 x 1536 float32 is 9 MB, which stays in the last-level cache
_NARROW = 64  # up to this many columns the product is cheap, and float64 spares all repeats
_ROWS_AT_ONCE = 512  # converted to float64 at a time: 4 MB at 1024 columns


@dataclass(frozen=True)
class Tiles:
    """A table's rows in a frame, cut into tiles of equal width."""

    frame: Frame
    bound: Bound
    blocks: tuple[torch.Tensor, ...]  # each [width, d]
    half_squares: torch.Tensor  # [len(blocks) * width], |a|^2 / 2, inf in the padding
    norms: torch.Tensor  # float64 [n, 1], |a|
    width: int

    def rows(self, tile: int) -> slice:
        """The rows of this tile in arrays that are padded as the tiles are."""
        return slice(tile * self.width, (tile + 1) * self.width)

    def lowest(self, distances: torch.Tensor) -> torch.Tensor:
        """Whatever lies within these distances [n, c] of the rows has at least this closeness."""
        return self.bound.lowest(self.norms, distances * self.frame.scale)

    def highest(self, distances: torch.Tensor) -> torch.Tensor:
        """Whatever has more closeness than this lies within these distances [n, c] of the rows."""
        return self.bound.highest(self.norms, distances * self.frame.scale)


class TorchSweep:
    """Products in full float32, or in float64 up to 64 columns; the k + some best candidates of each row are kept."""

    def __init__(self, *, width: int = _WIDTH) -> None:
        self._width = width  # rows of a tile, at most

    def bound(self, dim: int) -> Bound:
        """The bound of the error of `closeness`."""
        dtype = self._dtype(dim)
        return Bound.of(dim, storing=dtype, summing=dtype)

    def place(self, table: torch.Tensor, frame: Frame) -> Tiles:
        """Cut a table into tiles in this frame."""
        count, dim = table.shape
        width = math.ceil(count / math.ceil(count / self._width) / _GROUP) * _GROUP
        blocks, squares = [], torch.full((math.ceil(count / width) * width,), math.inf, dtype=torch.float64)
        squares = squares.to(table.device)
        for start in range(0, count, width):
            block = torch.zeros(width, dim, dtype=self._dtype(dim), device=table.device)
            for first in range(start, min(start + width, count), _ROWS_AT_ONCE):
                rows = table[first : min(first + _ROWS_AT_ONCE, start + width)]
                stored = self.stored(frame.place(rows))
                block[first - start : first - start + len(rows)] = stored
                squares[first : first + len(rows)] = stored.double().square().sum(dim=1)
            blocks.append(block)
        halves = (squares / 2).to(self._dtype(dim))
        return Tiles(frame, self.bound(dim), tuple(blocks), halves, squares[:count, None].sqrt(), width)

    def stored(self, rows: torch.Tensor) -> torch.Tensor:
        """Placed rows, float64, as they are multiplied."""
        return rows.to(self._dtype(rows.shape[1]))

    def closeness(self, x: Tiles, i: int, y: Tiles, j: int) -> torch.Tensor:
        """-|a - b|^2 / 2 for each row a of one tile and b of another, [width, width], -inf in the padding."""
        with full_precision(x.half_squares.device):
            close = product(x.blocks[i], y.blocks[j], -y.half_squares[y.rows(j)])
        close -= x.half_squares[x.rows(i), None]
        return close

    def within(self, x: Tiles, depth: int, progress: Steps | None) -> Offers:
        """Each pair of tiles is multiplied once and read both ways."""
        kept = Candidates(len(x.half_squares), depth, like=x.half_squares)
        pairs = list(itertools.combinations_with_replacement(range(len(x.blocks)), 2))
        for done, (i, j) in enumerate(pairs, start=1):
            close = self.closeness(x, i, x, j)
            if i == j:
                close.fill_diagonal_(-torch.inf)
            kept.see(x.rows(i), close, j * x.width)
            if i != j:
                kept.see(x.rows(j), close.t(), i * x.width)
            if progress:
                progress(done, len(pairs))
        return kept.offers(len(x.norms))

    def across(
        self, x: Tiles, y: Tiles, depth_x: int, depth_y: int, balls: tuple[Balls, Balls] | None, progress: Steps | None
    ) -> tuple[Offers, Offers]:
        """Every tile of x is multiplied by every tile of y; the product serves both directions and all balls."""
        of_x = Candidates(len(x.half_squares), depth_x, like=x.half_squares)
        of_y = Candidates(len(y.half_squares), depth_y, like=y.half_squares)
        edges = [_widest(sides, tiles) for sides, tiles in zip(balls, (x, y), strict=True)] if balls else []
        pairs = list(itertools.product(range(len(x.blocks)), range(len(y.blocks))))
        for done, (i, j) in enumerate(pairs, start=1):
            close = self.closeness(x, i, y, j)
            of_x.see(x.rows(i), close, j * y.width)
            of_y.see(y.rows(j), close.t(), i * x.width)
            if balls:
                row, column = set_entries(close >= edges[0][x.rows(i), None])
                balls[0].count(row + i * x.width, column + j * y.width, close[row, column])
                row, column = set_entries(close >= edges[1][y.rows(j)])
                balls[1].count(column + j * y.width, row + i * x.width, close[row, column])
            if progress:
                progress(done, len(pairs))
        return of_x.offers(len(x.norms)), of_y.offers(len(y.norms))

    @staticmethod
    def _dtype(dim: int) -> torch.dtype:
        return torch.float64 if dim <= _NARROW else torch.float32


def _widest(balls: Balls, tiles: Tiles) -> torch.Tensor:
    """The closeness below which a pair is in no ball of its centre; balls around the padding hold nothing."""
    widest = torch.full_like(tiles.half_squares, torch.inf)
    widest[: len(tiles.norms)] = balls.outside.amin(dim=1).to(widest.dtype)
    return widest
