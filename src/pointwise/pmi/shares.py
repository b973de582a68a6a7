"""The shares of the pairs that KmePmi learns from: to train on, to choose by, for the constant; no copy is in two."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pointwise.errors import InputError
from pointwise.training.inputs import Pairs
from pointwise.training.split import keys_of, split

FEWEST = 100  # pairs; of 15 that are held out the constant is known to about 0.3 nats
_SHARE = 0.15  # of the pairs, held out to choose by; and as many again for the constant
_VALUES = 5  # places in which a row stands on average: beyond it is one of few values, and no copy

Keys = list[list[str]]  # by which copies are known: of each side a key for each pair


class Shares(NamedTuple):
    """Places of pairs, int64, each in one share."""

    training: Tensor
    choosing: Tensor
    unseen: Tensor


def require_varied(x: Tensor, name: str) -> None:
    """Raise an InputError unless rows [n, d] are enough to learn from, differ, and have squares that fit float64."""
    n = len(x)
    if n < FEWEST:
        raise InputError(
            f"{n} pairs are too few to learn a similarity and its constant from; at least {FEWEST} are needed, and a "
            "thousand say much more. GaussianPair (mid) does with fewer."
        )
    deviations = x.double() - x[0].double()
    largest = float(deviations.abs().amax())
    if largest == 0:
        raise InputError(f"all {n} rows of {name} are equal: nothing can be learned from them.")
    if not 1e-140 < largest < 1e140:
        raise InputError(
            f"rows of {name} differ by at most {largest:.3g}, whose square does not fit into float64: rescale the "
            "features to between 1e-140 and 1e140."
        )


def shares(n: int, keys: Keys, *, seed: int) -> Shares:
    """Return where the pairs of each share stand; those with a key in common are of one.

    Raises:
        InputError: the keys connect so many that no share is large enough.
    """
    keys = keys or [[str(i) for i in range(n)]]
    try:
        unseen = split(keys, _SHARE, seed=seed)
        rest = unseen.training
        choosing = split(at(keys, rest), _SHARE * n / len(rest), seed=seed)
    except InputError:
        raise _connected(n) from None
    found = Shares(rest[choosing.training], rest[choosing.held_out], unseen.held_out)
    different = min(len(set(key)) for share in found for key in at(keys, share))
    if min(different, *map(len, found)) < _SHARE * FEWEST / 2:
        raise _connected(n)
    return found


def _connected(n: int) -> InputError:
    return InputError(
        f"{n} pairs cannot be split into {1 - 2 * _SHARE:.0%} to train on and twice {_SHARE:.0%} to hold out without "
        "copies across the split: equal rows of x or y connect too many of them. Leave copies out, or give more pairs "
        "that differ."
    )


def copy_keys(pairs: Pairs) -> Keys:
    """Return the keys by which copies are known; of a side of few values none, for there equal rows are no copies.

    Texts may be those of classes, which the pairs to score have too. Pictures are new there, and ten captions of each
    do not make them classes: they are values only where they are too few to split.
    """
    images, texts = (list(key) for key in keys_of(pairs).values())
    few = _few(images) and len(set(images)) < FEWEST / 2
    return ([] if few else [images]) + ([] if _few(texts) else [texts])


def _few(key: list[str]) -> bool:
    return len(key) > _VALUES * len(set(key))


def at(keys: Keys, places: Tensor) -> Keys:
    """Return the keys of the pairs at these places."""
    return [[key[i] for i in places.tolist()] for key in keys]
