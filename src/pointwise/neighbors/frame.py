"""Frame: the origin and the scale that tables are placed in before they are multiplied.

Any frame gives the same neighbours, since what it blurs is measured again. A good one is quick: an origin amid the rows
keeps the cancellation in |a|^2 + |b|^2 - 2 a.b small, a power of two keeps squares within the range of float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pointwise.errors import InputError

_SMALLEST, _LARGEST = 1e-140, 1e150  # distances whose squares float64 holds, with room for the sum
_FARTHEST = 2.0**20  # where the farthest row is put: rows 2^-71 as far out still have squares in float32
_NEARER, _BEYOND = 2.0**-40, 2.0**40  # how much narrower or wider another table may be in the same frame
_SAMPLE = 128  # rows that tell where the middle is


@dataclass(frozen=True, eq=False)
class Frame:
    """A cube that holds a table: its centre is the origin, and how far its sides are gives the scale."""

    centre: torch.Tensor  # float64 [d]
    reach: float

    def __post_init__(self) -> None:
        if not (self.reach == 0 or _SMALLEST < self.reach < _LARGEST):
            raise InputError(
                f"the features lie up to {self.reach:.3g} from their middle, and such squares do not fit into float64; "
                f"between {_SMALLEST:g} and {_LARGEST:g} is allowed. Rescale them: PCE, RCE and RE do not change."
            )

    @staticmethod
    def of(table: torch.Tensor) -> Frame:
        """The table's own frame, from the median of a sample, which no row far out draws away as it would a mean."""
        centre = _sample(table).median(dim=0).values
        least, most = table.aminmax(dim=0)
        return Frame(centre, float(torch.maximum(most - centre, centre - least).max()))

    @property
    def scale(self) -> float:
        """The power of two that rows are multiplied by."""
        longest = self.reach * math.sqrt(len(self.centre))
        return _FARTHEST * 2.0 ** -math.ceil(math.log2(longest)) if longest else 1.0

    def holding(self, other: Frame) -> Frame:
        """This frame if the table of the other has its place in it, else one of the same origin that holds both."""
        reach = float((other.centre - self.centre).abs().max()) + other.reach
        return self if reach <= _BEYOND * self.reach else Frame(self.centre, reach)

    def place(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows in the frame, float64."""
        return (rows.double() - self.centre).mul_(self.scale)

    def suits(self, table: torch.Tensor, own: Frame) -> bool:
        """Whether neighbours within a table are as quickly found here as in its own frame."""
        away = _sample(table) - self.centre
        middle = away.mean(dim=0)
        width = (away - middle).square().sum(dim=1).mean()
        # Seen from twice the rows' width away, the error of a closeness is five times that from amid them.
        amid = bool(middle.square().sum() <= 4 * width)
        return amid and own.reach >= _NEARER * self.reach and self.holding(own) is self


def _sample(table: torch.Tensor) -> torch.Tensor:
    chosen = torch.linspace(0, len(table) - 1, min(len(table), _SAMPLE), dtype=torch.float64, device=table.device)
    return table[chosen.long()].double()
