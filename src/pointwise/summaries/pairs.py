"""Pairs: the generated pairs of one comparison, and what the reference pairs left behind to score them by."""

from dataclasses import dataclass
from typing import Protocol

import torch

from pointwise.errors import InputError
from pointwise.score import Score
from pointwise.summaries.gaussian import GaussianPair
from pointwise.tables.table import FeatureTable


class Learned(Protocol):
    """Whatever knows the pointwise mutual information of further pairs, in nats."""

    def pmi(self, x: torch.Tensor, y: torch.Tensor) -> Score:
        """Return it for each pair of rows x [m, dx] and y [m, dy]."""
        ...


@dataclass(frozen=True, eq=False)
class Pairs:
    """Generated samples with the texts that they belong to, and what their metrics read beside them.

    Args:
        image: [m, dx] features of the samples.
        text: [m, dy] features of their texts.
        gaussian: of the reference pairs, where they are scored by it.
        fitted: the reference pairs that the Gaussian is of, where they are at hand: its error comes from them.
        debias: score without the mean error of the fit.
        learned: from the reference pairs, where they are scored by it.
        seed: of what is drawn at random.
    """

    image: torch.Tensor
    text: torch.Tensor
    gaussian: GaussianPair | None = None
    fitted: tuple[torch.Tensor, torch.Tensor] | None = None
    debias: bool = False
    learned: Learned | None = None
    seed: int = 0


def text_of(table: FeatureTable, name: str) -> torch.Tensor:
    """Return the text features of a table."""
    if table.text is None:
        raise InputError(
            f"the {name} table carries no text features; give it text=, one row per sample, or encode it together with "
            "its captions."
        )
    return table.text


def require_one_space(table: FeatureTable) -> None:
    """Raise an InputError unless cosines between a table's features and those of its texts have a meaning."""
    text = text_of(table, "generated")
    encoders = table.meta.get("encoder"), table.meta.get("text_encoder")
    differ = None not in encoders and encoders[0] != encoders[1]
    if differ or table.features.shape != text.shape:
        these = (
            f"come from {encoders[0]} and {encoders[1]}" if differ else f"have {table.dim} and {text.shape[1]} columns"
        )
        raise InputError(
            f"cosines need image and text features in one space, and these {these}; encode both by one model that was "
            "trained for it, such as CLIP."
        )
