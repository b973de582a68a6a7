"""Tiny models on disk give what transformers itself computes, whatever the batch; what cannot be used is refused."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from tiny_models import MAX_TOKENS, save_tiny_bert, save_tiny_clip, save_tiny_dinov2, save_tiny_siglip
from torch.nn import functional as F

from pointwise.encoders import load_encoder, load_text_encoder
from pointwise.encoders.network import refusing
from pointwise.encoders.poolings import projected
from pointwise.errors import InputError, MissingExtra

TEXTS = ["a red dog sleeps", "the cat", "two birds in the small blue house and on the green tree sleeps", "cat dog"]
SAVE = {"clip": save_tiny_clip, "siglip": save_tiny_siglip, "dinov2": save_tiny_dinov2, "bert": save_tiny_bert}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in SAVE.items()}


@pytest.fixture(scope="module")
def encoders(folders):
    images = {("image", name): image_encoder(folders[name]) for name in ("clip", "siglip", "dinov2")}
    return images | {("text", name): text_encoder(folders[name]) for name in ("clip", "siglip", "bert")}


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of one of the folders, to be changed."""
    return lambda name: shutil.copytree(folders[name], tmp_path / name)


def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in [(16, 16), (5, 31), (40, 20), (17, 90), (1, 1)]]


def image_encoder(place, **options):
    return load_encoder(f"transformers:{place}", device="cpu", **options)


def text_encoder(place, **options):
    return load_text_encoder(f"transformers:{place}", device="cpu", **options)


def their_model(folder):
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):  # earlier releases draw weights before they read them
        return AutoModel.from_pretrained(folder).eval()


def their_pixels(folder):
    import transformers

    said = json.loads((folder / "preprocessor_config.json").read_text())
    kind = said.pop("image_processor_type")
    processor = (getattr(transformers, f"{kind}Pil", None) or getattr(transformers, kind))(**said)
    return torch.cat([processor(images=[x], **FORM)["pixel_values"] for x in pictures()])


FORM = {"return_tensors": "pt", "input_data_format": "channels_last"}


