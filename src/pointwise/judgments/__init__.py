"""Sets of human judgments: read as they are published, scored by metrics, and held against what people said."""

from pointwise.judgments.features import Features as Features
from pointwise.judgments.features import encode_judgments as encode_judgments
from pointwise.judgments.protocol import Choices as Choices
from pointwise.judgments.protocol import Judgments as Judgments
from pointwise.judgments.protocol import Ratings as Ratings
from pointwise.judgments.published import SETS as SETS
from pointwise.judgments.published import load_judgments as load_judgments
from pointwise.judgments.result import Result as Result
from pointwise.judgments.result import differences as differences
from pointwise.judgments.result import results as results
from pointwise.judgments.scoring import score as score
