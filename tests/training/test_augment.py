"""Crops against Pillow's own cut and resize, their areas, and that nothing but seed and step decides them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import kstest

from pointwise.training.augment import boxes, cropped
from pointwise.training.inputs import Inputs

PLACES = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.75, 1.0], [0.31, 0.17, 1.0, 0.93], [0.2, 0.2, 0.9, 0.9]])


def noise(n, size, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, size, size), dtype=np.uint8))


def by_pillow(pictures, places):
    """Each picture cut and resized by itself."""
    size = pictures.shape[2]
    made = []
    for picture, box in zip(pictures, places.tolist(), strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).numpy())
        edges = tuple(edge * size for edge in box)
        made.append(np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=edges)))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("size", [8, 33, 64])
def test_a_crop_is_that_of_pillow(size):
    pictures = noise(4, size)
    made = cropped(Inputs(pictures), PLACES).x
    assert made.dtype == torch.uint8
    off = (made.int() - by_pillow(pictures, PLACES).int()).abs()
    assert int(off.max()) <= 1  # Pillow rounds between the two directions
    assert torch.equal(made[0], pictures[0])
    assert not torch.equal(made[3], pictures[3])


def test_crops_that_are_drawn_are_those_of_pillow():
    pictures, places = noise(300, 16), boxes(300, 7, smallest=0.3, seed=1)
    off = (cropped(Inputs(pictures), places).x.int() - by_pillow(pictures, places).int()).abs()
    assert int(off.max()) <= 1


def test_a_crop_shows_what_is_in_its_box():
    picture = torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
    picture[:, 0, 5:15, 10:20] = 200
    made = cropped(Inputs(picture), torch.tensor([[0.5, 0.25, 1.0, 0.75]])).x
    assert made[0, 0, 1:19, 1:].eq(200).all()
    assert not made[0, 1:].any()


@pytest.mark.parametrize("smallest", [0.5, 0.08])
def test_areas_are_uniform_and_shapes_are_as_bounded(smallest):
    left, top, right, bottom = boxes(20_000, 3, smallest=smallest, seed=5).unbind(1)
    width, height = right - left, bottom - top
    area, shape = (width * height).numpy(), (width / height).log().numpy()
    assert kstest(area, "uniform", args=(smallest, 1 - smallest)).pvalue > 1e-3
    assert np.abs(shape).max() <= math.log(4 / 3) + 1e-9
    narrow = shape[area < 0.75]  # where all shapes fit
    assert kstest(narrow, "uniform", args=(-math.log(4 / 3), 2 * math.log(4 / 3))).pvalue > 1e-3
    for start, length in ((left, width), (top, height)):
        loose = length < 0.99
        share = (start[loose] / (1 - length[loose])).numpy()
        assert kstest(share, "uniform").pvalue > 1e-3
    assert bool((torch.stack([left, top]) >= 0).all())
    assert bool((torch.stack([right, bottom]) <= 1 + 1e-12).all())


def test_seed_and_step_decide_and_nothing_else_does():
    first = boxes(6, 4, smallest=0.5, seed=0)
    assert torch.equal(first, boxes(6, 4, smallest=0.5, seed=0))
    assert not torch.equal(first, boxes(6, 5, smallest=0.5, seed=0))
    assert not torch.equal(first, boxes(6, 4, smallest=0.5, seed=1))
    assert len(first.unique(dim=0)) == 6


def test_a_picture_has_the_same_bits_in_any_batch():
    pictures, places = noise(200, 24), boxes(200, 0, smallest=0.5, seed=0)
    whole = cropped(Inputs(pictures), places).x
    for some in (slice(0, 1), slice(3, 150), slice(120, 200)):
        assert torch.equal(cropped(Inputs(pictures[some]), places[some]).x, whole[some])


def test_the_whole_is_the_whole():
    assert torch.equal(boxes(3, 0, smallest=1.0, seed=0), torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, 4).double())
