"""kNN entropy and cross-entropy, the terms that PCE, RCE, RE and the two divergences are made of."""

import math
from collections.abc import Mapping

import numpy as np
import torch

from pointwise._options import whole_number
from pointwise._types import Array, Integers
from pointwise.errors import InputError, ordinal
from pointwise.neighbors import Neighbors, knn
from pointwise.neighbors.search import require_enough
from pointwise.score import Score, mean_score
from pointwise.summaries.neighborhoods import Duplicates
from pointwise.tables.table import FeatureTable, as_table
from pointwise.terms import Removal, Side, Terms

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
    >>> round(entropy(uniform).value, 1), round(float(np.log(2)), 1)
    (0.7, 0.7)
    """
    table = as_table(x, name="x")
    k = whole_number(k, "k")
    n = len(table)
    require_enough(n, k, name="x", without_self=True)
    neighbors = knn(table.features, table.features, min(k + 1, n - 1), exclude_self=True)
    terms = log_density_terms(
        neighbors,
        k,
        side="real",
        partner="real",
        sizes={"real": n},
        dimension=table.dim,
        duplicates=duplicates,
        names=("x", "x"),
    )
    tables: dict[Side, str] = {"real": table.fingerprint()}
    return mean_score(terms, of="real", modes=table.modes, ids=table.ids, tables=tables)


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
    k = whole_number(k, "k")
    require_enough(len(reference), k, name="y", without_self=False)
    terms = log_density_terms(
        knn(queries.features, reference.features, min(k + 1, len(reference))),
        k,
        side="real",
        partner="generated",
        sizes={"real": len(queries), "generated": len(reference)},
        dimension=queries.dim,
        duplicates=duplicates,
        names=("x", "y"),
    )
    tables: dict[Side, str] = {"real": queries.fingerprint(), "generated": reference.fingerprint()}
    return mean_score(terms, of="real", modes=queries.modes, ids=queries.ids, tables=tables)


def log_density_terms(
    neighbors: Neighbors,
    k: int,
    *,
    side: Side,
    partner: Side,
    sizes: Mapping[Side, int],
    dimension: float,
    duplicates: Duplicates,
    names: tuple[str, str] | None = None,
) -> Terms:
    r"""Return :math:`-\log \hat p` at each row: log n - psi(k) + log V_d + d log of its k-th distance.

    n is how many rows the neighbours were chosen from. Without one of its k neighbours a row's k-th distance is the
    next one: its term grows by d log of their ratio, by 1 / k on average, which stands in where no further neighbour is
    known.

    Args:
        neighbors: at least k of them for each row, k + 1 for the sake of the standard error.
        k: which distance is read.
        side: the table of the rows.
        partner: the table of the neighbours.
        sizes: rows of each table.
        dimension: d; need not be whole.
        duplicates: the policy for distances of zero.
        names: of the two tables, for errors.
    """
    where, other = names or (f"the {side} table", f"the {partner} table")
    among = other if side != partner else None
    distances = neighbors.distances[:, k - 1 : k + 1]
    zero = np.flatnonzero(distances[:, 0] == 0)
    if len(zero) and duplicates == "raise":
        raise InputError(_duplicates_message(neighbors, zero, k, where, among))
    if len(zero) and duplicates == "floor":
        if len(zero) == len(distances):
            raise InputError(
                f"every row of {where} has its {ordinal(k)} neighbour{_in(among)} at distance zero, so there is no "
                "positive distance to stand in: these rows are copies of each other and have no density."
            )
        distances = np.maximum(distances, distances[distances[:, 0] > 0, 0].min())
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = dimension * np.log(distances)
        growth = logs[:, 1] - logs[:, 0] if distances.shape[1] > 1 else np.full(len(logs), 1 / k)
    count = sizes[partner] - (side == partner)
    values = math.log(count) - _digamma(k) + log_unit_ball(dimension) + logs[:, 0]
    return Terms(side, values, sizes=sizes, removals=(Removal(partner, neighbors.indices[:, :k], growth),))


def log_unit_ball(dimension: float) -> float:
    """Log volume of the unit ball of this dimension, which need not be whole."""
    return dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)


def _digamma(k: int) -> float:
    return float(torch.digamma(torch.tensor(k, dtype=torch.float64)))


def _duplicates_message(neighbors: Neighbors, zero: Integers, k: int, where: str, partner: str | None) -> str:
    first = int(zero[0])
    other = int(neighbors.indices[first, 0])
    of = f" of {partner}" if partner else ""
    return (
        f"{len(zero)} of {len(neighbors)} rows of {where} have their {ordinal(k)} neighbour{_in(partner)} at distance "
        f"zero (the first: row {first} equals row {other}{of}), and the log of zero is -inf. Remove the copies, use a "
        f"larger k, or say duplicates='floor' ({FLOORED}) or duplicates='keep' (-inf stays)."
    )


def _in(partner: str | None) -> str:
    return f" in {partner}" if partner else ""
