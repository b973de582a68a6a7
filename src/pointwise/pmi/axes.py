"""Canonical axes: where the two sides of pairs go together, measured on pairs that did not choose them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pointwise.training.towers import CanonicalAxes

_RIDGES = (0.01, 0.1, 1.0, 10.0)  # in mean variances of the columns of a side
_ROUNDING = 1e-10  # of the largest variance: what is below it is noise of float64
_CERTAIN = 0.99  # correlation that a few hundred pairs cannot tell from 1


def canonical_axes(
    training: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], *, most: int
) -> tuple[CanonicalAxes, CanonicalAxes, Tensor]:
    r"""Return the canonical axes of training pairs, with the ridge that does best on held-out pairs.

    They come as the tower of each side, whose coordinates have deviation 1 on the held-out pairs, and their
    correlations there, float64 [r], 0 where these do not differ from chance.

    They are those of canonical correlation analysis with :math:`\lambda \operatorname{tr}(\Sigma) / d` added to the
    diagonal of the covariance of each side. Where columns are many, training pairs say far too much of the
    correlations; so held-out pairs say them, and choose the :math:`\lambda` out of .01, .1, 1 and 10 that leaves most
    information, :math:`-\frac12 \sum_i \ln(1 - c_i^2)`. Pairs are x [n, dx] and y [n, dy], float64; there are at most
    so many axes, fewer where a side has fewer that vary.

    Reference: Vinod (1976), doi:10.1016/0304-4076(76)90010-5, for the ridge.
    """
    means = [x.mean(0) for x in training]
    inner, outer = ([x - mean for x, mean in zip(pairs, means, strict=True)] for pairs in (training, held_out))
    principal = [_principal(x) for x in inner]
    candidates = []
    for ridge in _RIDGES:
        white = [axes / (variances + ridge * mean).sqrt() for variances, axes, mean in principal]
        left, _, right = torch.linalg.svd((inner[0] @ white[0]).T @ (inner[1] @ white[1]), full_matrices=False)
        sides = [white[0] @ left[:, :most], white[1] @ right[:most].T]
        here = [(x @ axes).std(0) for x, axes in zip(inner, sides, strict=True)]
        there = [x @ axes for x, axes in zip(outer, sides, strict=True)]
        # Training pairs have too little of their deviation to tell it; but few others may be all alike by chance.
        scales = [torch.clamp(z.std(0), min=0.1 * s) for z, s in zip(there, here, strict=True)]
        c = ((there[0] - there[0].mean(0)) * (there[1] - there[1].mean(0))).sum(0) / (len(there[0]) - 1)
        c = c / (scales[0] * scales[1])
        c = torch.where(c > 2 / math.sqrt(len(there[0])), c.clamp(max=_CERTAIN), torch.zeros_like(c))
        information = float(-0.5 * torch.log1p(-c.square()).sum())
        x, y = (_tower(mean, axes / s) for mean, axes, s in zip(means, sides, scales, strict=True))
        candidates.append((information, (x, y, c)))
    return max(candidates, key=lambda one: one[0])[1]


def _principal(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Variances [p] and principal axes [d, p] of centred rows [n, d], and the mean variance of a column."""
    n, d = x.shape
    wide = n < d
    variances, vectors = torch.linalg.eigh((x @ x.T if wide else x.T @ x) / (n - 1))
    kept = variances > variances[-1] * _ROUNDING
    variances, vectors = variances[kept], vectors[:, kept]
    axes = x.T @ vectors / ((n - 1) * variances).sqrt() if wide else vectors
    return variances, axes, float(variances.sum()) / d


def _tower(mean: Tensor, directions: Tensor) -> CanonicalAxes:
    tower = CanonicalAxes(columns=len(mean), axes=directions.shape[1]).to(mean.device)
    tower.mean.copy_(mean)
    tower.directions.copy_(directions)
    return tower
