"""Pictures reach the network as its package brings them there; plain Pillow steps say what that is."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders.preprocessing import Preprocessing
from pointwise.encoders.transformers import preprocessing
from pointwise.errors import InputError

SIZES = [(1, 1), (5, 31), (33, 17), (24, 24), (101, 57), (40, 300), (23, 25), (200, 3)]
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 24},
    "crop_size": {"height": 24, "width": 24},
    "do_center_crop": True,
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SIGLIP = {
    "image_processor_type": "SiglipImageProcessor",
    "size": {"height": 20, "width": 28},
    "resample": 2,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}
DINOV2 = {
    "image_processor_type": "BitImageProcessor",
    "size": {"shortest_edge": 21},
    "crop_size": {"height": 25, "width": 16},
    "do_center_crop": True,
    "resample": 3,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
VIT = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
PLAIN = {"do_rescale": False, "do_normalize": False}


def picture(height, width, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def read(folder, settings, *, name="preprocessor_config.json"):
    (folder / name).write_text(json.dumps(settings))
    return preprocessing(folder, "tiny", "transformers")


def pixels(preprocess, *images):
    return preprocess(list(images))


def by_hand(image, *, edge=None, size=None, crop=None, mean=(0, 0, 0), std=(1, 1, 1), scale=1 / 255, resample=3, **_):
    """The picture resized by Pillow, its centre cut out, black around it where it is too small, and normalised."""
    height, width = image.shape[:2]
    if edge:
        longer = int(edge * max(height, width) / min(height, width))
        size = (edge, longer) if height <= width else (longer, edge)
    if size:
        image = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling(resample)))
    if crop:
        top, left = ((have - want) // 2 for have, want in zip(image.shape, crop, strict=False))
        rows, columns = np.arange(top, top + crop[0]), np.arange(left, left + crop[1])
        inside = np.outer((rows >= 0) & (rows < image.shape[0]), (columns >= 0) & (columns < image.shape[1]))
        image = image[np.clip(rows, 0, image.shape[0] - 1)][:, np.clip(columns, 0, image.shape[1] - 1)]
        image = image * inside[..., None]
    return torch.from_numpy((image * scale - np.array(mean)) / np.array(std)).permute(2, 0, 1).float()


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (CLIP, {"edge": 24, "crop": (24, 24)}),
        (SIGLIP, {"size": (20, 28)}),
        (DINOV2, {"edge": 21, "crop": (25, 16)}),
        ({**DINOV2, **PLAIN}, {"edge": 21, "crop": (25, 16), "scale": 1}),
        ({**DINOV2, "do_resize": False, "do_normalize": False}, {"crop": (25, 16)}),
        ({**VIT, "size": 22}, {"size": (22, 22), "resample": 2}),
        ({**VIT, "size": 22, "resample": 0}, {"size": (22, 22), "resample": 0}),
        ({**CLIP, "size": 22, "crop_size": 20}, {"edge": 22, "crop": (20, 20)}),
        (
            {**CLIP, "image_processor_type": None, "feature_extractor_type": "DeiTFeatureExtractor", "size": 26},
            {"size": (26, 26), "crop": (24, 24)},
        ),
        ({**CLIP, "image_processor_type": "LevitImageProcessor", **PLAIN}, {"edge": 27, "crop": (24, 24), "scale": 1}),
        (
            {**CLIP, "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.75},
            {"edge": 32, "crop": (24, 24)},
        ),
    ],
    ids="{}".format,
)
def test_it_is_what_the_file_says(tmp_path, settings, steps, size):
    image = picture(*size)
    if settings.get("do_normalize", True):
        steps = {**steps, "mean": settings["image_mean"], "std": settings["image_std"]}
    expected = by_hand(image, **{"resample": settings.get("resample", 2), **steps})
    torch.testing.assert_close(pixels(read(tmp_path, settings), image)[0], expected, rtol=1e-6, atol=2e-6)


def test_pictures_of_many_sizes_are_stacked_and_do_not_mix(tmp_path):
    preprocess = read(tmp_path, CLIP)
    images = [picture(*size, seed=i) for i, size in enumerate(SIZES)]
    together = pixels(preprocess, *images)
    assert together.shape == (len(SIZES), 3, 24, 24)
    assert together.dtype == torch.float32
    for image, row in zip(images, together, strict=True):
        assert torch.equal(pixels(preprocess, image)[0], row)


def test_the_ends_of_a_long_picture_are_left_out_where_its_centre_is_cut_out(tmp_path):
    preprocess = read(tmp_path, {**CLIP, **PLAIN})
    for length in (1999, 2_000_001):  # the latter would be resized to more than a thousand million pixels
        image = np.full((1, length, 3), 9, dtype=np.uint8)
        image[:, length // 2] = 200
        x = pixels(preprocess, image)
        torch.testing.assert_close(
            x, by_hand(image[:, length // 2 - 3 : length // 2 + 4], edge=24, crop=(24, 24), scale=1)[None]
        )
        upright = pixels(preprocess, np.ascontiguousarray(image.swapaxes(0, 1)))
        assert torch.equal(upright, x.transpose(2, 3))
    squashed = np.repeat(np.arange(3, dtype=np.uint8), 2000)[None, :, None].repeat(3, 2)
    whole = pixels(read(tmp_path, {**SIGLIP, **PLAIN, "size": {"height": 1, "width": 3}, "resample": 0}), squashed)
    assert whole[0, 0].tolist() == [[0, 1, 2]]


def test_meta_says_what_is_done(tmp_path):
    assert read(tmp_path, CLIP).meta == {"preprocessing": CLIP}


def test_the_newer_file_that_holds_all_processors_is_read(tmp_path):
    import transformers

    if int(transformers.__version__.partition(".")[0]) < 5:
        pytest.skip(f"transformers {transformers.__version__} does not write it")
    new = read(tmp_path, {"image_processor": CLIP, "processor_class": "CLIPProcessor"}, name="processor_config.json")
    old = read(tmp_path, CLIP)
    assert new.meta == old.meta
    assert torch.equal(pixels(new, picture(30, 40)), pixels(old, picture(30, 40)))


def test_one_kind_of_model_without_its_name_in_the_file_is_known_by_its_configuration(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    assert pixels(read(tmp_path, {**CLIP, "image_processor_type": None}), picture(30, 40)).shape == (1, 3, 24, 24)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"size": {"shortest_edge": 0}},
            r"^the preprocessing of tiny cannot be used \(.*\); choose another .*_edge': 0",
        ),
        ({"size": {"longest_edge": 9}}, r"^the preprocessing of tiny cannot be used \(.*'longest_edge': 9"),
        ({"crop_size": -2}, r"preprocessing of tiny .*; choose another model, or mend its .*'crop_size': -2"),
        (
            {"do_center_crop": False},
            r"of tiny brings pictures to no common size, but to \[3, 38, 24\] and \[3, 24, 36\]",
        ),
        ({"resample": 9}, r"^the preprocessing of tiny cannot be used \(.*'resample': 9"),
        (
            {"image_std": [1, 0, 1]},
            r"^the preprocessing of tiny gives values that are not finite; .*'image_std': \[1, 0",
        ),
        (
            {"image_processor_type": "DetrImageProcessor"},
            r"^(tiny takes .*pixel_mask|the preprocessing of tiny cannot)",
        ),
        ({"image_processor_type": "Nonesuch"}, r"^tiny has an image processor that cannot be used by transformers \("),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_obeyed_is_refused(tmp_path, change, match):
    with pytest.raises(InputError, match=match):
        read(tmp_path, {**CLIP, **change})


def test_what_is_more_than_pixels_is_refused(tmp_path):
    settings = {"image_processor_type": "DetrImageProcessor", "size": {"shortest_edge": 20, "longest_edge": 40}}
    with pytest.raises(
        InputError, match=r"^tiny takes .*pixel_mask.* of a picture, where pointwise gives its pixels al"
    ):
        read(tmp_path, settings)


def test_code_beside_the_file_is_not_run(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'was_here')!r}, 'w')")
    with pytest.raises(InputError, match=r"^tiny has an image processor that cannot be used by transformers \("):
        read(tmp_path, {**CLIP, "image_processor_type": "E", "auto_map": {"AutoImageProcessor": "evil.E"}})
    assert not (tmp_path / "was_here").exists()


def test_a_folder_without_the_file_or_with_a_broken_one_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no preprocessor_config\.json, .* copy the file from where the model"):
        preprocessing(tmp_path, "tiny", "transformers")
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match=r"^tiny has an image processor that .*preprocessor_config\.json"):
        preprocessing(tmp_path, "tiny", "transformers")


def test_any_steps_may_come_before_a_network():
    preprocess = Preprocessing(
        lambda image: torch.from_numpy(image[:2, :2].copy()).permute(2, 0, 1), {"crop": 2}, name="ours", centre=False
    )
    image = picture(5, 4)
    assert pixels(preprocess, image).equal(torch.from_numpy(image[:2, :2].copy()).permute(2, 0, 1)[None].float())
    assert (preprocess.meta, preprocess.example["pixel_values"].shape) == ({"preprocessing": {"crop": 2}}, (1, 3, 2, 2))
