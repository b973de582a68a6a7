"""Networks run in full precision whatever is allowed around them, in passes that fit into memory."""

import pytest
import torch
from torch import nn

from pointwise.encoders.inference import inference, items_at_once

CPU = torch.device("cpu")


def test_precision_that_is_allowed_around_it_is_put_aside_and_comes_back():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(64, 64, generator=generator), torch.randn(64, 64, generator=generator)
    expected = a.double() @ b.double()
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    had = getattr(matmul, "fp32_precision", None)
    try:
        if had is None:
            torch.set_float32_matmul_precision("medium")
        else:
            matmul.fp32_precision = "bf16"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert ((a @ b).double() - expected).abs().max() > 1e-2
            with inference(CPU):
                product = a @ b
                assert product.is_inference()
            assert (a @ b).dtype == torch.bfloat16
        assert product.dtype == torch.float32
        assert (product.clone().double() - expected).abs().max() < 1e-4
        if had is None:
            assert torch.get_float32_matmul_precision() == "medium"
        else:
            assert matmul.fp32_precision == "bf16"
    finally:
        if had is None:
            torch.set_float32_matmul_precision("highest")
        else:
            matmul.fp32_precision = had


def test_settings_come_back_after_an_error():
    before = torch.backends.cudnn.deterministic, torch.is_inference_mode_enabled()
    with pytest.raises(KeyError, match="inside"), inference(CPU):
        raise KeyError("inside")
    assert (torch.backends.cudnn.deterministic, torch.is_inference_mode_enabled()) == before


def test_passes_grow_as_items_shrink():
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Linear(100, 400), nn.ReLU(), nn.Linear(400, 10))

    def at_once(rows):
        return items_at_once(network, lambda: network(torch.zeros(rows, 100)), device=CPU)

    # the largest part is the ReLU: 400 numbers in and 400 out, of 4 bytes each, of which 4 such pairs may live at once
    assert at_once(1) == (64 << 20) // (4 * 800 * 4)
    assert at_once(10) == at_once(1) // 10
    assert at_once(1 << 16) == 1
    assert not any(module._forward_hooks for module in network.modules())


def test_outputs_in_mappings_and_tuples_count():
    class Many(nn.Module):
        def forward(self, x):
            return {"a": x, "more": (x, [x])}

    network = Many()
    example = torch.zeros(1, 1000, dtype=torch.float16)
    assert items_at_once(network, lambda: network(example), device=CPU) == (64 << 20) // (4 * 4 * 2000)
