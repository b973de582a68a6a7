"""How far metrics agree with a judgment set, by the statistic that the set is reported with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pointwise._agreement import agreement
from pointwise.judgments.protocol import Choices, Judgments, Ratings, Rows, Values
from pointwise.judgments.scoring import Scores
from pointwise.score import Score


@dataclass(frozen=True)
class Result:
    """One number of the table.

    Attributes:
        metric: its name.
        statistic: "kendall_b", "kendall_c" or "accuracy", with the category or the references that it is for.
        estimate: 100 times the statistic.
        n: how many ratings or choices it is of.
        published: the published number, times 100 too, or None.
    """

    metric: str
    statistic: str
    estimate: Score
    n: int
    published: float | None = None


def results(
    judged: Judgments, scores: Scores, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> list[Result]:
    """Return the statistics of each metric, with bootstrap intervals, in the order of the scores.

    What belongs to one image is resampled together: ratings and choices of an image are not independent. All metrics
    are measured on the same resamples.

    Args:
        judged: the set.
        scores: of its pairs, as `score` gives them.
        level: of the intervals.
        resamples: how many.
        seed: of the resamples.

    Raises:
        InputError: a metric gives all pairs the same value, or one that is not finite.
    """
    measure = _ratings if isinstance(judged.verdict, Ratings) else _choices
    return measure(judged, scores, level=level, resamples=resamples, seed=seed)


def percent(estimate: Score) -> Score:
    """Return 100 times an estimate, as numbers of judgment sets are published."""
    return estimate.scaled(100)


def differences(rows: Sequence[Result]) -> list[tuple[str, str, str, Score]]:
    """Return (statistic, metric, other metric, estimate of the first less the second) for each two metrics."""
    return [
        (
            one.statistic,
            one.metric,
            other.metric,
            one.estimate.difference(other.estimate),
        )
        for one, other in combinations(rows, 2)
        if one.statistic == other.statistic
    ]


def _ratings(judged: Judgments, scores: Scores, *, level: float, resamples: int, seed: int) -> list[Result]:
    verdict = judged.verdict
    if not isinstance(verdict, Ratings):
        raise TypeError("these judgments are choices")
    found = agreement(
        {name: draws[0][verdict.pair] for (name, _), draws in scores.items()},
        verdict.value,
        groups=judged.pairs[verdict.pair, 0],
        level=level,
        resamples=resamples,
        seed=seed,
    )
    return [
        Result(
            name,
            statistic,
            percent(found[name, statistic]),
            len(verdict.value),
            judged.published.get((name, statistic)),
        )
        for name, _ in scores
        for statistic in verdict.statistics
    ]


def _choices(judged: Judgments, scores: Scores, *, level: float, resamples: int, seed: int) -> list[Result]:
    verdict = judged.verdict
    if not isinstance(verdict, Choices):
        raise TypeError("these judgments are ratings")
    categories = np.asarray(verdict.categories or [""] * len(verdict.first))
    images = np.unique(judged.pairs[verdict.first, 0], return_inverse=True)[1]
    found = []
    for (name, variant), draws in scores.items():
        right = np.mean([_right(values, verdict) for values in draws], axis=0)
        parts = [(category, categories == category) for category in dict.fromkeys(categories.tolist()) if category]
        for category, rows in [*parts, ("", np.ones(len(right), dtype=bool))]:
            statistic = "accuracy" + (f" {category}" if category else "") + (f", {variant}" if variant else "")
            resampled = _means(right[rows], images[rows], int(images.max()) + 1, resamples, seed)
            estimate = Score(float(right[rows].mean()), draws=resampled, null=0.5)
            published = judged.published.get((name, statistic))
            found.append(Result(name, statistic, percent(estimate), int(rows.sum()), published))
    return found


def _right(values: Values, verdict: Choices) -> Values:
    """Of each choice 1 where the metric agrees, 0 where not, and between where votes or scores are equal."""
    first, second = values[verdict.first], values[verdict.second]
    agrees = np.where(first > second, verdict.first_chosen, 1 - verdict.first_chosen)
    return np.where(first == second, verdict.tie, agrees)


def _means(values: Values, images: Rows, count: int, resamples: int, seed: int) -> Values:
    """The mean on each resample of the images; nan where none of the drawn images has a value."""
    sums, sizes = np.bincount(images, values, count), np.bincount(images, minlength=count)
    rng = np.random.default_rng(seed)
    means = np.full(resamples, np.nan)
    for i in range(resamples):
        drawn = rng.integers(count, size=count)
        if size := sizes[drawn].sum():
            means[i] = sums[drawn].sum() / size
    return means
