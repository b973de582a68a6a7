"""Tokens of the encoders that pool them: pooled again they are the features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from encoders.tiny_models import save_tiny_bert, save_tiny_clip, save_tiny_dinov2, save_tiny_siglip
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.tokens.tokens import encode_tokens, has_tokens, stack
from pointwise.training.inputs import Inputs

CPU = torch.device("cpu")


def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(256, size=(size, 40, 3), dtype=np.uint8) for size in (20, 64)]


@pytest.mark.parametrize(("name", "count"), [("bundled", 49), ("bundled:64", 4)])
def test_the_mean_of_the_bundled_encoders_tokens_is_its_feature(name, count):
    encoder = load_encoder(name, device=CPU)
    tokens, mask = encoder.encode_tokens(pictures())
    assert tokens.shape == (2, count, 1280)
    assert mask is None
    torch.testing.assert_close(tokens.mean(1), encoder.encode(pictures()), rtol=1e-5, atol=1e-5)
    kept = encode_tokens(encoder, pictures()).x
    assert kept.dtype == torch.float16
    torch.testing.assert_close(kept.float(), tokens, rtol=1e-3, atol=1e-4)


def test_the_mean_of_minilms_tokens_is_its_feature():
    encoder = load_text_encoder("minilm", device=CPU)
    texts = ["a cat", "two dogs and a cat asleep on a stone", ""]
    tokens, mask = encoder.encode_tokens(texts)
    assert tokens.shape[::2] == (3, 384)
    assert mask.sum(1).tolist() == encoder.count_tokens(texts)
    mean = (tokens * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(F.normalize(mean, dim=1), encoder.encode(texts), rtol=1e-4, atol=1e-5)
    long = encoder.encode_tokens(["word " * 1000])[0]
    assert long.shape[1] == encoder.max_tokens


def test_an_encoder_without_tokens_gives_its_features_as_one():
    encoder = load_encoder("pixels:4", device=CPU)
    assert not has_tokens(encoder)
    tokens = encode_tokens(encoder, pictures() * 20)
    assert tokens.x.shape == (40, 1, 48)
    assert tokens.mask is None


def test_parts_of_one_length_need_no_mask():
    ones = torch.ones(2, 3, dtype=torch.bool)
    assert stack([Inputs(torch.ones(2, 3, 4), ones), Inputs(torch.ones(1, 3, 4))]).mask is None


@pytest.mark.parametrize("save", [save_tiny_clip, save_tiny_siglip, save_tiny_dinov2])
def test_tokens_of_a_vision_model_are_its_last_hidden_states(save, tmp_path):
    from transformers import AutoModel

    encoder = load_encoder(str(save(tmp_path / "model")), device=CPU)
    tokens, mask = encoder.encode_tokens(pictures())
    network = AutoModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        seen = {"pixel_values": encoder.preprocess(pictures())}
        want = getattr(network, "vision_model", network)(**seen).last_hidden_state
    assert mask is None
    torch.testing.assert_close(tokens, want)


@pytest.mark.parametrize("save", [save_tiny_clip, save_tiny_siglip, save_tiny_bert])
def test_tokens_of_a_text_model_are_its_last_hidden_states(save, tmp_path):
    from transformers import AutoModel

    encoder = load_text_encoder(str(save(tmp_path / "model")), device=CPU)
    tokens, mask = encoder.encode_tokens(["a cat", "two dogs and a cat"])
    network = AutoModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        seen = encoder._tokens(["a cat", "two dogs and a cat"], at_most=encoder.max_tokens)
        want = getattr(network, "text_model", network)(**seen).last_hidden_state
    torch.testing.assert_close(tokens, want)
    assert mask.shape == tokens.shape[:2]
    assert mask[1].all()
    assert bool(mask[0].all()) == (save is save_tiny_siglip)  # which attends to its padding
