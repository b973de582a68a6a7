"""Pairs of points on a circle around a common latent angle."""

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
from scipy.special import i0e

from pointwise._options import number, whole_number
from pointwise._types import Array, Floats
from pointwise.errors import InputError
from pointwise.synthetic.checks import as_rows, generator, require_pairs

_LARGEST_KAPPA = 1e6  # beyond it NumPy draws a wrapped normal in the place of the von Mises law
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Circle:
    r"""A latent angle z, uniform, and two von Mises angles around it; information in nats.

    .. math:: p(x \mid z) = \frac{e^{\kappa_x \cos(x - z)}}{2\pi I_0(\kappa_x)}, \qquad
              e^{\mathrm{PMI}(x, y)} = \frac{I_0(R)}{I_0(\kappa_x)\, I_0(\kappa_y)}, \qquad
              R^2 = \kappa_x^2 + \kappa_y^2 + 2 \kappa_x \kappa_y \cos(x - y)

    for both angles are uniform, and the exponents :math:`\kappa_x \cos(x - z) + \kappa_y \cos(y - z)` add up to
    :math:`R \cos(z - m)` with some m, whose exponential has the mean :math:`I_0(R)` over z (Mardia and Jupp,
    "Directional Statistics", 2000, sections 3.5.4 and 3.5.5). The latent is continuous: no finite rank is exact.

    Args:
        kappa_x: how close x stays to z; 0 is not at all.
        kappa_y: the same of y.
        noise_columns: standard normal columns after the two of each point, which say nothing of the other.

    Raises:
        InputError: a kappa is not from 0 to 1e6, or noise_columns is negative.

    >>> law = Circle(8.0, 4.0)
    >>> x, y = law.sample(3, seed=0)
    >>> x.shape, law.pmi(x, y).shape, law.pmi_matrix(x, y).shape, round(law.mutual_information(), 4)
    ((3, 2), (3,), (3, 3), 0.8401)
    """

    kappa_x: float
    kappa_y: float
    _: KW_ONLY
    noise_columns: int = 0

    def __post_init__(self) -> None:
        number(self.kappa_x, "kappa_x", above=0, below=_LARGEST_KAPPA, closed=True)
        number(self.kappa_y, "kappa_y", above=0, below=_LARGEST_KAPPA, closed=True)
        whole_number(self.noise_columns, "noise_columns", least=0)

    def sample(self, n: int, *, seed: int) -> tuple[Floats, Floats]:
        """Return n independent pairs: (cos x, sin x, noise ...) and the same of y, float64 [n, 2 + noise_columns]."""
        rng = generator(n, seed)
        z = rng.uniform(-math.pi, math.pi, n)
        x, y = rng.vonmises(z, self.kappa_x), rng.vonmises(z, self.kappa_y)
        noise = rng.standard_normal((2, n, self.noise_columns))
        return np.column_stack([np.cos(x), np.sin(x), noise[0]]), np.column_stack([np.cos(y), np.sin(y), noise[1]])

    def pmi(self, x: Array, y: Array) -> Floats:
        """Return the PMI of each pair of rows, float64 [n], in nats."""
        points, others = self._points(x, "x"), self._points(y, "y")
        require_pairs(points, others)
        return self._pmi((points * others).sum(axis=1))

    def pmi_matrix(self, x: Array, y: Array) -> Floats:
        """Return the PMI of every row of x [n, ...] with every row of y [b, ...], float64 [n, b], in nats."""
        return self._pmi(self._points(x, "x") @ self._points(y, "y").T)

    def mutual_information(self) -> float:
        r"""Return :math:`I(X; Y) = \frac1{2\pi} \int_0^{2\pi} e^{\mathrm{PMI}(t)}\, \mathrm{PMI}(t)\, dt` in nats.

        By the trapezoidal rule, whose error for this smooth periodic function falls faster than any power of the
        number of nodes; they are so many that it stays below 1e-10, and for kappas up to 1,000 below 1e-12.
        """
        nodes = 1024 + math.ceil(16 * math.sqrt(min(self.kappa_x, self.kappa_y)))
        pmi = self._pmi(np.cos(2 * math.pi * np.arange(nodes) / nodes))
        return float((np.exp(pmi) * pmi).mean())

    def _pmi(self, cosine: Floats) -> Floats:
        kx, ky = float(self.kappa_x), float(self.kappa_y)
        apart = 2 * kx * ky * np.maximum(1 - cosine, 0)
        r = np.sqrt(np.maximum((kx + ky) ** 2 - apart, 0))
        # i0e(t) is I_0(t) exp(-t); the exponents' difference r - kx - ky, written without cancellation, is the last.
        return np.asarray(np.log(i0e(r)) - math.log(i0e(kx)) - math.log(i0e(ky)) - apart / (r + kx + ky + _TINY))

    def _points(self, x: Array, name: str) -> Floats:
        points = as_rows(x, width=2 + self.noise_columns, name=name)[:, :2]
        lengths = np.sqrt((points**2).sum(axis=1))
        wrong = abs(lengths - 1) > 1e-3  # so that rounding to half precision passes
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{name} has a point of length {lengths[row]:.4g} in row {row}; "
                "its first two columns must be the cosine and the sine of an angle."
            )
        return np.asarray(points / lengths[:, None])
