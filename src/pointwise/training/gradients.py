"""The gradients of the contrastive loss of a whole batch, of which memory holds a part at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pointwise.training.distributed import contrastive_loss, sum_over_processes
from pointwise.training.inputs import Inputs, Pairs, PointSet, joined
from pointwise.training.model import DualEncoder


def backward(model: DualEncoder, batch: Pairs, *, micro_batch: int, bfloat16: bool) -> Tensor:
    """Add to the gradients of a model those of the loss of the whole batch, and return the loss.

    Of points that are not finite the loss is NaN, and gradients stay as they are.
    """
    loss = _loss(model, *points_of(model, batch, micro_batch=micro_batch, bfloat16=bfloat16))
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


def _loss(model: DualEncoder, images: PointSet, texts: PointSet) -> Tensor:
    # Similarities refuse points that are not finite: every process has to know that one of them has such points, as
    # those that went on would wait for it for ever.
    broken = torch.stack([(~x.isfinite()).any() for x in (images.x, texts.x)]).any().float()
    sum_over_processes([broken])
    return contrastive_loss(model, images, texts) if not broken else broken.new_tensor(math.nan)
