"""Tables cut into tiles, and the product that gives all distances between two tiles at once.

A tile is a block of rows, centred and scaled, in the precision of the candidate search. Its product with another
tile gives *closeness*, -|a - b|^2 / 2, for every pair: the larger, the nearer. Centring is exact for distances
(translation invariance) and keeps the cancellation in |a|^2 + |b|^2 - 2 a.b small; what is left of it is bounded by
`Tiles.margin`, and the choice of neighbours is never trusted beyond that bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pointwise._products import full_precision, product
from pointwise.errors import InputError

GROUP = 32  # tiles are padded to a multiple of this, so that rows can be reduced in equal groups
_WIDTH = 1536  # rows of a tile: 1536 x 1536 float32 is 9 MB, which stays in the last-level cache
_NARROW = 64  # up to this many columns the product is cheap, and float64 spares all repeats
_SMALLEST, _LARGEST = 1e-140, 1e150  # spreads whose squares float64 holds, with room for the sum
_ROWS_AT_ONCE = 512  # converted to float64 at a time: 4 MB at 1024 columns


@dataclass(frozen=True)
class Frame:
    """The origin and the power of two that tables are measured from, so that squares neither cancel nor overflow."""

    centre: torch.Tensor  # float64 [d]
    scale: float


@dataclass(frozen=True)
class Tiles:
    """A table's rows in a frame, cut into tiles of equal width; the last is padded with rows infinitely far away."""

    blocks: tuple[torch.Tensor, ...]  # each [width, d]
    half_squares: torch.Tensor  # [len(blocks) * width], |a|^2 / 2, inf in the padding
    norms: torch.Tensor  # float64 [n], |a|
    frame: Frame
    count: int
    width: int
    dim: int

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def padded_count(self) -> int:
        """Rows with the padding."""
        return len(self.blocks) * self.width

    def padded_rows(self, tile: int) -> slice:
        """The rows of this tile in arrays that are padded as the tiles are."""
        return slice(tile * self.width, (tile + 1) * self.width)

    def margin(self, norms: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """Bound on the error of closeness between a point of this norm and any point within this distance of it."""
        return error_of_closeness(self.dim, self.half_squares.dtype, norms, distances)


def error_of_closeness(dim: int, dtype: torch.dtype, norms: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
    """Bound on the error of -|a - b|^2 / 2 in this precision, from |a| and a bound D on |a - b|.

    |b| is then at most |a| + D; let s = 2|a| + D. With u the unit of rounding, a dot product of length d with a term
    added is off by at most d u s^2 / 2 whatever the order of its summation; rounding the coordinates, the squares, the
    two subtractions and the threshold itself adds less than 4 u s^2, and measuring D a little of float64's d u.
    Products too small for the precision's range, next to a row that is very far out, add d times its smallest number.
    """
    range_of = torch.finfo(dtype)
    return (dim / 2 + 8) * (range_of.eps / 2) * (2 * norms + distances) ** 2 + dim * range_of.tiny


def common_frame(*tables: torch.Tensor) -> Frame:
    """The frame whose origin is the mean of all rows, and in which no row is longer than one."""
    dim, count = tables[0].shape[1], sum(map(len, tables))
    centre = torch.zeros(dim, dtype=torch.float64, device=tables[0].device)
    lowest, highest = torch.full_like(centre, math.inf), torch.full_like(centre, -math.inf)
    for table in tables:
        for rows in table.split(_ROWS_AT_ONCE):
            centre += rows.sum(dim=0, dtype=torch.float64) / count
            lowest, highest = torch.minimum(lowest, rows.amin(dim=0)), torch.maximum(highest, rows.amax(dim=0))
    spread = float(torch.maximum(highest - centre, centre - lowest).max())
    if spread == 0:
        return Frame(centre, 1.0)
    if not _SMALLEST < spread < _LARGEST:
        raise InputError(
            f"the features lie up to {spread:.3g} from their mean, and squares of such distances do not fit into "
            f"float64; between {_SMALLEST:g} and {_LARGEST:g} is allowed. Rescale them: PCE, RCE and RE do not change."
        )
    return Frame(centre, 2.0 ** -math.ceil(math.log2(spread * math.sqrt(dim))))


def tile(table: torch.Tensor, frame: Frame, *, width: int | None = None) -> Tiles:
    """Cut a table into tiles in this frame."""
    count, dim = table.shape
    device = table.device
    dtype = torch.float64 if dim <= _NARROW else torch.float32
    pieces = math.ceil(count / (width or _WIDTH))
    width = math.ceil(count / pieces / GROUP) * GROUP
    pieces = math.ceil(count / width)
    half_squares = torch.full((pieces * width,), math.inf, dtype=torch.float64, device=device)
    norms = torch.empty(count, dtype=torch.float64, device=device)
    blocks = []
    for start in range(0, count, width):
        rows = table[start : start + width]
        block = torch.zeros(width, dim, dtype=dtype, device=device)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = slice(first, min(first + _ROWS_AT_ONCE, len(rows)))
            block[some] = placed(rows[some], frame).to(dtype)
            squares = block[some].double().square().sum(dim=1)
            half_squares[start + some.start : start + some.stop] = squares / 2
            norms[start + some.start : start + some.stop] = squares.sqrt()
        blocks.append(block)
    return Tiles(tuple(blocks), half_squares.to(dtype), norms, frame, count, width, dim)


def placed(rows: torch.Tensor, frame: Frame) -> torch.Tensor:
    """Rows in the frame, float64."""
    return (rows.double() - frame.centre).mul_(frame.scale)


def closeness(left: Tiles, i: int, right: Tiles, j: int) -> torch.Tensor:
    """-|a - b|^2 / 2 for each row a of one tile and b of another, [width, width], -inf in the padding."""
    a, b = left.blocks[i], right.blocks[j]
    half_a, half_b = left.half_squares[left.padded_rows(i)], right.half_squares[right.padded_rows(j)]
    with full_precision(a.device):
        close = product(a, b, -half_b)
    close -= half_a[:, None]
    return close
