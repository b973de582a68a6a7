"""From pictures to what a network takes, by the own steps of the package that the network is from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointwise._types import Pixels
from pointwise.encoders.network import Inputs, Tower, in_batches, loading
from pointwise.errors import InputError

_LONGEST = 1000  # times as long as wide is a picture whose ends, far outside of the centre crop, are not resized


class Preprocessing:
    """What a package does to each picture before its network: `steps` from uint8 [h, w, 3] to [3, height, width].

    The settings are in the package's own words, and `example` is what the network takes for a picture of noise. Where
    the centre is cut out after the shorter side is resized, the ends of a long picture do not matter.
    """

    def __init__(
        self, steps: Callable[[Pixels], Tensor], settings: Mapping[str, Any], *, name: str, centre: bool
    ) -> None:
        self._steps, self._centre = steps, centre
        self.meta = {"preprocessing": dict(settings)}
        noise = np.random.default_rng(0)
        advice = f"choose another model, or mend its settings, {dict(settings)}."
        with loading(f"the preprocessing of {name} cannot be used", advice):
            high, wide = (steps(noise.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in ((64, 40), (48, 72)))
        if high.shape != wide.shape or high.ndim != 3 or len(high) != 3 or not high.numel():
            raise InputError(
                f"the preprocessing of {name} brings pictures to no common size, but to {list(high.shape)} and "
                f"{list(wide.shape)}; {advice}"
            )
        if not bool(torch.isfinite(high).all()):
            raise InputError(f"the preprocessing of {name} gives values that are not finite; {advice}")
        self.example = {"pixel_values": high[None].float()}

    def __call__(self, images: Sequence[Pixels]) -> Tensor:
        """Return what the network takes for b pictures of any sizes: float32 [b, 3, h, w]."""
        return torch.stack([self._steps(self._middle(image)) for image in images]).float()

    def _middle(self, image: Pixels) -> Pixels:
        if not self._centre:
            return image
        height, width = (max(0, (side - _LONGEST * min(image.shape[:2])) // 2) for side in image.shape[:2])
        return image[height : image.shape[0] - height, width : image.shape[1] - width]


def of_pillow(transform: Callable[[Any], Tensor]) -> Callable[[Pixels], Tensor]:
    """Return the steps that a transform of Pillow's images makes."""
    from PIL import Image

    return lambda image: transform(Image.fromarray(image))


class ImageEncoder:
    """Pictures through the preprocessing of a model and the tower of its network."""

    def __init__(self, name: str, tower: Tower, preprocess: Preprocessing, meta: Mapping[str, Any]) -> None:
        self.name, self.dim, self.tower, self.preprocess = name, tower.dim, tower, preprocess
        self.meta: Mapping[str, Any] = {**meta, **preprocess.meta}

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, d], on the CPU."""
        return self.tower.encode(self._batches(images))

    def _batches(self, images: Sequence[Pixels]) -> Iterator[Inputs]:
        return ({"pixel_values": self.preprocess(some)} for some in in_batches(images, self.tower.items_at_once))
