"""Inputs and PointSet: what goes into a model of pairs, and what comes out of its heads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pointwise.errors import InputError

_AT_ONCE = 256  # items that are copied to be hashed


class Inputs(NamedTuple):
    """The items of one side of the pairs, as its tower takes them.

    x: [n, ...]: token features [n, t, h], pictures uint8 [n, 3, side, side], or token ids int64 [n, t]. `StoredTokens`,
        which stay on disk, stand for token features of which only some rows are taken at a time.
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


def joined(parts: Sequence[PointSet]) -> PointSet:
    """Return the point sets of several parts as one."""
    x, log_w, w = zip(*parts, strict=True)
    return PointSet(torch.cat(x), torch.cat(log_w), None if w[0] is None else torch.cat(w))


class Pairs(NamedTuple):
    """n images and the n texts that belong to them, row by row."""

    images: Inputs
    texts: Inputs

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return len(self.images.x)

    def require_paired(self) -> None:
        """Raise an InputError unless there are as many texts as images."""
        images, texts = len(self.images.x), len(self.texts.x)
        if images != texts:
            raise InputError(f"there are {images} images and {texts} texts; there must be one text for each image.")

    def rows(self, index: Tensor) -> Pairs:
        """Return the pairs at these places."""
        return Pairs(self.images.rows(index), self.texts.rows(index))

    def to(self, device: str | torch.device) -> Pairs:
        """Return the same on a device."""
        return Pairs(self.images.to(device), self.texts.to(device))

    def sha256(self) -> str:
        """Return the SHA-256 of all pairs."""
        return _sha256(self, torch.arange(self.n))


class SomePairs(NamedTuple):
    """Those of the pairs that stand at some places: they stay where they are, in memory or on disk, and are not copied.

    pairs: among which they are.
    places: int64 [n].

    >>> some = SomePairs(Pairs(Inputs(torch.arange(5)), Inputs(torch.arange(5))), torch.tensor([4, 2]))
    >>> some.n, some.rows(torch.tensor([0])).images.x
    (2, tensor([4]))
    """

    pairs: Pairs
    places: Tensor

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return len(self.places)

    def require_paired(self) -> None:
        """Raise an InputError unless there are as many texts as images."""
        self.pairs.require_paired()

    def rows(self, index: Tensor) -> Pairs:
        """Return the pairs at these places, of the n."""
        return self.pairs.rows(self.places[index])

    def sha256(self) -> str:
        """Return the SHA-256 of all these pairs."""
        return _sha256(self.pairs, self.places)


def _sha256(pairs: Pairs, places: Tensor) -> str:
    digest = hashlib.sha256()
    for x in (*pairs.images, *pairs.texts):
        if x is not None:
            digest.update(f"{x.dtype} {(len(places), *x.shape[1:])}\n".encode())
            if stored := getattr(x, "sha256", None):  # what is on disk knows its own, and is not read for it
                digest.update(f"{stored} {places.tolist()}\n".encode())
                continue
            for some in places.split(_AT_ONCE):
                digest.update(x[some].detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
