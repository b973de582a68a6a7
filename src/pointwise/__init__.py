"""Measures generative models in nats, down to the single sample."""

from pointwise._agreement.agreement import agreement as agreement
from pointwise._agreement.result import Agreement as Agreement
from pointwise._compare import compare as compare
from pointwise._evaluate import evaluate as evaluate
from pointwise._retrieval.probe import linear_probe as linear_probe
from pointwise._retrieval.retrieval import Retrieval as Retrieval
from pointwise._retrieval.retrieval import retrieval as retrieval
from pointwise._retrieval.zero_shot import prompt_ensemble as prompt_ensemble
from pointwise._retrieval.zero_shot import prompts as prompts
from pointwise._retrieval.zero_shot import zero_shot as zero_shot
from pointwise.comparison import Comparison as Comparison
from pointwise.encoding import encode as encode
from pointwise.encoding import encode_to as encode_to
from pointwise.errors import InputError as InputError
from pointwise.errors import MissingExtra as MissingExtra
from pointwise.evaluation import Evaluation as Evaluation
from pointwise.kernels.functions import clip_similarity as clip_similarity
from pointwise.kernels.functions import kme_similarity as kme_similarity
from pointwise.kernels.functions import wpse_similarity as wpse_similarity
from pointwise.kernels.losses import info_nce as info_nce
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
from pointwise.pmi.calibration import Calibration as Calibration
from pointwise.pmi.calibration import pmi_calibration as pmi_calibration
from pointwise.pmi.pmi import KmePmi as KmePmi
from pointwise.reference.reference import Reference as Reference
from pointwise.reference.summaries import neighborhoods as neighborhoods
from pointwise.score import Score as Score
from pointwise.summaries.gaussian import GaussianPair as GaussianPair
from pointwise.summaries.neighborhoods import Neighborhoods as Neighborhoods
from pointwise.tables.table import FeatureTable as FeatureTable
from pointwise.tables.table import concat as concat
from pointwise.tables.table import load as load

__version__ = "0.1.0"

__all__ = [
    "METRICS",
    "Agreement",
    "Calibration",
    "Comparison",
    "Evaluation",
    "FeatureTable",
    "GaussianPair",
    "InputError",
    "KmePmi",
    "MissingExtra",
    "Neighborhoods",
    "Neighbors",
    "Reference",
    "Retrieval",
    "Score",
    "__version__",
    "agreement",
    "clip_score",
    "clip_similarity",
    "compare",
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
    "wpse_similarity",
    "zero_shot",
]
