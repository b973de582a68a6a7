"""How many balls around the points of one table hold each point of another."""

from __future__ import annotations

import torch

from pointwise.neighbors.ruler import Ruler


class Balls:
    """Closed balls |c - p| <= radius, several around each centre, and for every point the number that hold it.

    A sweep need not look at pairs of less closeness than `outside`, which is sure; it shows the others to `count`.
    """

    def __init__(
        self, ruler: Ruler, radii: torch.Tensor, outside: torch.Tensor, inside: torch.Tensor, points: int
    ) -> None:
        self.radii, self.outside, self.inside = radii, outside, inside  # float64 [n, number of radii]
        self.counts = torch.zeros(points, radii.shape[1], dtype=torch.int64, device=radii.device)
        self._ruler = ruler  # from centres to points

    def count(self, centre: torch.Tensor, point: torch.Tensor, closeness: torch.Tensor) -> None:
        """Count these pairs, each shown once; one that neither edge decides is measured."""
        for column in range(self.radii.shape[1]):
            within = closeness > self.inside[centre, column]
            at_edge = (~within & (closeness >= self.outside[centre, column])).nonzero().squeeze(1)
            if len(at_edge):
                distances = self._ruler.pairs(centre[at_edge], point[at_edge])
                within[at_edge] = distances <= self.radii[centre[at_edge], column]
            self.counts[:, column] += torch.bincount(point[within], minlength=len(self.counts))
