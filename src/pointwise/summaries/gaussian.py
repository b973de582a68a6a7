"""GaussianPair: the joint Gaussian of two modalities, from sums that stream and merge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointwise._arrays import as_features
from pointwise._options import number, whole_number
from pointwise._types import Array, Floats
from pointwise.errors import InputError
from pointwise.score import Score
from pointwise.summaries.gaussian_terms import GaussianTerms, PairRows, inverse_root, squared_lengths
from pointwise.tables.digest import sha256_of_array
from pointwise.tables.tensors import load_arrays, save_arrays
from pointwise.terms import Side

_Fit = tuple[tuple[torch.Tensor, torch.Tensor] | None, torch.Tensor, torch.Tensor, torch.Tensor]

_KIND = "gaussian_pair"
# The loops over rows are in NumPy: it sees that z^T z is symmetric and does half the work, and two thread pools that
# take turns in one loop, its own and torch's, would wait for each other.
_NAMED = 5  # columns that an error names


class GaussianPair:
    r"""The joint Gaussian of paired rows x [n, dx] and y [n, dy]: their information, and that of any further pair.

    .. math:: I(X; Y) = \tfrac12 \left[\log|\Sigma_x| + \log|\Sigma_y| - \log|\Sigma_z|\right], \quad z = (x, y)

    Only the number of pairs, their mean and their centred second moments are kept, in float64: memory does not grow
    with n, batches may come in any order, and halves fitted elsewhere can be merged. dx and dy are free. Covariances
    have the divisor n - 1.

    Args:
        ridge: added to the diagonal of all covariances, in log-determinants and inverses alike; 0 adds nothing. It
            is in squared units of the features: on unit-length features 5e-4 is already a strong shrinkage.
        reduce: the Gaussian is fitted in this many leading principal axes of each side, those of the pairs taken in;
            sides with as many columns or fewer stay whole. None reduces nothing. `kept_variance` says what is left.

    Raises:
        InputError: ridge is negative or not finite, or reduce is not a positive whole number.

    Reference: Kim et al. (2022), https://arxiv.org/abs/2205.13445, eq. 3; merging: Chan, Golub, LeVeque (1983).

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(1000, 2))
    >>> pair = GaussianPair()
    >>> pair.update(x[:500], x[:500] + rng.normal(size=(500, 2)))
    >>> pair.update(x[500:], x[500:] + rng.normal(size=(500, 2)))
    >>> round(pair.mutual_information(), 1)  # log 2
    0.7
    """

    def __init__(self, *, ridge: float = 0.0, reduce: int | None = None) -> None:
        self.ridge = number(ridge, "ridge", above=0, closed=True)
        self.reduce = None if reduce is None else whole_number(reduce, "reduce")
        self.count = 0
        self.widths = (0, 0)
        self._mean: Floats = np.zeros(0)
        self._moments: Floats = np.zeros((0, 0))
        self._fitted: dict[tuple[bool, float, int | None], _Fit] = {}  # until further pairs come

    def update(self, x: Array, y: Array) -> None:
        """Take in further pairs: row i of x [b, dx] belongs to row i of y [b, dy].

        Raises:
            InputError: the lengths differ, or the widths differ from those of earlier pairs.
        """
        left, right = as_pairs(x, y)
        self._require_widths(left.shape[1], right.shape[1])
        first = np.concatenate([left[0].cpu().double().numpy(), right[0].cpu().double().numpy()])
        with np.errstate(over="ignore", invalid="ignore"):  # the fit says so, in a sentence
            for z in PairRows(
                left, right, first
            ).blocks():  # differences keep the digits that a common offset would eat
                mean = z.mean(axis=0)
                z -= mean
                self._add(len(z), first + mean, z.T @ z)

    def merge(self, other: GaussianPair) -> None:
        """Take in all pairs that the other has seen.

        Raises:
            InputError: the widths, the ridges, or what the sides are reduced to differ.
        """
        if other.ridge != self.ridge:
            raise InputError(f"one pair has ridge {self.ridge:g} and the other {other.ridge:g}; both must be alike.")
        if other.reduce != self.reduce:
            raise InputError(f"one pair has reduce={self.reduce} and the other {other.reduce}; both must be alike.")
        if other.count:
            self._require_widths(*other.widths)
            self._add(other.count, other._mean, other._moments)

    def mutual_information(self, *, debias: bool = False) -> float:
        r"""Return the mutual information of the fitted Gaussian, in nats; higher is more shared.

        Args:
            debias: take out the exact mean error of the log-determinants,
                :math:`\tfrac12 \sum_{i < d_y} [\psi(\tfrac{\nu-i}2) - \psi(\tfrac{\nu-d_x-i}2)]` with
                :math:`\nu = n - 1`, about :math:`d_x d_y / 2n`.

        Raises:
            InputError: too few pairs, a constant or collinear column, or debias with a ridge.
        """
        return self._information(self._fit(debias=debias), debias=debias)

    def pmi(self, x: Array, y: Array, *, debias: bool = False) -> Score:
        r"""Return the pointwise mutual information of each pair under the fitted Gaussian, in nats; higher is better.

        .. math:: I(X; Y) + \tfrac12 \left[D_x^2(x) + D_y^2(y) - D_z^2(x, y)\right],
                  \quad D^2(a) = (a - \mu)^\top \Sigma^{-1} (a - \mu)

        which is log p(x, y) / (p(x) p(y)). Its mean is the MID of these pairs.

        Args:
            x: [m, dx].
            y: [m, dy], row by row the partners of x.
            debias: use unbiased inverses :math:`\frac{\nu - p - 1}{\nu} S^{-1}` for each block of p columns and the
                debiased information: the score of a pair that was not fitted on is then right on average, at any n.

        Raises:
            InputError: as `mutual_information`; the lengths or widths differ.

        Reference: Kim et al. (2022), https://arxiv.org/abs/2205.13445, eq. 5; without bias: docs/alignment.md.
        """
        return self.score(*as_pairs(x, y), debias=debias)

    def score(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        debias: bool = False,
        fitted: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> Score:
        """Return `pmi` of checked pairs; its error comes from the fitted pairs where they are given."""
        self._require_widths(x.shape[1], y.shape[1])
        fit = self._fit(debias=debias)
        axes, of_x, of_y, of_z = fit
        information = self._information(fit, debias=debias)
        dx, dy = len(of_x), len(of_y)
        roots = inverse_root(of_x), inverse_root(of_y), inverse_root(of_z)
        degrees = self.count - 1
        of_block = [(degrees - p - 1) / degrees if debias else 1.0 for p in (dx, dy, dx + dy)]
        shares = of_block[0], of_block[1], of_block[2]
        rows = PairRows(x, y, self._mean, axes)
        scores = []
        for z in rows.blocks():
            # The joint factor begins with that of x: D_z^2 = D_x^2 + |the rest|^2, the rest from its last rows alone.
            doubled = shares[1] * squared_lengths(z[:, dx:], roots[1]) - shares[2] * squared_lengths(z, roots[2][dx:])
            if debias:  # else D_x^2 cancels
                doubled += (shares[0] - shares[2]) * squared_lengths(z[:, :dx], roots[0])
            scores.append(information + doubled / 2)
        values = np.concatenate(scores)
        reference = None if fitted is None else PairRows(*fitted, self._mean, axes)
        terms = GaussianTerms(values, rows, roots, shares, self.count, self.ridge, reference)
        tables: dict[Side, str] = (
            {} if fitted is not None else {"fit": f"{sha256_of_array(np.vstack([self._moments, self._mean]))} {self}"}
        )
        return Score(float(values.mean()), per_sample=values, of="pair", terms=terms, tables=tables)

    def is_of(self, x: torch.Tensor, y: torch.Tensor) -> bool:
        """Return whether these are the pairs that were taken in, to judge by number, mean, and spread along a line."""
        if self.count != len(x) or self.widths != (x.shape[1], y.shape[1]):
            return False
        along = np.random.default_rng(0).normal(size=sum(self.widths)) / np.maximum(self._deviations(), 1e-300)
        places = np.concatenate([z @ along for z in PairRows(x, y, self._mean).blocks()])
        spread = float(along @ self._moments @ along)
        near = abs(float(places.mean())) <= 1e-9 * max(1.0, (spread / self.count) ** 0.5)
        return near and abs(float((places**2).sum()) - spread) <= 1e-6 * spread

    def require_plain(self, *, debias: bool) -> None:
        """Raise an InputError where debias is wanted of covariances with a ridge."""
        if debias and self.ridge:
            raise InputError(
                f"debias=True is exact for plain covariances alone; ridge must be 0, it is {self.ridge:g}."
            )

    @property
    def kept_variance(self) -> tuple[float, float]:
        """Share of the variance of x and of y that lies in the principal axes kept; 1 where nothing is reduced.

        Raises:
            InputError: fewer than two pairs were taken in.
        """
        if self.count < 2:
            raise InputError(f"{self.count} pairs have no variance yet; take in at least two.")
        of_x, of_y = (
            1.0
            if axes.shape[0] == axes.shape[1]
            else min(1.0, float((axes.T @ block @ axes).trace()) / max(float(block.trace()), 1e-300))
            for axes, block in zip(self._axes(), self._blocks(), strict=True)
        )
        return of_x, of_y

    def save(self, path: str | Path) -> None:
        """Write the fitted pair to a .safetensors file, whole or not at all.

        Raises:
            InputError: the path cannot be written.
        """
        arrays, words = self.stored()
        save_arrays(path, arrays, kind=_KIND, words={"pair": json.dumps(words)})

    @staticmethod
    def load(path: str | Path) -> GaussianPair:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read or is something else.
        """
        arrays, words = load_arrays(path, kind=_KIND, called="a fitted pair")
        about = json.loads(words["pair"])
        return GaussianPair(**about["options"]).restored(arrays, about)

    def stored(self) -> tuple[dict[str, Floats], dict[str, Any]]:
        """Return what was taken in, as arrays and what JSON can hold."""
        options = {"ridge": self.ridge, "reduce": self.reduce}
        about = {"options": options, "count": self.count, "widths": self.widths}
        return {"mean": self._mean, "moments": self._moments}, about

    def restored(self, arrays: Mapping[str, Floats], about: Mapping[str, Any]) -> GaussianPair:
        """Return this pair once it has taken in what `stored` gave of another."""
        self.count, self.widths = about["count"], tuple(about["widths"])
        self._mean, self._moments = arrays["mean"], arrays["moments"]
        return self

    def __repr__(self) -> str:
        axes = "" if self.reduce is None else f", reduce {self.reduce}"
        return (
            f"GaussianPair({self.count} pairs, {self.widths[0]} + {self.widths[1]} columns, ridge {self.ridge:g}{axes})"
        )

    def _add(self, count: int, mean: Floats, moments: Floats) -> None:
        """Chan's update: moments about the joint mean from moments about each mean."""
        self._fitted.clear()
        if self.count == 0:
            self.count, self._mean, self._moments = count, mean.copy(), moments.copy()
            return
        total = self.count + count
        shift = mean - self._mean
        self._moments += moments
        self._moments += np.outer(shift * (self.count / total * count), shift)
        self._mean += shift * (count / total)
        self.count = total

    def _require_widths(self, dx: int, dy: int) -> None:
        if self.widths == (0, 0):
            self.widths = (dx, dy)
        if self.widths != (dx, dy):
            raise InputError(
                f"these pairs have {dx} + {dy} columns but those fitted on have {self.widths[0]} + {self.widths[1]}; "
                "all must come from the same two encoders."
            )

    def _axes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The orthonormal axes [d, r] that each side is seen in: principal ones by falling variance, or all columns."""
        of_x, of_y = (_principal_axes(block, self.reduce) for block in self._blocks())
        return of_x, of_y

    def _blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        dx = self.widths[0]
        moments = torch.from_numpy(self._moments)
        return moments[:dx, :dx], moments[dx:, dx:]

    def _fit(self, *, debias: bool) -> _Fit:
        """What scoring needs, worked out once for the pairs taken in so far."""
        asked = debias, self.ridge, self.reduce
        if asked not in self._fitted:
            self._fitted[asked] = self._worked_out(debias=debias)
        return self._fitted[asked]

    def _worked_out(self, *, debias: bool) -> _Fit:
        """The axes and the Cholesky factors of the covariances of x, y and z, once it is certain they have full rank.

        The axes are None where nothing is reduced.
        """
        self.require_plain(debias=debias)
        self._refuse_extremes()
        reduces = self.reduce is not None and self.reduce < max(self.widths)
        axes = self._axes() if reduces and self.count > 1 else None
        dx, dy = (side.shape[1] for side in axes) if axes else (min(d, self.reduce or d) for d in self.widths)
        needed = dx + dy + (3 if debias else 1)
        if self.count < (2 if self.ridge else needed):
            raise InputError(
                f"{self.count} pairs are too few for {dx} + {dy} columns{' with debias=True' if debias else ''}: the "
                f"joint covariance has rank {max(self.count - 1, 0)} at most, and its information would be without "
                f"meaning. At least {needed} pairs are needed; give more, reduce each side to its principal axes "
                "(reduce=), or add a ridge."
            )
        if not self.ridge and axes is None:
            self._refuse_constant()
        covariance = torch.from_numpy(self._moments) / (self.count - 1)
        if axes is not None:
            covariance = torch.block_diag(*axes).T @ covariance @ torch.block_diag(*axes)
        covariance.diagonal().add_(self.ridge)
        variances = covariance.diagonal().clamp_min(torch.finfo(torch.float64).tiny)
        rounding = 10 * len(covariance) * torch.finfo(torch.float64).eps
        factor, failed_at = torch.linalg.cholesky_ex(covariance)
        if failed_at:  # so that all such columns are found, not the first alone
            factor, failed_at = torch.linalg.cholesky_ex(covariance + torch.diag(rounding * variances))
        # A squared pivot over its variance is the share that the columns before leave unexplained.
        unexplained = factor.diagonal().square() / variances
        bad = (unexplained < 10 * rounding).nonzero().flatten().tolist() or ([int(failed_at) - 1] if failed_at else [])
        if axes is not None:  # an axis without variance is seen against the others, as its own is rounding
            share = variances / torch.cat([variances[:dx].max().expand(dx), variances[dx:].max().expand(dy)])
            bad = sorted({*bad, *(share < rounding).nonzero().flatten().tolist()})
        if bad:
            rank = int((torch.linalg.eigvalsh(covariance) > rounding * float(variances.max())).sum())
            raise InputError(
                f"{self._names(bad, dx, axes)} {'is' if len(bad) == 1 else 'are'} a linear combination of those before,"
                f" or too near to one to tell: the joint covariance has effective rank {rank} of {dx + dy}, and "
                "the information cannot be known. "
                "Leave such columns out, reduce each side to fewer principal axes (reduce=), or add a ridge."
            )
        return axes, factor[:dx, :dx], torch.linalg.cholesky(covariance[dx:, dx:]), factor

    def _information(self, fit: _Fit, *, debias: bool) -> float:
        _, *factors = fit
        of_x, of_y, of_z = (float(factor.diagonal().log().sum()) for factor in factors)
        return of_x + of_y - of_z - (self._bias(len(fit[1]), len(fit[2])) if debias else 0.0)

    def _deviations(self) -> Floats:
        deviations: Floats = np.sqrt(self._moments.diagonal() / max(self.count, 1))
        return deviations

    def _refuse_extremes(self) -> None:
        deviations = self._deviations()
        tiny = (deviations > 0) & (deviations < 1e-140)
        if tiny.any() or not np.isfinite(self._moments).all():
            raise InputError(
                "squares of deviations from the mean do not fit into float64: rescale the features so that those of "
                "every column are between 1e-140 and 1e150."
            )

    def _refuse_constant(self) -> None:
        deviations = self._deviations()
        # A constant that binary fractions cannot hold, 0.1 say, differs from its mean by rounding.
        constant = np.flatnonzero(deviations <= 1e-13 * np.abs(self._mean)).tolist()
        if constant:
            raise InputError(
                f"{self._names(constant, self.widths[0])} {'is' if len(constant) == 1 else 'are'} constant over all "
                f"{self.count} pairs: a Gaussian has no density there. Leave such columns out, reduce each side to its "
                "principal axes (reduce=), or add a ridge."
            )

    def _names(self, columns: list[int], dx: int, axes: object = None) -> str:
        kind = "column" if axes is None else "principal axis"
        names = [f"{kind} {c} of x" if c < dx else f"{kind} {c - dx} of y" for c in columns[:_NAMED]]
        more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
        return ", ".join(names) + more

    def _bias(self, dx: int, dy: int) -> float:
        i = torch.arange(dy, dtype=torch.float64)
        degrees = self.count - 1
        return float((torch.digamma((degrees - i) / 2) - torch.digamma((degrees - dx - i) / 2)).sum() / 2)


def _principal_axes(moments: torch.Tensor, count: int | None) -> torch.Tensor:
    if count is None or count >= len(moments):
        return torch.eye(len(moments), dtype=moments.dtype)
    _, vectors = torch.linalg.eigh(moments)
    axes: torch.Tensor = vectors[:, -count:].flip(1)
    return axes


def as_pairs(x: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both sides of pairs checked, or raise an InputError unless row i of one belongs to row i of the other."""
    left, right = as_features(x, name="x"), as_features(y, name="y")
    if len(left) != len(right):
        raise InputError(f"x has {len(left)} rows and y has {len(right)}; row i of one belongs to row i of the other.")
    if len(left) == 0:
        raise InputError("x and y have no rows; give at least one pair.")
    return left, right
