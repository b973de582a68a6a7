"""The nearest candidates of each row, kept while tiles of torch go by."""

import math

import torch

from pointwise.neighbors.sweep import Offers, Placed

_GROUP = 8  # columns that are first looked at by their best member alone
_MANY = 3  # times the depth: with more newcomers per row than this, sorting beats scattering


class Candidates:
    """The `depth` closest partners seen so far of every row, in no order; of as many rows as `like` has values."""

    def __init__(self, depth: int, *, like: torch.Tensor) -> None:
        self.depth = depth
        self._closeness = like.new_full((len(like), depth), -math.inf)
        self._partners = like.new_full((len(like), depth), -1, dtype=torch.int64)

    def see(self, rows: slice, closeness: torch.Tensor, first_partner: int) -> None:
        """Show these rows a tile [rows, columns], maybe a transposed view; its columns are partners from here on."""
        values, columns = self._newcomers(rows, closeness)
        values = torch.cat([self._closeness[rows], values], dim=1)
        partners = torch.cat([self._partners[rows], columns + first_partner], dim=1)
        self._closeness[rows], best = values.topk(self.depth, dim=1, sorted=False)
        self._partners[rows] = partners.gather(1, best)

    def offers(self, placed: Placed) -> Offers:
        """The candidates of the rows without padding; what was not kept was never closer than the last that was."""
        closeness = self._closeness[: len(placed.norms)]
        return Offers(placed, self._partners[: len(closeness)], closeness, closeness.amin(dim=1))

    def _newcomers(self, rows: slice, closeness: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What of a tile may be among the best: all that beats the worst kept, or where that is much, its best."""
        first, many = bool(self._partners[rows.start, 0] < 0), _MANY * self.depth * len(closeness)
        if not first:
            row, column = set_entries(closeness > self._closeness[rows].amin(dim=1, keepdim=True))
        if first or len(row) > many:
            row, column = set_entries(closeness > _below_best(closeness, self.depth))
        if len(row) <= many:
            return _lined_up(closeness, row, column)
        values, columns = closeness.topk(min(self.depth, closeness.shape[1]), dim=1, sorted=False)
        return values, columns


def set_entries(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the set entries of a mask [n, m] that hardly has any, row by row; m is a multiple of 8.

    Looking at eight entries as one integer finds the few that are set several times sooner than `nonzero` does.
    """
    words = mask.contiguous().view(torch.int64)
    row, word = words.nonzero(as_tuple=True)
    hit, byte = words[row, word][:, None].view(torch.bool).nonzero(as_tuple=True)
    return row[hit], word[hit] * 8 + byte


def _below_best(tile: torch.Tensor, depth: int) -> torch.Tensor:
    """Of each row of a tile, a value that at least its `depth` best entries exceed, and few others.

    The best of as many groups of columns exceed it; maxima over groups run at memory speed.
    """
    groups = tile.shape[1] // _GROUP
    if groups < 2 * depth:
        return tile.new_tensor(-math.inf)
    # Column c belongs to group c % groups, so that maxima run along contiguous memory, in either layout.
    transposed = tile.t().unflatten(0, (_GROUP, groups))
    best = tile.unflatten(1, (_GROUP, groups)).amax(dim=1) if tile.is_contiguous() else transposed.amax(dim=0).t()
    return torch.nextafter(best.topk(depth, dim=1).values[:, -1:], tile.new_tensor(-math.inf))


def _lined_up(tile: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """These entries of a tile, given row by row, as equally long rows padded with -inf; and their columns."""
    counts = torch.bincount(row, minlength=len(tile))
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    shape = len(tile), int(counts.max())
    values = torch.full(shape, -math.inf, dtype=tile.dtype, device=tile.device)
    columns = torch.zeros(shape, dtype=torch.int64, device=tile.device)
    values[row, place], columns[row, place] = tile[row, column], column
    return values, columns
