"""Measures generative models in nats, down to the single sample."""

from pointwise.agreement.agreement import agreement as agreement
from pointwise.agreement.result import Agreement as Agreement
from pointwise.agreement.result import Estimate as Estimate
from pointwise.data.formats import load as load
from pointwise.data.table import FeatureTable as FeatureTable
from pointwise.data.table import concat as concat
from pointwise.encoding import encode as encode
from pointwise.encoding import encode_to as encode_to
from pointwise.errors import InputError as InputError
from pointwise.errors import MissingExtra as MissingExtra
from pointwise.evaluate import evaluate as evaluate
from pointwise.evaluation import Evaluation as Evaluation
from pointwise.metrics.alignment import clip_score as clip_score
from pointwise.metrics.alignment import info_nce_score as info_nce_score
from pointwise.metrics.alignment import mid as mid
from pointwise.metrics.alignment import r_precision as r_precision
from pointwise.metrics.alignment import ref_clip_score as ref_clip_score
from pointwise.metrics.entropy import cross_entropy as cross_entropy
from pointwise.metrics.entropy import entropy as entropy
from pointwise.metrics.registry import METRICS as METRICS
from pointwise.neighbors import Neighbors as Neighbors
from pointwise.neighbors import knn as knn
from pointwise.score import Score as Score
from pointwise.similarity.calibration import Calibration as Calibration
from pointwise.similarity.calibration import pmi_calibration as pmi_calibration
from pointwise.similarity.functions import clip_similarity as clip_similarity
from pointwise.similarity.functions import kme_similarity as kme_similarity
from pointwise.similarity.functions import wpse_similarity as wpse_similarity
from pointwise.similarity.losses import info_nce as info_nce
from pointwise.similarity.pmi import KmePmi as KmePmi
from pointwise.similarity.probe import linear_probe as linear_probe
from pointwise.similarity.retrieval import Retrieval as Retrieval
from pointwise.similarity.retrieval import retrieval as retrieval
from pointwise.similarity.zero_shot import prompt_ensemble as prompt_ensemble
from pointwise.similarity.zero_shot import prompts as prompts
from pointwise.similarity.zero_shot import zero_shot as zero_shot
from pointwise.summaries.gaussian import GaussianPair as GaussianPair
from pointwise.summaries.neighborhoods import Neighborhoods as Neighborhoods
from pointwise.summaries.neighborhoods import neighborhoods as neighborhoods
from pointwise.summaries.self_neighbors import SelfNeighbors as SelfNeighbors
from pointwise.summaries.self_neighbors import self_neighbors as self_neighbors

__version__ = "0.1.0"

__all__ = [
    "METRICS",
    "Agreement",
    "Calibration",
    "Estimate",
    "Evaluation",
    "FeatureTable",
    "GaussianPair",
    "InputError",
    "KmePmi",
    "MissingExtra",
    "Neighborhoods",
    "Neighbors",
    "Retrieval",
    "Score",
    "SelfNeighbors",
    "__version__",
    "agreement",
    "clip_score",
    "clip_similarity",
    "concat",
    "cross_entropy",
    "encode",
    "encode_to",
    "entropy",
    "evaluate",
    "info_nce",
    "info_nce_score",
    "kme_similarity",
    "knn",
    "linear_probe",
    "load",
    "mid",
    "neighborhoods",
    "pmi_calibration",
    "prompt_ensemble",
    "prompts",
    "r_precision",
    "ref_clip_score",
    "retrieval",
    "self_neighbors",
    "wpse_similarity",
    "zero_shot",
]
