"""From 8-bit pictures to what a vision network takes, with Pillow: resize, centre crop, rescale, normalise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError

_FILTERS = ("nearest", "Lanczos", "bilinear", "bicubic", "box", "Hamming")  # by Pillow's numbers
_BILINEAR = 2
_LARGEST = 1 << 26  # pixels of a resized picture; of longer ones only the part that the crop keeps is made

_FILE = "preprocessor_config.json"
_DONE = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_OTHER_WAYS = (
    "crop_pct",
    "ensure_multiple_of",
    "include_top",
    "keep_aspect_ratio",
    "max_num_patches",
    "rescale_offset",
    "size_divisor",
)
_OTHER_KINDS = ("Levit", "Perceiver")  # which resize or crop by rules of their own that the file does not say


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What happens to a picture, in this order; each step is left out where it is None.

    Args:
        resize: (height, width), aspect ratio not kept; or the length of the shorter side, aspect ratio kept.
        crop: (height, width) cut out of the middle; black is added around smaller pictures.
        resample: Pillow's number of the filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming.
        scale: factor of the values 0..255.
        mean: of red, green and blue, subtracted after scaling.
        std: of red, green and blue, divided by.

    >>> pre = Preprocessing(resize=8, crop=(8, 8), resample=3, scale=1 / 255, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> pre([np.zeros((16, 32, 3), dtype=np.uint8)]).shape
    torch.Size([1, 3, 8, 8])
    >>> pre.meta["resize"], pre.meta["normalisation"]
    ('Pillow bicubic, shorter side to 8, centre crop 8x8', '(x / 255 - [0.5, 0.5, 0.5]) / [0.5, 0.5, 0.5]')
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int
    scale: float | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def __call__(self, images: Sequence[Pixels]) -> torch.Tensor:
        """Return what the network takes for b pictures of any sizes: float32 [b, 3, h, w].

        >>> Preprocessing(resize=(2, 3), crop=None, resample=2, scale=None, mean=None, std=None)(
        ...     [np.full((9, 9, 3), 7, dtype=np.uint8)]
        ... )[0, 0]
        tensor([[7., 7., 7.], [7., 7., 7.]])
        """
        x = torch.from_numpy(np.stack([self._cropped(image) for image in images])).permute(0, 3, 1, 2).float()
        if self.scale is not None:
            x = x * self.scale
        if self.mean is not None and self.std is not None:
            mean, std = (torch.tensor(values, dtype=x.dtype)[:, None, None] for values in (self.mean, self.std))
            x = (x - mean) / std
        return x.contiguous()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network takes."""
        size = self.crop or self.resize
        if not isinstance(size, tuple):
            raise InputError(f"pictures resized by {self.resize} and not cropped differ in size; add a centre crop.")
        return size

    @property
    def meta(self) -> dict[str, Any]:
        """The steps in words, for the meta of an encoder: resize, antialias, normalisation."""
        steps = []
        if isinstance(self.resize, int):
            steps.append(f"Pillow {_FILTERS[self.resample]}, shorter side to {self.resize}")
        elif self.resize is not None:
            height, width = self.resize
            steps.append(f"Pillow {_FILTERS[self.resample]} to {height}x{width}, aspect ratio not kept")
        if self.crop is not None:
            steps.append(f"centre crop {self.crop[0]}x{self.crop[1]}")
        value = "x"
        if self.scale is not None:
            value = "x / 255" if math.isclose(self.scale, 1 / 255) else f"x * {self.scale}"
        if self.mean is not None and self.std is not None:
            value = f"({value} - {list(self.mean)}) / {list(self.std)}"
        antialias = self.resize is not None and self.resample != 0  # Pillow's filters widen by the reduction
        return {"resize": ", ".join(steps) or "none", "antialias": antialias, "normalisation": value}

    def _cropped(self, image: Pixels) -> Pixels:
        if self.resize is not None:
            image = self._resized(image)
        if self.crop is None:
            return image
        out = np.zeros((*self.crop, 3), dtype=np.uint8)
        (top, to_top, height), (left, to_left, width) = map(_middle, image.shape[:2], self.crop)
        out[to_top : to_top + height, to_left : to_left + width] = image[top : top + height, left : left + width]
        return out

    def _resized(self, image: Pixels) -> Pixels:
        from PIL import Image

        old = image.shape[:2]
        if isinstance(self.resize, int):
            short, long = min(old), max(old)
            longer = int(self.resize * long / short)
            new = (self.resize, longer) if old[0] == short else (longer, self.resize)
        else:
            new = self.resize or old
        box = (0.0, 0.0, float(old[1]), float(old[0]))
        if self.crop is not None and new[0] * new[1] > _LARGEST:
            (top, _, height), (left, _, width) = map(_middle, new, self.crop)
            down, across = old[0] / new[0], old[1] / new[1]
            box = (left * across, top * down, (left + width) * across, (top + height) * down)
            new = (height, width)
        resized = Image.fromarray(image).resize((new[1], new[0]), Image.Resampling(self.resample), box)
        return np.asarray(resized)


