"""Maximum mean discrepancies: how far apart two feature tables are in the mean of a kernel."""

import numpy as np

from pointwise._types import Floats, Integers
from pointwise.errors import InputError
from pointwise.score import Score
from pointwise.summaries.kernels import Kernel, KernelSums
from pointwise.terms import Extra, WholeSets


def kid(kernels: KernelSums) -> Score:
    r"""Kernel inception distance: the unbiased squared discrepancy under the kernel :math:`(x \cdot y / d + 1)^3`.

    .. math:: \frac1{n(n-1)} \sum_{i \ne i'} k(r_i, r_{i'}) + \frac1{m(m-1)} \sum_{j \ne j'} k(g_j, g_{j'})
              - \frac2{nm} \sum_{i, j} k(r_i, g_j)

    Lower is better; no unit. It is 0 on average when the laws agree, and so slightly negative at times. It uses all
    pairs of the rows that take part (see :func:`~pointwise.summaries.kernels.kernel_sums`), where the original
    averages over small subsets: the mean is the same, the spread smaller.

    Args:
        kernels: sums of the polynomial kernel.

    Raises:
        InputError: the sums are of another kernel.

    Reference: Bińkowski et al. (2018), eq. 4. https://arxiv.org/abs/1801.01401

    >>> import torch
    >>> from pointwise.summaries.kernels import kernel_sums
    >>> real, fake = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]])
    >>> kid(kernel_sums(real, fake)).value  # 1 + 64 − (1 + 1 + 27 + 343)/2
    -121.0
    """
    _require(kernels, "polynomial", "kid")
    real, fake, across = kernels.real.within.mean(), kernels.fake.within.mean(), kernels.real_across.mean()
    return Score(float(real + fake - 2 * across), terms=_terms(kernels, 1))


def cmmd(kernels: KernelSums) -> Score:
    r"""CMMD: a thousand times the squared discrepancy of unit-length rows under a Gaussian kernel of bandwidth 10.

    .. math:: 1000 \Bigl[\frac1{n^2} \sum_{i, i'} k(r_i, r_{i'}) + \frac1{m^2} \sum_{j, j'} k(g_j, g_{j'})
              - \frac2{nm} \sum_{i, j} k(r_i, g_j)\Bigr], \quad k(x, y) = e^{-\|x - y\|^2 / 200}

    Lower is better, never negative; no unit. As published it is the biased estimate, a row's kernel with itself
    included, and so about :math:`1000\,(1 - E\,k)(1/n + 1/m)` where the laws agree; and rows are scaled to length 1
    beforehand, as its encoder does. It is meant for CLIP features and works with any.

    Args:
        kernels: sums of the Gaussian kernel.

    Raises:
        InputError: the sums are of another kernel.

    Reference: Jayasumana et al. (2024), eq. 4. https://arxiv.org/abs/2401.09603

    >>> import torch
    >>> from pointwise.summaries.kernels import kernel_sums
    >>> up, right = torch.tensor([[0.0, 1.0]] * 4), torch.tensor([[3.0, 0.0]] * 4)
    >>> round(cmmd(kernel_sums(up, right, kernel="gaussian")).value, 6)  # 2000 (1 − exp(−2/200))
    19.900333
    """
    _require(kernels, "gaussian", "cmmd")
    n, m = len(kernels.real.within), len(kernels.fake.within)
    real = kernels.real.within.mean() * (n - 1) / n  # a row with itself adds 0 to a kernel kept less 1
    fake = kernels.fake.within.mean() * (m - 1) / m
    value = float(real + fake - 2 * kernels.real_across.mean())
    return Score(1000 * max(0.0, value), terms=_terms(kernels, 1000))


def _require(kernels: KernelSums, kernel: Kernel, metric: str) -> None:
    if kernels.kernel != kernel:
        raise InputError(
            f"{metric} got sums of the {kernels.kernel} kernel; give it kernel_sums(real, fake, kernel={kernel!r})."
        )


def _terms(kernels: KernelSums, scale: float) -> WholeSets:
    """How the unbiased squared discrepancy, times a scale, hangs on the rows, from its Hoeffding decomposition.

    The first-order part is each row's mean kernel with its own less the other table. What chance adds to the variance
    of those row means is taken out, since it is all that is left of it when the laws agree. The second-order part
    comes from the interaction of pairs and does not vanish then. Their sum is an unbiased estimate of the variance that
    chance can make negative when the laws agree, so it is held at half the second-order part or more.
    """
    n, m = len(kernels.real.within), len(kernels.fake.within)
    if min(n, m) < 4:
        return WholeSets({"real": np.full(kernels.real.size, np.nan)})
    real, fake, across = kernels.real.interaction, kernels.fake.interaction, kernels.across_interaction
    # A row takes part in its table's mean too; (n − 1)/(n − 2) undoes that share.
    real_effect = kernels.real.within * ((n - 1) / (n - 2)) - kernels.real_across
    fake_effect = kernels.fake.within * ((m - 1) / (m - 2)) - kernels.fake_across
    within_real, within_fake, between = 2 * real / (n * (n - 1)), 2 * fake / (m * (m - 1)), 4 * across / (n * m)
    return WholeSets(
        {
            "real": scale * _spread(real_effect, kernels.real.drawn, kernels.real.size),
            "generated": scale * _spread(fake_effect, kernels.fake.drawn, kernels.fake.size),
        },
        {
            "real": Extra(scale**2 * (within_real - 4 / n * real / (n - 2)), scale**2 * within_real / 2),
            "generated": Extra(
                scale**2 * (within_fake - between - 4 / m * fake / (m - 2)), scale**2 * (within_fake + between) / 2
            ),
        },
    )


def _spread(effects: Floats, rows: Integers, size: int) -> Floats:
    """What each row of a table adds to the value; those that took no part add nothing."""
    influence, n = np.zeros(size), len(effects)
    # The variance of the sum of influences has the factor size / (size - 1), that of the mean effect n / (n - 1).
    influence[rows] = 2 * (effects - effects.mean()) / n * np.sqrt(n / (n - 1) * (size - 1) / size)
    return influence
