"""Pairs to hold out, so that none of them has a copy among those that are trained on."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointwise._options import number
from pointwise._types import Integers
from pointwise.errors import InputError
from pointwise.training.inputs import Inputs, Pairs

_AT_ONCE = 256


def split(groups: Integers, *shares: float, seed: int = 0) -> list[Tensor]:
    """Choose pairs to hold out: whole groups in random order, as many as each share of all pairs has room for.

    Returns the places, ascending, of the pairs that are left and of those held out for each share. No group is in two
    of these; a share is not filled only where no group is small enough, and is refused if it has no room for two pairs.

    >>> split(groups_of([["a", "a", "b", "c", "d"], ["1", "2", "2", "3", "4"]]), 0.4)
    [tensor([0, 1, 2]), tensor([3, 4])]
    """
    n, left, parts = len(groups), np.arange(len(groups)), []
    for share in shares:
        number(share, "the share to hold out", above=0, below=1)
        here = np.unique(groups[left], return_inverse=True)[1]
        sizes, room = np.bincount(here), room_for(share, n)
        chosen = np.zeros(len(sizes), dtype=bool)
        for i in np.random.default_rng(seed).permutation(len(sizes)).tolist():
            if sizes[i] <= room:
                chosen[i] = True
                room -= int(sizes[i])
        out = chosen[here]
        if out.sum() < 2:
            raise InputError(
                f"a share of {share:g} of {n} pairs has room for {room_for(share, n)}, and must hold at least 2, with "
                f"all that share a picture or a caption with them: these are {len(sizes)} groups, of which the "
                f"smallest has {sizes.min()}. Give a larger share, or a path to other pairs."
            )
        parts.append(torch.from_numpy(left[out]))
        left = left[~out]
    return [torch.from_numpy(left), *parts]


def room_for(share: float, n: int) -> int:
    """Return how many of n pairs a share of them has room for.

    >>> room_for(0.29, 100), room_for(0.299, 100)  # of which the first product is 28.999999999999996
    (29, 29)
    """
    return int(share * n * (1 + 1e-12))


def keys_of(pairs: Pairs, *, captions: Iterable[Any] | None = None) -> dict[str, Sequence[str]]:
    """Return the keys by which copies are known: bytes of images and of texts; captions, but for case and spaces.

    Captions that differ only beyond what a model reads have the same bytes as texts. The token features of copies may
    differ in their last bits: give what else is known of the items, too.
    """
    keys: dict[str, Sequence[str]] = {"image": digests(pairs.images), "text": digests(pairs.texts)}
    if captions is not None:
        keys["caption"] = [" ".join(str(text).casefold().split()) for text in captions]
    return keys


def count_copies(keys: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]]) -> int:
    """Return how many pairs share a key with one of the others, of the kinds that are known of both.

    >>> count_copies({"image": ["a", "b", "c"], "caption": ["1", "2", "3"]}, {"image": ["a", "z"], "text": ["3", "9"]})
    1
    """
    shared = [list(map(set(others[kind]).__contains__, keys[kind])) for kind in keys if kind in others]
    return sum(map(any, zip(*shared, strict=True)))


def groups_of(keys: Sequence[Sequence[Any] | Integers]) -> Integers:
    """Return the group of each pair: pairs are of one where they have a key in common, or are so connected by others.

    Of each kind of keys there is one for each of the n pairs, as `keys_of` returns them.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A graph of pairs and keys, in which each pair is linked to its own keys: far fewer links than between pairs.
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
    hashes = []
    for start in range(0, len(side.x), _AT_ONCE):
        some = side.rows(slice(start, start + _AT_ONCE))
        for i, x in enumerate(some.x):
            valid = x if some.mask is None else x[some.mask[i]]
            # A single column may have stride 0 and count as contiguous; as bytes it cannot be seen then.
            plain = valid.detach().cpu().clone(memory_format=torch.contiguous_format)
            content = plain.view(torch.uint8).numpy().tobytes()
            hashes.append(hashlib.sha256(f"{math.prod(valid.shape)} ".encode() + content).hexdigest())
    return hashes
