"""The gradients of the contrastive loss of a whole batch, of which memory holds a part at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pointwise.training.distributed import contrastive_loss, sum_over_processes
from pointwise.training.inputs import Inputs, Pairs, PointSet, joined
from pointwise.training.model import DualEncoder


def backward(model: DualEncoder, batch: Pairs, *, micro_batch: int, bfloat16: bool) -> Tensor:
    """Add to the gradients of a model those of the loss of the whole batch, and return the loss.

    Where the batch is larger than a micro-batch, points are made without a graph, the loss gives their gradients, and
    each micro-batch is made again, with its graph, to send these on: the loss and its gradients are those of the whole
    batch, and memory is that of all points and of one micro-batch. Of points that are not finite the loss is NaN.

    Reference: Gao et al. (2021), gradient caching. https://arxiv.org/abs/2101.06983
    """
    sides = ((model.image_points, batch.images), (model.text_points, batch.texts))
    if micro_batch >= len(batch.images.x):
        loss = _loss(model, *(points_of(inputs, points, bfloat16=bfloat16) for points, inputs in sides))
        if loss.requires_grad:
            torch.autograd.backward(loss)
        return loss.detach()

    with torch.no_grad():
        whole = [
            joined([points_of(some, points, bfloat16=bfloat16) for some in _parts(inputs, micro_batch)])
            for points, inputs in sides
        ]
    leaves = [PointSet(*(None if x is None else x.requires_grad_() for x in side)) for side in whole]  # type: ignore[arg-type]
    loss = _loss(model, *leaves)
    if not loss.requires_grad:
        return loss
    torch.autograd.backward(loss)
    for (points, inputs), leaf in zip(sides, leaves, strict=True):
        gradients = [None if x is None or x.grad is None else x.grad.split(micro_batch) for x in leaf]
        for i, some in enumerate(_parts(inputs, micro_batch)):
            again = [
                (x, gradient[i])
                for x, gradient in zip(points_of(some, points, bfloat16=bfloat16), gradients, strict=True)
                if x is not None and x.requires_grad and gradient is not None
            ]
            torch.autograd.backward([x for x, _ in again], [gradient for _, gradient in again])
    return loss.detach()


def points_of(inputs: Inputs, points: Callable[[Inputs], PointSet], *, bfloat16: bool) -> PointSet:
    """Return the points of some items, by a tower that computes in bfloat16 where this is said."""
    with torch.autocast(inputs.x.device.type, dtype=torch.bfloat16, enabled=bfloat16):
        return points(inputs)


def _loss(model: DualEncoder, images: PointSet, texts: PointSet) -> Tensor:
    broken = torch.stack([(~x.isfinite()).any() for x in (images.x, texts.x)]).any().float()
    sum_over_processes([broken])
    return contrastive_loss(model, images, texts) if not broken else broken.new_tensor(math.nan)


def _parts(inputs: Inputs, size: int) -> Iterator[Inputs]:
    return (inputs.rows(slice(start, start + size)) for start in range(0, len(inputs.x), size))
