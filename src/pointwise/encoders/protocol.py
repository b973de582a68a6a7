"""Encoder and TextEncoder: what turns pictures, or texts, into rows of features."""

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


class TextEncoder(Protocol):
    """Turns texts into features; any object with these six members is one.

    Attributes:
        name: the name that ``load_text_encoder`` makes it from again, with every option in it.
        dim: number of feature columns, e.
        meta: what the features depend on: pooling, normalisation, dtype, SHA-256 of the weights; writable as JSON.
        max_tokens: longer texts are cut to this many tokens.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def dim(self) -> int: ...  # noqa: D102

    @property
    def meta(self) -> Mapping[str, Any]: ...  # noqa: D102

    @property
    def max_tokens(self) -> int: ...  # noqa: D102

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        ...

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the features of b texts: float32 [b, e], row i of text i.

        A row depends on its text alone, up to float rounding: not on the others, nor on how many they are.
        """
        ...
