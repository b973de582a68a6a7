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
    if micro_batch >= batch.n:
        loss = _loss(model, *points_of(model, batch, micro_batch=micro_batch, bfloat16=bfloat16))
        if loss.requires_grad:  # not where it is NaN
            torch.autograd.backward(loss)
        return loss.detach()

    with torch.no_grad():
        whole = points_of(model, batch, micro_batch=micro_batch, bfloat16=bfloat16)
    leaves = [PointSet(*(None if x is None else x.requires_grad_() for x in side)) for side in whole]  # type: ignore[arg-type]
    loss = _loss(model, *leaves)
    if not loss.requires_grad:
        return loss
    torch.autograd.backward(loss)  # fills the gradients of the points, and those of the scale
    for points, inputs, leaf in zip((model.image_points, model.text_points), batch, leaves, strict=True):
        gradients = [None if x is None or x.grad is None else x.grad.split(micro_batch) for x in leaf]
        for i, some in enumerate(_parts(inputs, micro_batch)):
            again = [
                (x, gradient[i])
                for x, gradient in zip(_autocast(points, some, bfloat16), gradients, strict=True)
                if x is not None and x.requires_grad and gradient is not None
            ]
            torch.autograd.backward([x for x, _ in again], [gradient for _, gradient in again])
    return loss.detach()


def points_of(model: DualEncoder, pairs: Pairs, *, micro_batch: int, bfloat16: bool) -> tuple[PointSet, PointSet]:
    """Return the points of all images and of all texts, of which a micro-batch at a time goes through the towers."""
    device = model.log_scale.device
    images, texts = (
        joined([_autocast(points, some.to(device), bfloat16) for some in _parts(inputs, micro_batch)])
        for points, inputs in zip((model.image_points, model.text_points), pairs, strict=True)
    )
    return images, texts


def _autocast(points: Callable[[Inputs], PointSet], inputs: Inputs, bfloat16: bool) -> PointSet:  # noqa: FBT001
    with torch.autocast(inputs.x.device.type, dtype=torch.bfloat16, enabled=bfloat16):
        return points(inputs)


def _loss(model: DualEncoder, images: PointSet, texts: PointSet) -> Tensor:
    # Similarities refuse points that are not finite: every process has to know that one of them has such points, as
    # those that went on would wait for it for ever.
    broken = torch.stack([(~x.isfinite()).any() for x in (images.x, texts.x)]).any().float()
    sum_over_processes([broken])
    return contrastive_loss(model, images, texts) if not broken else broken.new_tensor(math.nan)


def _parts(inputs: Inputs, size: int) -> Iterator[Inputs]:
    return (inputs.rows(slice(start, start + size)) for start in range(0, len(inputs.x), size))
