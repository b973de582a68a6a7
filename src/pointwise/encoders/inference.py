"""How the networks of encoders are run: in the precision they were loaded in, and in passes that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pointwise._products import full_precision

_PASS_BYTES = {"cpu": 64 << 20, "cuda": 2 << 30}  # on a processor a pass that stays near the cache is the quickest
_LIVE_AT_ONCE = 4  # inputs and outputs as large as the largest that exist together: residuals, attention's three inputs


@contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """Inference mode without TF32, bfloat16 products or autocast, whatever the program around has allowed for its own.

    What is computed inside leaves inference mode, and may be used by autograd, once it is copied outside.
    """
    convolutions = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), full_precision(device), convolutions:
        yield


def items_at_once(network: nn.Module, encode_one: Callable[[], object], *, device: torch.device) -> int:
    """Return how many items like the one that ``encode_one`` encodes by ``network`` fit into one pass on the device.

    The memory of one item is estimated as a few times the largest sum of what goes into and comes out of a part of
    the network; 64 MiB are given to a pass on a processor, 2 GiB on a GPU.
    """
    largest = 1

    def measure(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        largest = max(largest, _bytes(inputs) + _bytes(output))

    hooks = [module.register_forward_hook(measure) for module in network.modules()]
    try:
        encode_one()
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, _PASS_BYTES.get(device.type, 1 << 30) // (_LIVE_AT_ONCE * largest))


def _bytes(x: Any) -> int:
    if isinstance(x, torch.Tensor):
        return x.numel() * x.element_size()
    parts = x.values() if hasattr(x, "values") else x if isinstance(x, tuple | list) else ()
    return sum(map(_bytes, parts))
