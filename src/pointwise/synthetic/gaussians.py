"""Pairs of Gaussian vectors with given canonical correlations."""

from dataclasses import dataclass

import numpy as np

from pointwise._arrays import as_numbers
from pointwise._types import Array, Floats
from pointwise.errors import InputError
from pointwise.synthetic.checks import as_rows, generator, require_pairs


@dataclass(frozen=True, eq=False)
class CorrelatedGaussians:
    r"""Standard normal x and y in d dimensions, correlated coordinate by coordinate; information in nats.

    .. math:: \mathrm{PMI}(x, y) = \sum_i \Bigl[ \frac{c_i x_i y_i - c_i^2 (x_i^2 + y_i^2) / 2}{1 - c_i^2}
              - \tfrac12 \ln(1 - c_i^2) \Bigr], \qquad I(X; Y) = -\tfrac12 \sum_i \ln(1 - c_i^2)

    Every pair of jointly Gaussian vectors is an invertible linear image of such a one (Hotelling, "Relations between
    two sets of variates", Biometrika 28, 1936), and such images change neither PMI nor information.

    Args:
        correlations: [d], the c, between -1 and 1.

    Raises:
        InputError: there are none, or one is not between -1 and 1.

    >>> law = CorrelatedGaussians([0.9, 0.5])
    >>> x, y = law.sample(4, seed=0)
    >>> x.shape, law.pmi(x, y).shape, law.pmi_matrix(x, y).shape, round(law.mutual_information(), 4)
    ((4, 2), (4,), (4, 4), 0.9742)
    """

    correlations: Floats

    def __post_init__(self) -> None:
        correlations = as_numbers(self.correlations, name="correlations")
        if correlations.ndim != 1 or len(correlations) == 0:
            raise InputError(f"correlations has shape {correlations.shape}; it must be [d], with at least one value.")
        wrong = ~(abs(correlations) < 1)
        if wrong.any():
            raise InputError(
                f"correlations holds {correlations[wrong][0]:g}; each must be between -1 and 1, "
                "where the information is finite."
            )
        object.__setattr__(self, "correlations", correlations)

    def sample(self, n: int, *, seed: int) -> tuple[Floats, Floats]:
        """Return n independent pairs: x and y, float64 [n, d] each."""
        c = self.correlations
        x, noise = generator(n, seed).standard_normal((2, n, len(c)))
        return x, c * x + np.sqrt((1 - c) * (1 + c)) * noise

    def pmi(self, x: Array, y: Array) -> Floats:
        """Return the PMI of each pair of rows, float64 [n], in nats."""
        rows, others = self._rows(x, y)
        require_pairs(rows, others)
        return self._side(rows) + self._side(others) + (rows * others) @ self._slope + self.mutual_information()

    def pmi_matrix(self, x: Array, y: Array) -> Floats:
        """Return the PMI of every row of x [n, d] with every row of y [b, d], float64 [n, b], in nats."""
        rows, others = self._rows(x, y)
        product = (rows * self._slope) @ others.T
        return product + self._side(rows)[:, None] + self._side(others) + self.mutual_information()

    def mutual_information(self) -> float:
        r"""Return :math:`I(X; Y) = -\tfrac12 \sum_i \ln(1 - c_i^2)`, in nats."""
        c = self.correlations
        return -0.5 * float((np.log1p(-c) + np.log1p(c)).sum())

    @property
    def _slope(self) -> Floats:
        return self.correlations / ((1 - self.correlations) * (1 + self.correlations))

    def _side(self, rows: Floats) -> Floats:
        return -0.5 * rows**2 @ (self.correlations * self._slope)

    def _rows(self, x: Array, y: Array) -> tuple[Floats, Floats]:
        d = len(self.correlations)
        return as_rows(x, width=d, name="x"), as_rows(y, width=d, name="y")
