"""How KmePmi learns: pairs in three parts, canonical axes, heads that start near a Gaussian, training from there."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pointwise._types import Integers, Progress
from pointwise.errors import InputError
from pointwise.training.inputs import Pairs
from pointwise.training.loop import fit
from pointwise.training.model import DualEncoder
from pointwise.training.options import Options
from pointwise.training.split import groups_of, split
from pointwise.training.towers import CanonicalAxes

_FEWEST = 100  # pairs; of 15 that are held out the constant is known to about 0.3 nats
_SHARE = 0.15  # of the pairs, held out to choose by; and as many again for the constant
_POINTS, _MOST_AXES, _BATCH = 4, 64, 256
_OPTIONS = Options(steps=300, held_out_every=10, warmup=50, learning_rate=2e-3, weight_decay=0.1)
_STRENGTH = 0.5  # of the relation that training starts with, in those of a Gaussian
_NOISE = 0.1  # by which points differ at first, in sizes of an axis
_SMALLEST = 0.3  # size of an axis without correlation, for the noise
_RIDGES = (0.01, 0.1, 1.0, 10.0)  # in mean variances of the columns of a side
_ROUNDING = 1e-10  # of the largest variance: what is below it is noise of float64
_CERTAIN = 0.99  # correlation that a few hundred pairs cannot tell from 1


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


def canonical_axes(
    training: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], *, most: int
) -> tuple[CanonicalAxes, CanonicalAxes, Tensor]:
    r"""Return the canonical axes of training pairs, with the ridge that does best on held-out pairs.

    They come as the tower of each side, whose coordinates have deviation 1 on the held-out pairs, and their
    correlations there, float64 [r], 0 where these do not differ from chance.

    They are those of canonical correlation analysis with :math:`\lambda \operatorname{tr}(\Sigma) / d` added to the
    diagonal of the covariance of each side. Where columns are many, training pairs say far too much of the
    correlations; so held-out pairs say them, and choose the :math:`\lambda` out of .01, .1, 1 and 10 that leaves most
    information, :math:`-\frac12 \sum_i \ln(1 - c_i^2)`. Pairs are x [n, dx] and y [n, dy], float64; there are at most
    so many axes, fewer where a side has fewer that vary.

    Reference: Vinod (1976), doi:10.1016/0304-4076(76)90010-5, for the ridge.
    """
    means = [x.mean(0) for x in training]
    inner, outer = ([x - mean for x, mean in zip(pairs, means, strict=True)] for pairs in (training, held_out))
    principal = [_principal(x) for x in inner]
    candidates = []
    for ridge in _RIDGES:
        white = [axes / (variances + ridge * mean).sqrt() for variances, axes, mean in principal]
        left, _, right = torch.linalg.svd((inner[0] @ white[0]).T @ (inner[1] @ white[1]), full_matrices=False)
        sides = [white[0] @ left[:, :most], white[1] @ right[:most].T]
        here = [(x @ axes).std(0) for x, axes in zip(inner, sides, strict=True)]
        there = [x @ axes for x, axes in zip(outer, sides, strict=True)]
        # Training pairs have too little of their deviation to tell it; but few others may be all alike by chance.
        scales = [torch.clamp(z.std(0), min=0.1 * s) for z, s in zip(there, here, strict=True)]
        c = ((there[0] - there[0].mean(0)) * (there[1] - there[1].mean(0))).sum(0) / (len(there[0]) - 1)
        c = c / (scales[0] * scales[1])
        c = torch.where(c > 2 / math.sqrt(len(there[0])), c.clamp(max=_CERTAIN), torch.zeros_like(c))
        information = float(-0.5 * torch.log1p(-c.square()).sum())
        x, y = (_tower(mean, axes / s) for mean, axes, s in zip(means, sides, scales, strict=True))
        candidates.append((information, (x, y, c)))
    return max(candidates, key=lambda one: one[0])[1]


def _principal(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Variances [p] and principal axes [d, p] of centred rows [n, d], and the mean variance of a column."""
    n, d = x.shape
    wide = n < d
    variances, vectors = torch.linalg.eigh((x @ x.T if wide else x.T @ x) / (n - 1))
    kept = variances > variances[-1] * _ROUNDING
    variances, vectors = variances[kept], vectors[:, kept]
    axes = x.T @ vectors / ((n - 1) * variances).sqrt() if wide else vectors
    return variances, axes, float(variances.sum()) / d


def _tower(mean: Tensor, directions: Tensor) -> CanonicalAxes:
    tower = CanonicalAxes(columns=len(mean), axes=directions.shape[1]).to(mean.device)
    tower.mean.copy_(mean)
    tower.directions.copy_(directions)
    return tower
