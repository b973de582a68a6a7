"""What an agreement with people comes out as: estimates that know how they vary from resample to resample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pointwise._agreement.rank_statistics import STATISTICS, Floats
from pointwise.errors import InputError
from pointwise.metrics.registry import closest_names


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """One number, and what it came out as on each bootstrap resample.

    Args:
        value: the statistic, or a difference of two.
        resampled: float64 [resamples]; nan where the statistic is not defined: all scores or ratings drawn are equal.
        level: of the interval, unless another is asked for.
        null: the value that means no agreement, or no difference: 0, and for a pairwise accuracy ½.

    >>> estimate = Estimate(0.5, np.linspace(0, 1, 101), level=0.9)
    >>> estimate
    Estimate(0.5, 90 % interval 0.05 to 0.95)
    >>> estimate.interval(0.5)
    (0.25, 0.75)
    """

    value: float
    resampled: Floats
    _: KW_ONLY
    level: float = 0.95
    null: float = 0.0

    @property
    def standard_error(self) -> float:
        """The standard deviation over the resamples."""
        drawn = self._defined()
        return float(drawn.std(ddof=1)) if len(drawn) > 1 else math.nan

    def interval(self, level: float | None = None) -> tuple[float, float]:
        """Return the percentile interval: the quantiles of the resamples that leave (1 − level) / 2 on either side.

        Raises:
            InputError: level is not between 0 and 1.
        """
        level = self.level if level is None else level
        require_level(level)
        drawn = self._defined()
        if len(drawn) == 0:
            return math.nan, math.nan
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the null, 2 (1 + c) / (1 + resamples), at most 1: c resamples lie on its lesser side.

        In short, the 1 − level at which the interval just ends at the null; adding one keeps it from being 0.
        """
        drawn = self._defined()
        tail = min(np.count_nonzero(drawn <= self.null), np.count_nonzero(drawn >= self.null))
        return min(1.0, 2 * (1 + int(tail)) / (1 + len(drawn)))

    def _defined(self) -> Floats:
        return self.resampled[np.isfinite(self.resampled)]

    def __repr__(self) -> str:
        low, high = self.interval()
        return f"Estimate({self.value:.4g}, {100 * self.level:g} % interval {low:.4g} to {high:.4g})"


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """How well metrics agree with human ratings of the same items.

    Args:
        estimates: (metric, statistic) -> Estimate.
        n: how many items there are.
        tied_ratings: how many of the n (n − 1) / 2 pairs people rated the same.
        tied_scores: metric -> how many of the pairs it scores the same.

    ``result["mid", "kendall_b"]`` is one statistic of one metric; of a single metric ``result["kendall_b"]`` is enough.

    >>> from pointwise._agreement import agreement
    >>> result = agreement({"length": [3, 1, 4, 1, 5], "noise": [9, 2, 6, 5, 3]}, [2, 1, 3, 2, 3], resamples=200)
    >>> result.n, result.tied_ratings, result.tied_scores
    (5, 2, {'length': 1, 'noise': 0})
    >>> result
    Agreement of 2 metrics with the ratings of 5 items, 95 % intervals
      length  kendall_b           0.825    0.5... to 1.000
      ...
      noise   pairwise_accuracy   0.625    0.000 to 1.000
    """

    estimates: Mapping[tuple[str, str], Estimate]
    _: KW_ONLY
    n: int
    tied_ratings: int
    tied_scores: Mapping[str, int]

    def __getitem__(self, key: str | tuple[str, str]) -> Estimate:
        metrics = list(self.tied_scores)
        if isinstance(key, str):
            if len(metrics) > 1:
                known = key if key in STATISTICS else STATISTICS[0]
                raise InputError(
                    f"this agreement is of {len(metrics)} metrics ({', '.join(metrics)}); "
                    f"ask for one statistic of one as agreement[{metrics[0]!r}, {known!r}]."
                )
            key = metrics[0], key
        metric, statistic = key
        if metric not in self.tied_scores:
            hint = closest_names(metric, metrics)
            raise InputError(f"{metric!r} is not a metric of this agreement{hint}; it holds {', '.join(metrics)}.")
        if statistic not in STATISTICS:
            hint = closest_names(statistic, STATISTICS)
            raise InputError(f"{statistic!r} is not a statistic{hint}; there are {', '.join(STATISTICS)}.")
        return self.estimates[metric, statistic]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def compare(self, first: str, second: str, *, statistic: str = "kendall_b") -> Estimate:
        """Return the first metric's statistic less the second's: above 0 the first agrees better.

        Both were computed on the same resamples, so what varies alike in both cancels; its ``p_value`` is that of a
        paired bootstrap test of no difference.

        Raises:
            InputError: an unknown metric or statistic.

        >>> from pointwise._agreement import agreement
        >>> result = agreement({"a": [1, 2, 3, 4, 5, 6], "b": [2, 1, 4, 3, 6, 5]}, [1, 1, 2, 2, 3, 3], resamples=200)
        >>> difference = result.compare("a", "b", statistic="spearman")
        >>> round(difference.value, 3), difference.p_value
        (0.0, 1.0)
        """
        one, other = self[first, statistic], self[second, statistic]
        return Estimate(one.value - other.value, one.resampled - other.resampled, level=one.level)

    def to_dict(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return {metric: {statistic: {"value", "low", "high", "standard_error"}}}."""
        content: dict[str, dict[str, dict[str, float]]] = {metric: {} for metric in self.tied_scores}
        for (metric, statistic), estimate in self.estimates.items():
            low, high = estimate.interval()
            content[metric][statistic] = {
                "value": estimate.value,
                "low": low,
                "high": high,
                "standard_error": estimate.standard_error,
            }
        return content

    def __repr__(self) -> str:
        width = max(map(len, self.tied_scores))
        level = next(iter(self.estimates.values())).level
        count = len(self.tied_scores)
        lines = [
            f"Agreement of {count} metric{'s' * (count != 1)} with the ratings of {self.n} items, "
            f"{100 * level:g} % intervals"
        ]
        for (metric, statistic), estimate in self.estimates.items():
            low, high = estimate.interval()
            lines.append(f"  {metric:{width}}  {statistic:17} {estimate.value:7.3f}    {low:.3f} to {high:.3f}")
        return "\n".join(lines)


def require_level(level: float) -> None:
    """Raise an InputError unless the level of an interval is between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it must lie strictly between 0 and 1, 0.95 say.")
