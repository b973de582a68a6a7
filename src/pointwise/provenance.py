"""What a reader of the numbers should know: how they came about, and what is odd about the tables."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from pointwise.metrics.entropy import FLOORED
from pointwise.neighbors import Neighbors
from pointwise.pmi.pmi import KmePmi
from pointwise.reference.options import Options
from pointwise.reference.reference import Reference
from pointwise.summaries.gaussian import GaussianPair
from pointwise.summaries.neighborhoods import Neighborhoods
from pointwise.tables.table import FeatureTable


def about_tables(real: FeatureTable, fake: FeatureTable, *, only_pairs: bool) -> list[str]:
    """Return a sentence for each encoder that differs between the tables, and one if they hold the same.

    Pairs may share their samples with the reference: it is the same images that are captioned, say.
    """
    sentences = []
    for key, of in (("encoder", ""), ("text_encoder", "texts of the ")):
        encoders = real.meta.get(key), fake.meta.get(key)
        if None not in encoders and encoders[0] != encoders[1]:
            sentences.append(
                f"the {of}real table {'were' if of else 'was'} encoded by {encoders[0]} and {'those of ' if of else ''}"
                f"the generated one by {encoders[1]}: their features cannot be compared. Encode both alike."
            )
    same = real.fingerprint() == fake.fingerprint()
    if same and not only_pairs:
        sentences.append(
            "both tables hold the same rows: every generated row has its copy as nearest real neighbour, which makes "
            "it look better than new samples could. Set other real rows aside instead."
        )
    elif same and real.text_fingerprint == fake.text_fingerprint is not None:
        sentences.append(
            "both tables hold the same pairs: mid and kme_pmi score the pairs that they were fitted on, which makes "
            "them look better than new ones could. Set other real pairs aside instead."
        )
    return sentences


def about_left_out(names: Sequence[str], reason: str) -> str:
    """Return the sentence that says which metrics were left out, and why."""
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{listed} {'is' if len(names) == 1 else 'are'} left out: {reason}"


def _copies(neighbors: Neighbors) -> int:
    return int((neighbors.distances[:, 0] == 0).sum())


def about_copies(hoods: Neighborhoods) -> list[str]:
    """Return sentences that count exact copies, and the log terms that they change."""
    counted = [
        (hoods.within_real, "real rows have an exact copy among the real rows"),
        (hoods.within_fake, "generated rows have an exact copy among the generated rows"),
        (hoods.fake_to_real, "generated rows are exact copies of real rows"),
    ]
    sentences = [f"{_copies(table)} of {len(table)} {what}." for table, what in counted if _copies(table)]
    if hoods.duplicates != "floor":
        return sentences
    tables = {
        "real rows have their k-th real neighbour": hoods.within_real,
        "generated rows have their k-th generated neighbour": hoods.within_fake,
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


def provenance_of(
    reference: Reference, fake: FeatureTable, options: Options, summaries: Mapping[str, Any], *, learned: bool
) -> dict[str, Any]:
    """Return versions, settings, and what is known of both tables and of what was made of them."""
    provenance: dict[str, Any] = {
        "pointwise": version("pointwise"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": str(reference.features(options.device).device),
        "engine": options.engine,
        "seed": options.seed,
        "real": _about(reference.table),
        "generated": _about(fake),
    }
    if hoods := summaries.get("neighborhoods"):
        provenance |= {
            "k": list(hoods.ks),
            "cover": hoods.cover,
            "dimension": hoods.dimension,
            "duplicates": {
                "policy": hoods.duplicates,
                "within_real": _copies(hoods.within_real),
                "within_generated": _copies(hoods.within_fake),
                "generated_copies_of_real": _copies(hoods.fake_to_real),
            },
        }
    if pairs := summaries.get("gaussian_pair"):
        provenance["reference_pairs"] = _about_pairs(pairs.gaussian, debias=pairs.debias)
    if learned:
        provenance["learned"] = _about_learned(summaries["learned_pair"].learned)
    return provenance


def _about(table: FeatureTable) -> dict[str, Any]:
    about: dict[str, Any] = {
        "rows": len(table),
        "columns": table.dim,
        "dtype": str(table.features.dtype).removeprefix("torch."),
        "fingerprint": table.fingerprint(),
        "meta": dict(table.meta),
    }
    if table.text is not None:
        about |= {"text_columns": table.text.shape[1], "text_fingerprint": table.text_fingerprint}
    return about


def _about_pairs(reference: GaussianPair, *, debias: bool) -> dict[str, Any]:
    """What mid depends on beside the tables."""
    return {
        "pairs": reference.count,
        "columns": list(reference.widths),
        "ridge": reference.ridge,
        "reduce": reference.reduce,
        "kept_variance": list(reference.kept_variance),
        "debias": debias,
    }


def _about_learned(learned: KmePmi) -> dict[str, Any]:
    """What kme_pmi depends on beside the generated table."""
    return {
        "trained_on": learned.model.meta.get("trained_on"),
        "held_out": learned.model.meta.get("held_out"),
        "points": learned.model.points,
        "dim": learned.model.dim,
        "calibration": {"pairs": len(learned.calibration.rows), **learned.calibration.to_dict()},
    }
