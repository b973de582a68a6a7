"""The dimension of the set that the data lies on, from the neighbour table that is already there."""

import numpy as np

from pointwise._types import Floats
from pointwise.errors import InputError


def intrinsic_dimension(distances: Floats) -> float:
    r"""Estimate the dimension of a point set from each point's two nearest distances (TwoNN).

    .. math:: \hat d = (n - 1) \Big/ \sum_i \log\frac{\rho_2(i)}{\rho_1(i)}

    Points with a copy (rho_1 = 0) say nothing and are left out of n. Needs at least two distances per row.

    Args:
        distances: float64 [n, k >= 2], to the nearest other points, ascending.

    Reference: Facco, d'Errico, Rodriguez, Laio (2017), https://arxiv.org/abs/1803.06992; the maximum-likelihood form,
    unbiased by n - 1, is in Denti et al. (2022), https://arxiv.org/abs/2104.13832, section 2.

    >>> import numpy as np
    >>> intrinsic_dimension(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]))
    0.96...
    """
    nearest, second = distances[:, 0], distances[:, 1]
    apart = nearest > 0
    copies = int(len(distances) - apart.sum())
    total = float(np.log(second[apart] / nearest[apart]).sum())
    if apart.sum() < 2 or total <= 0:
        raise InputError(
            f"the intrinsic dimension cannot be estimated: of {len(distances)} real rows, {copies} "
            "have a copy at distance zero and all others have their two nearest neighbours equally far. "
            "Use dimension='ambient' or a number."
        )
    return float((apart.sum() - 1) / total)
