"""Row sums of a kernel within and across two feature tables: what the maximum mean discrepancies are made of."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from pointwise._arrays import require_comparable
from pointwise._options import one_of, whole_number
from pointwise._types import Floats, Integers
from pointwise.errors import InputError

Kernel: TypeAlias = Literal["polynomial", "gaussian"]

_BANDWIDTH = 10.0
_BLOCK_BYTES = 64 << 20  # kernel values held at a time


@dataclass(frozen=True, eq=False)
class OwnSums:
    """What one table gives to kernel sums: the same for whatever it is compared with.

    Args:
        rows: float64 [n, d], the rows that take part, as the kernel takes them.
        drawn: int64 [n], their places in the table.
        size: rows of the table.
        largest: of all its entries, in absolute value.
        within: float64 [n], mean kernel of each row with every other.
        interaction: variance of the kernel of two rows that remains when the mean of each is taken out; nan with fewer
            than four rows.
        seed: of the draw.
    """

    rows: torch.Tensor
    drawn: Integers
    size: int
    largest: float
    within: Floats
    interaction: float
    seed: int


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Mean kernel of each row with its own and with the other table, and what the means leave unexplained.

    The Gaussian kernel is kept less 1, its value at distance zero: a constant cancels from every discrepancy, and
    the digits that matter stay.

    Args:
        kernel: "polynomial" or "gaussian".
        real: of the real table alone.
        fake: of the generated table alone.
        real_across: float64 [n], mean kernel of each real row with every generated row.
        fake_across: float64 [m], mean kernel of each generated row with every real row.
        across_interaction: variance of the kernel of a real and a generated row that remains when the mean of each is
            taken out.
    """

    kernel: Kernel
    real: OwnSums
    fake: OwnSums
    real_across: Floats
    fake_across: Floats
    across_interaction: float


def kernel_sums(
    real: torch.Tensor | OwnSums,
    fake: torch.Tensor,
    *,
    kernel: Kernel = "polynomial",
    seed: int = 0,
    rows: int = 5000,
) -> KernelSums:
    r"""Return the kernel sums of real [n, d] and fake [m, d].

    A table of more than ``rows`` rows is represented by that many of them, drawn without replacement by
    ``numpy.random.default_rng(seed)``, the real table first: cost is bounded by ``rows``², two kernels with one
    seed see the same rows, and two generators compared with one real table meet the same of it.

    Args:
        real: the real features, or what `own_sums` made of them with the same kernel, seed and rows.
        fake: the generated features.
        kernel: "polynomial", :math:`(x \cdot y / d + 1)^3`, or "gaussian", :math:`\exp(-\|x - y\|^2 / 200)` between
            rows scaled to length 1.
        seed: of the draw.
        rows: the most rows of a table that are used.
    """
    if not isinstance(real, OwnSums):
        require_comparable(real, fake)
        real = own_sums(real, kernel=kernel, seed=seed, rows=rows)
    other = own_sums(fake, kernel=kernel, seed=seed, rows=rows, name="generated", drawn_before=real.size)
    across_x, across_y, squares = _pass(real.rows, other.rows, kernel)
    if not all(np.isfinite(sums.sum()) for sums in (real.within, other.within, across_x, across_y)):
        raise InputError(
            "the polynomial kernel overflows: it cubes products of features, of which the largest is "
            f"{max(real.largest, other.largest):.3g}. Rescale the features of both tables by the same factor."
        )
    real_across, fake_across = across_x / len(other.rows), across_y / len(real.rows)
    interaction = _interaction_across(real_across, fake_across, squares)
    return KernelSums(kernel, real, other, real_across, fake_across, interaction)


