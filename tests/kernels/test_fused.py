"""The blocked engine against its equations: any block size, any subset of gradients, and no large array on the way."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pointwise import InputError
from pointwise.kernels import fused
from pointwise.kernels.functions import kme_similarity, wpse_similarity


def plain_log_kernel_sum(x, y, u, v):
    exponents = torch.einsum("nid,bjd->nbij", x, y) + u[:, None, :, None] + v[None, :, None]
    return torch.logsumexp(exponents * math.log(2), dim=(2, 3)) / math.log(2)


def plain_kernel_sum(x, y, u, v, wx, wy):
    kernels = torch.exp2(torch.einsum("nid,bjd->nbij", x, y) + u[:, None, :, None] + v[None, :, None])
    return torch.einsum("ni,bj,nbij->nb", wx, wy, kernels)


FUNCTIONS = {
    "log": (fused.log_kernel_sum, plain_log_kernel_sum, 4),
    "signed": (fused.kernel_sum, plain_kernel_sum, 6),
}


def inputs(n, m, b, l, d, count, *, seed=0):  # noqa: E741 - l points, as everywhere
    generator = torch.Generator().manual_seed(seed)
    shapes = [(n, m, d), (b, l, d), (n, m), (b, l), (n, m), (b, l)][:count]
    return [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes]


def gradients(function, given):
    result = function(*given)
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(9), dtype=result.dtype)
    return result.detach(), torch.autograd.grad((result * weights).sum(), [t for t in given if t.requires_grad])


@pytest.fixture(params=[(512, 2560, 32), (3, 5, 1), (4, 2, 32), (1, 1, 1), (7, 64, 2)])
def blocks(request, monkeypatch):
    for name, value in zip(("_ROWS", "_COLUMNS", "_LANES"), request.param, strict=True):
        monkeypatch.setattr(fused, name, value)


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize(
    "shape", [(5, 3, 7, 4, 6), (1, 1, 1, 1, 1), (2, 9, 3, 1, 2), (3, 1, 2, 11, 2), (1, 5, 40, 6, 3)]
)
def test_values_and_gradients_are_those_of_the_equation_whatever_the_blocks(kind, shape, blocks):
    own, plain, count = FUNCTIONS[kind]
    given = inputs(*shape, count)
    value, found = gradients(own, given)
    expected, wanted = gradients(plain, given)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_each_gradient_alone(kind):
    own, _, count = FUNCTIONS[kind]
    given = inputs(3, 2, 4, 3, 2, count)
    _, together = gradients(own, given)
    for place, wanted in enumerate(together):
        alone = [t.detach().requires_grad_(i == place) for i, t in enumerate(given)]
        (found,) = gradients(own, alone)[1]
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_gradcheck(kind):
    own, _, count = FUNCTIONS[kind]
    assert torch.autograd.gradcheck(own, inputs(3, 2, 2, 3, 2, count))


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_second_derivatives_are_refused_not_zero(kind):
    own, _, count = FUNCTIONS[kind]
    given = inputs(2, 2, 2, 2, 2, count)
    with pytest.raises(InputError, match="differentiated once, and create_graph=True asks for second derivatives"):
        torch.autograd.grad(own(*given).sum(), given[:1], create_graph=True)


def test_points_left_out_are_as_if_absent_and_a_sample_without_any_is_minus_infinity(blocks):
    x, y, u, v = (t.detach() for t in inputs(4, 5, 6, 3, 2, 4))
    u[:, 3:], u[1], v[2, 0] = -math.inf, -math.inf, -math.inf
    given = [t.requires_grad_() for t in (x, y, u, v)]
    value = fused.log_kernel_sum(*given)
    assert bool((value[1] == -math.inf).all())
    kept = [0, 2, 3]
    expected = plain_log_kernel_sum(x[kept, :3], y, u[kept, :3], v)
    torch.testing.assert_close(value[kept], expected, rtol=1e-12, atol=1e-12)
    for gradient in torch.autograd.grad(value[kept].sum(), given):
        assert bool(torch.isfinite(gradient).all())
    for gradient in torch.autograd.grad(fused.log_kernel_sum(*given).sum(), given):
        assert bool(torch.isfinite(gradient).all())  # those of samples without mass are zero


class _Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gives."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


@pytest.mark.parametrize("name", ["kme", "wpse", "plain"])
def test_no_array_of_all_pairs_of_points_is_made(name):
    n, m, b, l, d = 96, 20, 96, 22, 4  # noqa: E741
    x, y = (t.detach().float().requires_grad_() for t in inputs(n, m, b, l, d, 2))
    with _Largest() as seen:
        if name == "plain":  # or the watch itself would not see it
            similarity = plain_log_kernel_sum(x, y, x.sum(dim=2), y.sum(dim=2))
        else:
            similarity = {"kme": kme_similarity, "wpse": wpse_similarity}[name](x, y, scale=2.0)
        similarity.sum().backward()
    if name == "plain":
        assert seen.entries >= n * m * b * l
    else:
        assert seen.entries <= 512 * 2560 < n * m * b * l / 3


@pytest.mark.parametrize(
    ("n", "m", "size", "least"), [(256, 77, 2560, 32), (3, 10_000, 512, 1), (0, 4, 512, 1), (100, 1, 64, 32)]
)
def test_parts_cover_a_table_once(n, m, size, least):
    table = torch.zeros(n, m, 1)
    for part in fused._parts(table, size, side_by_side=least):
        table[part] += 1
        assert table[part].numel() <= max(size, least)
    assert bool((table == 1).all())
