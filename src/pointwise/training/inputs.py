"""What goes into a model of pairs, Inputs and Pairs, and what comes out of its heads, PointSet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from pointwise.errors import InputError

_AT_ONCE = 256  # items that are copied to be hashed


class Inputs(NamedTuple):
    """The items of one side of the pairs, as its tower takes them.

    x is token features [n, t, h], pictures uint8 [n, 3, side, side], or token ids int64 [n, t]; `StoredTokens`, which
    stay on disk, and `Rows` stand for tensors of which only some rows are taken at a time. mask, bool [n, t], is True
    where there is a token, and None where nothing is padded.
    """

    x: Tensor
    mask: Tensor | None = None

    def rows(self, index: slice | Tensor | Sequence[int]) -> Inputs:
        """Return the items at these places."""
        return Inputs(self.x[index], None if self.mask is None else self.mask[index])

    def some(self, places: Tensor) -> Inputs:
        """Return the same without a copy: the items stay where they are, in memory or on disk."""
        return Inputs(cast(Tensor, Rows(self.x, places)), None if self.mask is None else self.mask[places])

    def to(self, device: str | torch.device) -> Inputs:
        """Return the same on a device."""
        return Inputs(self.x.to(device), None if self.mask is None else self.mask.to(device))


class Rows:
    """Rows of a tensor, or of tokens on disk, which are taken when they are asked for; indexed as a tensor is."""

    def __init__(self, x: Any, places: Tensor) -> None:
        self.x, self.places = x, places
        self.shape, self.dtype = torch.Size((len(places), *x.shape[1:])), x.dtype

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> Tensor:
        taken: Tensor = self.x[self.places[index]]
        return taken

    def to(self, device: str | torch.device) -> Tensor:
        """Return all rows on a device."""
        return self[:].to(device)


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
    """Return the point sets of several parts as one; a single part is not copied, as a copy may have other strides."""
    if len(parts) == 1:
        return parts[0]
    x, log_w, w = zip(*parts, strict=True)
    return PointSet(torch.cat(x), torch.cat(log_w), None if w[0] is None else torch.cat(w))


class Pairs(NamedTuple):
    """n images and the n texts that belong to them, row by row.

    >>> few = Pairs(Inputs(torch.arange(5)), Inputs(torch.arange(5))).some(torch.tensor([4, 2]))
    >>> few.n, few.rows(torch.tensor([0])).images.x
    (2, tensor([4]))
    """

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

    def some(self, places: Tensor) -> Pairs:
        """Return the same without a copy of the items."""
        return Pairs(self.images.some(places), self.texts.some(places))

    def to(self, device: str | torch.device) -> Pairs:
        """Return the same on a device."""
        return Pairs(self.images.to(device), self.texts.to(device))

    def sha256(self) -> str:
        """Return the SHA-256 of all pairs, whether or not they are some of others."""
        digest = hashlib.sha256()
        for side in (*self.images, *self.texts):
            if side is None:
                continue
            x, places = (side.x, side.places) if isinstance(side, Rows) else (side, torch.arange(len(side)))
            digest.update(f"{side.dtype} {tuple(side.shape)}\n".encode())
            if stored := getattr(x, "sha256", None):  # what is on disk knows its own, and is not read for it
                digest.update(f"{stored} {places.tolist()}\n".encode())
                continue
            for some in places.split(_AT_ONCE):
                digest.update(x[some].detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()