def _middle(have: int, want: int) -> tuple[int, int, int]:
    """Where the middle begins in what there is, where it goes in what is wanted, and how much of it there is."""
    start = (have - want) // 2
    return max(0, start), max(0, -start), min(have, want)


def read_preprocessing(folder: Path) -> Preprocessing:
    """Return the preprocessing that the preprocessor_config.json of a model folder describes.

    A lone number as size is the length of the shorter side where a centre crop follows, else that of both sides.

    Raises:
        InputError: there is no such file, it lacks the size, mean or std, or it asks for other steps than these four.
    """
    file, said = _config(folder)
    other = [key for key in said if key.startswith("do_") and key not in _DONE and said[key] is True]
    other += [key for key in _OTHER_WAYS if said.get(key) not in (None, False)]
    other += [_kind(said)] if _kind(said).startswith(_OTHER_KINDS) else []
    if other:
        raise InputError(
            f"{file} asks for {', '.join(other)}; pointwise resizes, crops the centre, rescales and normalises, "
            "so it would give this model pictures that it was not trained on. Choose another model."
        )
    crop = _height_width(file, said, "crop_size") if said.get("do_center_crop", "crop_size" in said) else None
    resample = said.get("resample", _BILINEAR)
    if resample not in range(len(_FILTERS)):
        raise InputError(f"resample in {file} is {resample!r}; it must be one of Pillow's filters, 0 to 5.")
    normalises = said.get("do_normalize", True)
    pre = Preprocessing(
        resize=_resize(file, said) if said.get("do_resize", True) else None,
        crop=crop,
        resample=int(resample),
        scale=float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else None,
        mean=_colours(file, said, "image_mean") if normalises else None,
        std=_colours(file, said, "image_std") if normalises else None,
    )
    if crop is None and not isinstance(pre.resize, tuple):
        raise InputError(
            f"{file} brings pictures to no common size: size is {said.get('size')!r} and there is no centre crop; "
            'give size as {"height": ..., "width": ...}, or add "do_center_crop": true and crop_size.'
        )
    return pre


def _config(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    for file in (folder / _FILE, folder / "processor_config.json"):
        if not file.is_file():
            continue
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read as JSON ({error}); fetch the model again.") from None
        said = said if file.name == _FILE else said.get("image_processor")
        if isinstance(said, dict):
            return file, said
    raise InputError(
        f"{folder} has no {_FILE}, so how pictures must be resized and normalised is not known; copy the file from "
        "where the model came from into the folder."
    )


def _resize(file: Path, said: Mapping[str, Any]) -> int | tuple[int, int]:
    size: Any = said.get("size")
    edge: Any = size.get("shortest_edge") if isinstance(size, dict) and set(size) == {"shortest_edge"} else None
    if isinstance(size, int):
        edge = size if said.get("do_center_crop", "crop_size" in said) and not _kind(said).startswith("DeiT") else None
    if _positive(edge):
        return int(edge)
    return _height_width(file, said, "size")


def _kind(said: Mapping[str, Any]) -> str:
    return str(said.get("image_processor_type") or said.get("feature_extractor_type"))


def _height_width(file: Path, said: Mapping[str, Any], key: str) -> tuple[int, int]:
    size: Any = said.get(key)
    sides: list[Any] = [size.get("height"), size.get("width")] if isinstance(size, dict) else [size, size]
    if not all(map(_positive, sides)):
        raise InputError(
            f"{key} in {file} is {size!r}; it must be a positive whole number of pixels, or height and width"
            f"{', or shortest_edge alone' if key == 'size' else ''}."
        )
    return int(sides[0]), int(sides[1])


def _positive(side: Any) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and side > 0


def _colours(file: Path, said: Mapping[str, Any], key: str) -> tuple[float, ...]:
    values = said.get(key)
    values = [values] * 3 if isinstance(values, int | float) else values
    if not isinstance(values, list) or len(values) != 3 or (key == "image_std" and 0 in values):
        raise InputError(f'{key} in {file} is {values!r}; it must be three numbers, or set "do_normalize": false.')
    return tuple(map(float, values))
