"""Encoder: what turns pictures into rows of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class Encoder(Protocol):
    """Turns pictures into features; any object with these four members is one.

    Attributes:
        name: the name that ``load_encoder`` makes it from again, with every option in it.
        dim: number of feature columns, d.
        meta: what the features depend on: resize, normalisation, dtype, SHA-256 of the weights; writable as JSON.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def dim(self) -> int: ...  # noqa: D102

    @property
    def meta(self) -> Mapping[str, Any]: ...  # noqa: D102

    def encode(self, images: Sequence[Pixels]) -> torch.Tensor:
        """Return the features of b pictures, each uint8 [h, w, 3] of its own size: float32 [b, d], row i of picture i.

        A row depends on its picture alone, up to float rounding: not on the others, nor on how many they are.
        """
        ...
