"""Terms: a number for each row of a table, and how it hangs on the rows near it. Errors and differences come of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np

from pointwise._types import Column, Floats, Integers

Side = Literal["real", "generated", "fit"]  # the fit: of pairs that are not at hand


class Extra(NamedTuple):
    """Variance beyond that of the influences: what is added (below 0: taken off), and what the whole is at least."""

    added: float
    least: float = 0.0


class Dependence(Protocol):
    """How the mean of some rows' values hangs on each row of each table, and on what no single row tells."""

    def influence(self, rows: Integers | None) -> Mapping[Side, Floats]:
        """Return, for each table, what each of its rows adds to the mean of these rows' values; None for all rows."""
        ...

    def extra(self, rows: Integers | None) -> Mapping[Side, Extra]:
        """Return variance beyond that of the influences, by the table that it comes from."""
        ...


@dataclass(frozen=True, eq=False)
class Removal:
    """What happens to the term of each row when one of its neighbours is taken away.

    Args:
        side: the table that the neighbours are of.
        indices: int64 [n, j], the neighbours whose removal changes the term.
        change: float64 [n], by how much, the same for each of them.
    """

    side: Side
    indices: Integers
    change: Floats


@dataclass(frozen=True, eq=False)
class Terms:
    r"""A number for each row of a table, and how it changes when other rows are taken away.

    The influence of row j is minus what its removal changes, by the delete-one jackknife:

    .. math:: u_j = -\frac{n - 1}{n} \left(\text{mean without row } j - \text{mean}\right), \quad
              \mathrm{se}^2 = \sum_{\text{tables}} \frac{n}{n - 1} \sum_j (u_j - \bar u)^2

    A row acts through its own term and through the terms of the rows that it is a neighbour of; all its effects are
    added before squaring. By the inequality of Efron and Stein the square is on average not below the variance.

    Args:
        side: the table whose rows these are.
        values: float64 [n].
        sizes: rows of each table; this side's alone where no other row matters.
        removals: for each set of neighbours that the values depend on.
        less: terms whose mean over all their rows is subtracted, the entropy of the real table say.
        groups: by side, [n], where rows come in groups that are alike, as captions of one image are; where a side is
            left out each of its rows is independent of the others.
        variances: beyond what rows tell, by the table that it comes from.

    Reference: Efron and Stein (1981), https://doi.org/10.1214/aos/1176345462.
    """

    side: Side
    values: Floats
    _: KW_ONLY
    sizes: Mapping[Side, int] = field(default_factory=dict)
    removals: tuple[Removal, ...] = ()
    less: Terms | None = None
    groups: Mapping[Side, Column] = field(default_factory=dict)
    variances: Mapping[Side, Extra] = field(default_factory=dict)

    @property
    def per_sample(self) -> Floats:
        """The values, less the mean of what is subtracted."""
        if self.less is None:
            return self.values
        with np.errstate(invalid="ignore"):  # -inf less -inf, which only duplicates="keep" lets through, is nan
            less: Floats = self.values - self.less.values.mean()
            return less

    def __sub__(self, other: Terms) -> Terms:
        """Row by row: both must be of the same table."""
        with np.errstate(invalid="ignore"):  # as above
            values = self.values - other.values
        turned = tuple(Removal(r.side, r.indices, -r.change) for r in other.removals)
        return replace(self, values=values, removals=self.removals + turned)

    def influence(self, rows: Integers | None) -> Mapping[Side, Floats]:
        """Return the influence of each row, or group of rows, of each table; all nan where it is not known."""
        influence = {side: np.zeros(size) for side, size in (self.sizes or {self.side: len(self.values)}).items()}
        parts = [(self, np.arange(len(self.values)) if rows is None else rows, 1.0)]
        if self.less is not None:
            parts.append((self.less, np.arange(len(self.less.values)), -1.0))
        for terms, chosen, sign in parts:
            values = terms.values[chosen]
            n = len(chosen)
            if n < 2 or not np.isfinite(values).all():
                return {side: np.full(len(u), math.nan) for side, u in influence.items()}
            influence[terms.side][chosen] += sign * terms._own_scale(chosen) * (values - values.mean())
            for removal in terms.removals:
                neighbours = removal.indices[chosen]
                change = np.repeat(removal.change[chosen], neighbours.shape[1])
                # As many rows' terms change as have this row among their neighbours: their changes add up.
                total = np.bincount(neighbours.ravel(), weights=change, minlength=len(influence[removal.side]))
                size = len(total)
                influence[removal.side] -= sign * total / n * ((size - 1) / size)
        return {side: _by_group(u, self.groups.get(side)) for side, u in influence.items()}

    def _own_scale(self, rows: Integers) -> float:
        """What a row's deviation from the mean of the chosen rows counts: with all of them, the variance is s^2 / n."""
        every, some = len(self.values), len(rows)
        if self.side in self.groups:
            every, some = (len(np.unique(names)) for names in (self.groups[self.side], self.groups[self.side][rows]))
        return math.sqrt(some / (some - 1) * (every - 1) / every) / len(rows) if some > 1 else math.nan

    def extra(self, rows: Integers | None) -> Mapping[Side, Extra]:
        """Return the further variances."""
        return self.variances


@dataclass(frozen=True, eq=False)
class WholeSets:
    """What each row adds to a metric that has no value per sample.

    Args:
        influences: float64 [n] of each table.
        variances: beyond that of the influences, by the table that it comes from.
    """

    influences: Mapping[Side, Floats]
    variances: Mapping[Side, Extra] = field(default_factory=dict)

    def influence(self, rows: Integers | None) -> Mapping[Side, Floats]:
        """Return the influences."""
        return self.influences

    def extra(self, rows: Integers | None) -> Mapping[Side, Extra]:
        """Return the further variances."""
        return self.variances


def variance(influence: Floats) -> float:
    """Return the variance of a sum of independent influences; nan where there are fewer than two."""
    n = len(influence)
    return n / (n - 1) * float(((influence - influence.mean()) ** 2).sum()) if n > 1 else math.nan


def _by_group(influence: Floats, groups: Column | None) -> Floats:
    if groups is None:
        return influence
    sums: Floats = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence).astype(np.float64)
    return sums
