"""The Fréchet distance between Gaussians fitted to two feature tables."""

import numpy as np
import torch

from pointwise._types import Floats
from pointwise.score import Score
from pointwise.summaries.moments import Moments, SetMoments
from pointwise.terms import Side, WholeSets


def frechet(moments: Moments) -> Score:
    r"""Squared Fréchet distance (2-Wasserstein) between Gaussians with the means and covariances of the two tables.

    .. math:: \|\mu_1 - \mu_2\|^2 + \operatorname{tr}\Sigma_1 + \operatorname{tr}\Sigma_2
              - 2\operatorname{tr}(\Sigma_1 \Sigma_2)^{1/2}

    Lower is better, 0 when means and covariances agree; in squared units of the features. Covariances have the
    divisor n − 1. On Inception features this is the FID. It is never negative and never complex: the last trace is
    the nuclear norm of :math:`S_1 S_2^\top` for any roots :math:`\Sigma_i = S_i^\top S_i`.

    The estimate is biased upwards, by about (d²/4)(1/n + 1/m) where both covariances are the identity, so only values
    at equal numbers of rows are comparable. The standard error is that of the spread alone, to first order: each real
    row counts with its influence :math:`2(\mu_1-\mu_2)^\top(x-\mu_1) + (x-\mu_1)^\top(I-T)(x-\mu_1)`, T the optimal
    transport map to the other Gaussian, and each generated row likewise. It is up to √2 too large where the two
    laws hardly differ, and nan where a covariance is rank deficient, as it is with no more rows than columns.

    Reference: Dowson and Landau (1982), eq. 16; Heusel et al. (2017), https://arxiv.org/abs/1706.08500

    >>> import torch
    >>> from pointwise.summaries.moments import moments
    >>> square = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> round(frechet(moments(square, 2 * square + 3)).value, 6)  # 3² + 3² from the means, 2 · 4/3 from the spreads
    20.666667
    """
    real, fake = moments.real, moments.fake
    shift = real.mean - fake.mean
    cross = real.root @ fake.root.T
    left, singular = _left_singular(cross if len(cross) <= cross.shape[1] else cross.T)  # the norm is the transpose's
    value = shift @ shift + real.root.square().sum() + fake.root.square().sum() - 2 * singular.sum()
    return Score(max(0.0, float(value)), terms=WholeSets(_influences(moments, shift, left, singular)))


def _left_singular(wide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Left singular vectors and singular values of a matrix, by eigh: many times faster than an SVD.

    The values are not the roots of the eigenvalues, in which rounding of 1e-16 becomes 1e-8, but the lengths of the
    rows of the matrix once the eigenvectors have turned it. They come in ascending order.
    """
    vectors = torch.linalg.eigh(wide @ wide.T).eigenvectors
    return vectors, torch.linalg.vector_norm(vectors.T @ wide, dim=1)


def _influences(
    moments: Moments, shift: torch.Tensor, left: torch.Tensor, singular: torch.Tensor
) -> dict[Side, Floats]:
    real, fake = moments.real, moments.fake
    d = len(shift)
    scale = float(torch.linalg.matrix_norm(real.root) * torch.linalg.matrix_norm(fake.root))
    tolerance = d * torch.finfo(torch.float64).eps * scale
    if min(len(real.rows), len(fake.rows)) <= d or float(singular.min()) <= tolerance:
        return {"real": np.full(len(real.rows), np.nan), "generated": np.full(len(fake.rows), np.nan)}
    # With S1 S2ᵀ = U s Vᵀ the map from Σ1 to Σ2 is S1⁻¹ U s Uᵀ S1⁻ᵀ, and back S2⁻¹ V s Vᵀ S2⁻ᵀ.
    right = fake.root @ real.root.T @ left / singular
    return {
        "real": _influence(real, shift, left * singular.sqrt()),
        "generated": _influence(fake, -shift, right * singular.sqrt()),
    }


def _influence(table: SetMoments, shift: torch.Tensor, rotated: torch.Tensor) -> Floats:
    """What each row of a table adds; the map's root is the rotated inverse of the table's own."""
    root_of_map = torch.linalg.solve_triangular(table.root, rotated, upper=True)
    influence = torch.cat(
        [
            2 * rows @ shift + rows.square().sum(dim=1) - (rows @ root_of_map).square().sum(dim=1)
            for rows in table.centred()
        ]
    )
    added: Floats = ((influence - influence.mean()) / len(influence)).cpu().numpy()
    return added
