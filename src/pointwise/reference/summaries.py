"""The table of summaries: what metrics are functions of, made from a reference and a generated side."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from pointwise._arrays import on_device, require_comparable
from pointwise._types import Array
from pointwise.metrics.registry import Summary
from pointwise.reference.options import Options
from pointwise.reference.reference import Reference, as_reference
from pointwise.summaries.kernels import Kernel, KernelSums, kernel_sums
from pointwise.summaries.moments import Moments, moments
from pointwise.summaries.neighborhoods import Duplicates, Neighborhoods, neighborhoods_of
from pointwise.summaries.pairs import Pairs, require_one_space, text_of
from pointwise.tables.table import FeatureTable, as_table


class Generated(NamedTuple):
    """A generated table, with its features where the comparison runs."""

    table: FeatureTable
    features: torch.Tensor


def generated_side(reference: Reference, fake: FeatureTable, options: Options) -> Generated:
    """Return a generated table, checked against the reference and moved to where the comparison runs, once."""
    require_comparable(reference.table.features, fake.features)
    (features,) = on_device(fake.features, device=reference.features(options.device).device)
    return Generated(fake, features)


def _neighborhoods(reference: Reference, fake: Generated, options: Options) -> Neighborhoods:
    return neighborhoods_of(
        reference.prepared(options),
        reference.half("neighborhoods", options),
        fake.features,
        ks=options.ks,
        cover=options.cover,
        dimension=options.dimension,
        duplicates=options.duplicates,
        progress=reference.progress,
    )


def _moments(reference: Reference, fake: Generated, options: Options) -> Moments:
    return moments(reference.half("moments", options), fake.features)


def _kernel(name: Summary, kernel: Kernel) -> Callable[[Reference, Generated, Options], KernelSums]:
    return lambda reference, fake, options: kernel_sums(
        reference.half(name, options), fake.features, kernel=kernel, seed=options.seed
    )


def _gaussian_pairs(reference: Reference, fake: Generated, options: Options) -> Pairs:
    text, table = text_of(fake.table, "generated"), reference.table
    half = reference.half("gaussian_pair", options)
    half.mutual_information(debias=reference.debias)  # that it can score is certain before anything is scored
    # Its error comes from the fitted pairs themselves where these are the table's own.
    own = table.text is not None and half.is_of(table.features, table.text)
    fitted = (table.features, table.text) if own and table.text is not None else None
    return Pairs(fake.table.features, text, gaussian=half, fitted=fitted, debias=reference.debias)


def _learned_pairs(reference: Reference, fake: Generated, options: Options) -> Pairs:
    text = text_of(fake.table, "generated")
    return Pairs(fake.table.features, text, learned=reference.half("learned_pair", options))


def _cosines(reference: Reference, fake: Generated, options: Options) -> Pairs:
    require_one_space(fake.table)
    return Pairs(fake.table.features, text_of(fake.table, "generated"), seed=options.seed)


SUMMARIES: Mapping[Summary, Callable[[Reference, Generated, Options], Any]] = MappingProxyType(
    {
        "neighborhoods": _neighborhoods,
        "moments": _moments,
        "polynomial_kernel": _kernel("polynomial_kernel", "polynomial"),
        "gaussian_kernel": _kernel("gaussian_kernel", "gaussian"),
        "gaussian_pair": _gaussian_pairs,
        "learned_pair": _learned_pairs,
        "cosines": _cosines,
    }
)


def neighborhoods(
    real: Reference | FeatureTable | Array,
    fake: FeatureTable | Array,
    *,
    k: int | Sequence[int] = 5,
    cover: int = 3,
    dimension: str | float = "ambient",
    duplicates: Duplicates = "raise",
    device: str | torch.device | None = None,
    engine: str = "auto",
) -> Neighborhoods:
    """Find who is near whom, within and between a real and a generated table; all kNN metrics follow from it.

    Args:
        real: table or array [N, d], or their `Reference`.
        fake: table or array [M, d], the generated rows.
        k: one or several numbers of neighbours; one pass serves all.
        cover: the factor C of precision cover and recall cover; C * k must be below N and below M.
        dimension: "ambient" (d), "intrinsic" (TwoNN on the real table), or a positive number.
        duplicates: what a k-th neighbour at distance zero does to a log term: "raise", "floor" or "keep".
        device: "cpu" or "cuda"; None keeps the data where it is.
        engine: of the search.

    Raises:
        InputError: too few rows, widths that differ, or an option out of range.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> hoods = neighborhoods(rng.normal(size=(40, 2)), rng.normal(size=(30, 2)), k=(3, 5))
    >>> hoods.fake_to_real.distances.shape, hoods.at(3).k
    ((30, 6), 3)
    """
    reference = as_reference(real)
    options = Options.checked(
        k=k, cover=cover, dimension=dimension, duplicates=duplicates, device=device, engine=engine
    )
    return _neighborhoods(reference, generated_side(reference, as_table(fake, name="fake"), options), options)
