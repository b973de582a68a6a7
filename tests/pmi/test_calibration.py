"""Calibration against plain loops and on laws whose pointwise mutual information is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pointwise._retrieval.blocks import Blocks
from pointwise.errors import InputError
from pointwise.pmi.calibration import pmi_calibration


@pytest.fixture(autouse=True)
def one_thread():
    """The problems are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gaussian_pmi(x, y, rho):
    """log p(x, y) / (p(x) p(y)) of a standard normal pair with this correlation."""
    return -0.5 * np.log(1 - rho**2) - (rho**2 * (x**2 + y**2) - 2 * rho * x * y) / (2 * (1 - rho**2))


def gaussian_pairs(n, rho, rng):
    x, e = rng.normal(size=(2, n))
    return x, rho * x + np.sqrt(1 - rho**2) * e


TABLE = np.random.default_rng(7).dirichlet(np.full(20, 0.6)).reshape(4, 5)  # a joint law of 4 x 5 values
OUTER = TABLE.sum(axis=1, keepdims=True) * TABLE.sum(axis=0)
TABLE_PMI = np.log(TABLE / OUTER)
TABLE_INFORMATION = float((TABLE * TABLE_PMI).sum())


def table_similarity(n, rng, of=TABLE_PMI):
    x, y = np.unravel_index(rng.choice(TABLE.size, size=n, p=TABLE.ravel()), TABLE.shape)
    return of[x[:, None], y]


def test_every_number_is_what_plain_loops_find():
    rng = np.random.default_rng(0)
    n = 7
    s = rng.normal(size=(n, n)) + 3 * np.eye(n)
    s[1, 4] = -np.inf
    found = pmi_calibration(s)
    e = np.exp(s)
    rows = np.array([np.mean([e[i, j] for j in range(n) if j != i]) for i in range(n)])
    columns = np.array([np.mean([e[i, j] for i in range(n) if i != j]) for j in range(n)])
    unpaired = [e[i, j] for i in range(n) for j in range(n) if i != j]
    mean = np.mean(unpaired)
    assert found.constant == pytest.approx(math.log(mean), rel=1e-12)
    assert found.rows == pytest.approx(rows / mean, rel=1e-12)
    assert found.columns == pytest.approx(columns / mean, rel=1e-12)
    assert found.rows.mean() == pytest.approx(1)
    assert (found.row_spread, found.column_spread) == pytest.approx((np.std(rows / mean), np.std(columns / mean)))
    for noise, matrix in ((found.row_noise, e), (found.column_noise, e.T)):
        errors = [np.var([matrix[i, j] / mean for j in range(n) if j != i], ddof=1) / (n - 1) for i in range(n)]
        assert noise == pytest.approx(math.sqrt(np.mean(errors)), rel=1e-12)
    assert found.effective_pairs == pytest.approx(sum(unpaired) ** 2 / sum(v * v for v in unpaired))
    assert found.mutual_information.per_sample == pytest.approx(np.diag(s) - math.log(mean), rel=1e-12)
    assert found.mutual_information.of == "pair"
    influence = (rows + columns) / mean - 2
    chance = (found.row_noise**2 + found.column_noise**2) / (2 * n)
    assert found.constant_error == pytest.approx(math.sqrt(np.var(influence, ddof=1) / n - chance))
    assert found.mutual_information.standard_error == pytest.approx(
        np.std(np.diag(s) - influence, ddof=1) / math.sqrt(n)
    )
    logits, labels = torch.from_numpy(s), torch.arange(n)
    losses = [torch.nn.functional.cross_entropy(some, labels) for some in (logits, logits.T)]
    assert found.info_nce_bound == pytest.approx(math.log(n) - float(sum(losses)) / 2, rel=1e-12)
    assert found.limit == math.log(n)


def test_pmi_of_a_table_comes_back_from_pmi_and_any_constant():
    rng = np.random.default_rng(1)
    similarity = table_similarity(1500, rng) + 12.5
    found = pmi_calibration(similarity)
    assert found.constant == pytest.approx(12.5, abs=4 * found.constant_error)
    assert 0.0003 < found.constant_error < 0.003
    assert found.mutual_information.value == pytest.approx(
        TABLE_INFORMATION, abs=4 * found.mutual_information.standard_error
    )
    assert found.mutual_information.per_sample == pytest.approx(np.diag(similarity) - 12.5, abs=0.1)
    assert max(found.row_spread, found.column_spread) < 0.1


def test_pmi_of_gaussians_comes_back():
    rng = np.random.default_rng(2)
    x, y = gaussian_pairs(1500, 0.5, rng)
    found = pmi_calibration(gaussian_pmi(x[:, None], y, 0.5) - 4)
    truth = -0.5 * math.log(1 - 0.25)
    low, high = found.mutual_information.interval(0.999)
    assert low < truth < high
    assert high - low < 0.15
    assert found.mutual_information.per_sample == pytest.approx(gaussian_pmi(x, y, 0.5), abs=0.05)


