"""Mean and covariance of two feature tables, gathered once for the Fréchet distance."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pointwise._arrays import require_comparable

_BLOCK_BYTES = 128 << 20  # float64 rows centred at a time; a block is far taller than wide, so that few are stacked


@dataclass(frozen=True, eq=False)
class SetMoments:
    """Mean and covariance of one table.

    Args:
        rows: [n, d], the table itself, in the precision it came in.
        mean: float64 [d].
        root: float64 [min(n, d), d]; ``root.T @ root`` is the covariance (divisor n − 1).
    """

    rows: torch.Tensor
    mean: torch.Tensor
    root: torch.Tensor

    def centred(self) -> Iterator[torch.Tensor]:
        """Yield the rows less their mean, in float64, a block at a time."""
        return (block - self.mean for block in _blocks(self.rows))


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and covariances of the real and the generated table; either half can be kept for another comparison."""

    real: SetMoments
    fake: SetMoments


def moments(real: torch.Tensor | SetMoments, fake: torch.Tensor) -> Moments:
    r"""Return the means and covariances of real [n, d], or what `set_moments` made of it, and of fake [m, d].

    The covariance is kept as a triangular root, the factor R of a QR decomposition of the centred rows, built block
    by block: a d×d matrix at most, n×d when there are fewer rows than columns. Forming the covariance itself would
    square the condition number and cost half the digits of its small eigenvalues.
    """
    if not isinstance(real, SetMoments):
        require_comparable(real, fake)
        real = set_moments(real)
    return Moments(real, set_moments(fake))


def set_moments(rows: torch.Tensor) -> SetMoments:
    """Return the mean and covariance of one table [n, d]."""
    n, d = rows.shape
    first = rows[0].double()  # summing differences from a row keeps the digits that a common offset would eat
    mean = first + sum(((block - first).sum(dim=0) for block in _blocks(rows)), torch.zeros_like(first)) / n
    factor = first.new_empty(0, d)
    for block in _blocks(rows):
        factor = torch.linalg.qr(torch.cat([factor, block - mean]), mode="r").R
    return SetMoments(rows, mean, factor / (n - 1) ** 0.5)


def _blocks(rows: torch.Tensor) -> Iterator[torch.Tensor]:
    n, d = rows.shape
    height = max(2 * d, _BLOCK_BYTES // (8 * d))
    return (rows[start : start + height].double() for start in range(0, n, height))
