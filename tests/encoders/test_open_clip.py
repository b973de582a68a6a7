"""Encoders of open_clip see what its own transform and tokenizer make, and give what its networks give."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders.open_clip import OpenClipImageEncoder, OpenClipTextEncoder, preprocessing
from pointwise.encoders.packages import import_package, sha256_of_weights
from pointwise.errors import InputError, MissingExtra
from pointwise.tables.digest import sha256_of

CPU = torch.device("cpu")
INSTALLED = find_spec("open_clip") is not None


def load_image(name: str) -> OpenClipImageEncoder:
    return OpenClipImageEncoder(name, device=CPU)


def load_text(name: str) -> OpenClipTextEncoder:
    return OpenClipTextEncoder(name, device=CPU)


def why_not() -> str:
    try:
        import_package("open_clip")
    except (MissingExtra, InputError) as error:
        return str(error)
    return ""


needs_open_clip = pytest.mark.skipif(bool(why_not()), reason=why_not())
SIZES = [(1, 1), (7, 5), (31, 97), (97, 31), (160, 160), (301, 224), (223, 223), (640, 427), (5, 200)]
TEXTS = ["a dog", "Two  cats &amp; a hat!", "", "word " * 40, "日本の写真"]

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
MODELS = {  # one of each class of network: CLIP, CustomTextCLIP, CoCa
    "pointwise-tiny": TINY,
    "pointwise-tiny-custom": TINY | {"custom_text": True},
    "pointwise-tiny-coca": TINY
    | {
        "custom_text": True,
        "vision_cfg": TINY["vision_cfg"] | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": TINY["text_cfg"] | {"embed_cls": True, "output_tokens": True, "context_length": 19},
        "multimodal_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
}


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope="module")
def open_clip(tmp_path_factory):
    """The package, with our tiny models in its list."""
    package = import_package("open_clip")
    folder = tmp_path_factory.mktemp("configs")
    for name, config in MODELS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    package.add_model_config(folder)
    return package


@pytest.fixture(scope="module", params=MODELS)
def saved(request, open_clip, tmp_path_factory):
    """A tiny model with random weights: its name, the network, and where its weights are saved."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = open_clip.create_model(request.param).eval()
    path = tmp_path_factory.mktemp("weights") / "epoch_3.pt"
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, path)
    return request.param, network, path


@pytest.mark.skipif(INSTALLED, reason="open_clip is installed")
@pytest.mark.parametrize("load", [load_image, load_text])
def test_without_open_clip_it_says_how_to_install_it(load):
    with pytest.raises(
        MissingExtra, match=r"^open_clip is not installed. Install it with: pip install 'pointwise\[open_clip\]'"
    ):
        load("ViT-B-32/openai")


@needs_open_clip
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [63, (48, 96)])
def test_pictures_enter_as_open_clips_own_transform_makes_them(open_clip, interpolation, resize_mode, size):
    settings = {"interpolation": interpolation, "resize_mode": resize_mode, "fill_color": 100}
    transform = open_clip.image_transform(size, is_train=False, **settings)
    images = pictures()
    expected = torch.stack([transform(Image.fromarray(image)) for image in images])
    config = open_clip.transform.PreprocessCfg(size=size, **settings)
    preprocess = preprocessing(open_clip, config, "tiny")
    assert torch.equal(preprocess(images), expected)
    assert preprocess.meta == {"preprocessing": vars(config)}


@needs_open_clip
def test_image_features_are_those_of_open_clips_own_pipeline(open_clip, saved):
    name, network, path = saved
    encoder = load_image(f"{name}/{path}")
    transform = open_clip.image_transform(32, is_train=False)
    images = pictures()
    with torch.inference_mode():
        x = torch.stack([transform(Image.fromarray(image)) for image in images])
        expected = network.encode_image(x, normalize=True).clone()
    features = encoder.encode(images)
    assert features.dtype == torch.float32
    assert encoder.dim == features.shape[1] == 16
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(len(images)))
    torch.testing.assert_close(encoder.encode(images[3:4]), features[3:4], rtol=1e-5, atol=1e-6)


@needs_open_clip
def test_text_features_are_those_of_open_clips_own_pipeline(open_clip, saved):
    name, network, path = saved
    encoder = load_text(f"{name}/{path}")
    with torch.inference_mode():
        expected = network.encode_text(open_clip.get_tokenizer(name)(TEXTS), normalize=True).clone()
    features = encoder.encode(TEXTS)
    assert features.dtype == torch.float32
    assert encoder.dim == features.shape[1] == 16
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder.encode(TEXTS[3:4]), features[3:4], rtol=1e-5, atol=1e-6)


