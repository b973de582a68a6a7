"""Pictures at the input size of a network, by the rules of torchvision that open_clip and timm keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pointwise.encoders.preprocessing import Preprocessing
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError

FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers
_LARGEST = 1 << 26  # pixels of a resized picture; of longer ones only the part that the crop keeps is made


@dataclass(frozen=True, kw_only=True)
class Framing:
    """What happens to a picture: resized, then cut out of the middle, with a border where it is too small, normalised.

    The middle of an odd rest is rounded half to even, as torchvision does it and transformers does not.

    Args:
        fit: "shortest": the picture covers ``resize``; "longest": it lies within; "squash": it becomes just that size,
            aspect ratio not kept.
        resize: (height, width).
        crop: (height, width) of what the network takes.
        interpolation: filter of Pillow, one of FILTERS.
        mean: of red, green and blue between 0 and 1, subtracted.
        std: of red, green and blue, divided by.
        fill: red, green and blue of the border, 0..255.

    Raises:
        InputError: there is no such fit or filter.

    >>> colours = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    >>> framing = Framing(fit="shortest", resize=(8, 8), crop=(8, 8), interpolation="bicubic", **colours)
    >>> framing([np.zeros((16, 32, 3), dtype=np.uint8)]).shape
    torch.Size([1, 3, 8, 8])
    >>> framing.meta["resize"]
    'Pillow bicubic, shorter side to 8, centre crop 8x8'
    """

    fit: str
    resize: tuple[int, int]
    crop: tuple[int, int]
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fill: tuple[int, ...] = (0, 0, 0)

    def __post_init__(self) -> None:
        for what, value, known in (
            ("resize mode", self.fit, ("shortest", "longest", "squash")),
            ("interpolation", self.interpolation, FILTERS),
        ):
            if value not in known:
                raise InputError(
                    f"the {what} of this model is {value!r}, and pointwise knows {', '.join(known)}; "
                    "choose another model."
                )

    def __call__(self, images: Sequence[Pixels]) -> torch.Tensor:
        """Return what the network takes for b pictures of any sizes: float32 [b, 3, h, w]."""
        return self._values([self._cropped(image) for image in images])

    @property
    def meta(self) -> dict[str, Any]:
        """The steps in words, for the meta of an encoder: resize, antialias, normalisation."""
        height, width = self.resize
        to = f"{height}x{width}"
        if self.fit == "squash":
            resized = f" to {to}, aspect ratio not kept"
        elif self.fit == "longest":
            resized = f", within {to}, aspect ratio kept"
        elif height == width:
            resized = f", shorter side to {height}"
        else:
            resized = f", covering {to}, aspect ratio kept"
        cut = (
            "" if self.fit == "squash" and self.crop == self.resize else f", centre crop {self.crop[0]}x{self.crop[1]}"
        )
        border = f", border of {list(self.fill)}" if self.fit == "longest" else ""
        return {
            **self._values.meta,
            "resize": f"Pillow {self.interpolation}{resized}{cut}{border}",
            "antialias": self.interpolation != "nearest",  # Pillow's other filters widen by the reduction
        }

    @property
    def _values(self) -> Preprocessing:
        return Preprocessing(resize=None, crop=None, resample=0, scale=1 / 255, mean=self.mean, std=self.std)

    def _cropped(self, image: Pixels) -> Pixels:
        from PIL import Image

        old = image.shape[:2]
        new = self._size(old)
        (top, to_top, height), (left, to_left, width) = map(_middle, new, self.crop)
        box = (0.0, 0.0, float(old[1]), float(old[0]))
        if new[0] * new[1] > _LARGEST:
            down, across = old[0] / new[0], old[1] / new[1]
            box = (left * across, top * down, (left + width) * across, (top + height) * down)
            new, top, left = (height, width), 0, 0
        filter_ = Image.Resampling(FILTERS.index(self.interpolation))
        resized = np.asarray(Image.fromarray(image).resize((new[1], new[0]), filter_, box))
        out = np.empty((*self.crop, 3), dtype=np.uint8)
        out[:] = self.fill
        out[to_top : to_top + height, to_left : to_left + width] = resized[top : top + height, left : left + width]
        return out

    def _size(self, old: tuple[int, ...]) -> tuple[int, int]:
        if self.fit == "squash":
            return self.resize
        if self.fit == "shortest" and self.resize[0] == self.resize[1]:
            longer = int(self.resize[0] * max(old) / min(old))
            return (self.resize[0], longer) if old[0] <= old[1] else (longer, self.resize[0])
        ratios = (old[0] / self.resize[0], old[1] / self.resize[1])
        ratio = min(ratios) if self.fit == "shortest" else max(ratios)
        return max(1, round(old[0] / ratio)), max(1, round(old[1] / ratio))


def _middle(have: int, want: int) -> tuple[int, int, int]:
    """Where the middle begins in what there is, where it goes in what is wanted, and how much of it there is."""
    if have < want:
        return 0, (want - have) // 2, have
    return round((have - want) / 2), 0, want
