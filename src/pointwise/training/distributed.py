"""The contrastive loss of a batch that is spread over processes, with the gradients of the batch in one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pointwise.kernels.losses import info_nce
from pointwise.training.inputs import PointSet
from pointwise.training.model import DualEncoder


def rank_and_world() -> tuple[int, int]:
    """Return the number of this process and how many there are: 0 and 1 where no group was set up."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def contrastive_loss(model: DualEncoder, images: PointSet, texts: PointSet) -> Tensor:
    r"""Return this process's share of the symmetric InfoNCE of all pairs of all processes; the shares add up to it.

    .. math:: L = \frac1B \sum_i \Big[ \tfrac12 \log \sum_j e^{S_{ij}} + \tfrac12 \log \sum_j e^{S_{ji}} - S_{ii} \Big]

    Each process has b of the B pairs and computes S [b, B], of its own images and all texts, once: the sums over
    images are gathered. Gradients that reach points of other processes are sent there.
    """
    rank, world = rank_and_world()
    if world == 1:
        return info_nce(model.similarity(images, texts))
    b = len(images.x)
    everyone = PointSet(*(None if x is None else _gathered(x).flatten(0, 1) for x in texts))  # type: ignore[arg-type]
    s = model.similarity(images, everyone)  # [b, B]
    over_images = _gathered(s.logsumexp(0)).logsumexp(0)[rank * b : (rank + 1) * b]
    return ((s.logsumexp(1) + over_images) / 2 - s.diagonal(offset=rank * b)).sum() / (world * b)


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun has started, if it has, and yield the device of this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process go through before the others, which then find on disk what it has made."""
    rank, world = rank_and_world()
    if world > 1 and rank > 0:
        dist.barrier()
    try:
        yield
    finally:  # after a failure, too: the others then meet it themselves
        if world > 1 and rank == 0:
            dist.barrier()


def sum_over_processes(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all processes."""
    if rank_and_world()[1] > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)


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
