"""On a GPU: similarities, heads and training give what the CPU gives."""

import pytest
import torch

from pointwise.kernels.functions import kme_similarity, wpse_similarity
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.loop import fit
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.options import Options

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def given(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = (70, 5, 16), (90, 7, 16), (70, 5), (90, 7)
    x, y, wx, wy = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    points = (torch.nn.functional.normalize(p, dim=2) for p in (x, y))
    return [t.to(dtype) for t in (*points, wx, wy, torch.tensor(12.0))]


def kme(x, y, wx, wy, scale):
    return kme_similarity(x, y, log_wx=wx, log_wy=wy, scale=scale)


def wpse(x, y, wx, wy, scale):
    return wpse_similarity(x, y, wx=wx, wy=wy, scale=scale)


@pytest.mark.parametrize("similarity", [kme, wpse])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("tf32", [False, True])
def test_similarities_and_gradients_equal_those_of_the_cpu(similarity, dtype, tolerance, tf32):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")  # must not matter
    results = []
    try:
        for device in ("cpu", "cuda"):
            leaves = [t.to(device).requires_grad_() for t in given(dtype)]
            s = similarity(*leaves)
            results.append([s.detach().cpu(), *(g.cpu() for g in torch.autograd.grad(s.sin().sum(), leaves))])
    finally:
        torch.set_float32_matmul_precision(before)
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_training_comes_to_the_loss_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, 6, generator=generator)
    pairs = Pairs(Inputs(x), Inputs(x[:, :2, :4] + 0.1 * torch.randn(64, 2, 4, generator=generator)))
    losses = []
    for device in ("cpu", "cuda"):
        model = DualEncoder(FrozenTokens(width=6), FrozenTokens(width=4), points=2, dim=3, seed=0).to(device)
        losses.append(torch.tensor([line["loss"] for line in fit(model, pairs, Options(steps=20, batch_size=32))]))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-3)
