"""Standard errors of kNN metrics: what the mean would be if any one row of either table had not been drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Side = Literal["real", "generated"]


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
    """A number for each row of a table, and how it hangs on the rows near it.

    Args:
        side: the table whose rows these are.
        values: float64 [n].
        removals: for each set of neighbours that the values depend on.
    """

    side: Side
    values: Floats
    removals: tuple[Removal, ...] = ()

    def __sub__(self, other: Terms) -> Terms:
        """Row by row: both must be of the same table."""
        with np.errstate(invalid="ignore"):  # -inf less -inf, which only duplicates="keep" lets through, is nan
            values = self.values - other.values
        reversed_removals = tuple(Removal(r.side, r.indices, -r.change) for r in other.removals)
        return Terms(self.side, values, self.removals + reversed_removals)


def standard_error(own: Terms, subtracted: Terms | None, rows: Integers, sizes: dict[Side, int]) -> float:
    r"""Delete-one jackknife of the mean of some rows' terms, less the mean of all terms that are subtracted.

    .. math:: \mathrm{se}^2 = \sum_{\text{tables}} \frac{n - 1}{n} \sum_j (u_j - \bar u)^2,
              \quad u_j \approx \text{the mean without row } j \text{, less the mean}

    A row acts through its own term and through the terms of the rows that it is a neighbour of; all its effects are
    added before squaring. By the inequality of Efron and Stein the square is on average not below the variance.

    Args:
        own: the terms that are averaged.
        subtracted: terms whose mean over all their rows is subtracted, the entropy of the real table say.
        rows: which of the own terms are averaged: all, or those of a mode.
        sizes: rows of each table.

    Returns:
        The standard error; nan where a term is not finite or there are fewer than two.

    Reference: Efron and Stein (1981), https://doi.org/10.1214/aos/1176345462.
    """
    influence = {side: np.zeros(size) for side, size in sizes.items()}
    parts = [(own, rows, 1.0)]
    if subtracted is not None:
        parts.append((subtracted, np.arange(len(subtracted.values)), -1.0))
    for terms, chosen, sign in parts:
        values = terms.values[chosen]
        n = len(chosen)
        if n < 2 or not np.isfinite(values).all():
            return math.nan
        influence[terms.side][chosen] -= sign * (values - values.mean()) / (n - 1)
        for removal in terms.removals:
            neighbours = removal.indices[chosen]
            change = np.repeat(removal.change[chosen], neighbours.shape[1])
            total = np.bincount(neighbours.ravel(), weights=change, minlength=sizes[removal.side])
            influence[removal.side] += sign * total / n
    return math.sqrt(sum((len(u) - 1) * float(u.var()) for u in influence.values()))
