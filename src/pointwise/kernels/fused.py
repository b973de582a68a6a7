"""Sums of kernels over all pairs of points of two sets, block by block: no n x b x m x l array is made, either way.

Both functions can be differentiated once. What they keep for it are their inputs and the [n, b] result; the backward
pass makes each block again. Exponents are in base two: on CPUs PyTorch's exp2 is four times as quick as its exp, and
results that underflow slow it down far less.

Another engine is a module with the same two functions.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pointwise._products import full_precision, product
from pointwise.errors import InputError

_ROWS, _COLUMNS = 512, 2560  # of a block: 5 MB of float32 stay in a CPU's cache, and the products are large enough
_ON_GPU = 8192
_LANES = 32  # samples side by side from which on PyTorch takes their maxima by vector instructions
_LOG_TWO = math.log(2)

Part: TypeAlias = "tuple[slice, slice]"  # some of the samples, some of their points
Gradients: TypeAlias = "tuple[Tensor | None, ...]"


class _LogKernelSum(torch.autograd.Function):
    r""":math:`\log_2 \sum_{ij} 2^{x_i \cdot y_j + u_i + v_j}` of each pair of samples, [n, b].

    x is [n, m, d], y [b, l, d], u [n, m] and v [b, l], all of one precision; u or v of -inf leaves a point out.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> Tensor:
        total = x.new_full((len(x), len(y)), -math.inf)
        with full_precision(x.device):
            for rows, columns, block, _ in _blocks(x, y, v):
                above = u[rows].unsqueeze(2)
                # The largest term of each pair is taken out before powers are, so that none overflows and not all
                # underflow. u joins the small maxima and not the block: one pass over the block less.
                peak = (_largest(block) + above).amax(dim=1, keepdim=True)
                peak.masked_fill_(peak == -math.inf, 0.0)  # all are left out: the sum is 0, its logarithm -inf
                block.sub_((peak - above).unsqueeze(2)).exp2_()
                partial = block.flatten(1, 2).sum(dim=1).log2_().add_(peak.squeeze(1))
                # A pair whose points are split over blocks meets its total again: logs are added, not set.
                here = total[rows[0], columns[0]]
                here.copy_(torch.logaddexp2(here, partial))
        ctx.save_for_backward(x, y, u, v, total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, y, u, v, total = ctx.saved_tensors
        total = total.masked_fill(total == -math.inf, 0.0)  # of a pair without mass all shares are then 2^-inf = 0

        def share(block: Tensor, rows: Part, columns: Part) -> None:
            # d S / d exponent is the share of that term in the sum: no weight of its own is needed, and no ln 2, as
            # the log and the power are of one base.
            pairs = rows[0], columns[0]
            block.sub_((total[pairs].unsqueeze(1) - u[rows].unsqueeze(2)).unsqueeze(2)).exp2_()
            block.mul_(grad[pairs][:, None, None])

        factors = x, y, torch.ones_like(u), torch.ones_like(v)
        return _gradients((x, y, v), factors, share, ctx.needs_input_grad)


class _KernelSum(torch.autograd.Function):
    r""":math:`\sum_{ij} w_i w'_j 2^{x_i \cdot y_j + u_i + v_j}` of each pair of samples, [n, b]; weights have any sign.

    Shapes are those of `_LogKernelSum`; u and v are such that no exponent is above zero by more than rounding.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, u: Tensor, v: Tensor, wx: Tensor, wy: Tensor) -> Tensor:
        total = x.new_zeros(len(x), len(y))
        with full_precision(x.device):
            for rows, columns, block, (weights,) in _blocks(x, y, v, wy):
                block.add_(u[rows][:, :, None, None]).exp2_()
                # Over the points of x the sum is a product, of w with the block as [points of x, all of y]; over
                # those of y it is left to a plain sum, as they lie in steps of the number of samples.
                over_x = (wx[rows].unsqueeze(1) @ block.flatten(2)).squeeze(1) * weights
                total[rows[0], columns[0]] += over_x.view(len(block), -1, block.shape[3]).sum(dim=1)
        ctx.save_for_backward(x, y, u, v, wx, wy)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, y, u, v, wx, wy = ctx.saved_tensors

        def kernel(block: Tensor, rows: Part, columns: Part) -> None:
            block.add_(u[rows][:, :, None, None]).exp2_()
            block.mul_(grad[rows[0], columns[0]][:, None, None])

        of_x, of_y, of_u, of_v, of_wx, of_wy = ctx.needs_input_grad
        # With the weight of the other side folded into the factors, one pass gives d/dw, and d/dx, d/du are that times
        # the own weight and the ln 2 of the power.
        factors = x * wx.unsqueeze(2), y * wy.unsqueeze(2), wx, wy
        dx, dy, dwx, dwy = _gradients((x, y, v), factors, kernel, (of_x, of_y, of_u or of_wx, of_v or of_wy))
        du, dv = (None if dw is None else dw * w * _LOG_TWO for dw, w in ((dwx, wx), (dwy, wy)))
        dx, dy = (None if d is None else d * (w * _LOG_TWO).unsqueeze(2) for d, w in ((dx, wx), (dy, wy)))
        return dx, dy, du, dv, dwx, dwy


log_kernel_sum: Callable[..., Tensor] = _LogKernelSum.apply
kernel_sum: Callable[..., Tensor] = _KernelSum.apply


def _gradients(
    made_of: tuple[Tensor, Tensor, Tensor],
    factors: tuple[Tensor, Tensor, Tensor, Tensor],
    fill: Callable[[Tensor, Part, Part], None],
    needed: tuple[bool, ...],
) -> Gradients:
    """For each point of x, the sums of q p and of q w over all points of y; for each point of y, those over x.

    Blocks of exponents are made of x, y and v; fill turns one into q. Factors are p of x and of y, [samples, points,
    d], and w of both; needed says which of the sums of q p_y, q p_x, q w_y, q w_x are wanted: the others are None.
    """
    if torch.is_grad_enabled():
        # PyTorch's own once_differentiable lets them be silently zero where the gradient that comes in is a constant.
        raise InputError(
            "similarities of point sets can be differentiated once, and create_graph=True asks for second derivatives; "
            "leave it out, or write the sum over all pairs of points out in torch operations."
        )
    x, y, v = made_of
    p_x, p_y, w_x, w_y = factors
    sums = [torch.zeros_like(like) if need else None for like, need in zip(factors, needed, strict=True)]
    dx, dy, du, dv = sums
    with full_precision(x.device):
        for rows, columns, block, (p, w) in _blocks(x, y, v, p_y, w_y):
            fill(block, rows, columns)
            # All four sums are products with one matrix q [points of x, points of y], while it is in the cache.
            count = block.shape[3]
            q = block.view(-1, block.shape[2] * count)
            if dx is not None:
                dx[rows] += product(q, p.t()).view(dx[rows].shape)
            if du is not None:
                du[rows] += (q @ w).view(du[rows].shape)
            if dy is not None:
                dy[columns] += _samples_first(product(q.t(), p_x[rows].flatten(0, 1).t()), count)
            if dv is not None:
                dv[columns] += _samples_first(w_x[rows].flatten() @ q, count)
    return tuple(sums)


def _blocks(x: Tensor, y: Tensor, v: Tensor, *of_y: Tensor) -> Iterator[tuple[Part, Part, Tensor, list[Tensor]]]:
    """Blocks of exponents x . y + v: [samples of x, their points, points of y, samples of y], with both parts and of_y.

    What is of the points of y, v and of_y among it, is laid out once for all rows, each point as a row: side by side
    lie the same points of all samples, which sums go across.
    """
    height, width = (_ROWS, _COLUMNS) if x.device.type == "cpu" else (_ON_GPU, _ON_GPU)
    for columns in _parts(y, width, side_by_side=_LANES):
        points, offsets, *others = (table[columns].transpose(0, 1).flatten(0, 1) for table in (y, v, *of_y))
        for rows in _parts(x, height, side_by_side=1):
            some, count = x[rows], len(y[columns])
            yield rows, columns, product(some.flatten(0, 1), points, offsets).view(*some.shape[:2], -1, count), others


def _largest(block: Tensor) -> Tensor:
    """The maximum over the last dimension but one; halves are compared whole where the last one is short."""
    # amax over a dimension that is not the last is quick where the last fills vectors, and slow below that; halves that
    # overlap by one where the count is odd change no maximum.
    while block.shape[3] < _LANES and block.shape[2] > 1:
        half = (block.shape[2] + 1) // 2
        block = torch.maximum(block[:, :, :half], block[:, :, -half:])
    return block.amax(dim=2)


def _samples_first(rows: Tensor, count: int) -> Tensor:
    """Undo the layout of `_blocks` for this number of samples."""
    return rows.view(-1, count, *rows.shape[1:]).transpose(0, 1)


def _parts(table: Tensor, size: int, *, side_by_side: int) -> list[Part]:
    """A table in parts of about so many points, but at least so many samples; points are split where they must."""
    n, m = table.shape[:2]
    # Parts are even, so that no small one is left over: its product would be as slow as it is small.
    samples = _even(n, max(side_by_side, size // m))
    points = _even(m, max(1, size // max(samples, 1)))
    return [(slice(a, a + samples), slice(i, i + points)) for a in range(0, n, samples) for i in range(0, m, points)]


def _even(total: int, most: int) -> int:
    """The length of pieces, of this length at most, that are as even as can be."""
    return max(1, math.ceil(total / max(1, math.ceil(total / most))))
