"""Encoders of timm see what timm's own transform makes, and give what its network gives before the classifier."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders.packages import import_package, sha256_of_weights
from pointwise.encoders.timm import TimmEncoder, preprocessing
from pointwise.errors import InputError, MissingExtra

CPU = torch.device("cpu")
INSTALLED = find_spec("timm") is not None


def why_not() -> str:
    try:
        import_package("timm")
    except (MissingExtra, InputError) as error:
        return str(error)
    return ""


needs_timm = pytest.mark.skipif(bool(why_not()), reason=why_not())
SIZES = [(1, 1), (7, 5), (31, 97), (97, 31), (160, 160), (301, 224), (223, 223), (640, 427), (5, 200)]


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope="module")
def timm():
    return import_package("timm")


@pytest.fixture
def offline(monkeypatch):
    """Keep the model hub from being asked again and again where there is no network."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def network(timm, name: str, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, **options).eval()


@pytest.fixture(scope="module")
def checkpoint(timm, tmp_path_factory):
    """A tiny vision transformer with random weights, and where they are saved."""
    from safetensors.torch import save_file

    model = network(timm, "test_vit")
    path = tmp_path_factory.mktemp("timm") / "vit.safetensors"
    save_file(model.state_dict(), path)
    return model, path


@pytest.mark.skipif(INSTALLED, reason="timm is installed")
def test_without_timm_it_says_how_to_install_it():
    with pytest.raises(MissingExtra, match=r"^timm is not installed. Install it with: pip install 'pointwise\[timm\]'"):
        TimmEncoder("resnet50", device=CPU)


@needs_timm
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize(("size", "interpolation"), [((160, 160), "bicubic"), ((48, 96), "lanczos")])
def test_pictures_enter_as_timms_own_transform_makes_them(timm, checkpoint, crop_mode, size, interpolation):
    config = timm.data.resolve_model_data_config(checkpoint[0])
    config |= {"crop_mode": crop_mode, "input_size": (3, *size), "interpolation": interpolation}
    transform = timm.data.create_transform(**config, is_training=False)
    images = pictures()
    expected = torch.stack([transform(Image.fromarray(image)) for image in images])
    preprocess = preprocessing(timm, config, "tiny")
    assert torch.equal(preprocess(images), expected)
    assert preprocess.meta == {"preprocessing": config}


@needs_timm
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_of_a_long_picture_the_ends_are_left_out_where_its_centre_is_cut_out(timm, crop_mode):
    config = {"input_size": (3, 64, 64), "crop_mode": crop_mode, "interpolation": "nearest", "crop_pct": 1.0}
    thin = np.zeros((1, 2_000_000, 3), dtype=np.uint8)  # with its shorter side at 64 it has 8,192 million pixels
    thin[:, 1_000_000:] = 255
    x = preprocessing(timm, config, "tiny")([thin])
    assert x[0, 0, 32, 31] < x[0, 0, 32, 32] == x[0, 0, 32, 63]
    assert x[0, 0, 32, 31] == x[0, 0, 32, 0]


@needs_timm
def test_features_are_those_of_timms_own_pipeline(timm, checkpoint):
    model, path = checkpoint
    encoder = TimmEncoder(f"test_vit@{path}", device=CPU)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    images = pictures()
    with torch.inference_mode():
        x = torch.stack([transform(Image.fromarray(image)) for image in images])
        expected = model.forward_head(model.forward_features(x), pre_logits=True)
    features = encoder.encode(images)
    assert features.dtype == torch.float32
    assert encoder.dim == features.shape[1] == 64
    torch.testing.assert_close(features, expected.clone(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encoder.encode(images[3:4]), features[3:4], rtol=1e-5, atol=1e-5)


@needs_timm
def test_meta_says_what_the_features_depend_on(checkpoint):
    model, path = checkpoint
    encoder = TimmEncoder(f"test_vit.r160_in1k@{path}", device=CPU)
    assert encoder.name == TimmEncoder(f"test_vit@{path}", device=CPU).name == f"timm:test_vit.r160_in1k@{path}"
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("head.")}
    assert encoder.meta == {
        "weights": "timm test_vit.r160_in1k vit.safetensors",
        "weights_sha256": sha256_of_weights(kept),  # without the classifier, which features do not depend on
        "preprocessing": {
            "input_size": (3, 160, 160),
            "interpolation": "bicubic",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "crop_pct": 0.95,
            "crop_mode": "center",
        },
        "unit_length": False,
        "dtype": "float32",
    }


