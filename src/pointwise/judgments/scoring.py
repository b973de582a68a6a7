"""Metrics on a judgment set: a value for each judged pair."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from pointwise._types import Array, Floats, Say
from pointwise.errors import InputError
from pointwise.judgments.features import Features
from pointwise.judgments.protocol import Judgments
from pointwise.metrics.alignment import ref_clip_score
from pointwise.metrics.registry import METRICS, closest_names
from pointwise.score import Score
from pointwise.summaries.gaussian import GaussianPair
from pointwise.summaries.pairs import Pairs

REFERENCE_METRIC = "ref_clip_score"
PUBLISHED = ("mid", "clip_score", REFERENCE_METRIC)
NAMES = (*(row.name for row in METRICS.values() if row.of == "pair" and row.by_default), REFERENCE_METRIC)

Scores: TypeAlias = Mapping[tuple[str, str], Sequence[Floats]]  # (metric, variant of the references) -> draws -> [n]
Function: TypeAlias = Callable[[torch.Tensor, torch.Tensor], Score | Array]

_ROWS_AT_ONCE = 4096


def score(
    judged: Judgments,
    features: Features,
    *,
    metrics: Sequence[str],
    functions: Mapping[str, Function] | None = None,
    ridge: float = 0.0,
    reduce: int | None = None,
    seed: int = 0,
) -> Scores:
    """Return the value that each metric, one of ``NAMES``, gives each judged pair.

    mid is the pointwise mutual information of the pair under a Gaussian fitted on the set's own pairs of an image and a
    reference caption, of which none is judged; ridge and reduce are those of the `GaussianPair`. The seed is that of
    the texts that r_precision draws. Functions are further metrics by name: each takes image features [n, d] and text
    features [n, e], row by row of the judged pairs, and gives a value for each.
    """
    image, text = features.images[judged.pairs[:, 0]], features.texts[judged.pairs[:, 1]]
    reference = _fitted(judged, features, ridge=ridge, reduce=reduce) if "mid" in metrics else None
    pairs = Pairs(image, text, gaussian=reference, seed=seed)
    variants = list(judged.references) or [""]
    scores: dict[tuple[str, str], Sequence[Floats]] = {}
    for name in _checked(metrics, judged):
        if name == REFERENCE_METRIC:
            for variant, draws in judged.references.items():
                scores[name, variant] = [_by_references(image, text, features.texts, draw) for draw in draws]
        else:
            values = [_values(METRICS[name].function(pairs), name, len(text))]
            scores |= {(name, variant): values for variant in variants}
    for name, function in (functions or {}).items():
        values = [_values(function(image, text), name, len(text))]
        scores |= {(name, variant): values for variant in variants}
    return scores


def applicable(judged: Judgments, metrics: Sequence[str] | None, *, one_space: bool, say: Say) -> Sequence[str]:
    """Return the metrics asked for, or those with published numbers that can be measured.

    Without one_space images and texts are read by two models, and cosines have no meaning.
    """
    if metrics is None:
        if not one_space:
            say("images and texts are read by two models, so that cosines have no meaning: mid alone is measured.")
        fitting = PUBLISHED if one_space else ("mid",)
        return [name for name in fitting if judged.references or name != REFERENCE_METRIC]
    cosines = [name for name in _checked(metrics, judged) if name != "mid"]
    if cosines and not one_space:
        raise InputError(
            f"{', '.join(cosines)} compare images and texts by their cosine, which has no meaning between two models; "
            "leave --text-encoder out, or take --metrics mid."
        )
    return metrics


def by_pair(judged: Judgments, scores: Scores) -> list[dict[str, Any]]:
    """Return {"image", "text", and each metric} of each judged pair, means over the draws of references."""
    means = {
        metric + (f", {variant}" if variant and metric == REFERENCE_METRIC else ""): np.mean(draws, axis=0).tolist()
        for (metric, variant), draws in scores.items()
    }
    names = [{"image": str(judged.images.ids[i]), "text": judged.texts[j]} for i, j in judged.pairs.tolist()]
    return [row | {name: values[i] for name, values in means.items()} for i, row in enumerate(names)]


def _checked(metrics: Sequence[str], judged: Judgments) -> Sequence[str]:
    """The names, once it is certain that there are such metrics and that the set has what they read."""
    for name in metrics:
        if name not in NAMES:
            raise InputError(
                f"{name!r} is no metric that judged pairs are scored by{closest_names(name, NAMES)}; choose from "
                f"{', '.join(NAMES)}."
            )
        if name == REFERENCE_METRIC and not judged.references:
            raise InputError(
                f"{judged.name} judges images, not captions: it has no references for {name}; leave it out."
            )
    return metrics


def _fitted(judged: Judgments, features: Features, *, ridge: float, reduce: int | None) -> GaussianPair:
    pair = GaussianPair(ridge=ridge, reduce=reduce)
    for some in torch.from_numpy(judged.fit).split(_ROWS_AT_ONCE):
        pair.update(features.images[some[:, 0]], features.texts[some[:, 1]])
    try:
        pair.mutual_information()
    except InputError as error:
        raise InputError(
            f"mid cannot be fitted on the {len(judged.fit)} reference pairs (image, caption) of {judged.name}: {error} "
            "Try --reduce 64 or --ridge 1e-3, or leave mid out of --metrics."
        ) from None
    return pair


def _by_references(
    image: torch.Tensor, text: torch.Tensor, texts: torch.Tensor, draw: Sequence[Sequence[int]]
) -> Floats:
    most = max(map(len, draw))
    # The largest cosine counts, so a pair with fewer references may show its first one again.
    rows = torch.tensor([[*shown, *[shown[0]] * (most - len(shown))] for shown in draw])
    parts = zip(*(table.split(_ROWS_AT_ONCE) for table in (image, text, rows)), strict=True)
    return np.concatenate(
        [_values(ref_clip_score(x, y, texts[some]), REFERENCE_METRIC, len(x)) for x, y, some in parts]
    )


def _values(result: Score | Array, name: str, n: int) -> Floats:
    given = result.per_sample if isinstance(result, Score) else result
    values = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given, dtype=np.float64)
    if given is None or values.shape != (n,):
        raise InputError(f"{name} gives {values.shape} values for {n} judged pairs; it must give one per pair.")
    if not np.isfinite(values).all():
        raise InputError(f"{name} gives {int((~np.isfinite(values)).sum())} of {n} pairs a value that is not finite.")
    return values
