"""Encoder and TextEncoder: what turns pictures, or texts, into rows of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from pointwise._types import Pixels as Pixels


class _Named(Protocol):
    """What every encoder says of itself.

    Attributes:
        name: the name that it is loaded by again, with every option in it.
        dim: number of feature columns.
        meta: what the features depend on: preprocessing or pooling, dtype, SHA-256 of the weights; writable as JSON.
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def meta(self) -> Mapping[str, Any]: ...


class Encoder(_Named, Protocol):
    """Turns pictures into features; any object with ``name``, ``dim``, ``meta`` and ``encode`` is one."""

    def encode(self, images: Sequence[Pixels]) -> torch.Tensor:
        """Return the features of b pictures, each uint8 [h, w, 3] of its own size: float32 [b, d], row i of picture i.

        A row depends on its picture alone, up to float rounding: not on the others, nor on how many they are.
        """
        ...


class TextEncoder(_Named, Protocol):
    """Turns texts into features; any object with ``name``, ``dim``, ``meta`` and the members below is one."""

    @property
    def max_tokens(self) -> int:
        """Longer texts are cut to this many tokens."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        ...

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the features of b texts: float32 [b, e], row i of text i.

        A row depends on its text alone, up to float rounding: not on the others, nor on how many they are.
        """
        ...