@needs_timm
def test_the_program_around_may_compute_in_another_precision(checkpoint):
    name, images = f"test_vit@{checkpoint[1]}", pictures()[:2]
    expected = TimmEncoder(name, device=CPU)
    torch.set_default_dtype(torch.float64)
    try:
        encoder = TimmEncoder(name, device=CPU)
        features = encoder.encode(images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert encoder.meta == expected.meta
    torch.testing.assert_close(features, expected.encode(images), rtol=1e-5, atol=1e-6)


@needs_timm
@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_resnet", "test_nfnet", "test_byobnet"])
def test_networks_of_other_kinds_drop_their_classifiers_too(timm, tmp_path, name):
    model = network(timm, name)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "last.pth")
    encoder = TimmEncoder(f"{name}@{tmp_path}/last.pth", device=CPU)
    image = pictures()[5]
    with torch.inference_mode():
        x = encoder.preprocess([image])
        expected = model.forward_head(model.forward_features(x), pre_logits=True).clone()
    assert encoder.dim == expected.shape[1]
    torch.testing.assert_close(encoder.encode([image]), expected, rtol=1e-4, atol=1e-5)


@needs_timm
def test_features_may_enter_a_computation_with_gradients(checkpoint):
    encoder = TimmEncoder(f"test_vit@{checkpoint[1]}", device=CPU)
    weight = torch.ones(64, requires_grad=True)
    (encoder.encode(pictures()[:1]) @ weight).sum().backward()
    assert weight.grad is not None


@needs_timm
def test_an_unknown_model_is_answered_with_close_ones():
    with pytest.raises(
        InputError,
        match=r"^timm has no model 'resnet5'; timm.list_pretrained\(\) lists .* Did you mean resnet50 or",
    ):
        TimmEncoder("resnet5", device=CPU)


@needs_timm
def test_an_unknown_tag_is_answered_with_the_known_ones(checkpoint):
    expected = (
        r"^there are no weights 'test_vit.in22k'; timm knows test_vit.r160_in1k\. Give one .* timm:test_vit@PATH\.$"
    )
    for name in ("test_vit.in22k", f"test_vit.in22k@{checkpoint[1]}"):
        with pytest.raises(InputError, match=expected):
            TimmEncoder(name, device=CPU)


@needs_timm
def test_a_model_without_weights_is_refused_unless_a_file_is_given(timm, tmp_path):
    name = "resnetblur18"
    assert name not in timm.list_models(pretrained=True)
    with pytest.raises(
        InputError,
        match=rf"^there are no weights '{name}'; timm has none for {name}\. Give .* or .* a file: timm:{name}@PATH\.$",
    ):
        TimmEncoder(name, device=CPU)
    torch.save(network(timm, name).state_dict(), tmp_path / "own.pth")
    assert TimmEncoder(f"{name}@{tmp_path}/own.pth", device=CPU).name.startswith(f"timm:{name}")


@needs_timm
def test_a_file_that_is_not_there_is_named():
    with pytest.raises(
        InputError, match=r"^'/nowhere/vit.pth' is no file; write the path of the weights of timm:test_vit"
    ):
        TimmEncoder("test_vit@/nowhere/vit.pth", device=CPU)


@needs_timm
def test_weights_of_another_model_are_refused(checkpoint):
    with pytest.raises(
        InputError,
        match=r"^timm's test_resnet with the weights '.*vit.safetensors' cannot be loaded "
        r"\(Error\(s\) in loading state_dict for ResNet: Missing key\(s\) in state_dict: .*\); "
        r"the file must hold the weights of test_resnet as timm saves them",
    ):
        TimmEncoder(f"test_resnet@{checkpoint[1]}", device=CPU)


@needs_timm
@pytest.mark.parametrize("name", ["torn.safetensors", "torn.pth"])
def test_a_torn_file_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=rf"^timm's test_vit with the weights '.*{name}' cannot be loaded \(.*\); the"):
        TimmEncoder(f"test_vit@{tmp_path}/{name}", device=CPU)


@needs_timm
def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"state_dict": SIZES, "hook": TimmEncoder}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=r"cannot be loaded \(.*[wW]eights.only"):
        TimmEncoder(f"test_vit@{tmp_path}/bad.pth", device=CPU)


@needs_timm
@pytest.mark.usefixtures("offline")
def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"^timm's test_vit cannot be loaded \(.*\); check the connection to the model hub"
    ):
        TimmEncoder("test_vit", device=CPU)
