"""How KmePmi learns: pairs in three parts, canonical axes, heads that start near a Gaussian, training from there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pointwise._types import Integers, Progress
from pointwise.errors import InputError
from pointwise.pmi.axes import canonical_axes
from pointwise.training.inputs import Pairs
from pointwise.training.loop import fit
from pointwise.training.model import DualEncoder
from pointwise.training.options import Options
from pointwise.training.split import groups_of, split

_FEWEST = 100  # pairs; of 15 that are held out the constant is known to about 0.3 nats
_SHARE = 0.15  # of the pairs, held out to choose by; and as many again for the constant
_POINTS, _MOST_AXES, _BATCH = 4, 64, 256
_OPTIONS = Options(steps=300, held_out_every=10, warmup=50, learning_rate=2e-3, weight_decay=0.1)
_STRENGTH = 0.5  # of the relation that training starts with, in those of a Gaussian
_NOISE = 0.1  # by which points differ at first, in sizes of an axis
_SMALLEST = 0.3  # size of an axis without correlation, for the noise


def learn(
    pairs: Pairs, keys: Sequence[Integers], *, seed: int, progress: Progress | None
) -> tuple[DualEncoder, Tensor]:
    """Return a model of pairs of rows, and the places of pairs that it has not seen; no key is on both sides."""
    for name, side in zip("xy", pairs, strict=True):
        _require_varied(side.x[:, 0], name)
    train_on, choose_by, unseen = three_parts(pairs.n, keys, seed=seed)
    training, choosing = pairs.rows(train_on), pairs.rows(choose_by)
    sides = [(some.images.x[:, 0].double(), some.texts.x[:, 0].double()) for some in (training, choosing)]
    *towers, correlations = canonical_axes(*sides, most=_MOST_AXES)
    model = DualEncoder(*towers, points=_POINTS, dim=len(correlations) + 1, seed=seed)
    model.to(pairs.images.x.device)
    _start(model, correlations, seed)
    options = replace(_OPTIONS, batch_size=min(_BATCH, training.n), seed=seed)
    for line in fit(model, training, options, held_out=choosing):
        if progress is not None and line["step"]:
            progress("learning kme_pmi", int(line["step"]), options.steps)
    model.meta |= {"trained_on": training.n, "seed": seed}
    return model, unseen


def three_parts(n: int, keys: Sequence[Integers], *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places of pairs to train on, to choose by, and for the constant; no key is in two of these."""
    try:
        training, unseen, choosing = split(groups_of(keys) if keys else np.arange(n), _SHARE, _SHARE, seed=seed)
    except InputError:
        raise _connected(n) from None
    parts = training, choosing, unseen
    different = [len(part) for part in parts] + [len(np.unique(key[part])) for key in keys for part in parts]
    if min(different) < _SHARE * _FEWEST / 2:
        raise _connected(n)
    return parts


def _connected(n: int) -> InputError:
    return InputError(
        f"{n} pairs cannot be split into {1 - 2 * _SHARE:.0%} to train on and twice {_SHARE:.0%} to hold out without "
        "copies across the split: equal rows of x or y connect too many of them. Leave copies out, or give more pairs "
        "that differ."
    )


def _require_varied(x: Tensor, name: str) -> None:
    """Raise an InputError unless rows [n, d] are enough to learn from, differ, and have squares that fit float64."""
    n = len(x)
    if n < _FEWEST:
        raise InputError(
            f"{n} pairs are too few to learn a similarity and its constant from; at least {_FEWEST} are needed, and a "
            "thousand say much more. GaussianPair (mid) does with fewer."
        )
    largest = float((x.double() - x[0].double()).abs().amax())
    if largest == 0:
        raise InputError(f"all {n} rows of {name} are equal: nothing can be learned from them.")
    if not 1e-140 < largest < 1e140:
        raise InputError(
            f"rows of {name} differ by at most {largest:.3g}, whose square does not fit into float64: rescale the "
            "features to between 1e-140 and 1e140."
        )


@torch.no_grad()
def _start(model: DualEncoder, correlations: Tensor, seed: int) -> None:
    """Give the heads what is nearly the relation of Gaussians with these correlations, at some of its strength.

    Its cross term is the sum over axes of c / (1 - c^2) z z'. With points along (a z sqrt(c / (1 - c^2)), 1), the same
    axes on both sides, the similarity has a^2 s times that, as long as points stay near the centre; training takes it
    from there. Points of noise alone would have to unlearn it, with pairs that are too few.
    """
    generator = torch.Generator().manual_seed(seed)
    size = (correlations / (1 - correlations.square())).sqrt().float().cpu()
    r, d, m = len(size), model.dim, _POINTS
    reach = math.sqrt(_STRENGTH / float(model.scale.detach()))
    projection = torch.zeros(m, 2 * r + 1, d)
    projection[:, :r, :r] = torch.diag(reach * size)
    projection[:, r, r] = 1.0
    noise = _NOISE / math.sqrt(d) * torch.randn(m, r + 1, d, generator=generator)
    noise[:, :r] *= reach * size.clamp_min(_SMALLEST)[:, None]
    projection[:, : r + 1] += noise
    for head in (model.image_head, model.text_head):
        head.projection.copy_(projection)
