"""compare: several generators against one reference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from pointwise._evaluate import evaluated
from pointwise._types import Array
from pointwise.comparison import Comparison
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import chosen_metrics
from pointwise.reference.options import Options
from pointwise.reference.reference import Reference, as_reference
from pointwise.summaries.neighborhoods import Duplicates
from pointwise.tables.table import FeatureTable, as_table


def compare(
    real: Reference | FeatureTable | Array,
    generators: Mapping[str, FeatureTable | Array],
    *,
    metrics: Sequence[str] | None = None,
    k: int | Sequence[int] = 5,
    cover: int = 3,
    dimension: str | float = "ambient",
    duplicates: Duplicates = "raise",
    device: str | torch.device | None = None,
    engine: str = "auto",
    seed: int = 0,
) -> Comparison:
    r"""Measure several generators against the same real samples, and how they differ.

    The real side is worked out once. Differences are paired: with u and v the influences of a real sample on the scores
    of two generators,

    .. math:: \mathrm{se}^2 = \frac{n}{n-1} \sum_j (u_j - v_j)^2 + \text{the variances of both generated tables}

    Args:
        real: table or array [N, d] of real samples, or their `Reference`.
        generators: name -> table or array [M, d] of generated samples, from the same encoder; M may differ.
        metrics: as in `evaluate`, and so are the other options.
        k: neighbours; one number or several.
        cover: the factor C of precision cover and recall cover.
        dimension: "ambient", "intrinsic", or a number.
        duplicates: "raise", "floor" or "keep".
        device: "cpu" or "cuda"; None keeps the data where it is.
        engine: of the neighbour search.
        seed: as in `evaluate`.

    Raises:
        InputError: an input or option cannot be used; the sentence names the generator where there are several.

    >>> import numpy as np
    >>> real, a, b = np.random.default_rng(0).normal(size=(3, 200, 3))
    >>> comparison = compare(real, {"good": a, "shrunk": b / 3}, metrics=["re"])
    >>> comparison["shrunk"]["re"].value < comparison["good"]["re"].value
    True
    """
    reference = as_reference(real)
    options = Options.checked(
        k=k, cover=cover, dimension=dimension, duplicates=duplicates, device=device, engine=engine, seed=seed
    )
    chosen = chosen_metrics(metrics, learned=reference.has("learned_pair", options))
    if not isinstance(generators, Mapping) or not generators or not all(isinstance(name, str) for name in generators):
        raise InputError("generators must be a mapping of at least one name to a table, as {'a': table}.")
    if any(row.summary == "neighborhoods" for row in chosen):
        reference.half("neighborhoods", options)  # too few real rows are no generator's fault, so none is named
    evaluations: dict[str, Evaluation] = {}
    for name, fake in generators.items():
        try:
            evaluation = evaluated(reference, as_table(fake, name="fake"), chosen, options, named=metrics is not None)
        except InputError as error:
            raise InputError(f"{name}: {error}" if len(generators) > 1 else str(error)) from None
        provenance = {"generator": name, **evaluation.provenance}
        evaluations[name] = replace(evaluation, provenance=provenance)
    return Comparison(evaluations)
