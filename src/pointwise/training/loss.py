"""The contrastive loss of a whole batch, of which memory and each process hold a part: its gradients, or held out."""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pointwise.errors import InputError
from pointwise.kernels.functions import info_nce
from pointwise.training.distributed import rank_and_world, sum_over_processes
from pointwise.training.inputs import Inputs, Pairs, PointSet, joined
from pointwise.training.model import DualEncoder

LARGEST_BATCH = 4096  # the similarities of a batch cost its square
_ENTRIES_AT_ONCE = 1 << 22


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


def require_held_out(held_out: Pairs, pairs: Pairs) -> None:
    """Raise an InputError unless held-out pairs are such as those trained on, and two at least."""
    held_out.require_paired()
    if held_out.n < 2:
        raise InputError(f"there are {held_out.n} held-out pairs; there must be at least 2, and many more to say much.")
    for side, here, there in zip(("images", "texts"), held_out, pairs, strict=True):
        if here.x.shape[2:] != there.x.shape[2:] or here.x.dtype.is_floating_point != there.x.dtype.is_floating_point:
            raise InputError(
                f"the held-out {side} are {here.x.dtype} [n, {', '.join(map(str, here.x.shape[1:]))}], but those "
                f"trained on are {there.x.dtype} [n, {', '.join(map(str, there.x.shape[1:]))}]; make them the same way."
            )


def batch_of(n: int, *, largest: int = LARGEST_BATCH) -> int:
    """Return how many of n held-out pairs are contrasted with each other: all, or equal parts of at most 4,096.

    >>> batch_of(4096), batch_of(10_000)
    (4096, 3333)
    """
    return n // math.ceil(n / largest)


@torch.no_grad()
def held_out_loss(
    model: DualEncoder,
    pairs: Pairs,
    *,
    micro_batch: int,
    bfloat16: bool = False,
    largest_batch: int = LARGEST_BATCH,
    entries: int = _ENTRIES_AT_ONCE,
) -> float:
    """Return the symmetric InfoNCE of pairs, the mean over their batches; NaN where points are not finite.

    Batches of `batch_of` (n) are drawn, the same each time; what is left over is left out. Points are made in
    micro-batches, by the model as it is when it is used; memory holds so many entries of the similarities at a time.
    """
    total = torch.zeros((), dtype=torch.float64, device=model.log_scale.device)
    if rank_and_world()[0] == 0:  # for all processes
        was_training = model.training
        model.eval()
        size = batch_of(pairs.n, largest=largest_batch)
        count = pairs.n // size
        # drawn, as neighbours in a folder are often alike, and a batch of such pairs is harder than one of any
        drawn = torch.randperm(pairs.n, generator=torch.Generator().manual_seed(0))
        for places in drawn[: count * size].view(count, size).sort(dim=1).values:
            points = points_of(model, pairs.some(places), micro_batch=micro_batch, bfloat16=bfloat16)
            total += _info_nce_by_rows(model, *points, entries=entries) / count
        model.train(was_training)
    sum_over_processes([total])
    return float(total)


def _info_nce_by_rows(model: DualEncoder, images: PointSet, texts: PointSet, *, entries: int) -> Tensor:
    """As `info_nce` of the similarities, of which memory holds some rows at a time."""
    n = len(images.x)
    if not all(bool(x.isfinite().all()) for x in (images.x, texts.x)):
        return images.x.new_tensor(math.nan)
    columns = images.x.new_full((n,), -math.inf, dtype=torch.float64)  # logs of the sums over the rows seen so far
    rows = columns.new_zeros(())
    for some in torch.arange(n).split(max(1, entries // n)):
        block = model.similarity(images.rows(slice(int(some[0]), int(some[-1]) + 1)), texts).double()
        rows += (block.logsumexp(1) / 2 - block.diagonal(offset=int(some[0]))).sum()
        columns = torch.logaddexp(columns, block.logsumexp(0))
    return (rows + columns.sum() / 2) / n


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
