"""How many balls around the points of one table hold each point of another."""

from __future__ import annotations

import torch

from pointwise.neighbors.marks import marked
from pointwise.neighbors.ruler import Ruler
from pointwise.neighbors.tiles import Tiles


class BallCounts:
    """For every point, the number of closed balls |c - p| <= radius that hold it, for several radii of each centre.

    A pair whose closeness lies within its error of the ball's edge is measured in float64 and decided there.
    """

    def __init__(
        self, centres: torch.Tensor, points: torch.Tensor, tiles: Tiles, radii: torch.Tensor, *, padded: int
    ) -> None:
        self.radii = radii  # float64 [n, number of radii]
        self._ruler = Ruler(centres, points)
        scaled = radii * tiles.frame.scale
        error = tiles.margin(tiles.norms[:, None], scaled)
        dtype = tiles.half_squares.dtype
        # Balls of the padding hold nothing: their edge is above every closeness.
        edges = torch.full((tiles.padded_count, radii.shape[1]), torch.inf, dtype=dtype, device=radii.device)
        self._outside, self._inside = edges, edges.clone()
        self._outside[: len(radii)] = (-(scaled**2) / 2 - error).to(dtype)
        self._inside[: len(radii)] = (-(scaled**2) / 2 + error).to(dtype)
        self._widest = self._outside.amin(dim=1)
        self.counts = torch.zeros(padded, radii.shape[1], dtype=torch.int64, device=radii.device)

    def offer(self, centres: slice, points: slice, closeness: torch.Tensor) -> None:
        """Count the pairs of a tile [centres, points]; it may be a transposed view."""
        held = closeness >= self._widest[centres, None]
        if held.is_contiguous():
            centre, point = marked(held)
        else:
            point, centre = marked(held.t())
        if len(point):
            self._count(closeness[centre, point], centre + centres.start, point + points.start)

    def _count(self, closeness: torch.Tensor, centre: torch.Tensor, point: torch.Tensor) -> None:
        for column in range(self.radii.shape[1]):
            within = closeness >= self._inside[centre, column]
            at_edge = (~within & (closeness >= self._outside[centre, column])).nonzero().squeeze(1)
            if len(at_edge):
                distances = self._ruler.pairs(centre[at_edge], point[at_edge])
                within[at_edge] = distances <= self.radii[centre[at_edge], column]
            self.counts[:, column] += torch.bincount(point[within], minlength=len(self.counts))
