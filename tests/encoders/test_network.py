"""Networks run in full precision whatever is allowed around them, in passes that fit into memory."""

import logging

import pytest
import torch
from torch import nn

from pointwise.encoders.network import Tower, in_batches, in_passes, inference, loading, watched
from pointwise.errors import InputError

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


def tower(network, example, **options):
    return Tower(network, lambda inputs: network(inputs["x"]), {"x": example}, name="ours", device=CPU, **options)


def test_passes_grow_as_items_and_numbers_shrink():
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Linear(100, 400), nn.ReLU(), nn.Linear(400, 10))
        wide = nn.Linear(1, 1 << 22)
    # the largest part is the ReLU: 400 numbers in and 400 out, of 4 bytes each, of which 4 such pairs may live at once
    assert tower(network, torch.zeros(1, 100)).items_at_once == (64 << 20) // (4 * 800 * 4)
    assert tower(network, torch.zeros(1, 100), dtype=torch.bfloat16).items_at_once == (64 << 20) // (4 * 800 * 2)
    assert tower(wide, torch.zeros(1, 1)).items_at_once == 1
    assert not any(module._forward_hooks for module in network.modules())


def test_outputs_in_mappings_and_tuples_count():
    class Many(nn.Module):
        def forward(self, x):
            return {"a": x, "more": (x, [x])}

    network = Many()
    example = torch.zeros(1, 1000, dtype=torch.float16)
    features, called, largest = watched(network, lambda: network(example)["a"])
    assert (features is example, called, largest) == (True, {network}, 4 * 2000)


def test_passes_are_put_together_in_order_and_are_fit_for_autograd():
    assert list(in_batches(range(5), 2)) == [range(2), range(2, 4), range(4, 5)]
    features = in_passes(lambda items: torch.tensor(items, dtype=torch.float64)[:, None], in_batches(range(5), 2), CPU)
    assert features.dtype == torch.float32
    assert features.flatten().tolist() == [0, 1, 2, 3, 4]
    (features * torch.ones(1, requires_grad=True)).sum().backward()


def test_features_that_are_not_finite_are_refused():
    encode = tower(nn.Flatten(), torch.zeros(1, 1)).encode
    match = r"^ours gives features that are not finite in float32 for 2 of 3 items; its weights are damaged\.$"
    with pytest.raises(InputError, match=match):
        encode({"x": x} for x in torch.tensor([torch.inf, 1, torch.nan])[:, None, None])


def test_features_that_are_no_row_of_an_item_are_refused():
    with pytest.raises(InputError, match=r"^ours gives features of shape \[1, 2, 3\] for one item, where a row is"):
        tower(nn.Identity(), torch.zeros(1, 2, 3))


def test_a_part_that_the_features_do_not_need_is_let_go_where_that_is_asked():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.other = nn.Identity(), nn.Identity()

        def forward(self, x):
            return self.used(x)

    network = Two()
    tower(network, torch.zeros(1, 3), prune=False)
    assert dict(network.named_children()).keys() == {"used", "other"}
    tower(network, torch.zeros(1, 3))
    assert dict(network.named_children()).keys() == {"used"}


def test_loading_moves_no_generator_and_leaves_no_handler():
    before, handlers = torch.get_rng_state(), list(logging.getLogger().handlers)
    with loading("the network cannot be loaded", "try again."):
        torch.nn.Linear(3, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert logging.getLogger().handlers == handlers


def test_a_failure_to_load_is_one_sentence():
    with pytest.raises(InputError, match=r"^the network cannot be loaded \(it is torn\); try again\.$"):
        with loading("the network cannot be loaded", "try again."):
            raise RuntimeError("it is torn. Here is much more.\nAnd more.")
    with pytest.raises(InputError, match=r"^the network cannot be loaded \(Error in Linear: Missing key: a\); try"):
        with loading("the network cannot be loaded", "try again."):
            raise RuntimeError("Error in Linear:\n\tMissing key: a\n\tUnexpected key: b")
    with pytest.raises(InputError, match=r"^the network cannot be loaded \(StopIteration\); try again\.$"):
        with loading("the network cannot be loaded", "try again."):
            raise StopIteration
    with pytest.raises(InputError, match=r"^another sentence\.$"):
        with loading("the network cannot be loaded", "try again."):
            raise InputError("another sentence.")


def test_a_network_that_fails_is_one_sentence_that_names_its_package():
    with pytest.raises(
        InputError, match=rf"^ours cannot be used by torch {torch.__version__.replace('+', '.')} \(.*shapes.*\); check"
    ):
        tower(nn.utils.skip_init(nn.Linear, 3, 2), torch.zeros(1, 5))
