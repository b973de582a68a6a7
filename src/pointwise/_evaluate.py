"""evaluate: one comparison of a generator with real data, all metrics from shared summaries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from pointwise._types import Array
from pointwise.document import Key
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import Metric, chosen_metrics
from pointwise.provenance import about_copies, about_left_out, about_tables, provenance_of
from pointwise.reference.options import Options
from pointwise.reference.reference import Reference, as_reference
from pointwise.reference.summaries import SUMMARIES, generated_side
from pointwise.score import Score
from pointwise.summaries.neighborhoods import Duplicates, Neighborhoods
from pointwise.tables.table import FeatureTable, as_table
from pointwise.terms import Side


def evaluate(
    real: Reference | FeatureTable | Array,
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
) -> Evaluation:
    r"""Measure how faithful and how diverse generated samples are, overall, per mode and per sample.

    Tables that both carry ``text`` are measured for alignment too (mid, clip_score, r_precision, info_nce): mid scores
    the generated pairs by the Gaussian of the real ones, cosines take the generated pairs alone. kme_pmi learns a
    similarity from the real pairs, which takes seconds to a minute: it is computed where it is named or learned before.

    Args:
        real: table or array [N, d] of real samples, or their `Reference`, which serves further comparisons too.
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
        engine: of the neighbour search. All give the same neighbours.
        seed: of the rows that kid and cmmd choose from large tables, of the texts that r_precision draws, and of what
            kme_pmi learns.

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
    reference = as_reference(real)
    options = Options.checked(
        k=k, cover=cover, dimension=dimension, duplicates=duplicates, device=device, engine=engine, seed=seed
    )
    chosen = chosen_metrics(metrics, learned=reference.has("learned_pair", options))
    return evaluated(reference, as_table(fake, name="fake"), chosen, options, named=metrics is not None)


def evaluated(
    reference: Reference, fake: FeatureTable, chosen: Sequence[Metric], options: Options, *, named: bool
) -> Evaluation:
    """Return the evaluation of a generated table by these metrics.

    Those that were not named are left out, with a warning that says why, where they cannot be computed; but for those
    of neighbours.
    """
    generated = generated_side(reference, fake, options)
    if not named and fake.text is None and not reference.has_pairs:
        chosen = [row for row in chosen if row.of != "pair"]
    tables: dict[Side, str] = {"real": reference.table.fingerprint(), "generated": fake.fingerprint()}
    summaries: dict[str, Any] = {}
    scores: dict[Key, Score] = {}
    left_out: dict[str, list[str]] = {}  # names by the reason
    others = [row.name for row in chosen if row.summary != "neighborhoods"]
    for row in chosen:
        try:
            if row.summary not in summaries:
                summaries[row.summary] = SUMMARIES[row.summary](reference, generated, options)
            for k, score in _scores(row, summaries[row.summary]).items():
                table = reference.table if score.of == "real" else fake
                scores[row.name, k] = replace(
                    score, tables={**score.tables, **tables}, ids=table.ids, modes=table.modes, captions=table.captions
                )
        except InputError as error:
            if named or row.name not in others:
                raise
            left_out.setdefault(str(error), []).append(row.name)
        if reference.progress and row.name in others:
            reference.progress("moments, kernels and pairs", others.index(row.name) + 1, len(others))
    hoods = summaries.get("neighborhoods")
    warnings = [
        *about_tables(reference.table, fake, only_pairs=all(row.of == "pair" for row in chosen)),
        *(about_copies(hoods) if hoods is not None else ()),
        *(about_left_out(names, reason) for reason, names in left_out.items()),
    ]
    learned = ("kme_pmi", None) in scores  # else it may have refused the widths
    provenance = provenance_of(reference, fake, options, summaries, learned=learned)
    return Evaluation(scores, provenance, warnings=tuple(warnings))


def _scores(row: Metric, summary: Any) -> dict[int | None, Score]:
    """The score of one metric; one for each k where it is of neighbours."""
    if isinstance(summary, Neighborhoods):
        return {k: row(summary.at(k)) for k in summary.ks}
    return {None: row(summary)}
