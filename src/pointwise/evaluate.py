"""evaluate: one comparison of a generator with real data, all metrics from shared summaries."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from pointwise.arrays import Array, require_comparable
from pointwise.data.table import FeatureTable, as_table
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation, Key
from pointwise.metrics.entropy import FLOORED
from pointwise.metrics.registry import METRICS, Metric, closest_names
from pointwise.neighbors.knn import on_device, require_engine
from pointwise.score import Score
from pointwise.summaries.kernels import kernel_sums
from pointwise.summaries.moments import moments
from pointwise.summaries.neighborhoods import (
    Duplicates,
    Neighborhoods,
    Progress,
    checked_options,
    neighborhoods,
)
from pointwise.summaries.self_neighbors import SelfNeighbors


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
    progress: Progress | None = None,
) -> Evaluation:
    r"""Measure how faithful and how diverse generated samples are, overall, per mode and per sample.

    Args:
        real: table or array [N, d] of real samples.
        fake: table or array [M, d] of generated samples, from the same encoder.
        metrics: names from ``METRICS``; None for all that apply.
        k: neighbours; several, as (3, 5, 10), cost no further pass over the data.
        cover: the factor C of precision cover and recall cover.
        dimension: what multiplies log distances in entropies: "ambient" (d), "intrinsic" (estimated on the real
            table by TwoNN, for values of readable size), or a positive number.
        duplicates: what a k-th neighbour at distance zero does to a log term: "raise" an error, "floor" (the
            smallest positive distance stands in, and a warning counts them), or "keep" -inf.
        device: "cpu" or "cuda"; None keeps the data where it is.
        engine: of the neighbour search: "auto" or "blocked". All give the same neighbours.
        seed: of the rows that kid and cmmd choose from large tables.
        within_real: the real half from an earlier comparison (`Neighborhoods.within_real`, or `self_neighbors`).
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
    chosen = chosen_metrics(metrics)
    checked_options(k, cover, dimension, duplicates)
    _require_seed(seed)
    require_engine(engine)
    require_comparable(real.features, fake.features)
    x, y = on_device(real.features, fake.features, device=device)
    fingerprints = real.fingerprint(), fake.fingerprint()
    warnings = _about_tables(real, fake)
    if fingerprints[0] == fingerprints[1]:
        warnings.append(
            "both tables hold the same rows: every generated row has its copy as nearest real neighbour, which makes "
            "it look better than new samples could. Set other real rows aside instead."
        )
    summaries: dict[str, Any] = {}
    needed = {row.summary for row in chosen}
    if "gaussian_kernel" in needed and metrics is None and (zero_rows := _zero_rows(real) + _zero_rows(fake)):
        warnings.append(f"cmmd is left out: it scales rows to length 1, and {zero_rows} rows are all zeros.")
        chosen = [row for row in chosen if row.summary != "gaussian_kernel"]
        needed.discard("gaussian_kernel")
    if "neighborhoods" in needed:
        summaries["neighborhoods"] = neighborhoods(
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
        )
        warnings += _about_copies(summaries["neighborhoods"])
    steps: Mapping[str, Callable[[], Any]] = {
        "moments": lambda: moments(x, y),
        "polynomial_kernel": lambda: kernel_sums(x, y, kernel="polynomial", seed=seed),
        "gaussian_kernel": lambda: kernel_sums(x, y, kernel="gaussian", seed=seed),
    }
    for done, name in enumerate(name for name in steps if name in needed):
        summaries[name] = steps[name]()
        if progress:
            progress("moments and kernels", done + 1, len(needed & set(steps)))
    scores: dict[Key, Score] = {}
    for row in chosen:
        summary = summaries[row.summary]
        if isinstance(summary, Neighborhoods):
            scores.update({(row.name, value): row.function(summary.at(value)) for value in summary.ks})
        else:
            scores[row.name, None] = row.function(summary)
    provenance = _provenance(
        real, fake, summaries.get("neighborhoods"), fingerprints, device=x.device, engine=engine, seed=int(seed)
    )
    return Evaluation(scores, provenance, warnings=tuple(warnings))


def chosen_metrics(metrics: Sequence[str] | None) -> list[Metric]:
    """Return the rows of ``METRICS`` of these names, in this order; None for all.

    Raises:
        InputError: there is no such metric, or no name at all.
    """
    if metrics is None:
        return list(METRICS.values())
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


def _zero_rows(table: FeatureTable) -> int:
    return int((~table.features.any(dim=1)).sum())


def _about_tables(real: FeatureTable, fake: FeatureTable) -> list[str]:
    sentences = []
    encoders = real.meta.get("encoder"), fake.meta.get("encoder")
    if None not in encoders and encoders[0] != encoders[1]:
        sentences.append(
            f"the real table was encoded by {encoders[0]} and the generated one by {encoders[1]}: their features "
            "cannot be compared. Encode both alike."
        )
    return sentences


def _copies(distances: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    return int((distances[:, 0] == 0).sum())


def _about_copies(hoods: Neighborhoods) -> list[str]:
    found = [
        (
            _copies(hoods.within_real.neighbors.distances),
            len(hoods.real),
            "real rows have an exact copy among the real rows",
        ),
        (
            _copies(hoods.within_fake.neighbors.distances),
            len(hoods.fake),
            "generated rows have an exact copy among the generated rows",
        ),
        (_copies(hoods.fake_to_real.distances), len(hoods.fake), "generated rows are exact copies of real rows"),
    ]
    sentences = [f"{count} of {total} {what}." for count, total, what in found if count]
    if hoods.duplicates != "floor":
        return sentences
    tables = {
        "real rows have their k-th real neighbour": hoods.within_real.neighbors,
        "generated rows have their k-th generated neighbour": hoods.within_fake.neighbors,
        "generated rows have their k-th real neighbour": hoods.fake_to_real,
        "real rows have their k-th generated neighbour": hoods.real_to_fake,
    }
    for k in hoods.ks:
        for what, neighbors in tables.items():
            count = int((neighbors.distances[:, k - 1] == 0).sum())
            if count:
                sentences.append(
                    f"{count} of {len(neighbors)} {what} (k = {k}) at distance zero: in their log terms {FLOORED}."
                )
    return sentences


def _provenance(
    real: FeatureTable,
    fake: FeatureTable,
    hoods: Neighborhoods | None,
    fingerprints: tuple[str, str],
    *,
    device: torch.device,
    engine: str,
    seed: int,
) -> dict[str, Any]:
    provenance: dict[str, Any] = {
        "pointwise": version("pointwise"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": str(device),
        "engine": engine,
        "seed": seed,
        "real": _about(real, fingerprints[0]),
        "generated": _about(fake, fingerprints[1]),
    }
    if hoods is not None:
        provenance |= {
            "k": list(hoods.ks),
            "cover": hoods.cover,
            "dimension": hoods.dimension,
            "duplicates": {
                "policy": hoods.duplicates,
                "within_real": _copies(hoods.within_real.neighbors.distances),
                "within_generated": _copies(hoods.within_fake.neighbors.distances),
                "generated_copies_of_real": _copies(hoods.fake_to_real.distances),
            },
        }
    return provenance


def _about(table: FeatureTable, fingerprint: str) -> dict[str, Any]:
    return {
        "rows": len(table),
        "columns": table.dim,
        "dtype": str(table.features.dtype).removeprefix("torch."),
        "fingerprint": fingerprint,
        "meta": dict(table.meta),
    }
