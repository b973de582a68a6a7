"""Matrix products on torch: the quickest full one, and a guard against the lower precision a program may have set."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def product(a: torch.Tensor, b: torch.Tensor, added: torch.Tensor | None = None) -> torch.Tensor:
    """Return A b^T plus a row.

    oneDNN's float32 product has run at two to four times the speed of the default one on AMD processors.
    PyTorch gives no public way to it without a copy of the result; where this one is missing the default one serves.
    """
    fused = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if (
        fused is not None
        and a.device.type == "cpu"
        and a.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
    ):
        product: torch.Tensor = fused(a, b, added, "none", [], "")
        return product
    return a @ b.t() if added is None else torch.addmm(added, a, b.t())


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products in full float32, also where the user's program has allowed TF32, bfloat16 or autocast for its own."""
    switches = [backend.matmul for backend in (torch.backends.cuda, torch.backends.mkldnn) if _settable(backend)]
    settings = [(switch, switch.fp32_precision) for switch in switches if switch.fp32_precision != "ieee"]
    legacy = None if switches else torch.get_float32_matmul_precision()  # PyTorch before 2.9 has this one alone
    with torch.autocast(device.type, enabled=False):
        try:
            for switch, _ in settings:
                switch.fp32_precision = "ieee"
            if legacy not in (None, "highest"):
                torch.set_float32_matmul_precision("highest")
            yield
        finally:
            for switch, setting in settings:
                switch.fp32_precision = setting
            if legacy is not None:
                torch.set_float32_matmul_precision(legacy)


def _settable(backend: Any) -> bool:
    return hasattr(backend, "matmul") and hasattr(backend.matmul, "fp32_precision")
