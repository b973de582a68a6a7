"""Row sums of a kernel within and across two feature tables: what the maximum mean discrepancies are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from pointwise._arrays import require_comparable
from pointwise.errors import InputError
from pointwise.score import Values

Kernel: TypeAlias = Literal["polynomial", "gaussian"]

_BANDWIDTH = 10.0
_BLOCK_BYTES = 64 << 20  # kernel values held at a time


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Mean kernel of each row with its own and with the other table, and what the means leave unexplained.

    The Gaussian kernel is kept less 1, its value at distance zero: a constant cancels from every discrepancy, and
    the digits that matter stay.

    Args:
        kernel: "polynomial" or "gaussian".
        real_within: float64 [n], mean kernel of each real row with every other real row.
        fake_within: float64 [m], the same of the generated rows.
        real_across: float64 [n], mean kernel of each real row with every generated row.
        fake_across: float64 [m], mean kernel of each generated row with every real row.
        real_interaction: variance of the kernel of two real rows that remains when the mean of each is taken out;
            nan with fewer than four rows.
        fake_interaction: the same of two generated rows.
        across_interaction: the same of a real and a generated row.
    """

    kernel: Kernel
    real_within: Values
    fake_within: Values
    real_across: Values
    fake_across: Values
    real_interaction: float
    fake_interaction: float
    across_interaction: float


def kernel_sums(
    real: torch.Tensor, fake: torch.Tensor, *, kernel: Kernel = "polynomial", seed: int = 0, rows: int = 5000
) -> KernelSums:
    r"""Return the kernel sums of real [n, d] and fake [m, d].

    A table of more than ``rows`` rows is represented by that many of them, drawn without replacement by
    ``numpy.random.default_rng(seed)``, the real table first: cost is bounded by ``rows``², two kernels with one
    seed see the same rows, and two generators compared with one real table meet the same of it.

    Args:
        real: the real features.
        fake: the generated features.
        kernel: "polynomial", :math:`(x \cdot y / d + 1)^3`, or "gaussian", :math:`\exp(-\|x - y\|^2 / 200)` between
            rows scaled to length 1.
        seed: of the draw.
        rows: the most rows of a table that are used.

    Raises:
        InputError: the tables differ in columns, one has fewer than two rows, a row of zeros has no direction for
            the Gaussian kernel, the polynomial kernel overflows, or an option is not one of those above.
    """
    _check(real, fake, kernel, rows)
    rng = np.random.default_rng(seed)
    x, y = (_prepared(table, name, kernel, rng, rows) for name, table in (("real", real), ("generated", fake)))
    n, m = len(x), len(y)
    within_x, _, squares_x = _pass(x, x, kernel)
    within_y, _, squares_y = _pass(y, y, kernel)
    across_x, across_y, squares = _pass(x, y, kernel)
    if not all(np.isfinite(sums.sum()) for sums in (within_x, within_y, across_x, across_y)):
        largest = max(float(table.abs().max()) for table in (real, fake))
        raise InputError(
            f"the polynomial kernel overflows: it cubes products of features, of which the largest is {largest:.3g}. "
            "Rescale the features of both tables by the same factor."
        )
    return KernelSums(
        kernel,
        real_within=within_x / (n - 1),
        fake_within=within_y / (m - 1),
        real_across=across_x / m,
        fake_across=across_y / n,
        real_interaction=_interaction_within(within_x / (n - 1), squares_x),
        fake_interaction=_interaction_within(within_y / (m - 1), squares_y),
        across_interaction=_interaction_across(across_x / m, across_y / n, squares),
    )


def _check(real: torch.Tensor, fake: torch.Tensor, kernel: str, rows: int) -> None:
    if kernel not in ("polynomial", "gaussian"):
        raise InputError(f"kernel is {kernel!r}; it must be 'polynomial' or 'gaussian'.")
    if rows < 2:
        raise InputError(f"rows is {rows}; a discrepancy needs at least 2 rows of each table (5000 by default).")
    require_comparable(real, fake)


def _prepared(table: torch.Tensor, name: str, kernel: Kernel, rng: np.random.Generator, rows: int) -> torch.Tensor:
    """The rows that take part, in float64, scaled to length 1 for the Gaussian kernel."""
    largest = torch.linalg.vector_norm(table, ord=math.inf, dim=1) if kernel == "gaussian" else None
    if largest is not None and not bool(largest.all()):
        zero = torch.nonzero(largest == 0).flatten()
        raise InputError(
            f"{len(zero)} of {len(table)} rows of the {name} table are all zeros, the first is row {int(zero[0])}; "
            "a row without direction cannot be scaled to length 1. Drop those rows."
        )
    if len(table) > rows:
        drawn = torch.from_numpy(rng.choice(len(table), size=rows, replace=False)).to(table.device)
        table, largest = table[drawn], None if largest is None else largest[drawn]
    table = table.double()
    # Divided by the largest entry first: the square of a tiny entry is zero, of a huge one infinite.
    return table if largest is None else torch.nn.functional.normalize(table / largest.double()[:, None])


def _pass(x: torch.Tensor, y: torch.Tensor, kernel: Kernel) -> tuple[Values, Values, float]:
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


def _interaction_within(means: Values, squares: float) -> float:
    """Residual variance of an additive fit to a symmetric matrix without diagonal, n(n − 3)/2 degrees of freedom."""
    n = len(means)
    if n < 4:
        return math.nan
    effects = (means - means.mean()) * (n - 1) / (n - 2)
    residual = squares - n * (n - 1) * means.mean() ** 2 - 2 * (n - 2) * (effects @ effects)
    return max(0.0, float(residual)) / (n * (n - 3))


def _interaction_across(row_means: Values, column_means: Values, squares: float) -> float:
    """Residual variance of an additive fit to a rectangular matrix, (n − 1)(m − 1) degrees of freedom."""
    n, m = len(row_means), len(column_means)
    rows, columns = row_means - row_means.mean(), column_means - column_means.mean()
    residual = squares - n * m * row_means.mean() ** 2 - m * (rows @ rows) - n * (columns @ columns)
    return max(0.0, float(residual)) / ((n - 1) * (m - 1))
