"""Distributions that know their truth: samples with the exact entropy and divergences of the law they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from pointwise._types import Floats, Integers
from pointwise.errors import InputError


@dataclass(frozen=True, eq=False)
class Gaussian:
    r"""A multivariate normal law N(μ, Σ); every quantity in nats.

    Args:
        mean: [d].
        covariance: [d, d], symmetric positive definite.

    Raises:
        InputError: the shapes do not fit, or the covariance is not symmetric positive definite.

    >>> real, fake = Gaussian.isotropic(3), Gaussian.isotropic(3, variance=2.0)
    >>> round(real.entropy(), 4), round(fake.cross_entropy(real), 4), round(real.kl(fake), 4)
    (4.2568, 5.7568, 0.2897)
    >>> real.sample(5, seed=0).shape
    (5, 3)
    """

    mean: Floats
    covariance: Floats

    def __post_init__(self) -> None:
        mean = np.asarray(self.mean, dtype=np.float64)
        covariance = np.asarray(self.covariance, dtype=np.float64)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise InputError(
                f"mean has shape {mean.shape} and covariance {covariance.shape}; they must be [d] and [d, d]."
            )
        if not np.allclose(covariance, covariance.T, rtol=1e-12, atol=0):
            raise InputError("covariance is not symmetric; average it with its transpose if rounding made it so.")
        smallest = float(np.linalg.eigvalsh(covariance)[0])
        if smallest <= 0:
            raise InputError(
                f"covariance has the eigenvalue {smallest:.3g}; all must be positive: a flat law has no density."
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)

    @classmethod
    def isotropic(cls, d: int, *, variance: float = 1.0, shift: float = 0.0) -> Gaussian:
        """Return N(shift·1, variance·I) in d dimensions."""
        return cls(np.full(d, shift), variance * np.eye(d))

    def sample(self, n: int, seed: int) -> Floats:
        """Return n independent draws, float64 [n, d]."""
        noise = np.random.default_rng(seed).standard_normal((n, len(self.mean)))
        return self.mean + noise @ np.linalg.cholesky(self.covariance).T

    def entropy(self) -> float:
        r"""Return the differential entropy, :math:`\tfrac12 (d \ln 2\pi e + \ln|\Sigma|)`."""
        return self.cross_entropy(self)

    def cross_entropy(self, other: Gaussian) -> float:
        r"""Return the mean of −log of the other's density under this law.

        .. math:: \tfrac12 \bigl[d \ln 2\pi + \ln|\Sigma_o| + \operatorname{tr}\Sigma_o^{-1}\Sigma
                  + (\mu - \mu_o)^\top \Sigma_o^{-1} (\mu - \mu_o)\bigr]
        """
        d = _same_dimension(len(self.mean), len(other.mean))
        root = np.linalg.cholesky(other.covariance)
        spread = solve_triangular(root, np.linalg.cholesky(self.covariance), lower=True)
        shift = solve_triangular(root, self.mean - other.mean, lower=True)
        log_determinant = 2 * float(np.log(root.diagonal()).sum())
        return 0.5 * (d * math.log(2 * math.pi) + log_determinant + float((spread**2).sum() + shift @ shift))

    def kl(self, other: Gaussian) -> float:
        """Return the Kullback-Leibler divergence of this law from the other; at least 0."""
        return max(0.0, self.cross_entropy(other) - self.entropy())


@dataclass(frozen=True, eq=False)
class Uniform:
    """The uniform law on a box with sides parallel to the axes; every quantity in nats.

    Args:
        low: [d], the lower corner.
        high: [d], the upper corner.

    Raises:
        InputError: the corners differ in shape, or a side has no length.

    >>> unit, half = Uniform(np.zeros(2), np.ones(2)), Uniform(np.zeros(2), np.array([0.5, 1.0]))
    >>> unit.entropy(), round(half.entropy(), 4), round(half.kl(unit), 4), unit.kl(half)
    (0.0, -0.6931, 0.6931, inf)
    """

    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        low, high = np.asarray(self.low, dtype=np.float64), np.asarray(self.high, dtype=np.float64)
        if low.ndim != 1 or low.shape != high.shape:
            raise InputError(f"low has shape {low.shape} and high {high.shape}; both must be [d].")
        if not (low < high).all():
            side = int(np.argmin(low < high))
            raise InputError(
                f"side {side} of the box runs from {low[side]} to {high[side]}; low must be less than high."
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def sample(self, n: int, seed: int) -> Floats:
        """Return n independent draws, float64 [n, d]."""
        return np.random.default_rng(seed).uniform(self.low, self.high, (n, len(self.low)))

    def entropy(self) -> float:
        """Return the differential entropy, the log of the volume."""
        return float(np.log(self.high - self.low).sum())

    def cross_entropy(self, other: Uniform) -> float:
        """Return the mean of −log of the other's density under this law: inf where this box leaves the other."""
        _same_dimension(len(self.low), len(other.low))
        inside = bool(((other.low <= self.low) & (self.high <= other.high)).all())
        return other.entropy() if inside else math.inf

    def kl(self, other: Uniform) -> float:
        """Return the Kullback-Leibler divergence of this law from the other; at least 0."""
        return self.cross_entropy(other) - self.entropy()


def sample_mixture(
    components: Sequence[Gaussian | Uniform], n: int, seed: int, *, weights: Sequence[float] | None = None
) -> tuple[Floats, Integers]:
    """Return n independent draws from a mixture, float64 [n, d], and the component of each, int64 [n].

    Args:
        components: laws of one dimension.
        n: number of draws.
        seed: of the draws.
        weights: of the components, summing to 1; equal where not given.

    Raises:
        InputError: the weights do not fit the components or do not sum to 1.

    >>> rows, modes = sample_mixture([Gaussian.isotropic(2), Gaussian.isotropic(2, shift=9.0)], 4, seed=0)
    >>> rows.shape, (rows.mean(axis=1) > 4.5).astype(int).tolist() == modes.tolist()
    ((4, 2), True)
    """
    if not components:
        raise InputError("a mixture needs at least one component; got none.")
    shares = np.full(len(components), 1 / len(components)) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(components),):
        raise InputError(f"weights has {shares.size} values for {len(components)} components; give one for each.")
    if (shares < 0).any() or not math.isclose(shares.sum(), 1.0, rel_tol=1e-9):
        raise InputError(f"weights are {shares.tolist()}; they must be at least 0 and sum to 1.")
    rng = np.random.default_rng(seed)
    modes = rng.choice(len(components), size=n, p=shares)
    rows = np.empty((n, components[0].sample(0, seed).shape[1]))
    for i, (law, own_seed) in enumerate(zip(components, rng.integers(2**63, size=len(components)), strict=True)):
        rows[modes == i] = law.sample(int((modes == i).sum()), int(own_seed))
    return rows, modes


def _same_dimension(d: int, other: int) -> int:
    if d != other:
        raise InputError(f"the laws have {d} and {other} dimensions; they must have the same number.")
    return d
