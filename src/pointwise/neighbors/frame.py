"""Frame: the origin and the scale that tables are placed in before they are multiplied.

Any frame gives the same neighbours, since what it blurs is measured again. A good one is quick: an origin amid the rows
keeps the cancellation in |a|^2 + |b|^2 - 2 a.b small, a power of two keeps squares within the range of float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pointwise.errors import InputError

_SMALLEST, _LARGEST = 1e-140, 1e150  # spans whose squares float64 holds, with room for the sum
_FARTHEST = 2.0**20  # where a scale puts the farthest row: rows 2^-71 as far still have squares in float32
_NEARER, _BEYOND = 2.0**-20, 2.0**60  # what the farthest row of another table may come to in the same frame
_SAMPLE = 512  # rows that tell where the middle is


@dataclass(frozen=True)
class Extent:
    """The box that holds a table."""

    least: torch.Tensor  # float64 [d]
    most: torch.Tensor

    @staticmethod
    def of(table: torch.Tensor) -> Extent:
        """The box of a table, which must not be too small or too large for squares."""
        least, most = table.aminmax(dim=0)
        return Extent(least.double(), most.double()).checked()

    def checked(self) -> Extent:
        """Itself, where squares of distances within it fit into float64."""
        span = float((self.most - self.least).max())
        if span == 0 or _SMALLEST < span < _LARGEST:
            return self
        raise InputError(
            f"the features span up to {span:.3g}, and squares of such distances do not fit into "
            f"float64; between {_SMALLEST:g} and {_LARGEST:g} is allowed. Rescale them: PCE, RCE and RE do not change."
        )

    def joined(self, other: Extent) -> Extent:
        """The box that holds both."""
        return Extent(torch.minimum(self.least, other.least), torch.maximum(self.most, other.most)).checked()

    def farthest(self, centre: torch.Tensor) -> float:
        """What no point of the box is farther than from this one."""
        return float(torch.linalg.vector_norm(torch.maximum(self.most - centre, centre - self.least)))


@dataclass(frozen=True, eq=False)
class Frame:
    """An origin and a power of two."""

    centre: torch.Tensor  # float64 [d]
    scale: float

    @staticmethod
    def of(table: torch.Tensor, extent: Extent) -> Frame:
        """The frame whose origin is the mean of a sample's rows, without those far out, which would draw it away."""
        sample = _sample(table)
        away = torch.linalg.vector_norm(sample - sample.median(dim=0).values, dim=1)
        return Frame(sample[away <= 4 * away.median()].mean(dim=0), 1.0).scaled(extent)

    def scaled(self, extent: Extent) -> Frame:
        """The same origin, and a scale for what this box holds."""
        farthest = extent.farthest(self.centre)
        scale = _FARTHEST * 2.0 ** -math.ceil(math.log2(farthest)) if farthest else 1.0
        return Frame(self.centre, scale)

    def holds(self, extent: Extent) -> bool:
        """Whether squares neither overflow nor vanish here."""
        farthest = extent.farthest(self.centre) * self.scale
        return farthest == 0 or _NEARER <= farthest <= _BEYOND

    def suits(self, table: torch.Tensor, extent: Extent) -> bool:
        """Whether neighbours within this table are as quickly found here as in a frame of its own."""
        away = _sample(table) - self.centre
        middle = away.mean(dim=0)
        width = (away - middle).square().sum(dim=1).mean()
        # Seen from twice the rows' width away, the error of a closeness is five times that from amid them.
        return self.holds(extent) and bool(middle.square().sum() <= 4 * width)

    def place(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows in the frame, float64."""
        return (rows.double() - self.centre).mul_(self.scale)


def _sample(table: torch.Tensor) -> torch.Tensor:
    chosen = torch.linspace(0, len(table) - 1, min(len(table), _SAMPLE), dtype=torch.float64, device=table.device)
    return table[chosen.long()].double()
