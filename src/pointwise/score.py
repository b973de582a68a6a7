"""Score: one metric's result, from which its mean, its interval and its table by mode are derived."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from pointwise.arrays import Column
from pointwise.errors import InputError

Values = np.ndarray[Any, np.dtype[np.float64]]
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
        reference_terms: float64 [N], one per real row, whose mean was subtracted from every sample; it adds to the
            standard error (PCE, RCE and RE subtract the entropy of the real table).
    """

    value: float
    _: KW_ONLY
    per_sample: Values | None = None
    of: Of = "generated"
    standard_error: float = math.nan
    modes: Column | None = None
    ids: Column | None = None
    reference_terms: Values | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval that holds the value at this level if the standard error is right (normal quantiles).

        For metrics that are shares of samples (each sample 0 or 1) it is Wilson's interval, which stays inside [0, 1]
        and does not shrink to a point at 0 or 1. Where the standard error is not known both ends are nan.

        Raises:
            InputError: level is not between 0 and 1.

        >>> Score(2.0, standard_error=0.5).interval()
        (1.02..., 2.97...)
        """
        if not 0 < level < 1:
            raise InputError(f"level is {level}; it must lie strictly between 0 and 1, 0.95 say.")
        if self.per_sample is not None and self.reference_terms is None and _is_share(self.per_sample):
            return _wilson(self.value, len(self.per_sample), level)
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
        names, position = np.unique(self.modes, return_inverse=True)
        return {
            name.item(): mean_score(
                self.per_sample,
                of=self.of,
                rows=np.flatnonzero(position == i),
                ids=self.ids,
                reference_terms=self.reference_terms,
            )
            for i, name in enumerate(names)
        }

    def __repr__(self) -> str:
        error = "" if math.isnan(self.standard_error) else f" ± {self.standard_error:.2g}"
        rows = "" if self.per_sample is None else f", per_sample [{len(self.per_sample)}] of {self.of}"
        return f"Score({self.value:.6g}{error}{rows})"


def mean_score(
    per_sample: Values,
    *,
    of: Of,
    rows: np.ndarray[Any, np.dtype[np.int64]] | None = None,
    modes: Column | None = None,
    ids: Column | None = None,
    reference_terms: Values | None = None,
) -> Score:
    """Return the Score that is the mean of these samples, or of some rows of them, with its standard error.

    A Score of some rows carries no modes: it is one mode's share of the whole.

    Raises:
        InputError: there are no samples.
    """
    rows = np.arange(len(per_sample)) if rows is None else rows
    kept = np.asarray(per_sample, dtype=np.float64)[rows]
    if len(kept) == 0:
        raise InputError(f"there are no samples of {of} to average: the table has no rows.")
    value = float(np.mean(kept)) if np.isfinite(kept).all() else _mean_with_infinities(kept)
    return Score(
        value,
        per_sample=kept,
        of=of,
        standard_error=_standard_error(per_sample, rows, of, reference_terms),
        modes=modes,
        ids=None if ids is None else ids[rows],
        reference_terms=reference_terms,
    )


def _standard_error(
    per_sample: Values, rows: np.ndarray[Any, np.dtype[np.int64]], of: Of, reference_terms: Values | None
) -> float:
    """Root of the summed squared influence of every row on the mean, neighbours held as they are.

    A real row can act twice, through its own sample and through the subtracted mean: those two influences are added
    before squaring, so that their correlation counts.
    """
    kept = np.asarray(per_sample, dtype=np.float64)[rows]
    n = len(kept)
    if n < 2 or not np.isfinite(kept).all():
        return math.nan
    influence = (kept - kept.mean()) / math.sqrt(n * (n - 1))
    if reference_terms is None:
        return float(np.linalg.norm(influence))
    count = len(reference_terms)
    if count < 2 or not np.isfinite(reference_terms).all():
        return math.nan
    subtracted = (reference_terms.mean() - reference_terms) / math.sqrt(count * (count - 1))
    if of != "real":
        return float(math.hypot(np.linalg.norm(influence), np.linalg.norm(subtracted)))
    subtracted[rows] += influence
    return float(np.linalg.norm(subtracted))


def _mean_with_infinities(values: Values) -> float:
    """The mean of values of which some are infinite (the policy duplicates="keep" makes them): inf, -inf or nan."""
    infinite = values[~np.isfinite(values)]
    return float(infinite[0]) if (infinite == infinite[0]).all() else math.nan


def _is_share(values: Values) -> bool:
    return len(values) > 0 and bool(((values == 0) | (values == 1)).all())


def _normal_quantile(level: float) -> float:
    """How many standard errors to either side hold this share of a normal law."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def _wilson(share: float, n: int, level: float) -> tuple[float, float]:
    """Wilson's score interval of a share of n (Wilson 1927)."""
    z2 = _normal_quantile(level) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = min(share, middle - reach), max(share, middle + reach)  # rounding can leave a share of 0 or 1 out
    return max(0.0, low), min(1.0, high)