@needs_open_clip
def test_the_program_around_may_compute_in_another_precision(saved):
    name, _, path = saved
    for load, items in ((load_image, pictures()[:2]), (load_text, TEXTS)):
        expected = load(f"{name}/{path}")
        torch.set_default_dtype(torch.float64)
        try:
            encoder = load(f"{name}/{path}")
            features = encoder.encode(items)
        finally:
            torch.set_default_dtype(torch.float32)
        assert encoder.meta == expected.meta
        torch.testing.assert_close(features, expected.encode(items), rtol=1e-5, atol=1e-6)


@needs_open_clip
def test_meta_says_what_the_features_depend_on(open_clip, saved):
    name, network, path = saved
    image, text = load_image(f"{name}/{path}"), load_text(f"{name}/{path}")
    assert image.name == text.name == f"open_clip:{name}/{path}"
    weights = {
        "weights": f"open_clip {name} epoch_3.pt",
        "weights_sha256": sha256_of_weights(network.state_dict()),
        "config_sha256": sha256_of(open_clip.get_model_config(name), False),
    }
    assert image.meta == weights | {
        "preprocessing": {
            "size": (32, 32),
            "mode": "RGB",
            "mean": (0.48145466, 0.4578275, 0.40821073),
            "std": (0.26862954, 0.26130258, 0.27577711),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
            "fill_color": 0,
        },
        "unit_length": True,
        "dtype": "float32",
    }
    length = 19 if "coca" in name else 20
    assert text.max_tokens == length
    assert text.meta == weights | {
        "pooling": "class token, projected" if "coca" in name else "end-of-text token, projected",
        "max_tokens": length,
        "unit_length": True,
        "dtype": "float32",
    }


@needs_open_clip
def test_tokens_are_counted_before_they_are_cut(open_clip, saved):
    name, _, path = saved
    encoder = load_text(f"{name}/{path}")
    longer = open_clip.get_tokenizer(name, context_length=100)(TEXTS)
    assert encoder.count_tokens(TEXTS) == (longer != 0).sum(1).tolist()
    assert encoder.count_tokens(["a dog", "word " * 40]) == [4, 42]
    assert encoder.count_tokens([]) == []


@needs_open_clip
def test_tokens_of_a_tokenizer_of_transformers_are_counted_too(open_clip, tmp_path):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"[PAD]": 0, "[S]": 1, "[E]": 2, "[UNK]": 3, "a": 4, "dog": 5}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="[S] $A [E]", special_tokens=[("[S]", 1), ("[E]", 2)])
    folder = tmp_path / "tokenizer"
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    (tmp_path / "pointwise-tiny-words.json").write_text(
        json.dumps(TINY | {"text_cfg": TINY["text_cfg"] | {"hf_tokenizer_name": str(folder), "context_length": 6}})
    )
    open_clip.add_model_config(tmp_path / "pointwise-tiny-words.json")
    with torch.random.fork_rng(devices=[]):
        torch.save(open_clip.create_model("pointwise-tiny-words").state_dict(), tmp_path / "words.pt")
    encoder = load_text(f"pointwise-tiny-words/{tmp_path}/words.pt")
    assert encoder.max_tokens == 6
    assert encoder.count_tokens(["a  dog", "a dog a dog a dog", "a"]) == [4, 8, 3]
    assert encoder.encode(["a dog", "a dog a dog a dog"]).shape == (2, 16)


@needs_open_clip
def test_features_may_enter_a_computation_with_gradients(saved):
    name, _, path = saved
    weight = torch.ones(16, requires_grad=True)
    (load_image(f"{name}/{path}").encode(pictures()[:1]) @ weight).sum().backward()
    (load_text(f"{name}/{path}").encode(TEXTS[:1]) @ weight).sum().backward()
    assert weight.grad is not None


@needs_open_clip
def test_an_unknown_model_is_answered_with_close_ones():
    with pytest.raises(
        InputError, match=r"^open_clip has no model 'ViT-B32'; open_clip.list_models\(\) .* Did you mean ViT-B-32 or"
    ):
        load_image("ViT-B32/openai")


