"""kNN entropy and cross-entropy, the terms that PCE, RCE, RE and the two divergences are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from pointwise.arrays import Array
from pointwise.data.table import FeatureTable, as_table
from pointwise.errors import InputError
from pointwise.neighbors import Neighbors, knn
from pointwise.neighbors.knn import require_count
from pointwise.score import Score, Values, mean_score
from pointwise.summaries.neighborhoods import Duplicates
from pointwise.summaries.self_neighbors import self_neighbors

FLOORED = "the smallest positive distance stands in"


def entropy(x: FeatureTable | Array, *, k: int = 5, duplicates: Duplicates = "raise") -> Score:
    r"""Estimate the differential entropy of the law of x, in nats.

    .. math:: \hat H = \frac1n \sum_i \left[\log(n-1) - \psi(k) + \log V_d + d \log \rho_k(x_i)\right]

    :math:`\rho_k` is the distance to the k-th nearest other row, :math:`V_d` the volume of the unit ball.

    Args:
        x: table or array [n, d].
        k: neighbours; larger smooths more (less variance, more bias).
        duplicates: what a k-th neighbour at distance zero does: "raise", "floor" (the smallest positive distance
            stands in) or "keep" (-inf).

    Returns:
        Score of one value per row.

    Raises:
        InputError: k >= n, or a k-th neighbour at distance zero with duplicates="raise".

    Reference: Kozachenko and Leonenko (1987); in this form Kraskov, Stögbauer, Grassberger (2004),
    https://arxiv.org/abs/cond-mat/0305641, eq. 20 with n - 1 for its psi(n).

    >>> import numpy as np
    >>> uniform = np.random.default_rng(0).uniform(0, 2, size=(4000, 1))
    >>> round(entropy(uniform).value, 1), round(np.log(2), 1)
    (0.7, 0.7)
    """
    table = as_table(x, name="x")
    within = self_neighbors(table, k).neighbors
    terms = log_density_terms(within, k, count=len(table) - 1, dimension=table.dim, duplicates=duplicates, where="x")
    return mean_score(terms, of="real", modes=table.modes, ids=table.ids)


def cross_entropy(
    x: FeatureTable | Array, y: FeatureTable | Array, *, k: int = 5, duplicates: Duplicates = "raise"
) -> Score:
    r"""Estimate how many nats the law of y needs for a row of x: :math:`-E_x \log p_Y`.

    .. math:: \hat C = \frac1n \sum_i \left[\log m - \psi(k) + \log V_d + d \log \nu_k(x_i; Y)\right]

    :math:`\nu_k` is the distance to the k-th nearest of the m rows of y.

    Args:
        x: table or array [n, d], the rows that are scored.
        y: table or array [m, d], the rows whose law scores them.
        k: neighbours.
        duplicates: what a k-th neighbour at distance zero does: "raise", "floor" or "keep".

    Returns:
        Score of one value per row of x.

    Raises:
        InputError: k > m, widths differ, or a k-th neighbour at distance zero with duplicates="raise".

    Reference: Leonenko, Pronzato, Savani (2008), https://arxiv.org/abs/0810.5302, section 4.2.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.uniform(0, 1, size=(2000, 1)), rng.uniform(0, 2, size=(2000, 1))
    >>> round(cross_entropy(x, y).value, 1)
    0.7
    """
    queries, reference = as_table(x, name="x"), as_table(y, name="y")
    require_count(k, name="k")
    found = knn(queries.features, reference.features, k)
    terms = log_density_terms(
        found, k, count=len(reference), dimension=queries.dim, duplicates=duplicates, where="x", partner="y"
    )
    return mean_score(terms, of="real", modes=queries.modes, ids=queries.ids)


def log_density_terms(
    neighbors: Neighbors,
    k: int,
    *,
    count: int,
    dimension: float,
    duplicates: Duplicates,
    where: str,
    partner: str | None = None,
) -> Values:
    r"""Return :math:`-\log \hat p` at each row: log n - psi(k) + log V_d + d log of its k-th distance.

    Args:
        neighbors: at least k of them for each row.
        k: which distance is read.
        count: n, how many rows the neighbours were chosen from.
        dimension: d; need not be whole.
        duplicates: the policy for distances of zero.
        where: name of the table of the rows, for the error.
        partner: name of the table of the neighbours, where it is another.

    Raises:
        InputError: a distance is zero and the policy is "raise".
    """
    radii = neighbors.distances[:, k - 1]
    zero = np.flatnonzero(radii == 0)
    if len(zero) and duplicates == "raise":
        raise InputError(_duplicates_message(neighbors, zero, k, where, partner))
    if len(zero) and duplicates == "floor":
        if len(zero) == len(radii):
            raise InputError(
                f"every row of {where} has its {_ordinal(k)} neighbour{_in(partner)} at distance zero, so there is no "
                "positive distance to stand in: these rows are copies of each other and have no density."
            )
        radii = np.where(radii == 0, radii[radii > 0].min(), radii)
    with np.errstate(divide="ignore"):
        logs = np.log(radii)
    return np.asarray(math.log(count) - _digamma(k) + log_unit_ball(dimension) + dimension * logs, dtype=np.float64)


def log_unit_ball(dimension: float) -> float:
    """Log volume of the unit ball of this dimension, which need not be whole."""
    return dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)


def _digamma(k: int) -> float:
    return float(torch.digamma(torch.tensor(k, dtype=torch.float64)))


def _duplicates_message(
    neighbors: Neighbors, zero: np.ndarray[Any, np.dtype[np.int64]], k: int, where: str, partner: str | None
) -> str:
    first = int(zero[0])
    other = int(neighbors.indices[first, 0])
    of = f" of {partner}" if partner else ""
    return (
        f"{len(zero)} of {len(neighbors)} rows of {where} have their {_ordinal(k)} neighbour{_in(partner)} at distance "
        f"zero (the first: row {first} equals row {other}{of}), and the log of zero is -inf. Remove the copies, use a "
        f"larger k, or say duplicates='floor' ({FLOORED}) or duplicates='keep' (-inf stays)."
    )


def _in(partner: str | None) -> str:
    return f" in {partner}" if partner else ""


def _ordinal(k: int) -> str:
    ending = "th" if 10 <= k % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(k % 10, "th")
    return f"{k}{ending}"
