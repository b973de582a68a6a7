"""The nearest candidates of each row, kept while tiles go by."""

from __future__ import annotations

import math

import torch

from pointwise.neighbors.marks import marked

_GROUP = 8  # columns that are first looked at by their best member alone
_MANY = 3  # times the depth: with more newcomers per row than this, sorting beats scattering


class Nearest:
    """The `depth` closest partners seen so far of every row, in no order."""

    def __init__(self, rows: int, depth: int, *, like: torch.Tensor) -> None:
        self.depth = depth
        self.closeness = torch.full((rows, depth), -math.inf, dtype=like.dtype, device=like.device)
        self.partners = torch.full((rows, depth), -1, dtype=torch.int64, device=like.device)

    def offer(self, rows: slice, closeness: torch.Tensor, first_partner: int) -> None:
        """Show these rows a tile [rows, columns], maybe a transposed view; its columns are partners from here on."""
        values, columns = self._newcomers(rows, closeness)
        values = torch.cat([self.closeness[rows], values], dim=1)
        partners = torch.cat([self.partners[rows], columns + first_partner], dim=1)
        self.closeness[rows], best = values.topk(self.depth, dim=1, sorted=False)
        self.partners[rows] = partners.gather(1, best)

    def _newcomers(self, rows: slice, closeness: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What of a tile may be among the best: all that beats the worst kept, or where that is much, its best."""
        if self.partners[rows.start, 0] >= 0:
            worst_kept = self.closeness[rows].amin(dim=1, keepdim=True)
            row, column = marked(closeness > worst_kept)
            if len(row) <= _MANY * self.depth * len(closeness):
                return _lined_up(closeness, row, column)
        return _largest(closeness, self.depth)


def _largest(tile: torch.Tensor, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `depth` largest entries of each row of a tile, and their columns.

    Only the `depth` groups of columns with the best members can hold one of the `depth` best, so one maximum over
    groups, which runs at memory speed, leaves few columns to sort through.
    """
    rows, columns = tile.shape
    groups = columns // _GROUP
    if groups < 2 * depth:
        values, found = tile.topk(min(depth, columns), dim=1, sorted=False)
        return values, found
    # Column c belongs to group c % groups, so that maxima run along contiguous memory, in either layout.
    folded = tile.unflatten(1, (_GROUP, groups))
    best = folded.amax(dim=1) if tile.is_contiguous() else tile.t().unflatten(0, (_GROUP, groups)).amax(dim=0).t()
    chosen = best.topk(depth, dim=1, sorted=False).indices  # [rows, depth]
    survivors = folded.gather(2, chosen[:, None, :].expand(rows, _GROUP, depth)).flatten(1)
    values, place = survivors.topk(depth, dim=1, sorted=False)
    return values, place.div(depth, rounding_mode="floor").mul_(groups).add_(chosen.gather(1, place % depth))


def _lined_up(tile: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """These entries of a tile, given row by row, as equally long rows padded with -inf; and their columns."""
    counts = torch.bincount(row, minlength=len(tile))
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    shape = len(tile), int(counts.max())
    values = torch.full(shape, -math.inf, dtype=tile.dtype, device=tile.device)
    columns = torch.zeros(shape, dtype=torch.int64, device=tile.device)
    values[row, place], columns[row, place] = tile[row, column], column
    return values, columns
