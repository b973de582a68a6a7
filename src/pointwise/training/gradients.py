"""The contrastive loss of a whole batch and its gradients, of which memory, and each process, holds a part."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pointwise.kernels.losses import info_nce
from pointwise.training.distributed import rank_and_world, sum_over_processes
from pointwise.training.inputs import Inputs, Pairs, PointSet, joined
from pointwise.training.model import DualEncoder


def backward(model: DualEncoder, batch: Pairs, *, micro_batch: int, bfloat16: bool) -> Tensor:
    """Add to the gradients of a model those of the loss of the whole batch, and return the loss.

    Of points that are not finite the loss is NaN, and gradients stay as they are.
    """
    loss = contrastive_loss(model, *points_of(model, batch, micro_batch=micro_batch, bfloat16=bfloat16))
    if loss.requires_grad:
        torch.autograd.backward(loss)
    return loss.detach()


def points_of(model: DualEncoder, pairs: Pairs, *, micro_batch: int, bfloat16: bool) -> tuple[PointSet, PointSet]:
    """Return the points of all images and of all texts, of which a micro-batch at a time goes through the towers.

    Where there are several, what a micro-batch needs for its gradients is not kept, but made again when they are
    asked for: memory is that of all points and of one micro-batch.

    Reference: Gao et al. (2021), gradient caching. https://arxiv.org/abs/2101.06983
    """
    device = model.log_scale.device

    def points(side: int, inputs: Inputs) -> PointSet:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
            made: PointSet = (model.image_points, model.text_points)[side](inputs)
            return made

    def of_side(side: int) -> PointSet:
        parts = [slice(start, start + micro_batch) for start in range(0, pairs.n, micro_batch)]
        if len(parts) == 1:
            return points(side, pairs[side].to(device))
        made = [
            # Nothing that it makes again is random.
            checkpoint(points, side, pairs[side].rows(part).to(device), use_reentrant=False, preserve_rng_state=False)
            for part in reversed(parts)  # autograd goes backwards, and adds up gradients from the first on
        ]
        return joined(made[::-1])

    return of_side(0), of_side(1)


def contrastive_loss(model: DualEncoder, images: PointSet, texts: PointSet) -> Tensor:
    r"""Return this process's share of the symmetric InfoNCE of all pairs of all processes; the shares add up to it.

    .. math:: L = \frac1B \sum_i \Big[ \tfrac12 \log \sum_j e^{S_{ij}} + \tfrac12 \log \sum_j e^{S_{ji}} - S_{ii} \Big]

    Each process has b of the B pairs and computes S [b, B], of its own images and all texts, once: the sums over
    images are gathered. Gradients that reach points of other processes are sent there.
    """
    # Similarities refuse points that are not finite: every process has to know that one of them has such points, as
    # those that went on would wait for it for ever.
    broken = torch.stack([(~x.isfinite()).any() for x in (images.x, texts.x)]).any().float()
    sum_over_processes([broken])
    if broken:
        return broken.new_tensor(math.nan)
    rank, world = rank_and_world()
    if world == 1:
        return info_nce(model.similarity(images, texts))
    b = len(images.x)
    everyone = PointSet(*(None if x is None else _gathered(x).flatten(0, 1) for x in texts))  # type: ignore[arg-type]
    s = model.similarity(images, everyone)  # [b, B]
    over_images = _gathered(s.logsumexp(0)).logsumexp(0)[rank * b : (rank + 1) * b]
    return ((s.logsumexp(1) + over_images) / 2 - s.diagonal(offset=rank * b)).sum() / (world * b)


def _gathered(x: Tensor) -> Tensor:
    """The tensors x of all processes [world, ...], through which gradients flow back to where they came from."""
    gathered: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous()
        dist.all_reduce(whole)  # every process has used what this one gave
        return whole[dist.get_rank()]
