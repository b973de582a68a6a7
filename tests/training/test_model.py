"""DualEncoder: similarity of the three kinds, towers of both kinds, and a file that brings it back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import pointwise.kernels.functions as functions
from pointwise.errors import InputError
from pointwise.tokens.tokenizer import Tokenizer
from pointwise.tokens.tokens import image_inputs, text_inputs
from pointwise.training.inputs import Inputs
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.towers import TextTransformer, VisionTransformer


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[True, True, True], [True, False, False], [True, True, False], [True, True, True]])
    return Inputs(torch.randn(5, 4, 6, generator=generator)), Inputs(torch.randn(4, 3, 10, generator=generator), mask)


def frozen(**options):
    return DualEncoder(FrozenTokens(width=6), FrozenTokens(width=10), **{"points": 3, "dim": 4, "seed": 0, **options})


def small_towers(**options):
    return DualEncoder(
        VisionTransformer(image_size=8, patch=4, width=16, depth=2, heads=2, seed=0),
        TextTransformer(vocabulary=258, context=12, width=16, depth=2, heads=2, seed=1),
        **{"points": 2, "dim": 4, "seed": 0, "meta": {"tokenizer": "bytes"}, **options},
    )


def test_similarity_is_that_of_the_functions(inputs):
    for name in ("kme", "wpse", "clip"):
        model = frozen(similarity=name)
        a, b = model.image_points(inputs[0]), model.text_points(inputs[1])
        s = float(model.scale.detach())
        want = {
            "kme": lambda a, b, s: functions.kme_similarity(a.x, b.x, log_wx=a.log_w, log_wy=b.log_w, scale=s),
            "wpse": lambda a, b, s: functions.wpse_similarity(a.x, b.x, wx=a.w, wy=b.w, scale=s),
            "clip": lambda a, b, s: functions.clip_similarity(a.x[:, 0], b.x[:, 0], scale=s),
        }[name](a, b, s)
        got = model(*inputs)
        assert got.shape == (5, 4)
        torch.testing.assert_close(got, want)


def test_the_similarity_changes_nothing_but_the_weights_of_the_heads():
    names = {
        kind: {name: p.shape for name, p in frozen(similarity=kind).named_parameters()} for kind in ("kme", "clip")
    }
    assert {name for name in names["kme"] if name not in names["clip"]} == {
        f"{side}_head.{name}" for side in ("image", "text") for name in ("weight", "weight_bias")
    }
    assert all(names["kme"][name] == shape for name, shape in names["clip"].items())
    start = {kind: frozen(similarity=kind).state_dict() for kind in ("kme", "wpse", "clip")}
    assert all(
        torch.equal(start["kme"][name], x) and torch.equal(start["wpse"][name], x) for name, x in start["clip"].items()
    )


def test_scale_starts_at_one_over_007_and_stays_within_1_and_100():
    model = frozen()
    assert float(model.scale.detach()) == pytest.approx(1 / 0.07)
    for value, want in ((9.0, 100.0), (-3.0, 1.0)):
        with torch.no_grad():
            model.log_scale.fill_(value)
        model.clamp_scale()
        assert float(model.scale.detach()) == pytest.approx(want)


@pytest.mark.parametrize("make", [frozen, small_towers])
@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
@pytest.mark.parametrize("points", [2, "all"])
def test_a_saved_model_comes_back_the_same(make, similarity, points, tmp_path):
    model = make(similarity=similarity, points=points, meta={"tokenizer": "bytes", "image_encoder": "pixels:2"})
    model.save(tmp_path / "model.safetensors")
    back = DualEncoder.load(tmp_path / "model.safetensors")
    assert back.config() == model.config()
    assert back.meta == model.meta
    assert list(back.state_dict()) == list(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), model.state_dict().values(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_file_that_holds_no_model_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    with pytest.raises(
        InputError, match=r"model.safetensors cannot be read as a model of pairs \(.*\); make and save it again"
    ):
        DualEncoder.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as a model"):
        DualEncoder.load(path)
    save_file({"features": torch.ones(2, 2)}, path)
    with pytest.raises(InputError, match="does not hold a model of pairs"):
        DualEncoder.load(path)


def test_a_model_of_another_version_is_refused(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    frozen().save(path)
    with safe_open(path, framework="pt") as file:
        tensors, said = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    config = json.loads(said["model"])["config"]
    config["text"]["kind"] = "recurrent"
    save_file(tensors, path, metadata={"format": said["format"], "model": json.dumps({"config": config, "facts": {}})})
    with pytest.raises(InputError, match=r"holds a model that this version cannot make \('recurrent'\)"):
        DualEncoder.load(path)
    config["text"]["kind"], config["dim"] = "frozen_tokens", 5
    save_file(tensors, path, metadata={"format": said["format"], "model": json.dumps({"config": config, "facts": {}})})
    with pytest.raises(InputError, match="cannot make"):
        DualEncoder.load(path)


# ---- towers


def test_the_vision_transformer_makes_a_token_of_each_patch():
    tower = VisionTransformer(image_size=12, patch=4, width=16, depth=1, seed=0)
    pictures = torch.randint(256, (2, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tokens, mask = tower(Inputs(pictures))
    assert tokens.shape == (2, 9, 16)
    assert mask is None
    blocks = VisionTransformer(image_size=12, patch=4, width=16, depth=2, seed=0).blocks
    assert not torch.equal(blocks[0].linear1.weight, blocks[1].linear1.weight)


def test_the_text_transformer_is_causal_and_padding_reaches_no_token():
    tower = TextTransformer(vocabulary=258, context=12, width=16, depth=2, heads=2, seed=0)
    words = Tokenizer("bytes", context=12)
    with torch.no_grad():
        alone = tower(words(["a cat"]))[0]
        tokens, mask = tower(words(["a cat", "a longer text"]))
        other = tower(words(["a cow"]))[0]
    assert mask.sum(1).tolist() == [7, 12]
    torch.testing.assert_close(tokens[:1, :7], alone)
    torch.testing.assert_close(other[:, :4], alone[:, :4])  # start, "a", " ", "c"
    assert not torch.allclose(other[:, 4:], alone[:, 4:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VisionTransformer(image_size=30, patch=8), "patches of 8 x 8 do not fill a picture of 30 x 30 pixels"),
        (lambda: VisionTransformer(width=10, heads=3), "width 10, depth 4 and 3 heads cannot be made"),
        (lambda: TextTransformer(vocabulary=9, depth=0), "width 192, depth 0 and 3 heads cannot be made"),
    ],
)
def test_towers_that_cannot_be_made_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


# ---- pictures and texts to inputs


def test_pictures_and_texts_go_into_towers_of_a_model_from_scratch():
    model = small_towers()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(256, size=(h, 9, 3), dtype=np.uint8) for h in (8, 20)]
    images, texts = image_inputs(model, pictures), text_inputs(model, ["a cat", "dogs", "a"])
    assert images.x.shape == (2, 3, 8, 8)
    assert images.x.dtype == torch.uint8
    assert model(images, texts).shape == (2, 3)


def test_pictures_go_through_the_encoder_that_the_model_names():
    pictures = np.random.default_rng(0).integers(256, size=(3, 2, 2, 3), dtype=np.uint8)
    model = DualEncoder(
        FrozenTokens(width=12), FrozenTokens(width=4), points=2, dim=3, meta={"image_encoder": "pixels:2"}, seed=0
    )
    assert image_inputs(model, list(pictures)).x.shape == (3, 1, 12)
    with pytest.raises(InputError, match="takes tokens of texts that it was given without the name of their encoder"):
        text_inputs(model, ["a cat"])
    model.meta["image_encoder"] = "pixels:4"
    with pytest.raises(InputError, match=r"'pixels:4' gives tokens of 48 features for images, but .* tokens of 12"):
        image_inputs(model, list(pictures))


class Words:
    """A text encoder with a token for each word."""

    name, dim, max_tokens = "words", 3, 4

    def __init__(self, sha256="a" * 64):
        self.meta = {"weights_sha256": sha256}

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts):
        return torch.zeros(len(texts), 3)

    def encode_tokens(self, texts):
        rows = [torch.tensor([[len(word), 1.0, 7.0] for word in text.split()]) for text in texts]
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows], True)
        return torch.nn.utils.rnn.pad_sequence(rows, True, padding_value=99.0), mask


def test_tokens_of_an_encoder_are_padded_to_the_longest_and_kept_in_half():
    model = DualEncoder(FrozenTokens(width=12), FrozenTokens(width=3), seed=0)
    texts = ["one"] * 32 + ["one two three"] * 2  # two passes
    x, mask = text_inputs(model, texts, encoder=Words())
    assert x.shape == (34, 3, 3)
    assert x.dtype == torch.float16
    assert mask.sum(1).tolist() == [1] * 32 + [3] * 2
    assert x[0].tolist() == [[3, 1, 7], [0, 0, 0], [0, 0, 0]]


def test_tokens_beyond_half_precision_are_kept_in_float32():
    class Large(Words):
        def encode_tokens(self, texts):
            return torch.full((len(texts), 1, 3), 1e6), torch.ones(len(texts), 1, dtype=torch.bool)

    model = DualEncoder(FrozenTokens(width=12), FrozenTokens(width=3), seed=0)
    assert text_inputs(model, ["a"], encoder=Large()).x.tolist() == [[[1e6] * 3]]


@pytest.mark.parametrize(
    ("tokens", "mask", "message"),
    [
        (torch.zeros(1, 3), None, r"tokens of shape \(1, 3\) and a mask of shape None for 1 items"),
        (
            torch.zeros(1, 2, 3),
            torch.ones(1, 3).bool(),
            r"a mask of shape \(1, 3\) for 1 items; they must be \[1, t, h\]",
        ),
        (
            torch.full((1, 2, 3), torch.nan),
            torch.ones(1, 2).bool(),
            "tokens with NaN or inf, or an item without tokens",
        ),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2).bool(), "an item without tokens"),
    ],
)
def test_tokens_that_cannot_be_are_refused(tokens, mask, message):
    class Odd(Words):
        def encode_tokens(self, texts):
            return tokens, mask

    with pytest.raises(InputError, match=message):
        text_inputs(DualEncoder(FrozenTokens(width=12), FrozenTokens(width=3), seed=0), ["a"], encoder=Odd())


def test_an_encoder_with_other_weights_is_refused():
    meta = {"text_encoder": "words", "text_encoder_meta": {"weights_sha256": "b" * 64}}
    model = DualEncoder(FrozenTokens(width=12), FrozenTokens(width=3), meta=meta, seed=0)
    with pytest.raises(InputError, match=r"'words' has other weights \(aaaaaaaaaaaa\.\.\.\) than .* \(bbbbbbbbbbbb"):
        text_inputs(model, ["a"], encoder=Words())
    assert text_inputs(model, ["a"], encoder=Words("b" * 64)).x.shape == (1, 1, 3)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_model_in_use_gives_what_it_gave_in_training(bfloat16):
    """PyTorch has kernels of its own for blocks in eval mode without gradients."""
    model = small_towers()
    generator = torch.Generator().manual_seed(0)
    images = Inputs(torch.randint(256, (3, 3, 8, 8), dtype=torch.uint8, generator=generator))
    texts = Tokenizer("bytes", context=12)(["a cat", "two dogs", ""])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        want = model.train()(images, texts).detach()
        with torch.no_grad():
            got = model.eval()(images, texts)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=1e-5, atol=0.5 if bfloat16 else 1e-5)
