"""What an agreement with people comes out as: estimates that know how they vary from resample to resample."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass

from pointwise._agreement.rank_statistics import STATISTICS
from pointwise.errors import InputError
from pointwise.metrics.registry import closest_names
from pointwise.score import Score


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """How well metrics agree with human ratings of the same items.

    Args:
        scores: (metric, statistic) -> Score, whose error comes from bootstrap resamples.
        level: of the intervals that are shown.
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

    scores: Mapping[tuple[str, str], Score]
    _: KW_ONLY
    level: float = 0.95
    n: int
    tied_ratings: int
    tied_scores: Mapping[str, int]

    def __getitem__(self, key: str | tuple[str, str]) -> Score:
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
        return self.scores[metric, statistic]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def compare(self, first: str, second: str, *, statistic: str = "kendall_b") -> Score:
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
        return self[first, statistic].difference(self[second, statistic])

    def to_dict(self) -> dict[str, dict[str, dict[str, float | str | None]]]:
        """Return {metric: {statistic: {"value", "low", "high", "standard_error"}}}."""
        return {
            metric: {statistic: self.scores[metric, statistic].to_dict(self.level) for statistic in STATISTICS}
            for metric in self.tied_scores
        }

    def __repr__(self) -> str:
        width, count = max(map(len, self.tied_scores)), len(self.tied_scores)
        lines = [
            f"Agreement of {count} metric{'s' * (count != 1)} with the ratings of {self.n} items, "
            f"{100 * self.level:g} % intervals"
        ]
        for (metric, statistic), score in self.scores.items():
            low, high = score.interval(self.level)
            lines.append(f"  {metric:{width}}  {statistic:17} {score.value:7.3f}    {low:.3f} to {high:.3f}")
        return "\n".join(lines)