def test_what_is_not_pmi_is_seen_in_the_rows_and_gives_less_information():
    rng = np.random.default_rng(3)
    x, y = gaussian_pairs(1000, 0.5, rng)
    pmi = gaussian_pmi(x[:, None], y, 0.5)
    right = pmi_calibration(pmi)
    for wrong in (pmi + np.sin(3 * x)[:, None], 1.6 * pmi, 0.3 * pmi):
        found = pmi_calibration(wrong)
        assert found.row_spread > 3 * found.row_noise
        assert found.mutual_information.value < right.mutual_information.value - 0.02
    only_rows = pmi_calibration(pmi + np.sin(3 * x)[:, None])
    assert only_rows.column_spread < only_rows.row_spread / 10


def test_standard_errors_are_the_spread_over_repeated_samples():
    rng = np.random.default_rng(4)
    for of in (TABLE_PMI, 0.5 * TABLE_PMI):
        found = [pmi_calibration(table_similarity(100, rng, of=of)) for _ in range(600)]
        information = [one.mutual_information for one in found]
        errors = [one.standard_error for one in information]
        assert np.std([one.value for one in information]) == pytest.approx(np.mean(errors), rel=0.15)
        ratio = np.mean([one.constant_error for one in found]) / np.std([one.constant for one in found])
        assert 0.9 < ratio < 1.4  # for PMI itself the error is of second order, and its estimate on the safe side
        truth = float((TABLE * of).sum()) - math.log((OUTER * np.exp(of)).sum())
        held = [low < truth < high for low, high in (one.interval() for one in information)]
        assert 0.92 < np.mean(held) < 0.98


def test_rows_of_pmi_spread_as_much_as_chance_says():
    rng = np.random.default_rng(9)
    found = [pmi_calibration(table_similarity(100, rng)) for _ in range(600)]
    for way in ("row", "column"):
        spread, noise = ([getattr(one, f"{way}_{what}") for one in found] for what in ("spread", "noise"))
        assert np.mean(np.square(spread)) == pytest.approx(np.mean(np.square(noise)), rel=0.15)


def test_the_constant_is_too_low_by_half_its_variance():
    rng = np.random.default_rng(5)
    sharp = np.where(np.eye(4, 5), np.log(60.0), 0.0)  # few entries carry the mean of e^S
    truth = math.log((OUTER * np.exp(sharp)).sum())
    found = [pmi_calibration(table_similarity(40, rng, of=sharp)) for _ in range(1500)]
    error = np.mean([one.constant for one in found]) - truth
    expected = -np.mean([one.constant_error**2 for one in found]) / 2
    assert error == pytest.approx(expected, rel=0.35)
    assert error < -3 * np.std([one.constant for one in found]) / math.sqrt(1500)


def test_info_nce_cannot_exceed_log_n_where_the_calibrated_mean_can():
    n = 50
    found = pmi_calibration(np.where(np.eye(n), 20.0, 0.0))
    assert found.info_nce_bound == pytest.approx(math.log(n), abs=1e-6)
    assert found.mutual_information.value == pytest.approx(20)
    assert found.effective_pairs == pytest.approx(n * (n - 1))


def test_large_similarities_do_not_overflow():
    rng = np.random.default_rng(6)
    similarity = rng.normal(size=(30, 30))
    plain, shifted = pmi_calibration(similarity), pmi_calibration(similarity + 5000)
    assert shifted.constant == pytest.approx(plain.constant + 5000)
    for name, value in plain.to_dict().items():
        if name != "constant":
            assert shifted.to_dict()[name] == pytest.approx(value, rel=1e-8), name
    assert pmi_calibration(1000 * similarity).mutual_information.value < 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_functions_and_other_arrays_give_the_same(dtype):
    similarity = (3 * torch.randn(40, 40, generator=torch.Generator().manual_seed(0))).to(dtype)
    before = similarity.clone()
    whole = pmi_calibration(similarity)
    assert torch.equal(similarity, before)  # nothing is written into the caller's array
    for given in (similarity.double().numpy(), lambda rows: similarity[rows]):
        same = pmi_calibration(Blocks(given, n=40, entries=40 * 7))
        assert same.to_dict() == pytest.approx(whole.to_dict(), rel=1e-12)
        assert same.rows == pytest.approx(whole.rows, rel=1e-12)
        assert same.columns == pytest.approx(whole.columns, rel=1e-12)


def test_repr_says_what_was_found_and_what_was_to_be_expected():
    text = repr(pmi_calibration(table_similarity(200, np.random.default_rng(8)) + 1))
    assert text.startswith("Calibration(constant 0.9949 ± 0.0")
    assert "InfoNCE bound" in text
    assert "of at most 5.298, rows 1 ± " in text


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.zeros((3, 4)), r"similarity has 3 rows and 4 columns; it must be square, with pairs on its diagonal"),
        (np.zeros((2, 2)), r"similarity is of 2 pairs; at least 3 are needed"),
        (np.where(np.eye(4), 1, -np.inf), r"similarity is -inf for all unpaired items"),
        (np.where([[0, 0, 0], [0, 1, 1], [0, 0, 1]], -np.inf, 0),
         r"similarity is -inf for 2 of 3 pairs; the first is pair 1"),
        (np.full((3, 3), np.nan), r"similarity has nan in row 0, column 0"),
        (np.zeros((3, 3, 3)), r"similarity has shape \[3, 3, 3\]; it must have two dimensions"),
    ],
)  # fmt: skip
def test_what_cannot_be_calibrated_is_refused(similarity, message):
    with pytest.raises(InputError, match=message):
        pmi_calibration(similarity)
