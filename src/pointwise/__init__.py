"""Measures generative models in nats, down to the single sample."""

from importlib import import_module as _import_module
from typing import Any as _Any

from pointwise._agreement import Agreement, agreement
from pointwise._compare import compare
from pointwise._evaluate import evaluate
from pointwise._retrieval.probe import linear_probe
from pointwise._retrieval.retrieval import Retrieval, retrieval
from pointwise._retrieval.zero_shot import prompt_ensemble, prompts, zero_shot
from pointwise.comparison import Comparison
from pointwise.encoding import encode, encode_to
from pointwise.errors import InputError, MissingExtra
from pointwise.evaluation import Evaluation
from pointwise.items.captions import read_captions
from pointwise.items.matching import match_captions
from pointwise.kernels.functions import clip_similarity, info_nce, kme_similarity, wpse_similarity
from pointwise.metrics.alignment import clip_score, info_nce_score, mid, r_precision, ref_clip_score
from pointwise.metrics.entropy import cross_entropy, entropy
from pointwise.metrics.registry import METRICS
from pointwise.neighbors import Neighbors, knn
from pointwise.pmi.calibration import Calibration, pmi_calibration
from pointwise.pmi.pmi import KmePmi
from pointwise.reference.reference import Reference
from pointwise.reference.summaries import neighborhoods
from pointwise.score import Score
from pointwise.summaries.gaussian import GaussianPair
from pointwise.summaries.neighborhoods import Neighborhoods
from pointwise.tables.table import FeatureTable, concat, load

__version__ = "0.1.0"

# fmt: off
__all__ = [  # noqa: RUF022 - in the order of a user's work
    # what is measured
    "FeatureTable", "load", "concat", "encode", "encode_to", "read_captions", "match_captions",
    # comparisons, and what they give
    "evaluate", "compare", "Reference", "Evaluation", "Comparison", "Score", "METRICS",
    # their pieces
    "neighborhoods", "Neighborhoods", "knn", "Neighbors", "entropy", "cross_entropy",
    # how well two modalities go together
    "mid", "GaussianPair", "KmePmi", "clip_score", "ref_clip_score", "r_precision", "info_nce_score",
    # how well metrics agree with people
    "agreement", "Agreement",
    # similarities of pairs, and what they are used for
    "kme_similarity", "wpse_similarity", "clip_similarity", "info_nce", "pmi_calibration", "Calibration",
    "retrieval", "Retrieval", "zero_shot", "prompts", "prompt_ensemble", "linear_probe",
    # modules: encoders by name, failures made on purpose, laws of known truth, published judgments, models of pairs
    "encoders", "failures", "synthetic", "judgments", "training",
    # what is raised, and the version
    "InputError", "MissingExtra", "__version__",
]
# fmt: on


def __getattr__(name: str) -> _Any:
    if name in ("encoders", "failures", "judgments", "synthetic", "training"):  # imported when first used
        return _import_module(f"pointwise.{name}")
    raise AttributeError(f"module 'pointwise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
