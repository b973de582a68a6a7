"""Distances by exact subtraction in float64, and how many balls around one table's rows hold each row of another."""

from dataclasses import dataclass

import torch

_BYTES_AT_ONCE = 1 << 21  # of differences: small enough for the cache


def measure(x: torch.Tensor, y: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    """|x_i - y_j| for pairs of rows, float64 [n]: the only way in which a distance that is kept comes about.

    All differences are summed as rows of one matrix, so that equal pairs get equal distances to the last bit. The
    room for them is kept from step to step: fresh memory costs more than the arithmetic.
    """
    at_once = max(1, _BYTES_AT_ONCE // (8 * x.shape[1]))
    left, right = (table.new_empty(min(len(i), at_once), table.shape[1]) for table in (x, y))
    differences = torch.empty_like(right, dtype=torch.float64)
    distances = differences.new_empty(len(i))
    for some_i, some_j, out in zip(i.split(at_once), j.split(at_once), distances.split(at_once), strict=True):
        a, b, difference = (room[: len(out)] for room in (left, right, differences))
        torch.index_select(x, 0, some_i, out=a)
        torch.index_select(y, 0, some_j, out=b)
        torch.linalg.vector_norm(difference.copy_(b).sub_(a), dim=1, out=out)
    return distances


@dataclass
class Balls:
    """Closed balls |c - p| <= radius, several around each centre, and for every point the number that hold it.

    A sweep need not look at pairs of less closeness than `outside`, which no ball holds; it has the others counted.
    """

    centres: torch.Tensor
    points: torch.Tensor
    radii: torch.Tensor  # float64 [n, number of radii], as the two that follow
    outside: torch.Tensor  # whatever has less closeness lies outside
    inside: torch.Tensor  # whatever has more lies inside

    def __post_init__(self) -> None:
        self.counts = self.radii.new_zeros(len(self.points), self.radii.shape[1], dtype=torch.int64)

    def count(self, centre: torch.Tensor, point: torch.Tensor, closeness: torch.Tensor) -> None:
        """Count these pairs, each shown once; one that neither edge decides is measured."""
        for column in range(self.radii.shape[1]):
            within = closeness > self.inside[centre, column]
            at_edge = (~within & (closeness >= self.outside[centre, column])).nonzero().squeeze(1)
            distances = measure(self.centres, self.points, centre[at_edge], point[at_edge])
            within[at_edge] = distances <= self.radii[centre[at_edge], column]
            self.counts[:, column] += torch.bincount(point[within], minlength=len(self.counts))