def their_features(output):
    return F.normalize(output if isinstance(output, torch.Tensor) else output.pooler_output, dim=1)


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_weights(folder, change):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2"])
def test_image_features_are_those_of_transformers(folders, encoders, name):
    folder = folders[name]
    with torch.inference_mode():
        model, x = their_model(folder), their_pixels(folder)
        expected = model(x).pooler_output if name == "dinov2" else their_features(model.get_image_features(x))
    features = encoders["image", name].encode(pictures())
    assert features.dtype == torch.float32
    assert not features.is_inference()
    torch.testing.assert_close(features, expected.clone(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["clip", "siglip", "bert"])
def test_text_features_are_those_of_transformers(folders, encoders, name):
    from transformers import AutoTokenizer

    folder, rows = folders[name], []
    tokenizer, model = AutoTokenizer.from_pretrained(folder), their_model(folder)
    with torch.inference_mode():
        for text in TEXTS:  # alone, so without padding; SigLIP wants it
            padding = "max_length" if name == "siglip" else False
            tokens = tokenizer(text, padding=padding, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            if name == "bert":
                rows.append(model(**tokens).last_hidden_state.mean(1))
            else:
                rows.append(their_features(model.get_text_features(**tokens)))
    features = encoders["text", name].encode(TEXTS)
    assert features.dtype == torch.float32
    assert not features.is_inference()
    torch.testing.assert_close(features, torch.cat(rows).clone(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2", "bert"])
@pytest.mark.parametrize("at_once", [1, 2, None])
def test_features_do_not_depend_on_the_batch(encoders, name, at_once, monkeypatch):
    for kind, items in (("image", pictures()), ("text", [*TEXTS, ""])):
        if (kind, name) not in encoders:
            continue
        encoder = encoders[kind, name]
        alone = torch.cat([encoder.encode([item]) for item in items])
        if at_once is not None and kind == "image":
            monkeypatch.setattr(encoder.tower, "items_at_once", at_once)
        elif at_once is not None:
            monkeypatch.setattr(encoder, "_tokens_at_once", at_once * MAX_TOKENS)
        together = encoder.encode(items)
        assert together.shape == (len(items), encoder.dim)
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
        assert torch.cdist(alone, alone).fill_diagonal_(1).min() > 1e-3


def test_meta_says_what_the_features_depend_on(folders, encoders):
    folder = folders["clip"]
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    image, text = encoders["image", "clip"], text_encoder(f"{folder}@float16")
    assert (image.name, image.dim) == (f"transformers:{folder}", 8)
    assert (text.name, text.dim) == (f"transformers:{folder}@float16", 8)
    config = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    same = {"weights_sha256": weights, "config_sha256": config, "pooling": "projection", "unit_length": True}
    assert image.meta == {
        "weights": str(folder),
        **same,
        "dtype": "float32",
        "preprocessing": json.loads((folder / "preprocessor_config.json").read_text()),
    }
    tokenizer = text.meta["tokenizer_sha256"]
    assert text.meta == {
        "weights": str(folder),
        **same,
        "dtype": "float16",
        "tokenizer_sha256": tokenizer,
        "max_tokens": MAX_TOKENS,
    }
    dinov2 = encoders["image", "dinov2"]
    assert (dinov2.meta["pooling"], dinov2.meta["unit_length"]) == ("pooled output", False)
    bert = encoders["text", "bert"]
    assert (bert.meta["pooling"], bert.meta["unit_length"]) == ("mean over tokens", False)


def test_the_hashes_follow_the_contents(encoders, copy):
    folder = copy("bert")
    before = encoders["text", "bert"].meta
    assert {**text_encoder(folder).meta, "weights": before["weights"]} == before
    (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text().replace("cat\n", "kitten\n"))
    edit(folder / "config.json", hidden_act="relu")
    change_weights(folder, lambda weights: {name: x + 1 for name, x in weights.items()})
    after = text_encoder(folder).meta
    for key in ("weights_sha256", "config_sha256", "tokenizer_sha256"):
        assert after[key] != before[key]


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_is_scaled_in_float32(folders, encoders, precision):
    for kind, load, items in (("image", image_encoder, pictures()), ("text", text_encoder, TEXTS)):
        half, full = load(f"{folders['clip']}@{precision}"), encoders[kind, "clip"]
        features = half.encode(items)
        assert half.meta["dtype"] == precision
        assert features.dtype == torch.float32
        assert (features.norm(dim=1) - 1).abs().max() < 1e-6
        difference = (features - full.encode(items)).abs().max()
        assert 1e-5 < difference < 0.05


def test_only_the_tower_that_is_needed_is_kept(encoders):
    def parts(*key):
        return {name for name, _ in encoders[key].tower.network.named_children()}

    assert parts("image", "clip") == {"vision_model", "visual_projection"}
    assert parts("text", "clip") == {"text_model", "text_projection"}
    assert parts("image", "siglip") == {"vision_model"}
    assert parts("text", "siglip") == {"text_model"}


def test_features_that_are_a_tensor_or_the_output_of_a_pooler_are_both_taken():
    class Release4(torch.nn.Module):
        def get_image_features(self, pixel_values):
            return 2 * pixel_values

    class Release5(torch.nn.Module):
        def get_image_features(self, pixel_values):
            from transformers.modeling_outputs import BaseModelOutputWithPooling

            return BaseModelOutputWithPooling(last_hidden_state=pixel_values, pooler_output=2 * pixel_values)

    for network in (Release4(), Release5()):
        assert projected(network, "image")({"pixel_values": torch.ones(1, 1)})["projection"].tolist() == [[2.0]]


def test_siglip_reads_lower_case(copy):
    folder = copy("siglip")
    edit(folder / "tokenizer.json", normalizer=None)  # as the tokenizer of the second SigLIP is
    encoder = text_encoder(folder)
    assert torch.equal(encoder.encode(["A Red DOG"]), encoder.encode(["a red dog"]))
    assert not torch.allclose(encoder.encode(["a red dog"]), encoder.encode(["a zzz dog"]), atol=1e-3)


def test_tokens_are_counted_whole_and_texts_cut(encoders):
    for name, counts in (("clip", [13, 4, 2]), ("siglip", [5, 3, 1]), ("bert", [6, 4, 2])):
        encoder = encoders["text", name]
        assert encoder.max_tokens == MAX_TOKENS
        assert list(encoder.count_tokens(["a red dog sleeps", "the cat", ""])) == counts
    words = ("the small cat and the red dog " * 9).split()
    assert encoder.count_tokens([" ".join(words)]) == [len(words) + 2]
    cut = " ".join(words[: MAX_TOKENS - 2])
    torch.testing.assert_close(encoder.encode([" ".join(words)]), encoder.encode([cut]))
    assert not torch.allclose(encoder.encode([cut]), encoder.encode([" ".join(words[:5])]), atol=1e-3)


@pytest.mark.parametrize(
    ("positions", "model_max_length", "sentence", "kind", "expected"),
    [
        (30, 10**30, None, "bert", 30),
        (30, 20, None, "bert", 20),
        (30, 20, 9, "bert", 9),
        (30, 10**30, None, "roberta", 28),
        (30, 10**30, None, "longformer", 28),
    ],
)
def test_the_limit_of_tokens_is_the_smallest_that_the_files_know(
    tmp_path, positions, model_max_length, sentence, kind, expected, capfd
):
    from transformers import AutoModel, BertConfig, LongformerConfig, RobertaConfig

    folder = save_tiny_bert(tmp_path / "model")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    if kind == "longformer":
        sizes |= {"attention_window": 4}
    config = {"bert": BertConfig, "roberta": RobertaConfig, "longformer": LongformerConfig}[kind](
        vocab_size=80, max_position_embeddings=positions, pad_token_id=0 if kind == "bert" else 1, **sizes
    )
    with torch.random.fork_rng(devices=[]):
        AutoModel.from_config(config).save_pretrained(folder)
    edit(folder / "tokenizer_config.json", model_max_length=model_max_length)
    if sentence:
        (folder / "modules.json").write_text(json.dumps([{"type": "x.Transformer", "path": ""}]))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": sentence}))
    encoder = text_encoder(folder)
    capfd.readouterr()  # what saving has said
    assert encoder.max_tokens == expected
    assert encoder.encode(["cat " * 99, "cat"]).isfinite().all()
    assert capfd.readouterr() == ("", "")  # Longformer says each time that it pads


def test_a_folder_of_sentence_transformers_says_pooling_and_scale(copy):
    folder = copy("bert")
    steps = [{"type": f"x.{kind}", "path": f"{i}_{kind}"} for i, kind in enumerate(["", "Pooling", "Normalize"])]
    steps[0] = {"type": "x.Transformer", "path": ""}
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    encoder = text_encoder(folder)
    assert (encoder.meta["pooling"], encoder.meta["unit_length"]) == ("first token", True)
    from transformers import AutoTokenizer

    with torch.inference_mode():
        tokens = AutoTokenizer.from_pretrained(folder)("the cat", return_tensors="pt")
        expected = F.normalize(their_model(folder)(**tokens).last_hidden_state[:, 0])
    torch.testing.assert_close(encoder.encode(["a red dog sleeps", "the cat"])[1:], expected.clone())

    pooling.write_text(json.dumps({"pooling_mode": "mean"}))
    (folder / "modules.json").write_text(json.dumps(steps[:2]))
    encoder = text_encoder(folder)
    assert (encoder.meta["pooling"], encoder.meta["unit_length"]) == ("mean over tokens", False)

    pooling.write_text(json.dumps({"pooling_mode": ["mean", "max"]}))
    with pytest.raises(
        InputError, match=r"1_Pooling.config\.json asks for the pooling mean, max; pointwise has mean and"
    ):
        text_encoder(folder)
    (folder / "modules.json").write_text(json.dumps([*steps[:1], {"type": "x.Dense", "path": "2_Dense"}]))
    with pytest.raises(InputError, match=r"modules\.json lists a step 'Dense', which pointwise does not compute"):
        text_encoder(folder)


def test_an_encoder_that_was_saved_without_its_decoder_is_a_text_model(tmp_path):
    import transformers

    save_tiny_bert(tmp_path)  # for its tokenizer
    config = transformers.T5Config(vocab_size=80, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    with torch.random.fork_rng(devices=[]):
        network = transformers.T5EncoderModel(config).eval()
    network.save_pretrained(tmp_path)
    encoder = text_encoder(tmp_path)
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path)("the cat", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = network(input_ids=tokens).last_hidden_state.mean(1)
    torch.testing.assert_close(encoder.encode(["a dog", "the cat"])[1:], expected.clone(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("end", ["<end>", None])
def test_a_text_without_a_token_has_features_of_zero(tmp_path, end):
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate("abcd")}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token=end).save_pretrained(tmp_path)
    config = transformers.GPT2Config(vocab_size=5, n_positions=20, n_embd=8, n_layer=1, n_head=2)
    with torch.random.fork_rng(devices=[]):
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    encoder = text_encoder(tmp_path)
    texts = ["", "a b c", " "]
    assert encoder.count_tokens(texts) == [0, 3, 0]
    features = encoder.encode(texts)
    assert features[::2].count_nonzero() == 0
    torch.testing.assert_close(features[1:2], encoder.encode(["a b c"]))
    assert features[1].count_nonzero() == 8
    assert torch.equal(encoder.encode([""]), torch.zeros(1, 8))
    assert (encoder.encode([]).shape, encoder.count_tokens([])) == ((0, 8), [])


@pytest.mark.parametrize("kind", ["GPT2", "T5"])
def test_a_decoder_and_the_encoder_of_a_pair_are_text_models_too(tmp_path, kind):
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<end>", *"abcdefgh"])}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", padding_side="left")
    tokenizer.save_pretrained(tmp_path)  # without a padding token, and padding that would shift the positions
    if kind == "GPT2":
        config = transformers.GPT2Config(vocab_size=9, n_positions=20, n_embd=8, n_layer=2, n_head=2)
    else:
        config = transformers.T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    with torch.random.fork_rng(devices=[]):
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    encoder = text_encoder(tmp_path)
    assert encoder.max_tokens == {"GPT2": 20, "T5": 512}[kind]
    texts = ["a b c d e", "f", "c b"]
    features = encoder.encode(texts)
    torch.testing.assert_close(features, torch.cat([encoder.encode([text]) for text in texts]), rtol=1e-5, atol=1e-6)
    network = their_model(tmp_path) if kind == "GPT2" else their_model(tmp_path).encoder
    with torch.inference_mode():
        expected = network(input_ids=torch.tensor([[3, 2]])).last_hidden_state.mean(1)
    torch.testing.assert_close(features[2:], expected.clone(), rtol=1e-5, atol=1e-6)


def test_weights_that_the_features_do_not_need_may_be_missing(copy, encoders):
    folder = copy("bert")
    expected = encoders["text", "bert"].encode(TEXTS)
    change_weights(folder, lambda weights: {name: x for name, x in weights.items() if "pooler" not in name})
    assert torch.equal(text_encoder(folder).encode(TEXTS), expected)
    change_weights(folder, lambda weights: {name: x for name, x in weights.items() if "layer.1.output" not in name})
    match = r"of .*bert lack 4 weights that the features need, encoder\.layer\.1\.output.* the first; fetch the model"
    with pytest.raises(InputError, match=match):
        text_encoder(folder)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_an_encoder_may_be_made_where_gradients_are_off(copy, encoders, mode):
    folder = copy("bert")
    change_weights(folder, lambda weights: {name: x for name, x in weights.items() if "pooler" not in name})
    with mode():
        features = text_encoder(folder).encode(TEXTS)
    assert torch.equal(features, encoders["text", "bert"].encode(TEXTS))


def test_the_program_around_may_compute_in_another_precision(folders, encoders):
    def all_features():
        yield image_encoder(folders["clip"]).encode(pictures())
        yield from (text_encoder(folders[name]).encode(TEXTS) for name in ("clip", "siglip", "bert"))

    expected = list(all_features())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = list(all_features())
    torch.set_default_dtype(torch.float64)
    try:
        within += all_features()
    finally:
        torch.set_default_dtype(torch.float32)
    for features, same in zip(expected * 2, within, strict=True):
        assert same.dtype == torch.float32
        torch.testing.assert_close(same, features, rtol=1e-5, atol=1e-6)


def test_without_a_trained_pooler_a_vision_model_gives_its_class_token(tmp_path, folders):
    from transformers import ViTConfig, ViTModel

    shutil.copy(folders["dinov2"] / "preprocessor_config.json", tmp_path)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    with torch.random.fork_rng(devices=[]):
        network = ViTModel(ViTConfig(image_size=16, patch_size=8, **sizes), add_pooling_layer=False).eval()
    network.save_pretrained(tmp_path)
    encoder = image_encoder(tmp_path)
    assert encoder.meta["pooling"] == "class token"
    with torch.inference_mode():
        expected = network(their_pixels(folders["dinov2"])).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder.encode(pictures()), expected.clone(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "sizes", "pooling"),
    [
        ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}, "pooled output"),
        (
            "IJepa",
            {"image_size": 16, "patch_size": 8, "hidden_size": 12, "num_attention_heads": 2, "num_hidden_layers": 1},
            "mean over patches",
        ),
        (
            "Segformer",
            {"hidden_sizes": [8, 8, 8, 12], "num_attention_heads": [1] * 4, "sr_ratios": [1] * 4},
            "mean over patches",
        ),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids="around {}".format)
def test_networks_of_other_kinds_are_pooled_to_a_row(tmp_path, folders, kind, sizes, pooling, dtype):
    import transformers

    shutil.copy(folders["dinov2"] / "preprocessor_config.json", tmp_path)
    if not hasattr(transformers, f"{kind}Config"):
        pytest.skip(f"transformers {transformers.__version__} has no {kind}")
    config = getattr(transformers, f"{kind}Config")(**sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.AutoModel.from_config(config).eval()
    network.save_pretrained(tmp_path)
    with torch.inference_mode():
        output = network(their_pixels(folders["dinov2"]))
    expected = getattr(output, "pooler_output", None)
    expected = output.last_hidden_state if expected is None else expected
    expected = expected.mean(1) if expected.ndim == 3 else expected.mean((2, 3))
    torch.set_default_dtype(dtype)
    try:
        encoder = image_encoder(tmp_path)
        features = encoder.encode(pictures())
    finally:
        torch.set_default_dtype(torch.float32)
    assert (encoder.meta["pooling"], encoder.dim) == (pooling, 12)
    torch.testing.assert_close(features, expected.clone(), rtol=1e-5, atol=1e-6)


def test_a_model_that_masks_at_random_is_refused(tmp_path, folders):
    from transformers import ViTMAEConfig, ViTMAEModel

    shutil.copy(folders["dinov2"] / "preprocessor_config.json", tmp_path)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    with torch.random.fork_rng(devices=[]):
        ViTMAEModel(ViTMAEConfig(image_size=16, patch_size=4, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="gives other features each time for the same item, as models do that mask"):
        image_encoder(tmp_path)


def test_features_that_overflow_are_refused(copy):
    folder = copy("clip")
    change_weights(folder, lambda weights: {k: x * 1e6 if "projection" in k else x for k, x in weights.items()})
    assert (image_encoder(folder).encode(pictures()).norm(dim=1) - 1).abs().max() < 1e-6
    match = r"clip gives features that are not finite in float16 for 5 of 5 items; compute in float32 or bfloat16\."
    with pytest.raises(InputError, match=match):
        image_encoder(f"{folder}@float16").encode(pictures())


def test_weights_of_pytorch_and_in_shards_are_the_same_model(folders, encoders, copy):
    expected = encoders["image", "clip"].encode(pictures())
    folder = copy("clip")
    (folder / "model.safetensors").unlink()
    network = their_model(folders["clip"])
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    assert torch.equal(image_encoder(folder).encode(pictures()), expected)
    (folder / "pytorch_model.bin").unlink()
    network.save_pretrained(folder, max_shard_size="20KB")
    encoder = image_encoder(folder)
    assert torch.equal(encoder.encode(pictures()), expected)
    shards = sorted(folder.glob("model-*.safetensors"))
    digest = hashlib.sha256(b"".join(shard.read_bytes() for shard in shards)).hexdigest()
    assert encoder.meta["weights_sha256"] == digest
    shards[1].unlink()
    match = (
        rf"lacks 1 of the {len(shards)} weight files that model\.safetensors\.index\.json lists, {shards[1].name} the"
    )
    with pytest.raises(InputError, match=match):
        image_encoder(folder)


def test_nothing_is_said_and_what_was_set_stays(folders, capfd):
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    def settings():
        return logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()

    before = settings()
    try:
        for level, bars in ((logging.INFO, logging.enable_progress_bar), (logging.ERROR, logging.disable_progress_bar)):
            logging.set_verbosity(level)
            bars()
            chosen = settings()
            text_encoder(folders["clip"]).encode(["long " * 99])
            image_encoder(folders["siglip"]).encode(pictures())
            with pytest.raises(InputError):
                text_encoder(folders["dinov2"])
            assert settings() == chosen
    finally:
        logging.set_verbosity(before[0])
        (logging.enable_progress_bar if before[1] else logging.disable_progress_bar)()
    assert capfd.readouterr() == ("", "")


def test_code_in_a_folder_is_not_run(copy):
    folder = copy("bert")
    (folder / "evil.py").write_text(f"open({str(folder / 'was_here')!r}, 'w')\nclass Config: pass\nclass Model: pass")
    edit(folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    with pytest.raises(
        InputError, match=r"bert cannot be loaded by transformers \d.* \(.*\); check that the folder is a whole"
    ):
        text_encoder(folder)
    assert not (folder / "was_here").exists()


def test_the_wrong_tower_is_refused(folders):
    match = r"bert\d+ has no image tower \(BertModel\); give a vision model such as DINOv2, or a model of pictures"
    with pytest.raises(InputError, match=match):
        image_encoder(folders["bert"])
    with pytest.raises(InputError, match=r"has no text tower \(Dinov2Model\); give a text model such as MiniLM, or a"):
        text_encoder(folders["dinov2"])


@pytest.mark.parametrize(
    ("missing", "match"),
    [
        ("config.json", r"clip has no config\.json, so it is no model folder; give the folder that has the model's"),
        (
            "model.safetensors",
            r"clip has a config\.json but no weights: there is no model\.safetensors nor pytorch_model",
        ),
        ("preprocessor_config.json", r"clip has no preprocessor_config\.json, so how pictures must be resized"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(copy, missing, match):
    folder = copy("clip")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=match):
        image_encoder(folder)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (
            lambda f: (f / "config.json").write_text("{"),
            r"cannot be loaded by transformers \d.* \(.*\); check that the",
        ),
        (
            lambda f: edit(f / "config.json", model_type="nonesuch"),
            r"cannot be loaded by transformers \d.* \(.*nonesuch",
        ),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"version https"),
            r"cannot be loaded by transformers \d.* \(",
        ),
        (lambda f: edit(f / "preprocessor_config.json", crop_size=24), r"cannot be used by transformers \d.* \(.*size"),
        (
            lambda f: (f / "vocab.json").write_text("{"),
            r"has a tokenizer that cannot be loaded by transformers \d.* \(",
        ),
        (lambda f: [file.unlink() for file in (f / "vocab.json", f / "merges.txt")], r"has no vocabulary of a tokeniz"),
    ],
    ids=["config", "kind", "weights", "size", "vocabulary", "no vocabulary"],
)
def test_damaged_files_are_refused_in_a_sentence(copy, damage, match):
    folder = copy("clip")
    damage(folder)
    load = text_encoder if "vocab" in match or "tokenizer" in match else image_encoder
    with pytest.raises(InputError, match=match) as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"weight_map": 3}', "\xff"])
def test_a_broken_index_of_weights_is_refused(copy, said):
    folder = copy("clip")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(said, encoding="latin-1")
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json is no index of weight files; fetch the mod"):
        image_encoder(folder)


@pytest.mark.parametrize(
    ("file", "said", "match"),
    [
        ("modules.json", "null", r"modules\.json must hold a JSON list, not None; fetch the model again"),
        ("modules.json", "[{}]", r"modules\.json must list steps of type and path; fetch the model again"),
        ("modules.json", "[3]", r"modules\.json must list steps of type and path; fetch the model again"),
        ("modules.json", "[", r"modules\.json cannot be read as JSON \(Expecting .*\); fetch the model again"),
        ("1_Pooling/config.json", "[]", r"1_Pooling.config\.json must hold a JSON dict, not \[\]; fetch the model"),
        ("sentence_bert_config.json", "3", r"sentence_bert_config\.json must hold a JSON dict, not 3; fetch the mod"),
    ],
)
def test_a_broken_folder_of_sentence_transformers_is_refused(copy, file, said, match):
    folder = copy("bert")
    steps = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    (folder / file).write_text(said)
    with pytest.raises(InputError, match=match):
        text_encoder(folder)


def test_weights_that_are_no_numbers_are_said_to_be_damaged(copy):
    folder = copy("clip")
    change_weights(folder, lambda weights: {k: x * torch.nan if "proj" in k else x for k, x in weights.items()})
    with pytest.raises(InputError, match=r"clip gives features that are not finite in float32 for 5 of 5 items; its w"):
        image_encoder(folder).encode(pictures())


def test_a_network_that_fails_on_an_item_is_refused_in_a_sentence(copy):
    folder = copy("bert")
    with (folder / "vocab.txt").open("a") as file:
        file.write("elephant\n")  # of which the network has no embedding
    encoder = text_encoder(folder)
    assert encoder.encode(["a cat"]).isfinite().all()
    with pytest.raises(
        InputError, match=r"bert cannot be used by transformers \d.* \(index out of range.*\); check that"
    ):
        encoder.encode(["a cat", "an elephant"])


def test_a_tokenizer_that_fails_is_refused_in_a_sentence(copy):
    folder = copy("bert")
    (folder / "vocab.txt").write_text("cat\n")
    with pytest.raises(
        InputError, match=r"bert cannot be used by transformers \d.* \(.*UNK.*\); check that the folder"
    ):
        text_encoder(folder).encode(["a dog"])


def test_memory_that_runs_out_is_no_fault_of_the_model():
    with pytest.raises(RuntimeError, match="can't allocate memory"), refusing("tiny cannot be used"):
        torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("transformers:", "transformers: names no model; put a folder or an id on the model hub behind it"),
        (
            "transformers:a/b@half",
            "precision in 'transformers:a/b@half' is 'half'; it must be float32, float16, bfloat16",
        ),
        ("transformers:./nowhere", r"\./nowhere is not a folder; give the folder that has the model's config\.json"),
        ("transformers:/no/where", "/no/where is not a folder"),
        ("transformers:no/such/place", "no/such/place is not a folder"),
    ],
)
def test_names_that_cannot_be_are_refused(name, match):
    for load in (load_encoder, load_text_encoder):
        with pytest.raises(InputError, match=match):
            load(name, device="cpu")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub, and no way out."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_an_id_is_found_in_the_cache_of_the_hub(hub, folders, encoders):
    snapshot = hub / "models--tiny--clip" / "snapshots" / ("0" * 40)
    shutil.copytree(folders["clip"], snapshot)
    (hub / "models--tiny--clip" / "refs").mkdir()
    (hub / "models--tiny--clip" / "refs" / "main").write_text("0" * 40)
    encoder, here = image_encoder("tiny/clip"), encoders["image", "clip"]
    assert encoder.name == "transformers:tiny/clip"
    assert {**encoder.meta, "weights": str(folders["clip"])} == here.meta
    assert torch.equal(encoder.encode(pictures()), here.encode(pictures()))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody/nothing", "there is no connection, or it is switched off"),
        ("nothing", "there is no connection, or it is switched off"),
        ("not an id", "it is no id of a model"),
        ("a" * 300, "it is no id of a model"),
    ],
)
def test_an_id_that_is_nowhere_is_refused(hub, name, reason):
    match = rf"^the model '{name}' is neither a folder here nor in the local cache .* the hub \({reason}\); check its"
    with pytest.raises(InputError, match=match):
        image_encoder(name)


def test_a_package_that_a_model_asks_for_is_to_be_installed():
    match = r"^tiny cannot be loaded \(it needs fugashi\); install what it asks for\.$"
    with pytest.raises(InputError, match=match), refusing("tiny cannot be loaded"):
        raise ImportError("it needs fugashi.\nSee its page.")


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("pointwise.encoders.transformers.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=r"^transformers is not installed\. .* pip install 'pointwise\[transformers\]'$"
    ):
        image_encoder("tiny/clip")
