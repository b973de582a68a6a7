"""Score: one metric's result, from which its mean, its interval and its table by mode are derived."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from pointwise._arrays import Column
from pointwise.errors import InputError

Values = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
Of = Literal["real", "generated", "pair"]


@dataclass(frozen=True, eq=False, repr=False)
class Score:
    """One metric of one comparison: a number, and where the metric allows it the number of each sample.

    Args:
        value: the metric; the mean of ``per_sample`` where there is one.
        per_sample: float64 [n], aligned with the rows of the table that ``of`` names; None for metrics of whole
            sets (frechet, kid, cmmd).
        of: the table whose rows the samples are: "real", "generated", or "pair".
        standard_error: of ``value``; nan where it is not known.
        modes: [n], the mode of each sample, where the table carries modes.
        ids: [n], the id of each sample, where the table carries ids.
        captions: [n], the caption of each sample, where the table carries captions.
        mode_standard_errors: of the value of each mode, where the table carries modes.
        groups: [n], where samples come in groups that are alike, as captions of one image are; None where each is
            independent of the others.
    """

    value: float
    _: KW_ONLY
    per_sample: Values | None = None
    of: Of = "generated"
    standard_error: float = math.nan
    modes: Column | None = None
    ids: Column | None = None
    captions: Column | None = None
    mode_standard_errors: Mapping[Any, float] | None = None
    groups: Column | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval that holds the value at this level if the standard error is right (normal quantiles).

        For metrics that are shares of samples (each sample 0 or 1) it is Wilson's interval, which stays inside [0, 1]
        and does not shrink to a point at 0 or 1, where each group counts as one sample. Where the standard error is not
        known both ends are nan.

        Raises:
            InputError: level is not between 0 and 1.

        >>> Score(2.0, standard_error=0.5).interval()
        (1.02..., 2.97...)
        """
        if not 0 < level < 1:
            raise InputError(f"level is {level}; it must lie strictly between 0 and 1, 0.95 say.")
        if self.per_sample is not None and _is_share(self.per_sample):
            return _wilson(self.value, self._independent_samples(), level)
        reach = _normal_quantile(level) * self.standard_error
        return self.value - reach, self.value + reach

    def by_mode(self) -> Mapping[Any, Score]:
        """Return the score of each mode: the mean over its samples, which average to ``value`` by mode size.

        Raises:
            InputError: the score has no value per sample, or its table carries no modes.
        """
        if self.per_sample is None:
            raise InputError("this metric is of whole sets: it has no value per sample and so none per mode.")
        if self.modes is None:
            raise InputError(f"the {self.of} table carries no modes; give it modes=, one per row.")
        errors = self.mode_standard_errors or {}
        return {
            mode: Score(
                _mean(self.per_sample[rows]),
                per_sample=self.per_sample[rows],
                of=self.of,
                standard_error=errors.get(mode, math.nan),
                ids=None if self.ids is None else self.ids[rows],
                captions=None if self.captions is None else self.captions[rows],
                groups=None if self.groups is None else self.groups[rows],
            )
            for mode, rows in _rows_by_mode(self.modes).items()
        }

    def _independent_samples(self) -> float:
        """How many independent samples would leave a share as uncertain as its standard error says.

        At 0 and 1 it says nothing, and as many are taken as there are groups.
        """
        count = len(self.per_sample) if self.per_sample is not None else 0
        variance = self.value * (1 - self.value)
        if variance and self.standard_error > 0:
            return min(count, 1 + variance / self.standard_error**2)
        return count if self.groups is None else len(np.unique(self.groups))

    def __repr__(self) -> str:
        error = "" if math.isnan(self.standard_error) else f" ± {self.standard_error:.2g}"
        rows = "" if self.per_sample is None else f", per_sample [{len(self.per_sample)}] of {self.of}"
        return f"Score({self.value:.6g}{error}{rows})"


def mean_score(
    per_sample: Values,
    *,
    of: Of,
    modes: Column | None = None,
    ids: Column | None = None,
    captions: Column | None = None,
    groups: Column | None = None,
    error: Callable[[Rows], float] | None = None,
) -> Score:
    """Return the Score that is the mean of these samples.

    Args:
        per_sample: float64 [n].
        of: the table whose rows the samples are.
        modes: [n], or None.
        ids: [n], or None.
        captions: [n], or None.
        groups: [n], of samples that are alike within each group; None where all are independent.
        error: the standard error of the mean over some rows; None for that of independent groups.

    Raises:
        InputError: there are no samples.
    """
    values = np.asarray(per_sample, dtype=np.float64)
    if len(values) == 0:
        raise InputError(f"there are no samples of {of} to average: the table has no rows.")
    error = error or (lambda rows: error_of_mean(values[rows], None if groups is None else groups[rows]))
    return Score(
        _mean(values),
        per_sample=values,
        of=of,
        standard_error=error(np.arange(len(values))),
        modes=modes,
        ids=ids,
        captions=captions,
        mode_standard_errors=(
            None if modes is None else {mode: error(rows) for mode, rows in _rows_by_mode(modes).items()}
        ),
        groups=groups,
    )


def error_of_mean(values: Values, groups: Column | None = None) -> float:
    """Return the standard error of a mean over independent groups of values; each is its own if groups is None.

    nan where there are fewer than two groups, or values that are infinite.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan
    if groups is None:
        return float(values.std(ddof=1)) / math.sqrt(len(values))
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return math.nan
    sums = np.bincount(group_of, weights=values - values.mean())
    return math.sqrt(len(names) / (len(names) - 1) * float((sums**2).sum())) / len(values)


def _rows_by_mode(modes: Column) -> dict[Any, Rows]:
    names, position = np.unique(modes, return_inverse=True)
    order = np.argsort(position, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(position))[:-1])
    return {name.item(): rows for name, rows in zip(names, parts, strict=True)}


def _mean(values: Values) -> float:
    """The mean; where some values are infinite, as duplicates="keep" makes them, it is inf, -inf or nan."""
    infinite = values[~np.isfinite(values)]
    if len(infinite) == 0:
        return float(values.mean())
    return float(infinite[0]) if (infinite == infinite[0]).all() else math.nan


def _is_share(values: Values) -> bool:
    return len(values) > 0 and bool(((values == 0) | (values == 1)).all())


def _normal_quantile(level: float) -> float:
    """How many standard errors to either side hold this share of a normal law."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def _wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's score interval of a share of n (Wilson 1927)."""
    z2 = _normal_quantile(level) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = min(share, middle - reach), max(share, middle + reach)  # rounding can leave a share of 0 or 1 out
    return max(0.0, low), min(1.0, high)
