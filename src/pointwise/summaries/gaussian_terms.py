r"""How MID hangs on the pairs that are scored, and on those that its Gaussian was fitted on.

With A the inverse covariances of both sides less that of the joint, each times its share where the score is debiased,
the mean PMI of some pairs is :math:`T = I + \tfrac12 \operatorname{tr}(A S)`, where S is the mean of zz' over them,
z being the pairs less the mean of the fitted ones, and m the mean of z. A fitted pair w moves mean and covariance of
the Gaussian, and so moves T by the derivatives of both, over the number of fitted pairs:

.. math:: \tfrac12 w' Q w - m' A w + \text{const}, \quad
          Q = A_0 + s_z \Sigma_z^{-1} S \Sigma_z^{-1} - s_x \Sigma_x^{-1} S_x \Sigma_x^{-1}
              - s_y \Sigma_y^{-1} S_y \Sigma_y^{-1}

with A_0 as A with all shares 1, the derivative of I. This is the sandwich estimate of the error of the fit. Where the
fitted pairs themselves are not at hand, its variance is that of a Gaussian with their covariance.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from pointwise._types import Floats, Integers
from pointwise.terms import Extra, Side, Terms

_ROWS_AT_ONCE = 4096
_PANEL = 256  # columns of a triangular matrix that are multiplied at a time


@dataclass(frozen=True, eq=False)
class PairRows:
    """Rows z = (x, y) of pairs less a mean, in the axes of each side; made some at a time, so that none are copied.

    Args:
        x: [n, dx].
        y: [n, dy].
        mean: float64 [dx + dy].
        axes: orthonormal [dx, rx] and [dy, ry], or None for the columns themselves.
    """

    x: torch.Tensor
    y: torch.Tensor
    mean: Floats
    axes: tuple[torch.Tensor, torch.Tensor] | None = None

    def blocks(self, rows: Integers | None = None) -> Iterator[Floats]:
        """Yield these rows in float64, some at a time, each time in the same memory where there are no axes."""
        x, y, dx = self.x, self.y, self.x.shape[1]
        if rows is not None:
            x, y = x[torch.from_numpy(rows).to(x.device)], y[torch.from_numpy(rows).to(y.device)]
        room = np.empty((min(_ROWS_AT_ONCE, len(x)), dx + y.shape[1]))
        for left, right in zip(x.split(_ROWS_AT_ONCE), y.split(_ROWS_AT_ONCE), strict=True):
            z = room[: len(left)]
            np.subtract(left.cpu().numpy(), self.mean[:dx], out=z[:, :dx])
            np.subtract(right.cpu().numpy(), self.mean[dx:], out=z[:, dx:])
            if self.axes is None:
                yield z
            else:
                yield np.hstack([z[:, :dx] @ self.axes[0].numpy(), z[:, dx:] @ self.axes[1].numpy()])


@dataclass(frozen=True, eq=False)
class GaussianTerms:
    """The pointwise mutual information of pairs under a fitted Gaussian, and what it hangs on.

    Args:
        values: float64 [m], of the scored pairs.
        scored: those pairs, less the mean of the fitted ones.
        roots: inverse Cholesky factors of the covariances of x [rx, rx], of y [ry, ry] and of both.
        shares: of the inverse covariances of x, of y and of both in the score.
        count: how many pairs were fitted on.
        ridge: on the diagonal of the covariances.
        fitted: those pairs, less their mean, where they are at hand.
    """

    values: Floats
    scored: PairRows
    roots: tuple[Floats, Floats, Floats]
    shares: tuple[float, float, float]
    count: int
    ridge: float = 0.0
    fitted: PairRows | None = None

    def influence(self, rows: Integers | None) -> Mapping[Side, Floats]:
        """Return the influence of each scored and of each fitted pair, or of what stands in for these."""
        own = Terms("generated", self.values).influence(rows)
        quadratic, linear = self._derivative(rows)
        if self.fitted is None:
            return {**own, "fit": self._of_gaussian_pairs(quadratic, linear)}
        influence = np.concatenate(
            [np.einsum("ij,ij->i", w @ quadratic, w) / 2 - w @ linear for w in self.fitted.blocks()]
        )
        return {**own, "real": (influence - influence.mean()) / len(influence)}

    def extra(self, rows: Integers | None) -> Mapping[Side, Extra]:
        """Return nothing: all that is known comes from pairs."""
        return {}

    def _of_gaussian_pairs(self, quadratic: Floats, linear: Floats) -> Floats:
        """Numbers whose variance is that of the fit, and for two scores the difference of which is that of theirs.

        With w = F e, e standard normal, w'Qw / 2 - w'Am has the variance |F'QF|^2 / 2 + |F'Am|^2.
        """
        factor = np.linalg.inv(self.roots[2])
        covariance = factor @ factor.T - self.ridge * np.eye(len(factor))  # of the pairs: they have no ridge
        variances, axes = np.linalg.eigh(covariance)
        white = axes * np.sqrt(np.maximum(variances, 0))
        parts = np.concatenate([(white.T @ quadratic @ white).ravel() / math.sqrt(2), white.T @ linear])
        size = 2 * len(parts)  # each with either sign, so that their mean is 0
        return np.concatenate([parts, -parts]) * math.sqrt((size - 1) / size / 2 / self.count)

    def _derivative(self, rows: Integers | None) -> tuple[Floats, Floats]:
        """Q, and A m."""
        dx, d = len(self.roots[0]), len(self.roots[2])
        moment, mean, m = np.zeros((d, d)), np.zeros(d), len(self.values) if rows is None else len(rows)
        for z in self.scored.blocks(rows):
            moment += z.T @ z / m
            mean += z.sum(axis=0) / m
        quadratic, linear = np.zeros((d, d)), np.zeros(d)
        for block, root, share, sign in zip(
            (slice(dx), slice(dx, d), slice(d)), self.roots, self.shares, (1.0, 1.0, -1.0), strict=True
        ):
            inverse = root.T @ root
            quadratic[block, block] += sign * (inverse - share * (inverse @ moment[block, block] @ inverse))
            linear[block] += sign * share * (inverse @ mean[block])
        return quadratic, linear


def inverse_root(factor: torch.Tensor) -> Floats:
    """Return the inverse of a Cholesky factor."""
    identity = torch.eye(len(factor), dtype=factor.dtype)
    inverse: Floats = torch.linalg.solve_triangular(factor, identity, upper=False).numpy()
    return inverse


def squared_lengths(rows: Floats, inverse: Floats) -> Floats:
    """Return |L^-1 a|^2 of each row a, from the last rows of the triangular L^-1, without what is above its diagonal.

    A product with a small inverse is many times quicker than a solve per batch.
    """
    before = inverse.shape[1] - len(inverse)
    total = np.zeros(len(rows))
    for first in range(0, len(inverse), _PANEL):
        reach = before + min(first + _PANEL, len(inverse))
        product = rows[:, :reach] @ inverse[first : first + _PANEL, :reach].T
        total += np.einsum("ij,ij->i", product, product)
    return total
