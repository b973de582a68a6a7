"""The loss of pairs that a model is not trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pointwise.errors import InputError
from pointwise.training.distributed import rank_and_world, sum_over_processes
from pointwise.training.gradients import points_of
from pointwise.training.inputs import Pairs, PointSet
from pointwise.training.model import DualEncoder

LARGEST_BATCH = 4096  # the similarities of a batch cost its square
_ENTRIES_AT_ONCE = 1 << 22


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
            total += _info_nce(model, *points, entries=entries) / count
        model.train(was_training)
    sum_over_processes([total])
    return float(total)


def _info_nce(model: DualEncoder, images: PointSet, texts: PointSet, *, entries: int) -> Tensor:
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
