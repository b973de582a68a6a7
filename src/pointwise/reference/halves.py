"""The halves of summaries that are of the real side alone: how each is made, when it serves, and how it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pointwise._arrays import on_device
from pointwise.neighbors.certify import Nearest
from pointwise.pmi.pmi import KmePmi
from pointwise.reference.options import Options
from pointwise.summaries.gaussian import GaussianPair
from pointwise.summaries.kernels import Kernel, OwnSums, kernel_rows, own_sums
from pointwise.summaries.moments import SetMoments, set_moments
from pointwise.summaries.neighborhoods import depth_within, neighbors_within_real
from pointwise.summaries.pairs import text_of

if TYPE_CHECKING:
    from pointwise.reference.reference import Reference

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
Words = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True)
class Half:
    """What a summary takes of the real side alone.

    Args:
        make: it, from a reference.
        fits: whether one that is there serves for these options.
        store: it, as arrays and a few words about them.
        restore: the one that these arrays and words are of.
    """

    make: Callable[[Reference, Options], Any]
    fits: Callable[[Any, Reference, Options], bool]
    store: Callable[[Any], tuple[Arrays, Words]]
    restore: Callable[[Arrays, Words, Reference], Any]


def _on_device(of: Callable[[Any], torch.Tensor]) -> Callable[[Any, Reference, Options], bool]:
    return lambda half, reference, options: of(half).device == reference.features(options.device).device


def _neighbors_fit(half: Nearest, reference: Reference, options: Options) -> bool:
    rows, widest = len(reference.table), options.cover * max(options.ks)
    deep = half.distances.shape[1] >= depth_within(rows, options.ks, options.cover)
    here = half.distances.device == reference.features(options.device).device
    return deep and here and widest < rows  # else it is said that there are too few rows


def _kernel(kernel: Kernel) -> Half:
    def store(half: OwnSums) -> tuple[Arrays, Words]:
        return {"drawn": half.drawn, "within": half.within}, {
            "largest": half.largest,
            "interaction": half.interaction,
            "seed": half.seed,
        }

    def restore(arrays: Arrays, words: Words, reference: Reference) -> OwnSums:
        table, drawn = reference.features("cpu"), arrays["drawn"]
        return OwnSums(kernel_rows(table, drawn, kernel), drawn, len(table), within=arrays["within"], **words)

    return Half(
        make=lambda reference, options: own_sums(reference.features(options.device), kernel=kernel, seed=options.seed),
        fits=lambda half, reference, options: (
            half.seed == options.seed and half.rows.device == reference.features(options.device).device
        ),
        store=store,
        restore=restore,
    )


def _restored_moments(arrays: Arrays, words: Words, reference: Reference) -> SetMoments:
    return SetMoments(reference.features("cpu"), torch.from_numpy(arrays["mean"]), torch.from_numpy(arrays["root"]))


def _fitted(reference: Reference, options: Options) -> GaussianPair:
    pair = GaussianPair(ridge=reference.ridge, reduce=reference.reduce)
    pair.update(reference.table.features, text_of(reference.table, "real"))
    return pair


def _restored_gaussian(arrays: Arrays, words: Words, reference: Reference) -> GaussianPair:
    """Sums serve for every ridge and reduce: those of the reference hold, but where the Gaussian was given."""
    own = {"ridge": reference.ridge, "reduce": reference.reduce}
    return GaussianPair(**(words["options"] if "gaussian_pair" in reference.given else own)).restored(arrays, words)


def _learned(reference: Reference, options: Options) -> KmePmi:
    sides = on_device(reference.table.features, text_of(reference.table, "real"), device=options.device)
    return KmePmi.fit(*sides, seed=options.seed, progress=reference.progress)


HALVES: Mapping[str, Half] = MappingProxyType(
    {
        "neighborhoods": Half(
            make=lambda reference, options: neighbors_within_real(
                reference.prepared(options), options.ks, options.cover, progress=reference.progress
            ),
            fits=_neighbors_fit,
            store=lambda half: ({"distances": half.distances.cpu().numpy(), "indices": half.indices.cpu().numpy()}, {}),
            restore=lambda arrays, words, reference: Nearest(
                *(torch.from_numpy(arrays[name]) for name in Nearest._fields)
            ),
        ),
        "moments": Half(
            make=lambda reference, options: set_moments(reference.features(options.device)),
            fits=_on_device(lambda half: half.mean),
            store=lambda half: ({"mean": half.mean.cpu().numpy(), "root": half.root.cpu().numpy()}, {}),
            restore=_restored_moments,
        ),
        "polynomial_kernel": _kernel("polynomial"),
        "gaussian_kernel": _kernel("gaussian"),
        "gaussian_pair": Half(
            make=_fitted,
            fits=lambda half, reference, options: True,
            store=lambda half: half.stored(),
            restore=_restored_gaussian,
        ),
        "learned_pair": Half(
            make=_learned,
            fits=lambda half, reference, options: (
                "learned_pair" in reference.given or half.model.meta["seed"] == options.seed
            ),
            store=lambda half: half.stored(),
            restore=lambda arrays, words, reference: KmePmi.restored(arrays, words),
        ),
    }
)
