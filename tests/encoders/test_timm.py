"""Encoders of timm see what timm's own transform makes, and give what its network gives before the classifier."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders.packages import import_package, sha256_of_weights
from pointwise.encoders.timm import _framing, load_image
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
        load_image("resnet50", CPU)


@needs_timm
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize(
    ("size", "crop_pct"), [((224, 224), 0.875), ((160, 160), 1.0), ((63, 63), 0.9), ((48, 96), 0.95)]
)
def test_pictures_enter_as_timms_own_transform_makes_them(timm, interpolation, crop_mode, size, crop_pct):
    said = {
        "input_size": (3, *size),
        "interpolation": interpolation,
        "crop_pct": crop_pct,
        "crop_mode": crop_mode,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    transform = timm.data.create_transform(**said, is_training=False)
    own = getattr(transform.transforms[0].interpolation, "value", interpolation)
    if own != interpolation:
        pytest.skip(f"timm before 1.0.31 brings pictures to sizes that are not square by its {own} filter, always")
    images = pictures()
    expected = torch.stack([transform(Image.fromarray(image)) for image in images])
    torch.testing.assert_close(_framing(said)(images), expected, rtol=0, atol=1e-6)


@needs_timm
def test_features_are_those_of_timms_own_pipeline(timm, checkpoint):
    model, path = checkpoint
    encoder = load_image(f"test_vit@{path}", CPU)
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
    encoder = load_image(f"test_vit.r160_in1k@{path}", CPU)
    assert encoder.name == load_image(f"test_vit@{path}", CPU).name == f"timm:test_vit.r160_in1k@{path}"
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("head.")}
    assert encoder.meta == {
        "weights": "timm test_vit.r160_in1k vit.safetensors",
        "weights_sha256": sha256_of_weights(kept),  # without the classifier, which features do not depend on
        "resize": "Pillow bicubic, shorter side to 168, centre crop 160x160",
        "antialias": True,
        "normalisation": "(x / 255 - [0.5, 0.5, 0.5]) / [0.5, 0.5, 0.5]",
        "unit_length": False,
        "dtype": "float32",
    }


@needs_timm
def test_the_program_around_may_compute_in_another_precision(checkpoint):
    name, images = f"test_vit@{checkpoint[1]}", pictures()[:2]
    expected = load_image(name, CPU)
    torch.set_default_dtype(torch.float64)
    try:
        encoder = load_image(name, CPU)
        features = encoder.encode(images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert encoder.meta == expected.meta
    assert torch.equal(features, expected.encode(images))


@needs_timm
@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_resnet", "test_nfnet", "test_byobnet"])
def test_networks_of_other_kinds_drop_their_classifiers_too(timm, tmp_path, name):
    model = network(timm, name)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "last.pth")
    encoder = load_image(f"{name}@{tmp_path}/last.pth", CPU)
    image = pictures()[5]
    with torch.inference_mode():
        x = encoder._framing([image])
        expected = model.forward_head(model.forward_features(x), pre_logits=True).clone()
    assert encoder.dim == expected.shape[1]
    torch.testing.assert_close(encoder.encode([image]), expected, rtol=1e-4, atol=1e-5)


@needs_timm
def test_features_may_enter_a_computation_with_gradients(checkpoint):
    encoder = load_image(f"test_vit@{checkpoint[1]}", CPU)
    weight = torch.ones(64, requires_grad=True)
    (encoder.encode(pictures()[:1]) @ weight).sum().backward()
    assert weight.grad is not None


@needs_timm
def test_an_unknown_model_is_answered_with_close_ones():
    with pytest.raises(
        InputError,
        match=r"^timm has no model 'resnet5'; timm.list_pretrained\(\) lists .* Did you mean resnet50 or",
    ):
        load_image("resnet5", CPU)


@needs_timm
def test_an_unknown_tag_is_answered_with_the_known_ones(checkpoint):
    expected = (
        r"^there are no weights 'test_vit.in22k'; timm knows test_vit.r160_in1k\. Give one .* timm:test_vit@PATH\.$"
    )
    for name in ("test_vit.in22k", f"test_vit.in22k@{checkpoint[1]}"):
        with pytest.raises(InputError, match=expected):
            load_image(name, CPU)


@needs_timm
def test_a_model_without_weights_is_refused_unless_a_file_is_given(timm, tmp_path):
    name = "resnetblur18"
    assert name not in timm.list_models(pretrained=True)
    with pytest.raises(
        InputError,
        match=rf"^there are no weights '{name}'; timm has none for {name}\. Give .* or .* a file: timm:{name}@PATH\.$",
    ):
        load_image(name, CPU)
    torch.save(network(timm, name).state_dict(), tmp_path / "own.pth")
    assert load_image(f"{name}@{tmp_path}/own.pth", CPU).name.startswith(f"timm:{name}")


@needs_timm
def test_a_file_that_is_not_there_is_named():
    with pytest.raises(
        InputError, match=r"^'/nowhere/vit.pth' is no file; write the path of the weights of timm:test_vit"
    ):
        load_image("test_vit@/nowhere/vit.pth", CPU)


@needs_timm
def test_weights_of_another_model_are_refused(checkpoint):
    with pytest.raises(
        InputError,
        match=r"^timm's test_resnet with the weights '.*vit.safetensors' cannot be loaded "
        r"\(Error\(s\) in loading state_dict for ResNet: Missing key\(s\) in state_dict: .*\); "
        r"the file must hold the weights of test_resnet as timm saves them",
    ):
        load_image(f"test_resnet@{checkpoint[1]}", CPU)


@needs_timm
@pytest.mark.parametrize("name", ["torn.safetensors", "torn.pth"])
def test_a_torn_file_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=rf"^timm's test_vit with the weights '.*{name}' cannot be loaded \(.*\); the"):
        load_image(f"test_vit@{tmp_path}/{name}", CPU)


@needs_timm
def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"state_dict": SIZES, "hook": load_image}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=r"cannot be loaded \(.*[wW]eights.only"):
        load_image(f"test_vit@{tmp_path}/bad.pth", CPU)


@needs_timm
@pytest.mark.usefixtures("offline")
def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"^timm's test_vit cannot be loaded \(.*\); check the connection to the model hub"
    ):
        load_image("test_vit", CPU)
