"""Pictures reach the network as the model's authors had them: Pillow's steps agree with transformers' own."""

import json

import numpy as np
import pytest
import torch

from pointwise.encoders.preprocessing import Preprocessing, read_preprocessing
from pointwise.errors import InputError

SIZES = [(1, 1), (5, 31), (33, 17), (24, 24), (101, 57), (40, 300), (23, 25), (200, 3)]
CLIP = {
    "size": {"shortest_edge": 24},
    "crop_size": {"height": 24, "width": 24},
    "do_center_crop": True,
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SIGLIP = {
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


def picture(height, width, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def read(folder, said, *, name="preprocessor_config.json"):
    (folder / name).write_text(json.dumps(said))
    return read_preprocessing(folder)


def processor(kind):
    """The image processor of transformers that needs no torchvision: a class of its own since 5.0."""
    import transformers

    return getattr(transformers, f"{kind}Pil", None) or getattr(transformers, kind)


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("CLIPImageProcessor", CLIP),
        ("SiglipImageProcessor", SIGLIP),
        ("BitImageProcessor", DINOV2),
        ("BitImageProcessor", {**DINOV2, "do_rescale": False, "do_normalize": False}),
        ("BitImageProcessor", {**DINOV2, "do_resize": False, "do_normalize": False}),
        ("ViTImageProcessor", {"size": 22, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}),
        ("CLIPImageProcessor", {**CLIP, "size": 22, "crop_size": 20}),
        ("DeiTImageProcessor", {**CLIP, "feature_extractor_type": "DeiTFeatureExtractor", "size": 26, "crop_size": 22}),
    ],
    ids="{}".format,
)
def test_it_agrees_with_the_processor_of_transformers(tmp_path, kind, said, size):
    image = picture(*size)
    theirs = processor(kind)(**said)(images=[image], return_tensors="pt", input_data_format="channels_last")
    ours = read(tmp_path, said)
    torch.testing.assert_close(ours([image]), theirs["pixel_values"].float(), rtol=1e-6, atol=1e-6)
    assert ours.size == tuple(theirs["pixel_values"].shape[2:])


def test_pictures_of_many_sizes_are_stacked_and_do_not_mix(tmp_path):
    pre = read(tmp_path, CLIP)
    images = [picture(*size, seed=i) for i, size in enumerate(SIZES)]
    together = pre(images)
    assert together.shape == (len(SIZES), 3, 24, 24)
    assert together.dtype == torch.float32
    for image, row in zip(images, together, strict=True):
        assert torch.equal(pre([image])[0], row)


def test_a_long_thin_picture_is_not_resized_beyond_what_the_crop_keeps(monkeypatch):
    pre = Preprocessing(resize=64, crop=(64, 64), resample=3, scale=None, mean=None, std=None)
    image = picture(3, 500)
    whole = pre([image])
    monkeypatch.setattr("pointwise.encoders.preprocessing._LARGEST", 1000)
    assert (pre([image]) - whole).abs().max() <= 1  # of 255: the filter's weights are rounded differently
    upright = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert (pre([upright]) - whole.transpose(2, 3)).abs().max() <= 1
    monkeypatch.undo()
    assert pre([np.full((1, 2_000_000, 3), 9, dtype=np.uint8)]).unique().tolist() == [9]


def test_pictures_that_are_not_brought_to_one_size_have_none():
    pre = Preprocessing(resize=64, crop=None, resample=3, scale=None, mean=None, std=None)
    with pytest.raises(InputError, match="pictures resized by 64 and not cropped differ in size; add a centre crop"):
        pre.size  # noqa: B018


def test_meta_says_what_is_done(tmp_path):
    assert read(tmp_path, CLIP).meta == {
        "resize": "Pillow bicubic, shorter side to 24, centre crop 24x24",
        "antialias": True,
        "normalisation": "(x / 255 - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]",
    }
    assert read(tmp_path, {**SIGLIP, "resample": 0, "rescale_factor": 0.5, "do_normalize": False}).meta == {
        "resize": "Pillow nearest to 20x28, aspect ratio not kept",
        "antialias": False,
        "normalisation": "x * 0.5",
    }


def test_the_newer_file_that_holds_all_processors_is_read(tmp_path):
    new = read(tmp_path, {"image_processor": CLIP, "processor_class": "CLIPProcessor"}, name="processor_config.json")
    assert new == read(tmp_path, CLIP)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"size": {"shortest_edge": 0}}, r"size in .*json is \{'shortest_edge': 0\}; it must be a positive whole"),
        (
            {"size": {"longest_edge": 9}},
            r"size in .*json is \{'longest_edge': 9\}; it must be .* shortest_edge alone\.",
        ),
        ({"size": None}, r"size in .*json is None; it must be a positive whole number of pixels, or height and width"),
        ({"crop_size": -2}, r"crop_size in .*json is -2; it must be .* height and width\.$"),
        ({"do_center_crop": False}, r"no common size: size is \{'shortest_edge': 24\} and there is no centre crop"),
        ({"resample": 9}, r"resample in .*json is 9; it must be one of Pillow's filters, 0 to 5"),
        (
            {"image_mean": None},
            r"image_mean in .*json is None; it must be three numbers, or set \"do_normalize\": false",
        ),
        ({"image_std": [1, 0, 1]}, r"image_std in .*json is \[1, 0, 1\]; it must be three numbers"),
        ({"image_processor_type": "LevitImageProcessor"}, r"asks for LevitImageProcessor; pointwise resizes, crops"),
        ({"feature_extractor_type": "PerceiverFeatureExtractor"}, r"asks for PerceiverFeatureExtractor; pointwise res"),
        ({"do_pad": True, "crop_pct": 0.9}, r"asks for do_pad, crop_pct; pointwise resizes, .* Choose another model"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_obeyed_is_refused(tmp_path, change, match):
    with pytest.raises(InputError, match=match):
        read(tmp_path, {**CLIP, **change})


def test_a_folder_without_the_file_or_with_a_broken_one_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no preprocessor_config\.json, .* copy the file from where the model"):
        read_preprocessing(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match=r"preprocessor_config\.json cannot be read as JSON \(Expecting"):
        read_preprocessing(tmp_path)
