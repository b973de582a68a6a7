"""Tokens of pairs on disk come back as they were."""

from __future__ import annotations

import pytest
import torch

from pointwise.errors import InputError
from pointwise.similarity.inputs import Inputs, Pairs
from pointwise.similarity.token_file import TokenFile, is_tokens, load_tokens, save_tokens


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("mask", [None, torch.tensor([[True, True, False], [True, False, False]])])
def test_tokens_come_back_as_they_were(dtype, mask, tmp_path):
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(2, t, 4, generator=generator).to(dtype) for t in (5, 3))
    kept = TokenFile(Pairs(Inputs(images), Inputs(texts, mask)), ["a.png", "b.png"], ["ein Bär", ""], {"key": "k"})
    path = tmp_path / "tokens.safetensors"
    assert not is_tokens(path)
    save_tokens(path, kept)
    back = load_tokens(path)
    assert is_tokens(path)
    assert back.pairs.images.x.dtype == dtype
    assert torch.equal(back.pairs.images.x, images)
    assert torch.equal(back.pairs.texts.x, texts)
    assert back.pairs.images.mask is None
    assert (back.pairs.texts.mask is None) if mask is None else torch.equal(back.pairs.texts.mask, mask)
    assert (back.ids, back.captions, back.meta) == (["a.png", "b.png"], ["ein Bär", ""], {"key": "k"})


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "tokens.safetensors"
    with pytest.raises(InputError, match=r"tokens.safetensors cannot be read as tokens of pairs"):
        load_tokens(path)
    save_file({"features": torch.ones(2, 2)}, path)
    assert not is_tokens(path)
    with pytest.raises(InputError, match="does not hold tokens of pairs"):
        load_tokens(path)
    path.write_bytes(b"nothing")
    assert not is_tokens(path)
