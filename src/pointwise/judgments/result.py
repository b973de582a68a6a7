"""How far metrics agree with people: on a judgment set by its own statistic, on a table of one's own by all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from pointwise._agreement import STATISTICS, Agreement, agreement
from pointwise._agreement.bootstrap import resampled
from pointwise._options import whole_number
from pointwise._types import Floats, Integers
from pointwise.judgments.own_table import OwnTable
from pointwise.judgments.protocol import Choices, Judgments, Ratings
from pointwise.judgments.scoring import Scores
from pointwise.score import Score

_Published: TypeAlias = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Result:
    """One number of the table."""

    metric: str
    statistic: str  # "kendall_b", "kendall_c" or "accuracy", with the category or the references that it is for
    estimate: Score  # 100 times the statistic, as numbers of judgment sets are published
    n: int  # how many ratings or choices it is of
    published: float | None = None  # the published number, times 100 too

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, writable as JSON."""
        names = {"metric": self.metric, "statistic": self.statistic}
        return names | self.estimate.to_dict() | {"n": self.n, "published": self.published}


def results(judged: Judgments, scores: Scores, *, resamples: int = 1000, seed: int = 0) -> list[Result]:
    """Return the statistics of each metric, with bootstrap intervals, in the order of the scores.

    What belongs to one image is resampled together: ratings and choices of an image are not independent. All metrics
    are measured on the same resamples.
    """
    resamples, seed = whole_number(resamples, "resamples", least=2), whole_number(seed, "seed", least=0)
    images, verdict = judged.pairs[:, 0], judged.verdict
    if isinstance(verdict, Ratings):
        columns = {name: draws[0][verdict.pair] for (name, _), draws in scores.items()}
        agreed = agreement(columns, verdict.value, groups=images[verdict.pair], resamples=resamples, seed=seed)
        return _ranked(agreed, verdict.statistics, judged.published)
    return _chosen(verdict, images, scores, judged.published, resamples=resamples, seed=seed)


def own_results(table: OwnTable, *, resamples: int = 1000, seed: int = 0) -> list[Result]:
    """Return all statistics of each metric of a table of one's own, with bootstrap intervals over rows or groups."""
    agreed = agreement(table.scores, table.human, groups=table.groups, resamples=resamples, seed=seed)
    return _ranked(agreed, STATISTICS, {})


def differences(rows: Sequence[Result]) -> list[tuple[str, str, str, Score]]:
    """Return (statistic, metric, other metric, estimate of the first less the second) for each two metrics."""
    return [
        (a.statistic, a.metric, b.metric, a.estimate.difference(b.estimate))
        for a, b in combinations(rows, 2)
        if a.statistic == b.statistic
    ]


def _ranked(agreed: Agreement, statistics: Sequence[str], published: _Published) -> list[Result]:
    return [
        Result(metric, statistic, agreed[metric, statistic].scaled(100), agreed.n, published.get((metric, statistic)))
        for metric in agreed.tied_scores
        for statistic in statistics
    ]


def _chosen(
    verdict: Choices, images: Integers, scores: Scores, published: _Published, *, resamples: int, seed: int
) -> list[Result]:
    categories = np.asarray(verdict.categories or [""] * len(verdict.first_chosen))
    parts = [f" {category}" for category in dict.fromkeys(categories.tolist()) if category]
    rows = np.stack([*(categories == part[1:] for part in parts), np.full(len(categories), True)])  # [parts, c]
    right = [np.mean([_right(values, verdict) for values in draws], axis=0) for draws in scores.values()]
    sums = np.reshape(right, (-1, 1, len(categories))) * rows  # [metrics, parts, c], of which means are taken
    groups = np.unique(images[::2], return_inverse=True)[1]
    blocks = (weights.T.astype(np.float64) for weights in resampled(groups, resamples, seed))
    with np.errstate(invalid="ignore"):  # nan where nothing of a part is drawn
        drawn = np.concatenate([sums @ weights / (rows @ weights) for weights in blocks], axis=2)
    measured = []
    for i, (name, variant) in enumerate(scores):
        for j, part in enumerate([*parts, ""]):
            statistic = f"accuracy{part}" + (f", {variant}" if variant else "")
            estimate = Score(float(right[i][rows[j]].mean()), draws=drawn[i, j], null=0.5).scaled(100)
            measured.append(Result(name, statistic, estimate, int(rows[j].sum()), published.get((name, statistic))))
    return measured


def _right(values: Floats, verdict: Choices) -> Floats:
    """Of each choice 1 where the metric agrees, 0 where not, and between where votes or scores are equal."""
    first, second = values[::2], values[1::2]
    agrees = np.where(first > second, verdict.first_chosen, 1 - verdict.first_chosen)
    return np.where(first == second, verdict.tie, agrees)
