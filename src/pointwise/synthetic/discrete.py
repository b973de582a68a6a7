"""Pairs of discrete values that share a discrete latent: their information matrix is known and of low rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import rel_entr

from pointwise._arrays import as_numbers
from pointwise._options import number, whole_number
from pointwise._types import Array, Floats, Integers
from pointwise.errors import InputError
from pointwise.synthetic.checks import as_whole_numbers, generator, require_pairs


@dataclass(frozen=True, eq=False)
class DiscreteLatent:
    r"""A law of pairs of values x and y that are independent given a latent z with K values.

    .. math:: p(x, y) = \sum_z p(z)\, p(x \mid z)\, p(y \mid z), \qquad
              e^{\mathrm{PMI}(x, y)} = \sum_z \frac{p(z \mid x)\, p(z \mid y)}{p(z)}

    so :math:`e^{\mathrm{PMI}}` has at most rank K. Floats are counted from 0; information is in nats.

    Args:
        p_z: [K], the law of the latent.
        x_given_z: [K, values of x], rows summing to 1.
        y_given_z: [K, values of y], rows summing to 1.

    Raises:
        InputError: the tables do not fit, are not probabilities, or give some value no probability at all.

    >>> law = DiscreteLatent.dirichlet(32, 64, 64, seed=0)
    >>> x, y = law.sample(5, seed=1)
    >>> law.pmi(x, y).shape, law.pmi_matrix(x, y).shape, round(law.mutual_information(), 3)
    ((5,), (5, 5), 0.103)
    """

    p_z: Floats
    x_given_z: Floats
    y_given_z: Floats

    def __post_init__(self) -> None:
        for name in ("p_z", "x_given_z", "y_given_z"):
            object.__setattr__(self, name, _probabilities(getattr(self, name), name, 1 if name == "p_z" else 2))
        for name in ("x_given_z", "y_given_z"):
            table = getattr(self, name)
            if len(table) != len(self.p_z):
                raise InputError(f"{name} has {len(table)} rows for {len(self.p_z)} values of z; give one for each.")
            if not (self.p_z @ table > 0).all():
                value = int(np.argmin(self.p_z @ table))
                raise InputError(
                    f"value {value} of {name[0]} has probability 0 whatever z is, so it has no PMI; "
                    "leave it out, or draw the tables with a larger concentration."
                )

    @classmethod
    def dirichlet(
        cls,
        latents: int,
        values_x: int,
        values_y: int,
        *,
        seed: int,
        concentration: float = 0.3,
        z_concentration: float = math.inf,
    ) -> DiscreteLatent:
        """Return a law whose tables are drawn from symmetric Dirichlet laws.

        Args:
            latents: K, the number of values of z.
            values_x: number of values of x.
            values_y: and of y.
            seed: of the tables.
            concentration: of p(x | z) and p(y | z); the smaller, the more each z prefers few values.
            z_concentration: of p(z); inf for the uniform law.

        Raises:
            InputError: a number is not positive.
        """
        for name, count in {"latents": latents, "values_x": values_x, "values_y": values_y}.items():
            whole_number(count, name)
        number(concentration, "concentration", above=0)
        rng, p_z = generator(0, seed), np.full(latents, 1 / latents)
        if z_concentration != math.inf:
            p_z = rng.dirichlet(np.full(latents, number(z_concentration, "z_concentration", above=0)))
        x_given_z = rng.dirichlet(np.full(values_x, concentration), size=latents)
        return cls(p_z, x_given_z, rng.dirichlet(np.full(values_y, concentration), size=latents))

    def sample(self, n: int, *, seed: int) -> tuple[Integers, Integers]:
        """Return n independent pairs: the values of x and of y, int64 [n] each."""
        rng = generator(n, seed, stream=1)
        z = rng.choice(len(self.p_z), size=n, p=self.p_z)
        return _draw(self.x_given_z, z, rng), _draw(self.y_given_z, z, rng)

    def pmi(self, x: Array, y: Array) -> Floats:
        """Return the PMI of each pair, float64 [n], in nats; −inf where the two never come together."""
        rows, columns = self._values(x, y)
        require_pairs(rows, columns)
        return self.pmi_table[rows, columns]

    def pmi_matrix(self, x: Array, y: Array) -> Floats:
        """Return the PMI of every value of x [n] with every one of y [b], float64 [n, b], in nats."""
        rows, columns = self._values(x, y)
        return self.pmi_table[rows][:, columns]

    def mutual_information(self) -> float:
        r"""Return :math:`I(X; Y) = \sum_{x, y} p(x, y)\, \mathrm{PMI}(x, y)` in nats, exact to rounding."""
        return float(rel_entr(self.joint, np.outer(self.joint.sum(axis=1), self.joint.sum(axis=0))).sum())

    @cached_property
    def joint(self) -> Floats:
        """p(x, y), float64 [values of x, values of y]."""
        return np.asarray((self.x_given_z * self.p_z[:, None]).T @ self.y_given_z)

    @cached_property
    def pmi_table(self) -> Floats:
        """PMI of all values, float64 [values of x, values of y], in nats."""
        x_factor, y_factor = self.factors()
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(x_factor @ y_factor.T))

    def factors(self) -> tuple[Floats, Floats]:
        r"""Return :math:`p(z \mid x) / \sqrt{p(z)}` and the same of y, float64 [values, K].

        The product of the first with the transposed second is :math:`e^{\mathrm{PMI}}`.
        """
        root = np.sqrt(self.p_z)

        def factor(table: Floats) -> Floats:
            return np.asarray((table * root[:, None]).T / (self.p_z @ table)[:, None])

        return factor(self.x_given_z), factor(self.y_given_z)

    def _values(self, x: Array, y: Array) -> tuple[Integers, Integers]:
        rows = as_whole_numbers(x, low=0, high=self.x_given_z.shape[1] - 1, name="x")
        columns = as_whole_numbers(y, low=0, high=self.y_given_z.shape[1] - 1, name="y")
        for name, values in (("x", rows), ("y", columns)):
            if values.ndim != 1:
                raise InputError(f"{name} has shape {values.shape}; it must be one-dimensional, a value per row.")
        return rows, columns


def _probabilities(table: Array, name: str, dimensions: int) -> Floats:
    values = as_numbers(table, name=name).copy()
    if values.ndim != dimensions or values.size == 0:
        raise InputError(f"{name} has shape {values.shape}; it must be {['[K]', '[K, values]'][dimensions - 1]}.")
    totals = np.atleast_1d(values.sum(axis=-1))
    if not (values >= 0).all() or not np.allclose(totals, 1, rtol=0, atol=1e-9):
        row = int(np.argmax(np.where(np.isnan(totals), np.inf, abs(totals - 1))))
        raise InputError(
            f"{name} must hold probabilities, at least 0 and summing to 1{' in each row' * (dimensions == 2)}; "
            f"its least value is {values.min():g} and {f'row {row}' if dimensions == 2 else 'it'} sums to "
            f"{totals[row]:g}."
        )
    values /= values.sum(axis=-1, keepdims=True)
    return values


def _draw(table: Floats, z: Integers, rng: np.random.Generator) -> Integers:
    """Draw a value for each z from its row of the table, by inverting the row's distribution function."""
    steps = table.cumsum(axis=1)
    steps /= steps[:, -1:]  # so that a value of probability 0 is never reached by rounding
    uniform, values = rng.random(len(z)), np.empty(len(z), dtype=np.int64)
    for row in range(len(table)):
        here = z == row
        values[here] = np.searchsorted(steps[row], uniform[here], side="right")
    return values
