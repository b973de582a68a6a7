"""How well two modalities go together: MID, in nats, and the scores that it is compared with, all per pair."""

import numpy as np
import torch

from pointwise._arrays import as_features
from pointwise._options import whole_number
from pointwise._types import Array, Integers
from pointwise.errors import InputError
from pointwise.score import Score, mean_score
from pointwise.summaries.gaussian import GaussianPair, as_pairs

_ENTRIES_AT_ONCE = 1 << 22
_ROWS_AT_ONCE = 16  # whose rivals are drawn together: the same for one seed, whatever the columns
_GATHERED = 32  # up to the n / 32-th part of all texts, fetching them costs less than the cosines of all
_TIE = 1e-12  # far above the rounding of a cosine, far below what float32 features can tell apart


def mid(
    real: Array, text: Array, fake: Array, *, ridge: float = 0.0, reduce: int | None = None, debias: bool = False
) -> Score:
    r"""Mutual information divergence: the information that generated samples share with their prompts, in nats.

    .. math:: \frac1n \sum_i \left(I(X; Y)
              + \tfrac12 \left[D_x^2(\hat x_i) + D_y^2(y_i) - D_z^2(\hat x_i, y_i)\right]\right)

    Higher is better. A Gaussian is fitted on the real pairs (real, text) and scores the generated ones (fake, text).
    It does not change when either side is turned, shifted or scaled. Without debias, scores of new pairs are too low
    by an amount that grows with the columns and falls with n: only equal n and columns are comparable.

    Args:
        real: [n, dx] features of real samples.
        text: [n, dy] features of their texts.
        fake: [n, dx] features of what was generated from those texts.
        ridge: added to the diagonal of the covariances.
        reduce: fit and score each side in this many of its principal axes over the real pairs; see `GaussianPair`.
        debias: make the score of generated pairs right on average at any n; needs n > dx + dy + 2 and no ridge.

    Returns:
        Score of one value per generated pair.

    Raises:
        InputError: lengths or widths differ, too few pairs for the columns, a constant or collinear column.

    Reference: Kim et al. (2022), https://arxiv.org/abs/2205.13445, eq. 6. The official set score divides the
    quadratic part by n - 1; this is the mean of its scores per sample.

    >>> rng = np.random.default_rng(0)
    >>> text = rng.normal(size=(500, 2))
    >>> real = text + rng.normal(size=(500, 2))
    >>> mid(real, text, text + rng.normal(size=(500, 2))).value > mid(real, text, rng.normal(size=(500, 2))).value
    True
    """
    pair = GaussianPair(ridge=ridge, reduce=reduce)
    pair.update(real, text)
    image, prompts = as_pairs(fake, text)
    return pair.score(image, prompts, debias=debias, fitted=(as_features(real), prompts))


def clip_score(image: Array, text: Array, *, scale: float = 2.5) -> Score:
    r"""CLIP-S: the cosine of each image and its text, never below 0, times a scale; higher is better.

    .. math:: w \max(\cos(x_i, y_i), 0)

    Args:
        image: [n, d] features of images.
        text: [n, d] features of their texts, in the same space.
        scale: w, 2.5 as published; others use 100 (and some cut the mean, not each pair, at 0).

    Raises:
        InputError: shapes differ, or a row is all zeros.

    Reference: Hessel et al. (2021), https://arxiv.org/abs/2104.08718, eq. 1.

    >>> clip_score([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]).per_sample.tolist()
    [2.5, 0.0]
    """
    x, y = _in_one_space(image, text)
    return mean_score((scale * (x * y).sum(dim=1).clamp_min(0)).numpy(), of="pair")


