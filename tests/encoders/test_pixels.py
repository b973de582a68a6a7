"""The pixel encoder is the resized picture divided by 255."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders import load_encoder
from pointwise.encoding import encode
from pointwise.errors import InputError


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def test_pictures_of_one_small_size_keep_it():
    images = pictures(6, 8, 5)
    table = encode(images, encoder="pixels")
    assert torch.equal(table.features, torch.from_numpy(images.reshape(6, 120)).float() / 255)
    assert table.meta["encoder"] == "pixels:8x5"
    again = load_encoder(table.meta["encoder"])
    assert torch.equal(again.encode(list(images)), table.features)


@pytest.mark.parametrize(("side", "name"), [(32, "pixels:32"), (28, "pixels:28"), (33, "pixels:32")])
def test_larger_pictures_become_32_by_32(side, name):
    assert encode(pictures(2, side, side), encoder="pixels").meta["encoder"] == name


def test_pictures_of_different_sizes_become_32_by_32(tmp_path):
    for side in (8, 9):
        Image.fromarray(pictures(side, side)).save(tmp_path / f"{side}.png")
    assert encode(tmp_path, encoder="pixels").features.shape == (2, 3072)


def test_a_damaged_picture_does_not_decide_the_size(tmp_path):
    (tmp_path / "0.png").write_bytes(b"")
    Image.fromarray(pictures(8, 8)).save(tmp_path / "1.png")
    assert encode(tmp_path, encoder="pixels", skip_bad=True).meta["encoder"] == "pixels:8"


def test_resizing_is_pillows_bicubic():
    image = pictures(50, 40)
    encoder = load_encoder("pixels:20x30")
    expected = np.asarray(Image.fromarray(image).resize((30, 20), Image.Resampling.BICUBIC)) / 255
    assert encoder.dim == 1800
    assert encoder.encode([image])[0].numpy() == pytest.approx(expected.reshape(-1), abs=1e-7)
    assert encoder.meta["resize"] == "Pillow bicubic to 20x30, aspect ratio not kept"
    assert encoder.meta["antialias"] is True


def test_png_files_and_an_array_give_the_same_features(tmp_path):
    images = pictures(3, 8, 8)
    for i, image in enumerate(images):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "png")
        (tmp_path / f"{i}.png").write_bytes(stream.getvalue())
    assert torch.equal(encode(tmp_path, encoder="pixels").features, encode(images, encoder="pixels").features)


@pytest.mark.parametrize("size", ["0", "-8", "8x8x3", "x8", "big", "²"])
def test_a_size_that_is_none_says_how_to_write_one(size):
    with pytest.raises(InputError, match=rf"the size in 'pixels:{size}' must be pixels:SIDE or pixels:HEIGHTxWIDTH"):
        load_encoder(f"pixels:{size}")