@needs_open_clip
def test_a_model_without_weights_is_refused_with_the_known_ones():
    with pytest.raises(
        InputError,
        match=r"^there are no weights in 'ViT-B-32'; open_clip knows these of ViT-B-32: openai, .* more",
    ):
        load_text("ViT-B-32")
    with pytest.raises(InputError, match=r"^'laion5' is neither a tag of weights nor a file; open_clip knows these of"):
        load_image("ViT-B-32/laion5")


@needs_open_clip
@pytest.mark.usefixtures("open_clip")
def test_a_model_that_nobody_trained_needs_a_file():
    with pytest.raises(
        InputError,
        match=r"^there are no weights in 'pointwise-tiny'; open_clip knows none of pointwise-tiny\. "
        r"Give open_clip:pointwise-tiny/TAG, or open_clip:pointwise-tiny/ and the path of a file\.$",
    ):
        load_image("pointwise-tiny")


@needs_open_clip
def test_weights_of_another_model_are_refused(saved):
    name, _, path = saved
    other = "pointwise-tiny" if "coca" in name else "pointwise-tiny-coca"
    with pytest.raises(
        InputError,
        match=rf"^open_clip's {other} with the weights '.*epoch_3.pt' cannot be loaded \(Error\(s\) in loading "
        rf"state_dict for .*\); the file must hold the weights of {other} as open_clip saves them",
    ):
        load_image(f"{other}/{path}")


@needs_open_clip
@pytest.mark.usefixtures("open_clip")
@pytest.mark.parametrize("name", ["torn.safetensors", "torn.pt"])
def test_a_torn_file_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(
        InputError, match=rf"^open_clip's pointwise-tiny with the weights '.*{name}' cannot be loaded \("
    ):
        load_image(f"pointwise-tiny/{tmp_path}/{name}")


@needs_open_clip
@pytest.mark.usefixtures("open_clip")
def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"state_dict": {}, "hook": load_image}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"cannot be loaded \(.*[wW]eights.only"):
        load_image(f"pointwise-tiny/{tmp_path}/bad.pt")


@needs_open_clip
def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch, tmp_path, capfd):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError,
        match=r"^open_clip's RN50 with the weights 'yfcc15m' cannot be loaded \(Failed to download .*\); check the",
    ):
        load_image("RN50/yfcc15m")
    assert capfd.readouterr().err == ""


@pytest.fixture
def tag(saved, monkeypatch):
    """A tag "ours" of the tiny model, of weights trained with settings that are not open_clip's defaults."""
    from open_clip import pretrained

    name, _, path = saved
    known = {"file": str(path), "quick_gelu": True, "mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"}
    monkeypatch.setitem(pretrained._PRETRAINED, name, {"ours": known})
    return "ours"


@needs_open_clip
def test_the_activation_that_the_weights_were_trained_with_is_taken(saved, tag):
    """Tags say where it is QuickGELU, and open_clip by itself only warns."""
    from open_clip.transformer import QuickGELU

    name, _, path = saved
    plain, quick = load_image(f"{name}/{path}"), load_image(f"{name}/{tag}")
    assert not any(isinstance(module, QuickGELU) for module in plain.tower.network.modules())
    assert any(isinstance(module, QuickGELU) for module in quick.tower.network.modules())
    assert quick.meta["weights"] == f"open_clip {name} ours"
    assert quick.meta["weights_sha256"] == plain.meta["weights_sha256"]
    assert quick.meta["config_sha256"] != plain.meta["config_sha256"]


@needs_open_clip
def test_a_file_with_a_tag_is_used_as_the_tag_says(saved, tag):
    name, _, path = saved
    by_tag, by_both = load_image(f"{name}/{tag}"), load_image(f"{name}/{tag}@{path}")
    steps = by_tag.meta["preprocessing"]
    assert (steps["resize_mode"], steps["mean"], steps["std"]) == ("squash", (0.5,) * 3, (0.5,) * 3)
    assert by_both.meta == by_tag.meta | {"weights": f"open_clip {name} ours epoch_3.pt"}
    assert (by_tag.name, by_both.name) == (f"open_clip:{name}/ours", f"open_clip:{name}/ours@{path}")
    images = pictures()[3:5]
    assert torch.equal(by_tag.encode(images), by_both.encode(images))
    assert not torch.allclose(by_tag.encode(images), load_image(f"{name}/{path}").encode(images), atol=1e-3)
    with pytest.raises(
        InputError, match=rf"^'/no.pt' is neither a tag of weights nor a file; open_clip knows .*: {tag}\."
    ):
        load_image(f"{name}/{tag}@/no.pt")
