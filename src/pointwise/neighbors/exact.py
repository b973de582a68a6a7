"""The certificate that no neighbour was missed, and the second search where it cannot be given."""

from __future__ import annotations

import torch

from pointwise.neighbors.nearest import Nearest
from pointwise.neighbors.ruler import Ruler
from pointwise.neighbors.tiles import Frame, Tiles, error_of_closeness, placed

_PAIRS_AT_ONCE = 1 << 20  # that may turn out to be ties
_ROWS_AT_ONCE = 512  # converted to float64 at a time


def certified_nearest(
    x: torch.Tensor, y: torch.Tensor, tiles_x: Tiles, candidates: Nearest, k: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sort candidates by exact distance: distances [n, k], indices [n, k], and the rows whose choice is not certain.

    A row is certain when every partner that was not measured is farther, by more than the error of its closeness,
    than the k-th that was.
    """
    n, depth = tiles_x.count, candidates.depth
    scale, norms = tiles_x.frame.scale, tiles_x.norms[:, None]
    close, order = candidates.closeness[:n].double().sort(dim=1, descending=True)
    partner = candidates.partners[:n].gather(1, order)
    kth = close[:, k - 1 : k]
    error = tiles_x.margin(norms, (-2 * kth).clamp_min_(0).sqrt_())
    measured = (close >= kth - 2 * error).sum(dim=1)  # of each row; what lies beyond can hardly be among the k nearest
    distance = Ruler(x, y).first_partners(partner, measured)
    distance, partner = _by_distance_then_index(distance, partner)
    reach = distance[:, k - 1 : k] * scale
    # Columns were measured by blocks of rows, so some more than counted here may have been: it does no harm.
    unmeasured = close.gather(1, measured.clamp_max(depth - 1)[:, None])
    certain = (unmeasured < -(reach**2) / 2 - tiles_x.margin(norms, reach)).squeeze(1)
    return distance[:, :k], partner[:, :k], (~certain).nonzero().squeeze(1)


def repeat_in_float64(
    x: torch.Tensor,
    y: torch.Tensor,
    rows: torch.Tensor,
    reach: torch.Tensor,
    frame: Frame,
    k: int,
    *,
    exclude_self: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k nearest of these rows of x among all of y, given that each has k within `reach`.

    All pairs whose float64 closeness comes within its error of the reach are measured, so ties are found in full and
    the smallest indices among them are kept.
    """
    distances = torch.empty(len(rows), k, dtype=torch.float64, device=x.device)
    indices = torch.empty(len(rows), k, dtype=torch.int64, device=x.device)
    at_once = max(1, _PAIRS_AT_ONCE // len(y))
    ruler = Ruler(x, y)
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        a = placed(x[some], frame)
        norms = torch.linalg.vector_norm(a, dim=1)
        limit = reach[start : start + at_once] * frame.scale
        bound = -(limit**2) / 2 - error_of_closeness(x.shape[1], torch.float64, norms, limit)
        found = []
        for first in range(0, len(y), _ROWS_AT_ONCE):
            b = placed(y[first : first + _ROWS_AT_ONCE], frame)
            close = torch.addmm(-b.square().sum(dim=1) / 2, a, b.t()).sub_(norms[:, None] ** 2 / 2)
            near = (close >= bound[:, None]).nonzero()
            near[:, 1] += first
            found.append(near[near[:, 1] != some[near[:, 0]]] if exclude_self else near)
        row, partner = torch.cat(found).unbind(dim=1)
        distance = ruler.pairs(some[row], partner)
        order = torch.argsort(distance, stable=True)  # within a row, partners come in ascending order already
        order = order[torch.argsort(row[order], stable=True)]
        partner, distance = partner[order], distance[order]
        count = torch.bincount(row, minlength=len(some))
        take = (count.cumsum(0) - count)[:, None] + torch.arange(k, device=x.device)
        distances[start : start + len(some)], indices[start : start + len(some)] = distance[take], partner[take]
    return distances, indices


def _by_distance_then_index(distance: torch.Tensor, partner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    partner, order = partner.sort(dim=1)
    distance, again = distance.gather(1, order).sort(dim=1, stable=True)
    return distance, partner.gather(1, again)
