"""Encoder and TextEncoder: what turns pictures, or texts, into rows of features."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch

from pointwise._types import Pixels

_Item = TypeVar("_Item", contravariant=True)


class _Encodes(Protocol[_Item]):
    """What every encoder has.

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

    def encode(self, items: Sequence[_Item], /) -> torch.Tensor:
        """Return the features of b items: float32 [b, d], row i of item i.

        A row depends on its item alone, up to float rounding: not on the others, nor on how many they are.
        """
        ...


class Encoder(_Encodes[Pixels], Protocol):
    """Turns pictures, each uint8 [h, w, 3] of its own size, into features; any object with these members is one."""


class TextEncoder(_Encodes[str], Protocol):
    """Turns texts into features; any object with these members is one."""

    @property
    def max_tokens(self) -> int:
        """Longer texts are cut to this many tokens."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        ...
