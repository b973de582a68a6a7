"""Pictures are brought to the input size by torchvision's rules, and the meta says how."""

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders.framing import Framing
from pointwise.errors import InputError

COLOURS = {"mean": (0.25, 0.5, 0.75), "std": (0.5, 0.25, 0.125)}


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def framing(fit="shortest", resize=(8, 8), crop=(8, 8), interpolation="bicubic", **more) -> Framing:
    return Framing(fit=fit, resize=resize, crop=crop, interpolation=interpolation, **COLOURS, **more)


def values(image: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(image.astype(np.float64) / 255)
    return ((x - torch.tensor(COLOURS["mean"])) / torch.tensor(COLOURS["std"])).permute(2, 0, 1)[None].float()


def resized(image: np.ndarray, height: int, width: int, filter_=Image.Resampling.BICUBIC) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), filter_))


@pytest.mark.parametrize(
    ("have", "start"), [(11, 2), (9, 0), (13, 2), (10, 1)], ids=["1.5 to 2", "0.5 to 0", "2.5 to 2", "1"]
)
def test_the_middle_of_an_odd_rest_is_rounded_half_to_even(have, start):
    image = picture(8, have)
    torch.testing.assert_close(framing()([image]), values(image[:, start : start + 8]))


def test_the_shorter_side_is_resized_and_the_longer_one_cut_down_to_a_whole_pixel():
    image = picture(5, 18)  # to 8 x 28.8
    expected = resized(image, 8, 28)[:, 10:18]
    torch.testing.assert_close(framing()([image]), values(expected))
    torch.testing.assert_close(framing()([image.swapaxes(0, 1)]), values(resized(image.swapaxes(0, 1), 28, 8)[10:18]))


def test_the_aspect_ratio_is_not_kept_where_pictures_are_squashed():
    image = picture(5, 18)
    squash = framing("squash", interpolation="bilinear")
    torch.testing.assert_close(squash([image]), values(resized(image, 8, 8, Image.Resampling.BILINEAR)))


def test_a_border_of_its_colour_fills_what_a_whole_picture_leaves_empty():
    image = picture(6, 16)  # to 3 x 8
    expected = np.empty((8, 8, 3), dtype=np.uint8)
    expected[:] = (9, 8, 7)
    expected[2:5] = resized(image, 3, 8)
    torch.testing.assert_close(framing("longest", fill=(9, 8, 7))([image]), values(expected))


def test_a_picture_as_thin_as_a_thread_keeps_at_least_one_pixel():
    assert framing("longest")([picture(1, 1000)]).shape == (1, 3, 8, 8)


def test_a_huge_intermediate_picture_is_not_made():
    thin = np.zeros((1, 10_000_000, 3), dtype=np.uint8)  # its shorter side at 8 would be 80 million pixels long
    thin[:, 5_000_000:] = 255
    x = framing(interpolation="nearest")([thin])
    torch.testing.assert_close(x, values(np.repeat(np.repeat([[0, 255]], 4, 1), 8, 0)[..., None].repeat(3, 2)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "Pillow bicubic, shorter side to 8, centre crop 8x8"),
        ({"resize": (10, 12)}, "Pillow bicubic, covering 10x12, aspect ratio kept, centre crop 8x8"),
        ({"fit": "squash"}, "Pillow bicubic to 8x8, aspect ratio not kept"),
        ({"fit": "squash", "resize": (9, 9)}, "Pillow bicubic to 9x9, aspect ratio not kept, centre crop 8x8"),
        (
            {"fit": "longest", "fill": (9, 8, 7)},
            "Pillow bicubic, within 8x8, aspect ratio kept, centre crop 8x8, border of [9, 8, 7]",
        ),
    ],
)
def test_meta_says_what_was_done(arguments, expected):
    assert framing(**arguments).meta == {
        "resize": expected,
        "antialias": True,
        "normalisation": "(x / 255 - [0.25, 0.5, 0.75]) / [0.5, 0.25, 0.125]",
    }
    assert framing(interpolation="nearest").meta["antialias"] is False


def test_unknown_ways_are_refused():
    with pytest.raises(InputError, match="the interpolation of this model is 'random', and pointwise knows nearest, l"):
        framing(interpolation="random")
    with pytest.raises(InputError, match="the resize mode of this model is 'tile', and pointwise knows shortest, long"):
        framing("tile")
