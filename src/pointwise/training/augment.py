"""Crops of pictures, so that a tower that is trained on few of them sees another part of each at every step."""

import hashlib
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pointwise.training.inputs import Inputs

_MOST_ASPECT = 4 / 3
_AT_ONCE = 128  # pictures, of which memory holds copies in float32


def generator_of(words: str) -> torch.Generator:
    """Return a generator of random numbers that these words alone decide."""
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big"))


def boxes(n: int, step: int, *, smallest: float, seed: int) -> Tensor:
    r"""Return the crops of the n pictures of a step, which step and seed alone decide: left, top, right, bottom [n, 4].

    They are in shares of the width and height of a picture. The share of the area is uniform in [smallest, 1], and the
    aspect log-uniform in [3/4, 4/3] as far as it fits into the picture; so is the place.

    >>> boxes(2, 0, smallest=0.5, seed=0).round(decimals=2)
    tensor([...], dtype=torch.float64)

    Reference: Szegedy et al. (2015), https://arxiv.org/abs/1409.4842, section 6, with the bounds of Uesaka et al.
    (2025), https://arxiv.org/abs/2404.19228.
    """
    generator = generator_of(f"crop {seed} {step}")
    area, aspect, across, down = torch.rand(4, n, dtype=torch.float64, generator=generator)
    area = smallest + (1 - smallest) * area
    most = (-area.log()).clamp(max=math.log(_MOST_ASPECT))  # a side is sqrt(area * aspect), and at most 1
    half = (2 * aspect - 1) * most / 2
    width, height = ((area.log() / 2 + sign * half).exp().clamp(max=1) for sign in (1, -1))
    left, top = (1 - width) * across, (1 - height) * down
    return torch.stack([left, top, left + width, top + height], dim=1)


def cropped(pictures: Inputs, boxes: Tensor) -> Inputs:
    """Return the boxes [n, 4] of pictures, each enlarged to the size of the whole by bilinear interpolation.

    A crop is never larger than what it becomes, so there is nothing to antialias; one call of grid_sample on an affine
    grid takes all pictures of a batch, on any device, and boxes between pixels, where F.interpolate would take one
    picture at a time, cut at whole pixels. Each picture is computed alone: it has the same bits in any batch.
    """
    left, top, right, bottom = boxes.to(pictures.x.device).unbind(1)
    zero = torch.zeros_like(left)
    # grid_sample has the picture from -1 to 1: its centre is the middle of the box, its reach half of the box
    rows = [[right - left, zero, left + right - 1], [zero, bottom - top, top + bottom - 1]]
    affine = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1).float()
    parts = []
    for x, some in zip(pictures.x.split(_AT_ONCE), affine.split(_AT_ONCE), strict=True):
        grid = F.affine_grid(some, list(x.shape), align_corners=False)
        sampled = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        parts.append(sampled.round_().clamp_(0, 255).to(torch.uint8))
    return Inputs(torch.cat(parts), pictures.mask)