def ref_clip_score(image: Array, text: Array, references: Array) -> Score:
    r"""RefCLIP-S: the harmonic mean of CLIP-S and of the cosine to the nearest reference text; higher is better.

    .. math:: H\left(2.5 \max(\cos(x_i, y_i), 0),\; \max(\max_r \cos(y_i, r), 0)\right)

    Args:
        image: [n, d].
        text: [n, d], the candidates.
        references: [n, r, d], or [n, d] for one reference each.

    Raises:
        InputError: shapes differ, or a row is all zeros.

    Reference: Hessel et al. (2021), https://arxiv.org/abs/2104.08718, eq. 2.

    >>> ref_clip_score([[1.0, 0.0]], [[1.0, 0.0]], [[[0.0, 1.0], [1.0, 0.0]]]).value
    1.42...
    """
    images, candidates = _in_one_space(image, text)
    shown = torch.as_tensor(np.asarray(references) if not isinstance(references, torch.Tensor) else references)
    if shown.ndim == 2:
        shown = shown[:, None, :]
    if shown.ndim != 3 or (shown.shape[0], shown.shape[2]) != tuple(candidates.shape) or shown.shape[1] == 0:
        raise InputError(
            f"references has shape {list(shown.shape)}; for text {list(candidates.shape)} it must be "
            f"[{candidates.shape[0]}, references per row, {candidates.shape[1]}]."
        )
    flat = as_features(shown.reshape(-1, shown.shape[2]), name="references").cpu()
    lengths = _lengths(flat, "references").view(*shown.shape[:2])
    nearest = torch.empty(len(candidates), dtype=torch.float64)
    rows = max(1, _ENTRIES_AT_ONCE // shown[0].numel())
    for near, candidate, length, some in zip(
        *(whole.split(rows) for whole in (nearest, candidates, lengths, flat.view(shown.shape))), strict=True
    ):
        torch.amax(torch.einsum("nrd,nd->nr", some.double(), candidate) / length, dim=1, out=near)
    nearest.clamp_min_(0)
    own = 2.5 * (images * candidates).sum(dim=1).clamp_min(0)
    both = own + nearest
    return mean_score(torch.where(both > 0, 2 * own * nearest / both.clamp_min(1e-300), 0.0).numpy(), of="pair")


def r_precision(image: Array, text: Array, *, negatives: int = 99, seed: int = 0) -> Score:
    """CLIP-R-precision: how often an image's own text is nearer to it than random texts of others; higher is better.

    Each image is set against `negatives` texts drawn without replacement from the other rows, every choice equally
    likely. A tie for the first place, as equal captions make it, counts as the chance to win it.

    Args:
        image: [n, d].
        text: [n, d].
        negatives: texts of other rows that each image is set against, at most n - 1.
        seed: of the draw; one seed draws the same rows for features of any encoder.

    Raises:
        InputError: shapes differ, a row is all zeros, there are not enough other rows, or the seed is no whole number.

    Reference: Park et al. (2021), https://openreview.net/forum?id=bKBhQhPeKaF.

    >>> r_precision(np.eye(3), np.eye(3), negatives=2).value
    1.0
    """
    x, y = _in_one_space(image, text)
    n = len(x)
    negatives = whole_number(negatives, "negatives")
    if negatives > n - 1:
        raise InputError(
            f"negatives is {negatives}, but each of {n} rows has only {n - 1} others to draw from; give more pairs, or "
            "a smaller negatives to r_precision."
        )
    rng = np.random.default_rng(whole_number(seed, "seed", least=0))
    won = torch.empty(n, dtype=torch.float64)
    for rows in torch.arange(n).split(_ROWS_AT_ONCE):
        drawn = torch.from_numpy(_drawn(rng, len(rows), negatives, n - 1))
        drawn += drawn >= rows[:, None]  # counted without the own row
        if _GATHERED * negatives < n:
            cosines = torch.bmm(y[drawn], x[rows, :, None]).squeeze(2)
        else:
            cosines = (x[rows] @ y.T).gather(1, drawn)
        ahead = cosines - (x[rows] * y[rows]).sum(dim=1, keepdim=True)
        tied = (ahead.abs() <= _TIE).sum(dim=1)
        won[rows] = torch.where((ahead > _TIE).any(dim=1), 0.0, 1 / (1 + tied).double())
    return mean_score(won.numpy(), of="pair", kind="share")


def _drawn(rng: np.random.Generator, rows: int, count: int, among: int) -> Integers:
    """For each row, count different numbers below among; every choice of them is equally likely."""
    if _GATHERED * count >= among:
        return rng.permuted(np.tile(np.arange(among), (rows, 1)), axis=1)[:, :count]
    drawn = rng.integers(among, size=(rows, count))
    while True:  # what came twice is drawn again, blind to which number it is
        drawn.sort(axis=1)
        again = np.nonzero(drawn[:, 1:] == drawn[:, :-1])
        if len(again[0]) == 0:
            return drawn
        drawn[again] = rng.integers(among, size=len(again[0]))


def info_nce_score(image: Array, text: Array) -> Score:
    r"""Log-probability of each image's own text among all texts, from raw cosines, in nats; higher is better.

    .. math:: \cos(x_i, y_i) - \log \sum_j \exp \cos(x_i, y_j)

    Args:
        image: [n, d].
        text: [n, d].

    Raises:
        InputError: shapes differ, or a row is all zeros.

    Reference: van den Oord et al. (2018), https://arxiv.org/abs/1807.03748, eq. 4, at temperature 1.

    >>> info_nce_score(np.eye(2), np.eye(2)).value
    -0.31...
    """
    x, y = _in_one_space(image, text)
    own = (x * y).sum(dim=1)
    rows = max(1, _ENTRIES_AT_ONCE // len(y))
    room = torch.empty(min(rows, len(x)), len(y), dtype=x.dtype)  # used again and again: freed blocks can pile up
    totals = torch.empty_like(own)
    for some, total in zip(x.split(rows), totals.split(rows), strict=True):
        cosines = torch.mm(some, y.T, out=room[: len(some)])
        torch.sum(cosines.exp_(), dim=1, out=total)  # of cosines, no exponential is large
    return mean_score((own - totals.log_()).numpy(), of="pair")


def _in_one_space(image: Array, text: Array) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = as_features(image, name="image"), as_features(text, name="text")
    if x.shape != y.shape:
        raise InputError(f"image is {list(x.shape)} and text {list(y.shape)}; cosines need pairs of rows in one space.")
    return _unit(x, "image"), _unit(y, "text")


def _unit(rows: torch.Tensor, name: str) -> torch.Tensor:
    rows = rows.cpu()
    directions: torch.Tensor = rows.double() / _lengths(rows, name)[:, None]
    return directions


def _lengths(rows: torch.Tensor, name: str) -> torch.Tensor:
    lengths: torch.Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    zero = (lengths == 0).nonzero().flatten()
    if len(zero):
        raise InputError(
            f"{len(zero)} rows of {name} are all zeros (the first is row {int(zero[0])}): they have no direction."
        )
    return lengths
