"""The one function: scores and ratings come in, are checked, and are measured on all items and on every resample."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np

from pointwise._agreement.rank_statistics import STATISTICS, Association
from pointwise._agreement.result import Agreement
from pointwise._arrays import as_column, as_numbers
from pointwise._options import number, one_of, whole_number
from pointwise._types import Array, Floats, Integers
from pointwise.comparison import Comparison
from pointwise.errors import InputError
from pointwise.metrics.registry import METRICS
from pointwise.score import Score

_WEIGHTS_AT_ONCE = 1 << 17  # 1 MB: some twenty such arrays stay within the processor's caches


def agreement(
    scores: Array | Score | Mapping[str, Array | Score] | Comparison,
    human: Array,
    *,
    groups: Sequence[Any] | Array | None = None,
    reduce: Literal["mean", "median"] = "mean",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Agreement:
    r"""How well one metric, or several, agree with human ratings of the same items.

    .. math:: \tau_b = \frac{C - D}{\sqrt{(P - T_x)(P - T_y)}}, \quad
              \tau_c = \frac{2 (C - D)}{n^2} \frac{m}{m - 1}, \quad
              A = \frac{C + T/2}{P - T_y}

    Of the :math:`P = n(n-1)/2` pairs of items, C are ordered alike by scores and ratings and D the other way round;
    :math:`T_x` have equal scores, :math:`T_y` equal ratings, and T equal scores only; m is the smaller of the numbers
    of distinct scores and of distinct ratings. Beside Kendall's τ-b and τ-c and the pairwise accuracy A there are
    Pearson's correlation, and Spearman's, which is Pearson's of the ranks, where tied items share their mean rank.
    Correlations lie in [−1, 1] and A in [0, 1]; they have no unit. Higher means better agreement. Arrays are not
    turned round: a metric of which less is better comes out negative, its A below ½.

    Intervals are percentiles of a bootstrap of items, or of whole groups of items. Every statistic is computed exactly
    on every resample, as on a table of its own, in O(n log L), where L is the smaller number of distinct values. A
    resample in which all scores or all ratings are equal is left out.

    Args:
        scores: [n], one per item, or a `Score` with values per sample; or several metrics as {name: scores}. A single
            one goes by the name "score". Or a `Comparison`: its n generators are the items, rated in its order, and the
            scores are minus `Metric.loss`, so that of every metric more is better.
        human: [n] ratings, or [n, r] of r raters, nan where one did not rate. Any real numbers, higher is better.
        groups: [n] integers or strings; items of a group (captions of one image, say) are resampled together.
        reduce: the rating of an item over its raters: their "mean" or "median".
        level: of the intervals.
        resamples: how many bootstrap resamples; the interval's ends and the p-values are no finer than 1/resamples.
        seed: of the resamples.

    Raises:
        InputError: lengths differ, a value is not finite, an item has no rating, there are fewer than 3 items or 2
            groups, all scores or all ratings are equal, or an option is out of range.

    References: Kendall (1945), https://doi.org/10.1093/biomet/33.3.239 (τ-b); Stuart (1953),
    https://doi.org/10.1093/biomet/40.1-2.105 (τ-c); Efron and Tibshirani (1993), An Introduction to the Bootstrap,
    chapters 13 and 16 (percentile intervals and tests).

    >>> ratings = [[1, 2, 1], [2, 2, 3], [4, 3, 4], [3, 4, float("nan")], [1, 1, 1], [4, 4, 4]]  # items by raters
    >>> result = agreement([0.1, 0.4, 0.6, 0.7, 0.2, 0.9], ratings)
    >>> result["kendall_b"].value, result["pairwise_accuracy"].value  # 2 of 15 pairs the other way round
    (0.733..., 0.866...)
    """
    level = number(level, "level", above=0, below=1)
    resamples, seed = whole_number(resamples, "resamples", least=2), whole_number(seed, "seed", least=0)
    one_of(reduce, "reduce", ("mean", "median"))
    ratings = _ratings(human, reduce)
    columns = _columns(scores, len(ratings))
    clusters = np.arange(len(ratings)) if groups is None else _clusters(groups, len(ratings))

    associations = [Association(column, ratings) for column in columns.values()]
    every = chain([np.ones((1, len(ratings)), dtype=np.int64)], resampled(clusters, resamples, seed))
    every_value = np.concatenate([[one.statistics(weights) for one in associations] for weights in every], axis=1)
    return Agreement(  # every_value is [metrics, 1 + resamples, statistics]
        {
            (metric, statistic): Score(
                float(every_value[i, 0, j]),
                draws=every_value[i, 1:, j],
                null=0.5 if statistic == "pairwise_accuracy" else 0.0,
            )
            for i, metric in enumerate(columns)
            for j, statistic in enumerate(STATISTICS)
        },
        level=level,
        n=len(ratings),
        tied_ratings=_tied_pairs(ratings),
        tied_scores={metric: _tied_pairs(column) for metric, column in columns.items()},
    )


def resampled(clusters: Integers, resamples: int, seed: int) -> Iterator[Integers]:
    """Yield how often each item is there when as many clusters as there are are drawn with replacement: [b, n]."""
    rng = np.random.default_rng(seed)
    count = int(clusters.max()) + 1
    at_once = max(1, _WEIGHTS_AT_ONCE // len(clusters))
    for start in range(0, resamples, at_once):
        weights = np.empty((min(at_once, resamples - start), len(clusters)), dtype=np.int64)
        for row in weights:
            row[:] = np.bincount(rng.integers(count, size=count), minlength=count)[clusters]
        yield weights


def _tied_pairs(column: Floats) -> int:
    sizes = np.unique(column, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def _by_generator(comparison: Comparison) -> dict[str, Array]:
    """How near each generator is to the target of each metric; what has none, an entropy say, is left out."""
    every = list(comparison.values())
    keys = [
        key for key in every[0].scores if METRICS[key[0]].target is not None and all(key in e.scores for e in every)
    ]
    return {every[0].label(key): [-METRICS[key[0]].loss(e.scores[key].value) for e in every] for key in keys}


def _columns(scores: Array | Score | Mapping[str, Array | Score] | Comparison, n: int) -> dict[str, Floats]:
    """The scores of each metric, checked to fit n ratings."""
    scores = _by_generator(scores) if isinstance(scores, Comparison) else scores
    named = scores if isinstance(scores, Mapping) else {"score": scores}
    if not named:
        raise InputError("scores is an empty mapping; give at least one metric as {name: scores}.")
    columns = {}
    for name, given in named.items():
        what = f"scores[{name!r}]" if isinstance(scores, Mapping) else "scores"
        if not isinstance(name, str):
            raise InputError(
                f"scores has the key {name!r} of type {type(name).__name__}; metrics are named by strings."
            )
        if isinstance(given, Score) and given.per_sample is None:
            raise InputError(f"{what} is a Score of whole sets, without a value per sample; it has nothing to rank.")
        column = as_numbers(given.per_sample if isinstance(given, Score) else given, name=what)
        if column.ndim != 1:
            raise InputError(
                f"{what} has shape {column.shape}; it must be one-dimensional, one score per item. "
                "Give several metrics as a mapping {name: scores}."
            )
        if len(column) != n:
            raise InputError(f"{what} has {len(column)} values but human has ratings of {n} items; they must match.")
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            raise InputError(
                f"{what} has NaN or inf in {len(bad)} of {n} places; the first is {column[bad[0]]} at index {bad[0]}. "
                "Drop those items from scores and human alike."
            )
        if (column == column[0]).all():
            raise InputError(
                f"{what} is {column[0]:g} for all {n} items: it orders none of them, so nothing can agree."
            )
        columns[name] = column
    return columns


def _ratings(human: Array, reduce: str) -> Floats:
    """One rating per item."""
    given = as_numbers(human, name="human")
    if given.ndim not in (1, 2) or (given.ndim == 2 and given.shape[1] == 0):
        raise InputError(f"human has shape {given.shape}; it must be [n], or [n, r] with one column for each rater.")
    if len(given) < 3:
        raise InputError(f"human has ratings of {len(given)} items; agreement needs at least 3.")
    table = np.sort(given.reshape(len(given), -1), axis=1)  # sorted, so that raters in another order sum up to a tie
    infinite = np.flatnonzero(np.isinf(table).any(axis=1))
    if len(infinite):
        raise InputError(f"human has inf in {len(infinite)} of {len(table)} rows; the first is row {infinite[0]}.")
    unrated = np.flatnonzero(np.isnan(table).all(axis=1))
    if len(unrated):
        raise InputError(
            f"human has no rating (only NaN) for {len(unrated)} of {len(table)} items; the first is row {unrated[0]}. "
            "Drop those items from scores and human alike."
        )
    ratings: Floats = (np.nanmean if reduce == "mean" else np.nanmedian)(table, axis=1)
    if (ratings == ratings[0]).all():
        raise InputError(
            f"human rates all {len(ratings)} items {ratings[0]:g}: no order to agree with; give items of other ratings."
        )
    return ratings


def _clusters(groups: Sequence[Any] | Array, n: int) -> Integers:
    """The group of each item as a number from 0."""
    if hasattr(groups, "__len__") and not isinstance(groups, str) and len(groups) != n:
        raise InputError(f"groups has {len(groups)} values but human has ratings of {n} items; give one per item.")
    names, clusters = np.unique(as_column(groups, name="groups", length=n), return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"groups has the one value {names[0].item()!r}; resampling groups needs at least 2. Leave groups out to "
            "resample items."
        )
    return clusters.astype(np.int64)
