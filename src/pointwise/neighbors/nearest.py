"""The nearest candidates of each row, kept while tiles go by."""

from __future__ import annotations

import math

import torch

from pointwise.neighbors.tiles import GROUP


class Nearest:
    """The `depth` closest partners seen so far of every row, in no order.

    Of a tile's columns only those in the `depth` groups with the best members can hold one of the `depth` best: one
    maximum over groups, which runs at memory speed, leaves a few hundred columns to sort through.
    """

    def __init__(self, rows: int, depth: int, *, like: torch.Tensor) -> None:
        self.depth = depth
        self.closeness = torch.full((rows, depth), -math.inf, dtype=like.dtype, device=like.device)
        self.partners = torch.full((rows, depth), -1, dtype=torch.int64, device=like.device)

    def offer(self, rows: slice, closeness: torch.Tensor, first_partner: int) -> None:
        """Show these rows a tile [rows, columns] whose columns are the partners from `first_partner` on."""
        values, columns = _largest(closeness, self.depth)
        columns += first_partner
        if values.shape[1] < self.depth or self.partners[rows.start, 0] >= 0:
            values = torch.cat([self.closeness[rows], values], dim=1)
            columns = torch.cat([self.partners[rows], columns], dim=1)
            values, best = values.topk(self.depth, dim=1, sorted=False)
            columns = columns.gather(1, best)
        self.closeness[rows], self.partners[rows] = values, columns


def _largest(tile: torch.Tensor, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `depth` largest entries of each row of a tile, which may be a transposed view, and their columns."""
    rows, columns = tile.shape
    members = GROUP
    groups = columns // members
    if groups < 4 * depth:
        return tile.topk(min(depth, columns), dim=1, sorted=False)
    # Column c belongs to group c % groups, so that the maximum runs along contiguous memory.
    folded = tile.unflatten(1, (members, groups))
    chosen = folded.amax(dim=1).topk(depth, dim=1, sorted=False).indices  # [rows, depth]
    survivors = folded.gather(2, chosen[:, None, :].expand(rows, members, depth)).flatten(1)
    values, place = survivors.topk(depth, dim=1, sorted=False)
    return values, place.div(depth, rounding_mode="floor").mul_(groups).add_(chosen.gather(1, place % depth))
