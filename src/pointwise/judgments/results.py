"""How far metrics agree with people: on a judgment set by its own statistic, on a table of one's own by all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from pointwise._agreement import STATISTICS, Estimate, agreement
from pointwise._options import number, whole_number
from pointwise._types import Floats, Integers
from pointwise.judgments.own_table import OwnTable
from pointwise.judgments.protocol import Choices, Judgments, Ratings
from pointwise.judgments.scoring import Scores

_Found: TypeAlias = Iterator[tuple[str, str, Estimate, int]]  # metric, statistic, and of how many ratings or choices


@dataclass(frozen=True)
class Result:
    """One number of the table.

    Attributes:
        metric: its name.
        statistic: "kendall_b", "kendall_c" or "accuracy", with the category or the references that it is for.
        estimate: 100 times the statistic, as numbers of judgment sets are published.
        n: how many ratings or choices it is of.
        published: the published number, times 100 too, or None.
    """

    metric: str
    statistic: str
    estimate: Estimate
    n: int
    published: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, writable as JSON."""
        names = {"metric": self.metric, "statistic": self.statistic}
        return names | value_and_interval(self.estimate) | {"n": self.n, "published": self.published}


def results(
    judged: Judgments, scores: Scores, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> list[Result]:
    """Return the statistics of each metric, with bootstrap intervals, in the order of the scores.

    What belongs to one image is resampled together: ratings and choices of an image are not independent. All metrics
    are measured on the same resamples.
    """
    level = number(level, "level", above=0, below=1)
    resamples, seed = whole_number(resamples, "resamples", least=2), whole_number(seed, "seed", least=0)
    images, verdict = judged.pairs[:, 0], judged.verdict
    if isinstance(verdict, Ratings):
        found = _rated(verdict, images, scores, level=level, resamples=resamples, seed=seed)
    else:
        found = _chosen(verdict, images, scores, level=level, resamples=resamples, seed=seed)
    return [
        Result(metric, statistic, _percent(estimate), n, judged.published.get((metric, statistic)))
        for metric, statistic, estimate, n in found
    ]


def own_results(table: OwnTable, *, resamples: int = 1000, seed: int = 0) -> list[Result]:
    """Return all statistics of each metric of a table of one's own, with bootstrap intervals over rows or groups."""
    found = agreement(table.scores, table.human, groups=table.groups, resamples=resamples, seed=seed)
    return [
        Result(metric, statistic, _percent(found[metric, statistic]), found.n)
        for metric in table.scores
        for statistic in STATISTICS
    ]


def differences(rows: Sequence[Result]) -> list[tuple[str, str, str, Estimate]]:
    """Return (statistic, metric, other metric, estimate of the first less the second) for each two metrics."""
    pairs = [(a, b, a.estimate, b.estimate) for a, b in combinations(rows, 2) if a.statistic == b.statistic]
    return [
        (a.statistic, a.metric, b.metric, Estimate(x.value - y.value, x.resampled - y.resampled, level=x.level))
        for a, b, x, y in pairs
    ]


def value_and_interval(estimate: Estimate) -> dict[str, float | None]:
    """Return {"value", "low", "high"}; None where an end of the interval is not known."""
    low, high = (None if math.isnan(end) else end for end in estimate.interval())
    return {"value": estimate.value, "low": low, "high": high}


def _percent(estimate: Estimate) -> Estimate:
    return Estimate(100 * estimate.value, 100 * estimate.resampled, level=estimate.level, null=100 * estimate.null)


def _rated(verdict: Ratings, images: Integers, scores: Scores, *, level: float, resamples: int, seed: int) -> _Found:
    columns = {name: draws[0][verdict.pair] for (name, _), draws in scores.items()}
    groups = images[verdict.pair]
    found = agreement(columns, verdict.value, groups=groups, level=level, resamples=resamples, seed=seed)
    for name in columns:
        for statistic in verdict.statistics:
            yield name, statistic, found[name, statistic], len(verdict.value)


def _chosen(verdict: Choices, images: Integers, scores: Scores, *, level: float, resamples: int, seed: int) -> _Found:
    categories = np.asarray(verdict.categories or [""] * len(verdict.first_chosen))
    groups = np.unique(images[::2], return_inverse=True)[1]
    parts = [(f" {category}", categories == category) for category in dict.fromkeys(categories.tolist()) if category]
    parts.append(("", np.ones(len(categories), dtype=bool)))
    for (name, variant), draws in scores.items():
        right = np.mean([_right(values, verdict) for values in draws], axis=0)
        for category, rows in parts:
            statistic = f"accuracy{category}" + (f", {variant}" if variant else "")
            resampled = _means(right[rows], groups[rows], int(groups.max()) + 1, resamples, seed)
            estimate = Estimate(float(right[rows].mean()), resampled, level=level, null=0.5)
            yield name, statistic, estimate, int(rows.sum())


def _right(values: Floats, verdict: Choices) -> Floats:
    """Of each choice 1 where the metric agrees, 0 where not, and between where votes or scores are equal."""
    first, second = values[::2], values[1::2]
    agrees = np.where(first > second, verdict.first_chosen, 1 - verdict.first_chosen)
    return np.where(first == second, verdict.tie, agrees)


def _means(values: Floats, groups: Integers, count: int, resamples: int, seed: int) -> Floats:
    """The mean on each resample of the groups; nan where none of those drawn has a value."""
    sums, sizes = np.bincount(groups, values, count), np.bincount(groups, minlength=count)
    rng = np.random.default_rng(seed)
    means = np.full(resamples, np.nan)
    for i in range(resamples):
        drawn = rng.integers(count, size=count)
        if size := sizes[drawn].sum():
            means[i] = sums[drawn].sum() / size
    return means
