"""Similarities of candidates, made whole or a part at a time; what is opened and refused: cli/test_retrieve.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointwise._retrieval.candidates import Candidates, held, products, similarities
from pointwise._retrieval.retrieval import retrieval
from pointwise.pmi.calibration import pmi_calibration
from pointwise.training.inputs import Inputs
from pointwise.training.model import DualEncoder, FrozenTokens

N, M = 30, 20


def some(width=6, tokens=1):
    generator = torch.Generator().manual_seed(0)
    images, texts, more = (Inputs(torch.randn(n, tokens, width, generator=generator)) for n in (N, N, M))
    return Candidates(images, texts, np.arange(N), None, None, {}, more)


def model_similarity(candidates):
    model = DualEncoder(FrozenTokens(width=6), FrozenTokens(width=6), points=2, dim=4)
    return similarities(candidates, model, lambda *step: None)


def cosine(candidates):
    return products(candidates, unit=True)


@pytest.mark.parametrize("make", [model_similarity, cosine])
def test_what_is_too_large_to_hold_is_made_at_each_pass_and_is_the_same(make):
    candidates = some(tokens=3 if make is model_similarity else 1)
    asked = []

    def block(rows):
        asked.append(rows)
        return made(rows)

    made = make(candidates)
    whole, parts = held(block, candidates), held(block, candidates, most=N * (N + M) - 1)
    assert asked == [slice(0, N + M)]
    one, other = (retrieval(function, groups_y=np.arange(N), n=N + M) for function in (whole, parts))
    assert len(asked) == 1 + 3  # its shape, and two passes
    assert one.text_to_image.ranks.tolist() == other.text_to_image.ranks.tolist()
    assert one.image_to_text.ranks.tolist() == other.image_to_text.ranks.tolist()
    calibrations = [pmi_calibration(function, n=N).to_dict() for function in (whole, parts)]
    assert calibrations[0] == pytest.approx(calibrations[1], rel=1e-5, abs=1e-5)


def test_distractors_come_after_the_images():
    candidates = some()
    x = torch.cat([candidates.images.x, candidates.distractors.x])[:, 0].double()
    torch.testing.assert_close(
        products(candidates, unit=False)(slice(0, candidates.rows)), x @ candidates.texts.x[:, 0].double().T
    )
    assert candidates.rows == N + M
    assert candidates._replace(distractors=None).rows == N
