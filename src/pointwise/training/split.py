"""Pairs to hold out, so that none of them has a copy among those that are trained on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pointwise.errors import InputError
from pointwise.training.inputs import Inputs, Pairs

_AT_ONCE = 256


class Split(NamedTuple):
    """Which of n pairs are trained on and which are not, by place, ascending.

    training, held_out: int64, together 0..n-1.
    groups: of pairs that share a picture or a caption, directly or through others; none is on both sides.
    """

    training: Tensor
    held_out: Tensor
    groups: int


def split(keys: Sequence[Sequence[str]], share: float, *, seed: int = 0) -> Split:
    """Choose pairs to hold out: whole groups in random order, as many as the share has room for.

    Two pairs are of one group where they have a key in common, or are so connected by others.

    Args:
        keys: of each kind one for each of the n pairs, as `keys_of` returns them.
        share: of the n pairs that are held out at most; less only where no group is small enough to fill it.
        seed: of the order of the groups.

    Raises:
        InputError: share is not between 0 and 1, or has no room for two pairs of whole groups.

    >>> split([["a", "a", "b", "c", "d"], ["1", "2", "2", "3", "4"]], 0.4)
    Split(training=tensor([0, 1, 2]), held_out=tensor([3, 4]), groups=3)
    """
    n = len(keys[0])
    if not 0 < share < 1:
        raise InputError(f"the share to hold out is {share:g}; it must be above 0 and below 1.")
    group = _connected(keys)
    sizes = np.bincount(group)
    room = room_for(share, n)
    chosen = np.zeros(len(sizes), dtype=bool)
    for i in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        if sizes[i] <= room:
            chosen[i] = True
            room -= int(sizes[i])
    out = chosen[group]
    if out.sum() < 2:
        raise InputError(
            f"a share of {share:g} of {n} pairs has room for {room_for(share, n)}, and must hold at least 2, with all "
            f"that share a picture or a caption with them: these are {len(sizes)} groups, of which the smallest has "
            f"{sizes.min()}. Give a larger share, or a path to other pairs."
        )
    training, held_out = (torch.from_numpy(np.flatnonzero(side)) for side in (~out, out))
    return Split(training, held_out, len(sizes))


def room_for(share: float, n: int) -> int:
    """Return how many of n pairs a share of them has room for.

    >>> room_for(0.29, 100), room_for(0.299, 100)  # of which the first product is 28.999999999999996
    (29, 29)
    """
    return int(share * n * (1 + 1e-12))


def keys_of(pairs: Pairs, *, captions: Sequence[str] | None = None) -> dict[str, Sequence[str]]:
    """Return the keys by which copies are known: bytes of images and of texts; captions, but for case and spaces.

    Captions that differ only beyond what a model reads have the same bytes as texts. The token features of copies may
    differ in their last bits: give what else is known of the items, too.
    """
    keys: dict[str, Sequence[str]] = {"image": digests(pairs.images), "text": digests(pairs.texts)}
    return keys if captions is None else keys | {"caption": [" ".join(text.casefold().split()) for text in captions]}


def count_copies(keys: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]]) -> int:
    """Return how many pairs share a key with one of the others, of the kinds that are known of both.

    >>> count_copies({"image": ["a", "b", "c"], "caption": ["1", "2", "3"]}, {"image": ["a", "z"], "text": ["3", "9"]})
    1
    """
    found = [[key in there for key in keys[kind]] for kind in keys if kind in others for there in [set(others[kind])]]
    return sum(map(any, zip(*found, strict=True)))


def _connected(keys: Sequence[Sequence[str]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The connected component of each pair, where a pair is connected to its keys."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = nodes = len(keys[0])
    ends = []
    for column in keys:
        number = {key: nodes + i for i, key in enumerate(dict.fromkeys(column))}
        nodes += len(number)
        ends.append([number[key] for key in column])
    starts, links = np.tile(np.arange(n), len(keys)), np.concatenate(ends)
    graph = coo_array((np.ones(len(links), dtype=bool), (starts, links)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return np.unique(component[:n], return_inverse=True)[1].astype(np.int64)


def digests(side: Inputs) -> list[str]:
    """Return the SHA-256 of each item of one side, without what is padding."""
    found = []
    for start in range(0, len(side.x), _AT_ONCE):
        some = side.rows(slice(start, start + _AT_ONCE))
        for i, x in enumerate(some.x):
            valid = x if some.mask is None else x[some.mask[i]]
            # A single column may have stride 0 and count as contiguous; as bytes it cannot be seen then.
            plain = valid.detach().cpu().clone(memory_format=torch.contiguous_format)
            content = plain.view(torch.uint8).numpy().tobytes()
            found.append(hashlib.sha256(f"{math.prod(valid.shape)} ".encode() + content).hexdigest())
    return found
