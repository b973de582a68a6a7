"""Sets of human judgments: read as they are published, scored by metrics, and held against what people said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pointwise.errors import InputError
from pointwise.judgments import flickr8k_cf, flickr8k_expert, foil, mid_amt, pascal50s
from pointwise.judgments.features import Features as Features
from pointwise.judgments.features import encode_judgments as encode_judgments
from pointwise.judgments.protocol import Choices as Choices
from pointwise.judgments.protocol import Judgments as Judgments
from pointwise.judgments.protocol import Ratings as Ratings
from pointwise.judgments.results import Result as Result
from pointwise.judgments.results import differences as differences
from pointwise.judgments.results import results as results
from pointwise.judgments.scoring import score as score
from pointwise.metrics.registry import closest_names

SETS: Mapping[str, Callable[..., Judgments]] = MappingProxyType(
    {module.NAME: module.load for module in (flickr8k_expert, flickr8k_cf, pascal50s, foil, mid_amt)}
)


def load_judgments(name: str, folder: str | Path, *, seed: int = 0) -> Judgments:
    """Return the set of this name, one of ``SETS``, from the folder that holds its published files at any depth.

    Args:
        name: of the set.
        folder: docs/judgments.md shows the tree that is expected.
        seed: of what the set's protocol draws at random.

    Raises:
        InputError: there is no such set, files or images are missing, or are not of the published form.
    """
    if name not in SETS:
        raise InputError(f"there is no judgment set {name!r}{closest_names(name, SETS)}; there are {', '.join(SETS)}.")
    return SETS[name](folder, seed=seed)
