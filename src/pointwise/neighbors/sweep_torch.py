"""The sweep in plain torch: tiles of both tables are multiplied, and each product is used for all that it can tell."""

import itertools
import math
from dataclasses import dataclass

import torch

from pointwise._products import full_precision, product
from pointwise._types import Steps
from pointwise.neighbors.balls import Balls
from pointwise.neighbors.candidates import Candidates, set_entries
from pointwise.neighbors.frame import Frame
from pointwise.neighbors.sweep import Offers, Placed

_GROUP = 32  # tiles are padded to a multiple of this, so that rows can be reduced in equal groups
_WIDTH = 1536  # rows of a tile: 1536 x 1536 float32 is 9 MB, which stays in the last-level cache
_NARROW = 64  # up to this many columns the product is cheap, and float64 spares all repeats
_SPARE = 8  # candidates beyond k: with them nearly every row is certain at once, as the k-th and k+8-th rarely tie
_ROWS_AT_ONCE = 512  # converted to float64 at a time: 4 MB at 1024 columns


@dataclass(frozen=True)
class Tiles(Placed):
    """A table's rows in a frame, cut into tiles of equal width; the padding is infinitely far from everything."""

    blocks: torch.Tensor  # [tiles, width, d]
    half_squares: torch.Tensor  # [tiles * width], |a|^2 / 2, inf in the padding

    def rows(self, tile: int) -> slice:
        """The rows of this tile in arrays that are padded as the tiles are."""
        width = self.blocks.shape[1]
        return slice(tile * width, (tile + 1) * width)

    def edges(self, balls: Balls) -> torch.Tensor:
        """The closeness below which a pair is in no ball of its centre; balls around the padding hold nothing."""
        edges = balls.outside.amin(dim=1).to(self.half_squares.dtype)
        return torch.nn.functional.pad(edges, (0, len(self.half_squares) - len(edges)), value=torch.inf)


class TorchSweep:
    """Products in full float32, or in float64 up to 64 columns; the k + 8 best candidates of each row are kept."""

    def __init__(self, *, width: int = _WIDTH) -> None:
        self._width = width  # rows of a tile, at most

    def place(self, table: torch.Tensor, frame: Frame) -> Tiles:
        """Cut a table into tiles in this frame."""
        count, dim = table.shape
        dtype = torch.float64 if dim <= _NARROW else torch.float32
        width = math.ceil(count / math.ceil(count / self._width) / _GROUP) * _GROUP
        rows = table.new_zeros(math.ceil(count / width) * width, dim, dtype=dtype)
        squares = table.new_full((len(rows),), math.inf, dtype=torch.float64)
        for start in range(0, count, _ROWS_AT_ONCE):
            some = slice(start, min(start + _ROWS_AT_ONCE, count))
            rows[some] = frame.place(table[some])
            squares[some] = rows[some].double().square().sum(dim=1)
        norms, unit = squares[:count, None].sqrt(), torch.finfo(dtype).eps / 2
        return Tiles(frame, norms, dim, unit, unit, rows.view(-1, width, dim), (squares / 2).to(dtype))

    def closeness(self, x: Tiles, i: int, y: Tiles, j: int) -> torch.Tensor:
        """-|a - b|^2 / 2 for each row a of one tile and b of another, [width, width], -inf in the padding."""
        with full_precision(x.blocks.device):
            close = product(x.blocks[i], y.blocks[j], -y.half_squares[y.rows(j)])
        close -= x.half_squares[x.rows(i), None]
        return close

    def within(self, x: Tiles, k: int, progress: Steps | None) -> Offers:
        """Each pair of tiles is multiplied once and read both ways."""
        kept = Candidates(k + _SPARE, like=x.half_squares)
        pairs = list(itertools.combinations_with_replacement(range(len(x.blocks)), 2))
        for done, (i, j) in enumerate(pairs, start=1):
            close = self.closeness(x, i, x, j)
            if i == j:
                close.fill_diagonal_(-torch.inf)
            kept.see(x.rows(i), close, x.rows(j).start)
            if i != j:
                kept.see(x.rows(j), close.t(), x.rows(i).start)
            if progress:
                progress(done, len(pairs))
        return kept.offers(x)

    def across(
        self, x: Tiles, y: Tiles, k: int, balls: tuple[Balls, Balls] | None, progress: Steps | None
    ) -> tuple[Offers, Offers]:
        """Each tile of x is multiplied by each tile of y once, for both directions and all balls."""
        of_x, of_y = (Candidates(k + _SPARE, like=tiles.half_squares) for tiles in (x, y))
        if balls:
            edge_x, edge_y = x.edges(balls[0]), y.edges(balls[1])
        pairs = list(itertools.product(range(len(x.blocks)), range(len(y.blocks))))
        for done, (i, j) in enumerate(pairs, start=1):
            rows, columns = x.rows(i), y.rows(j)
            close = self.closeness(x, i, y, j)
            of_x.see(rows, close, columns.start)
            if balls:
                of_y.see(columns, close.t(), rows.start)
                row, column = set_entries(close >= edge_x[rows, None])
                balls[0].count(row + rows.start, column + columns.start, close[row, column])
                row, column = set_entries(close >= edge_y[columns])
                balls[1].count(column + columns.start, row + rows.start, close[row, column])
            if progress:
                progress(done, len(pairs))
        return of_x.offers(x), of_y.offers(y)
