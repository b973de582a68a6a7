"""evaluate: one comparison of a generator with real data, all metrics from shared summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pointwise._arrays import Array, on_device, require_comparable
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation, Key
from pointwise.metrics.registry import METRICS, Metric, closest_names
from pointwise.neighbors.passes import sweep_named
from pointwise.pmi.pmi import KmePmi
from pointwise.provenance import about_copies, about_learned, about_left_out, about_pairs, about_tables, provenance_of
from pointwise.score import Score
from pointwise.summaries.gaussian import GaussianPair
from pointwise.summaries.kernels import kernel_sums
from pointwise.summaries.moments import moments
from pointwise.summaries.neighborhoods import (
    Duplicates,
    Neighborhoods,
    Progress,
    checked_options,
    neighborhoods,
)
from pointwise.summaries.pairs import learned_pairs, pairs_in_one_space, require_mid_options, scored_pairs
from pointwise.summaries.self_neighbors import SelfNeighbors
from pointwise.tables.table import FeatureTable, as_table


def evaluate(
    real: FeatureTable | Array,
    fake: FeatureTable | Array,
    *,
    metrics: Sequence[str] | None = None,
    k: int | Sequence[int] = 5,
    cover: int = 3,
    dimension: str | float = "ambient",
    duplicates: Duplicates = "raise",
    device: str | torch.device | None = None,
    engine: str = "auto",
    seed: int = 0,
    within_real: SelfNeighbors | None = None,
    ridge: float = 0.0,
    reduce: int | None = None,
    debias: bool = False,
    reference_pairs: GaussianPair | None = None,
    learned: KmePmi | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    r"""Measure how faithful and how diverse generated samples are, overall, per mode and per sample.

    Tables that both carry ``text`` are measured for alignment too (mid, clip_score, r_precision, info_nce): mid scores
    the generated pairs by the Gaussian of the real ones, cosines take the generated pairs alone. kme_pmi learns a
    similarity from the real pairs, which takes seconds to a minute: it is computed where it is named or learned before.

    Args:
        real: table or array [N, d] of real samples.
        fake: table or array [M, d] of generated samples, from the same encoder.
        metrics: names from ``METRICS``; None for all that apply and are computed by default. Of those without
            neighbours, one that cannot be computed is then left out, with a warning that says why.
        k: neighbours; several, as (3, 5, 10), cost no further pass over the data.
        cover: the factor C of precision cover and recall cover.
        dimension: what multiplies log distances in entropies: "ambient" (d), "intrinsic" (estimated on the real
            table by TwoNN, for values of readable size), or a positive number.
        duplicates: what a k-th neighbour at distance zero does to a log term: "raise" an error, "floor" (the
            smallest positive distance stands in, and a warning counts them), or "keep" -inf.
        device: "cpu" or "cuda"; None keeps the data where it is.
        engine: of the neighbour search: "auto" or "torch". All give the same neighbours.
        seed: of the rows that kid and cmmd choose from large tables, of the texts that r_precision draws, and of what
            kme_pmi learns.
        within_real: the real half from an earlier comparison (`Neighborhoods.within_real`, or `self_neighbors`).
        ridge: for mid, added to the diagonal of the covariances; see `GaussianPair`.
        reduce: for mid, each side in this many of its principal axes over the real pairs; see `GaussianPair`.
        debias: for mid, without the mean error of the fit, which plain values have more of the fewer the real pairs.
        reference_pairs: for mid, the Gaussian of the reference pairs from an earlier comparison, or of more pairs than
            the real table has; its own ridge and reduce hold.
        learned: for kme_pmi, what was learned before, in place of learning from the real pairs.
        progress: called with (what is under way, steps done, steps in all).

    Returns:
        Evaluation: ``evaluation["pce"].value``, ``.per_sample``, ``.by_mode()``, ``.interval()``; unit and direction
        of each metric are in ``METRICS``.

    Raises:
        InputError: an input or option cannot be used; the sentence says which, why, and what to do.

    Reference: each metric's own, in ``METRICS``.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real, shrunk = rng.normal(size=(500, 2)), rng.normal(size=(500, 2)) / 3
    >>> evaluation = evaluate(real, shrunk)
    >>> evaluation["re"].value < -1 and evaluation["rce"].value > 1
    True
    """
    real, fake = as_table(real, name="real"), as_table(fake, name="fake")
    chosen = chosen_metrics(metrics, learned=learned is not None)
    checked_options(k, cover, dimension, duplicates)
    _require_seed(seed)
    sweep_named(engine)
    require_comparable(real.features, fake.features)
    require_mid_options(reference_pairs, ridge=ridge, reduce=reduce, debias=debias)
    x, y = on_device(real.features, fake.features, device=device)
    fingerprints = real.fingerprint(), fake.fingerprint()
    if metrics is None and real.text is None and fake.text is None and reference_pairs is None and learned is None:
        chosen = [row for row in chosen if row.of != "pair"]
    make: Mapping[str, Callable[[], Any]] = {
        "neighborhoods": lambda: neighborhoods(
            real,
            fake,
            k=k,
            cover=cover,
            dimension=dimension,
            duplicates=duplicates,
            within_real=within_real,
            engine=engine,
            device=device,
            progress=progress,
        ),
        "moments": lambda: moments(x, y),
        "polynomial_kernel": lambda: kernel_sums(x, y, kernel="polynomial", seed=seed),
        "gaussian_kernel": lambda: kernel_sums(x, y, kernel="gaussian", seed=seed),
        "gaussian_pair": lambda: scored_pairs(
            real, fake, reference=reference_pairs, ridge=ridge, reduce=reduce, debias=debias
        ),
        "learned_pair": lambda: learned_pairs(
            real,
            fake,
            learned=learned,
            learn=lambda *sides: KmePmi.fit(*on_device(*sides, device=device), seed=int(seed), progress=progress),
        ),
        "cosines": lambda: pairs_in_one_space(fake, seed=int(seed)),
    }
    summaries: dict[str, Any] = {}
    scores: dict[Key, Score] = {}
    left_out: dict[str, list[str]] = {}  # names by the reason
    others = [row.name for row in chosen if row.summary != "neighborhoods"]
    for row in chosen:
        try:
            if row.summary not in summaries:
                summaries[row.summary] = make[row.summary]()
            scores.update(_scores(row, summaries[row.summary]))
        except InputError as error:
            if metrics is not None or row.name not in others:
                raise
            left_out.setdefault(str(error), []).append(row.name)
        if progress and row.name in others:
            progress("moments, kernels and pairs", others.index(row.name) + 1, len(others))
    hoods = summaries.get("neighborhoods")
    provenance = provenance_of(real, fake, hoods, fingerprints, device=x.device, engine=engine, seed=int(seed))
    if pairs := summaries.get("gaussian_pair"):
        provenance["reference_pairs"] = about_pairs(pairs.reference, debias=debias)
    if (pairs := summaries.get("learned_pair")) and ("kme_pmi", None) in scores:  # it may have refused the widths
        provenance["learned"] = about_learned(pairs.learned)
    warnings = [
        *about_tables(real, fake, fingerprints, only_pairs=all(row.of == "pair" for row in chosen)),
        *(about_copies(hoods) if hoods is not None else ()),
        *(about_left_out(names, reason) for reason, names in left_out.items()),
    ]
    return Evaluation(scores, provenance, warnings=tuple(warnings))


def _scores(row: Metric, summary: Any) -> dict[Key, Score]:
    """The score of one metric; one for each k where it is of neighbours."""
    if isinstance(summary, Neighborhoods):
        return {(row.name, k): row.function(summary.at(k)) for k in summary.ks}
    return {(row.name, None): row.function(summary)}


def chosen_metrics(metrics: Sequence[str] | None, *, learned: bool = False) -> list[Metric]:
    """Return the rows of ``METRICS`` of these names, in this order; None for those that are computed by default.

    What was learned before costs nothing more, and is then among these.

    Raises:
        InputError: there is no such metric, or no name at all.
    """
    if metrics is None:
        return [row for row in METRICS.values() if row.by_default or (learned and row.summary == "learned_pair")]
    if isinstance(metrics, str):
        raise InputError(f"metrics is the string {metrics!r}; give a list of names, [{metrics!r}] say.")
    if not metrics:
        raise InputError("metrics is empty; give at least one name, or None for all that apply.")
    for name in metrics:
        if name not in METRICS:
            raise InputError(
                f"there is no metric {name!r}{closest_names(name, METRICS)}; the names are {', '.join(METRICS)}."
            )
    return [METRICS[name] for name in dict.fromkeys(metrics)]


def _require_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; it must be a whole number of at least 0.")
