"""What makes every sweep exact: candidates are measured, their choice is proved, and where it cannot be, made again."""

from typing import NamedTuple

import torch

from pointwise.neighbors.balls import measure
from pointwise.neighbors.frame import Frame
from pointwise.neighbors.sweep import Offers, Placed

_PAIRS_AT_ONCE = 1 << 20  # in float64, all of which may turn out to be ties
_UNIT = 2.0**-53  # of rounding
_ROWS_AT_ONCE = 512  # converted to float64 at a time


class Nearest(NamedTuple):
    """The k nearest partners of n rows, nearest first; on the device of the tables."""

    distances: torch.Tensor  # float64 [n, k]
    indices: torch.Tensor  # int64 [n, k]


def certified_nearest(x: torch.Tensor, y: torch.Tensor, offers: Offers, k: int, *, exclude_self: bool) -> Nearest:
    """The k nearest rows of y of each row of x, of which a sweep offers candidates.

    A row is certain when no partner that was not measured has the closeness that every partner within the distance of
    the k-th would have. That is a proof whatever was measured; how much is, decides only how often it succeeds.
    """
    placed = offers.placed
    close, order = offers.closeness.double().sort(dim=1, descending=True)
    partner = offers.partners.gather(1, order)
    # The k best candidates lie within about this distance, and what lies as near may have this much less closeness.
    kth = close[:, k - 1 : k]
    about = (-2 * kth).clamp_min_(0).sqrt_() / placed.frame.scale
    measured = (close >= kth - (placed.highest(about) - placed.lowest(about))) & (close > -torch.inf)
    place = measured.flatten().nonzero().squeeze(1)
    distance = torch.full_like(close, torch.inf)
    distance.view(-1)[place] = measure(x, y, place // close.shape[1], partner.view(-1)[place])
    unmeasured = close.masked_fill(measured, -torch.inf).amax(dim=1).maximum(offers.beyond)
    partner, order = partner.sort(dim=1)  # of equal distances the smaller index comes first
    distance, order = distance.gather(1, order).sort(dim=1, stable=True)
    partner = partner.gather(1, order)
    certain = unmeasured < placed.lowest(distance[:, k - 1 : k]).squeeze(1)  # which nan is not
    uncertain = (~certain).nonzero().squeeze(1)
    distance, partner = distance[:, :k], partner[:, :k]
    if len(uncertain):
        surely = _nearest_in_float64(x, y, uncertain, placed.frame, k, exclude_self=exclude_self)
        distance[uncertain], partner[uncertain] = surely
    return Nearest(distance, partner)


def _nearest_in_float64(
    x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor, frame: Frame, k: int, *, exclude_self: bool
) -> Nearest:
    """The k nearest of these rows of x among all of y, whatever a sweep said of them.

    The k of most closeness in float64 are measured: no neighbour is farther than the farthest of them. Then all pairs
    that closeness allows to be as near are measured, so ties are seen in full and the smallest indices are kept.
    """
    nearest = []
    for some in rows.split(max(1, _PAIRS_AT_ONCE // len(y))):
        a = frame.place(x[some])
        placed = Placed(frame, torch.linalg.vector_norm(a, dim=1, keepdim=True), x.shape[1], _UNIT, _UNIT)
        close = a.new_empty(len(some), len(y))
        for first in range(0, len(y), _ROWS_AT_ONCE):
            b = frame.place(y[first : first + _ROWS_AT_ONCE])
            torch.addmm(-b.square().sum(dim=1) / 2, a, b.t(), out=close[:, first : first + len(b)])
        close -= placed.norms**2 / 2
        if exclude_self:
            close[torch.arange(len(some), device=x.device), some] = -torch.inf
        best = close.topk(k, dim=1, sorted=False).indices
        reach = measure(x, y, some.repeat_interleave(k), best.flatten()).view(-1, k).amax(dim=1, keepdim=True)
        row, partner = (close >= placed.lowest(reach)).nonzero(as_tuple=True)
        distance = measure(x, y, some[row], partner)
        order = torch.argsort(distance, stable=True)  # within a row, partners come in ascending order already
        order = order[torch.argsort(row[order], stable=True)]
        count = torch.bincount(row, minlength=len(some))
        best = order[(count.cumsum(0) - count)[:, None] + torch.arange(k, device=x.device)]
        nearest.append((distance[best], partner[best]))
    return Nearest(*map(torch.cat, zip(*nearest, strict=True)))
