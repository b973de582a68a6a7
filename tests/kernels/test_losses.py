"""info_nce: its equation, its floor on a law whose information is known, and what it refuses."""

import math

import pytest
import torch

from pointwise import InputError
from pointwise.kernels.functions import info_nce


def matrix(n, *, seed=0, dtype=torch.float64):
    return torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_it_is_the_mean_of_two_cross_entropies_with_the_partner_as_the_label():
    s, labels = matrix(6), torch.arange(6)
    cross = torch.nn.functional.cross_entropy
    torch.testing.assert_close(info_nce(s), (cross(s, labels) + cross(s.T, labels)) / 2, rtol=1e-14, atol=0)


def test_gradcheck_and_invariance_to_a_constant():
    s = matrix(5).requires_grad_()
    assert torch.autograd.gradcheck(info_nce, s)
    torch.testing.assert_close(info_nce(s + 40), info_nce(s), rtol=1e-13, atol=0)


def test_one_pair_has_no_loss_and_equal_similarities_lose_log_n():
    assert float(info_nce(matrix(1))) == 0
    assert float(info_nce(torch.zeros(7, 7, dtype=torch.float64))) == pytest.approx(math.log(7), abs=1e-15)


def test_large_values_do_not_overflow_and_a_pair_can_be_left_out():
    s = torch.tensor([[3e4, -math.inf], [0.0, 3e4]])
    assert float(info_nce(s)) == 0


def test_its_floor_over_batches_is_log_n_minus_the_information():
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    pmi = (joint / 0.25).log()
    information = float((joint * pmi).sum())
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(20):
        drawn = torch.multinomial(joint.flatten(), 1000, replacement=True, generator=generator)
        losses.append(info_nce(pmi[drawn // 2][:, drawn % 2]))
    assert float(torch.stack(losses).mean()) == pytest.approx(math.log(1000) - information, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    s = matrix(50).to(dtype)
    assert info_nce(s).dtype == torch.float32
    torch.testing.assert_close(info_nce(s), info_nce(s.float()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (torch.zeros(2, 3), r"similarity has shape \[2, 3\]; it must be square \[n, n\]"),
        (torch.zeros(0, 0), r"similarity has shape \[0, 0\]; it must be square"),
        (torch.zeros(3), r"similarity has shape \[3\]; it must be square"),
        (torch.zeros(2, 2, dtype=torch.int64), r"similarity is of torch.int64; it must be a floating-point"),
        ([[1.0]], r"similarity is a list; it must be a floating-point torch tensor \[n, n\]"),
    ],
)
def test_what_is_no_similarity_matrix_is_refused(similarity, message):
    with pytest.raises(InputError, match=message):
        info_nce(similarity)