def own_sums(
    table: torch.Tensor, *, kernel: Kernel, seed: int, rows: int = 5000, name: str = "real", drawn_before: int = 0
) -> OwnSums:
    """Return kernel sums of one table with itself, as `kernel_sums` takes it; rows of another may be drawn before."""
    one_of(kernel, "kernel", _KERNELS)
    rows = whole_number(rows, "rows", least=2)
    rng = np.random.default_rng(seed)
    if drawn_before > rows:
        rng.choice(drawn_before, size=rows, replace=False)
    if kernel == "gaussian":
        _require_directions(table, name)
    drawn = np.arange(len(table)) if len(table) <= rows else rng.choice(len(table), size=rows, replace=False)
    x = kernel_rows(table, drawn, kernel)
    sums, _, squares = _pass(x, x, kernel)
    means = sums / (len(x) - 1)
    interaction = _interaction_within(means, squares)
    return OwnSums(x, drawn, len(table), float(table.abs().max()), means, interaction, seed)


def kernel_rows(table: torch.Tensor, drawn: Integers, kernel: Kernel) -> torch.Tensor:
    """Return the drawn rows of a table in float64, scaled to length 1 for the Gaussian kernel."""
    rows = (table if len(drawn) == len(table) else table[torch.from_numpy(drawn).to(table.device)]).double()
    if kernel == "polynomial":
        return rows
    # Divided by the largest entry first: the square of a tiny entry is zero, of a huge one infinite.
    largest = torch.linalg.vector_norm(rows, ord=math.inf, dim=1, keepdim=True)
    return torch.nn.functional.normalize(rows / largest)


def _require_directions(table: torch.Tensor, name: str) -> None:
    zero = torch.nonzero(torch.linalg.vector_norm(table, ord=math.inf, dim=1) == 0).flatten()
    if len(zero):
        raise InputError(
            f"{len(zero)} of {len(table)} rows of the {name} table are all zeros, the first is row {int(zero[0])}; "
            "a row without direction cannot be scaled to length 1. Drop those rows."
        )


def _pass(x: torch.Tensor, y: torch.Tensor, kernel: Kernel) -> tuple[Floats, Floats, float]:
    """Sums of k(x_i, y_j) over j and over i, and of its squares over both; i = j is left out where x is y."""
    over_y, over_x = x.new_zeros(len(x)), y.new_zeros(len(y))
    squares = 0.0
    height = max(1, _BLOCK_BYTES // (8 * len(y)))
    for start in range(0, len(x), height):
        block = _KERNELS[kernel](x[start : start + height] @ y.T, x.shape[1])
        if x is y:
            block.diagonal(offset=start).zero_()
        over_y[start : start + height] = block.sum(dim=1)
        over_x += block.sum(dim=0)
        squares += float(torch.linalg.vector_norm(block)) ** 2
    return over_y.cpu().numpy(), over_x.cpu().numpy(), squares


def _polynomial(products: torch.Tensor, d: int) -> torch.Tensor:
    return products.div_(d).add_(1).pow_(3)


def _gaussian(products: torch.Tensor, d: int) -> torch.Tensor:
    """exp(−‖x − y‖²/2σ²) − 1 of rows of length 1, for which ‖x − y‖² = 2 − 2 x·y."""
    return products.sub_(1).div_(_BANDWIDTH**2).expm1_()


_KERNELS = {"polynomial": _polynomial, "gaussian": _gaussian}


def _interaction_within(means: Floats, squares: float) -> float:
    """Residual variance of an additive fit to a symmetric matrix without diagonal, n(n − 3)/2 degrees of freedom."""
    n = len(means)
    if n < 4 or not np.isfinite(means).all():  # an overflow is said to be one when both tables are seen
        return math.nan
    effects = (means - means.mean()) * (n - 1) / (n - 2)
    residual = squares - n * (n - 1) * means.mean() ** 2 - 2 * (n - 2) * (effects @ effects)
    return max(0.0, float(residual)) / (n * (n - 3))


def _interaction_across(row_means: Floats, column_means: Floats, squares: float) -> float:
    """Residual variance of an additive fit to a rectangular matrix, (n − 1)(m − 1) degrees of freedom."""
    n, m = len(row_means), len(column_means)
    rows, columns = row_means - row_means.mean(), column_means - column_means.mean()
    residual = squares - n * m * row_means.mean() ** 2 - m * (rows @ rows) - n * (columns @ columns)
    return max(0.0, float(residual)) / ((n - 1) * (m - 1))
