"""Inputs and PointSet: what goes into a model of pairs, and what comes out of its heads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Inputs(NamedTuple):
    """The items of one side of the pairs, as its tower takes them.

    x: [n, ...]: token features [n, t, h], pictures uint8 [n, 3, side, side], or token ids int64 [n, t].
    mask: bool [n, t], True where there is a token; None where nothing is padded.
    """

    x: Tensor
    mask: Tensor | None = None

    def rows(self, index: slice | Tensor | Sequence[int]) -> Inputs:
        """Return the items at these places."""
        return Inputs(self.x[index], None if self.mask is None else self.mask[index])

    def to(self, device: str | torch.device) -> Inputs:
        """Return the same on a device."""
        return Inputs(self.x.to(device), None if self.mask is None else self.mask.to(device))


class PointSet(NamedTuple):
    """What a head makes of n items: m weighted points each, on the unit sphere.

    x: [n, m, d], points of length one; m = 1 for CLIP.
    log_w: [n, m], logarithms of the weights, -inf where a point is padding; 0 for CLIP and WPSE.
    w: [n, m], signed weights, 0 where a point is padding; of WPSE alone.
    """

    x: Tensor
    log_w: Tensor
    w: Tensor | None = None

    def rows(self, index: slice | Tensor | Sequence[int]) -> PointSet:
        """Return the point sets at these places."""
        return PointSet(self.x[index], self.log_w[index], None if self.w is None else self.w[index])


class Pairs(NamedTuple):
    """n images and the n texts that belong to them, row by row."""

    images: Inputs
    texts: Inputs

    def rows(self, index: Tensor) -> Pairs:
        """Return the pairs at these places."""
        return Pairs(self.images.rows(index), self.texts.rows(index))

    def to(self, device: str | torch.device) -> Pairs:
        """Return the same on a device."""
        return Pairs(self.images.to(device), self.texts.to(device))

    def sha256(self) -> str:
        """Return the SHA-256 of all pairs."""
        digest = hashlib.sha256()
        for x in (*self.images, *self.texts):
            if x is not None:
                digest.update(f"{x.dtype} {tuple(x.shape)}\n".encode())
                digest.update(x.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()
