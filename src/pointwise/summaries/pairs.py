"""Pairs: the generated pairs of one comparison, and what the reference pairs left behind to score them by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from pointwise.errors import InputError
from pointwise.score import Score, mean_score
from pointwise.summaries.gaussian import GaussianPair
from pointwise.tables.table import FeatureTable

_NO_TEXT = "carries no text features; give it text=, one row per sample, or encode it together with its captions."


class Learned(Protocol):
    """Whatever knows the pointwise mutual information of further pairs, in nats."""

    def pmi(self, x: torch.Tensor, y: torch.Tensor) -> Score:
        """Return it for each pair of rows x [m, dx] and y [m, dy]."""
        ...


@dataclass(frozen=True, eq=False)
class Pairs:
    """Generated samples with the texts that they belong to, and what their metrics read beside them.

    Args:
        table: whose modes, ids and captions the scores carry.
        image: [m, dx] features of the samples.
        text: [m, dy] features of their texts.
        reference: the Gaussian of the reference pairs, where they are scored by it.
        debias: score without the mean error of the fit.
        seed: of what is drawn at random.
        learned: from the reference pairs, where they are scored by it.
    """

    table: FeatureTable
    image: torch.Tensor
    text: torch.Tensor
    reference: GaussianPair | None = None
    debias: bool = False
    seed: int = 0
    learned: Learned | None = None

    def labelled(self, score: Score) -> Score:
        """Return this score of the pairs with their modes, ids and captions, and the mean of each mode."""
        if score.per_sample is None:
            return score
        table = self.table
        return mean_score(score.per_sample, of="pair", modes=table.modes, ids=table.ids, captions=table.captions)


def require_mid_options(
    reference: GaussianPair | None, *, ridge: float = 0.0, reduce: int | None = None, debias: bool = False
) -> None:
    """Raise an InputError unless these options of mid go together, asked for or not."""
    if reference is not None and (ridge or reduce is not None):
        raise InputError("reference_pairs has its own ridge and reduce; leave ridge and reduce out beside it.")
    (reference or GaussianPair(ridge=ridge, reduce=reduce)).require_plain(debias=debias)


def scored_pairs(
    real: FeatureTable,
    fake: FeatureTable,
    *,
    reference: GaussianPair | None = None,
    ridge: float = 0.0,
    reduce: int | None = None,
    debias: bool = False,
) -> Pairs:
    """Return the generated pairs and the Gaussian of the real ones, once it is certain that it can score.

    Args:
        real: the reference table.
        fake: the generated table.
        reference: a Gaussian fitted before; then the real table is not asked.
        ridge: of the `GaussianPair`.
        reduce: of the `GaussianPair`.
        debias: score without the mean error of the fit.

    Raises:
        InputError: a table carries no text, or what `GaussianPair` refuses.
    """
    pairs = _pairs(fake)
    if reference is None:
        reference = GaussianPair(ridge=ridge, reduce=reduce)
        reference.update(real.features, _text(real))
    reference.mutual_information(debias=debias)
    return replace(pairs, reference=reference, debias=debias)


def learned_pairs(
    real: FeatureTable,
    fake: FeatureTable,
    *,
    learned: Learned | None,
    learn: Callable[[torch.Tensor, torch.Tensor], Learned],
) -> Pairs:
    """Return the generated pairs, and what was learned before or else what the function learns from the real pairs.

    Raises:
        InputError: a table carries no text, or what the function refuses.
    """
    pairs = _pairs(fake)
    return replace(pairs, learned=learn(real.features, _text(real)) if learned is None else learned)


def pairs_in_one_space(fake: FeatureTable, *, seed: int = 0) -> Pairs:
    """Return the generated pairs, once it is known that cosines between image and text features have a meaning.

    Raises:
        InputError: there is no text, both have different widths, or the table's meta names two different encoders.
    """
    pairs = _pairs(fake)
    encoders = fake.meta.get("encoder"), fake.meta.get("text_encoder")
    told = None not in encoders and encoders[0] != encoders[1]
    if told or pairs.image.shape != pairs.text.shape:
        these = (
            f"come from {encoders[0]} and {encoders[1]}"
            if told
            else (f"have {pairs.image.shape[1]} and {pairs.text.shape[1]} columns")
        )
        raise InputError(
            f"cosines need image and text features in one space, and these {these}; encode both by one model that was "
            "trained for it, such as CLIP."
        )
    return replace(pairs, seed=seed)


def _text(real: FeatureTable) -> torch.Tensor:
    if real.text is None:
        raise InputError(f"the real table {_NO_TEXT}")
    return real.text


def _pairs(fake: FeatureTable) -> Pairs:
    if fake.text is None:
        raise InputError(f"the generated table {_NO_TEXT}")
    return Pairs(fake, fake.features, fake.text)
