"""The pixels themselves as features: for digits, toy data and a first look."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pointwise._types import Pixels
from pointwise.errors import InputError
from pointwise.items.images import Images, resize

_SIDE = 32  # pixels: the default, and the largest that pictures keep by themselves


class PixelEncoder:
    """Features that are the RGB values of the picture brought to one size, row by row, divided by 255.

    The size is written "28x20" (height x width), "32" for a square, or "" for 32.
    """

    def __init__(self, size: str = "") -> None:
        sides = size.split("x") if size else [str(_SIDE)]
        if len(sides) > 2 or not all(side.isascii() and side.isdigit() and int(side) for side in sides):
            raise InputError(f"the size in 'pixels:{size}' must be pixels:SIDE or pixels:HEIGHTxWIDTH, pixels:32 say.")
        self.height, self.width = height, width = int(sides[0]), int(sides[-1])
        self.name = f"pixels:{height}" if height == width else f"pixels:{height}x{width}"
        self.dim = height * width * 3
        self.meta: Mapping[str, Any] = {
            "resize": f"Pillow bicubic to {height}x{width}, aspect ratio not kept",
            "antialias": True,
            "normalisation": "x / 255",
            "dtype": "float32",
        }

    def encode(self, images: Sequence[Pixels]) -> torch.Tensor:
        """Return the features of b pictures: float32 [b, height * width * 3], in [0, 1]."""
        rows = [resize(image, height=self.height, width=self.width).reshape(-1) for image in images]
        return torch.from_numpy(np.stack(rows)).float() / 255


def size_for(images: Images) -> str:
    """Return, as it is written, the one size that all images have if it is at most 32 x 32 pixels, else 32."""
    shapes = set()
    for i in images.reading_order:
        try:
            shapes.add(images[i].shape[:2])
        except InputError:  # a damaged file says nothing of the size; it is met again when it is encoded
            continue
        if len(shapes) > 1 or max(next(iter(shapes))) > _SIDE:
            return str(_SIDE)
    height, width = shapes.pop() if shapes else (_SIDE, _SIDE)
    return f"{height}x{width}"
