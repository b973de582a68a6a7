import math

import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.linalg import sqrtm

from pointwise.errors import InputError
from pointwise.metrics.frechet import frechet
from pointwise.summaries import moments as moments_module
from pointwise.summaries.moments import moments
from pointwise.synthetic import Gaussian
from slow_reference import SLOW
from strategies import table_pairs


def score(real, fake):
    return frechet(moments(torch.as_tensor(real), torch.as_tensor(fake)))


def spread(real, fake):
    """Sum of the traces of both covariances: the size of the terms that cancel."""
    return sum(np.asarray(table, dtype=float).var(axis=0, ddof=1).sum() for table in (real, fake))


def test_it_has_the_digits_of_the_official_code():
    rng = np.random.RandomState(0)
    real = rng.randn(200, 8)
    fake = rng.randn(150, 8) * 1.2 + 0.3
    assert score(real, fake).value == pytest.approx(1.0758908464715091, rel=1e-11)


def test_it_has_the_digits_of_the_official_code_on_a_lattice():
    real = np.array([[i % 5, (i * 3) % 7] for i in range(35)], dtype=float)
    fake = np.array([[(i * 2) % 5, (i * 5) % 7] for i in range(20)], dtype=float)
    assert score(real, fake).value == pytest.approx(0.01693373925333752, rel=1e-9)


@given(table_pairs())
def test_it_agrees_with_the_plain_form(pair):
    real, fake = pair
    value = score(real, fake).value
    assert value >= 0
    assert value == pytest.approx(SLOW["frechet"](real, fake)[0], rel=1e-9, abs=1e-7 * spread(real, fake))


@pytest.mark.parametrize(("n", "m"), [(12, 9), (12, 60), (60, 12), (20, 21)], ids=str)
def test_with_fewer_rows_than_columns_it_agrees_with_the_matrix_root(n, m):
    d = 20
    rng = np.random.default_rng(3)
    real, fake = rng.standard_normal((n, d)), rng.standard_normal((m, d)) * 1.5 + 0.2
    a, b = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    # A ridge of 1e-9 keeps sqrtm away from singular matrices, and costs it the digits below 1e-4.
    root = sqrtm((a + 1e-9 * np.eye(d)) @ (b + 1e-9 * np.eye(d))).real
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root)
    assert score(real, fake).value == pytest.approx(expected, rel=1e-4)
    cross = (real - real.mean(0)) @ (fake - fake.mean(0)).T / math.sqrt((n - 1) * (m - 1))
    nuclear = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * np.linalg.norm(cross, "nuc")
    assert score(real, fake).value == pytest.approx(nuclear, rel=1e-12)


def test_it_is_the_closed_form_where_covariances_commute():
    d = 5
    rng = np.random.default_rng(0)
    white = rng.standard_normal((40, d))
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T  # its covariance is exactly I
    first, second, shift = np.arange(1.0, 6), np.array([3, 0.5, 2, 2, 7]), np.arange(5) / 10
    expected = (shift**2).sum() + ((first - second) ** 2).sum()
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    assert score(white * first @ turn, (white * second + shift) @ turn).value == pytest.approx(expected, rel=1e-12)


def test_it_approaches_the_distance_of_the_laws():
    real, fake = Gaussian.isotropic(4), Gaussian.isotropic(4, variance=2.25, shift=0.5)
    found = score(real.sample(20000, 1), fake.sample(20000, 2))
    assert abs(found.value - (4 * 0.25 + 4 * 0.25)) < 4 * found.standard_error < 0.2


@pytest.mark.parametrize(("n", "d"), [(100, 6), (10, 30)])
def test_it_is_zero_for_identical_tables_and_symmetric(n, d):
    rng = np.random.default_rng(5)
    real, fake = rng.standard_normal((n, d)), rng.standard_normal((n + 3, d)) + 1
    assert score(real, real).value == pytest.approx(0, abs=1e-13 * spread(real, real))
    assert score(real, fake).value == pytest.approx(score(fake, real).value, rel=1e-12)


def test_translation_and_rotation_change_nothing():
    rng = np.random.default_rng(6)
    real, fake = rng.standard_normal((80, 5)), rng.standard_normal((70, 5)) * 2
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    before, after = score(real, fake), score(real @ turn + 1e5, fake @ turn + 1e5)
    assert after.value == pytest.approx(before.value, rel=1e-9)
    assert after.standard_error == pytest.approx(before.standard_error, rel=1e-8)


def test_small_features_keep_their_digits_when_columns_repeat():
    rng = np.random.default_rng(7)
    real, fake = rng.standard_normal((60, 3)), rng.standard_normal((60, 3)) + 0.01
    plain = score(real, fake).value
    assert score(np.hstack([real, real]), np.hstack([fake, fake])).value == pytest.approx(2 * plain, rel=1e-11)


def test_blocks_and_precisions_change_nothing(monkeypatch):
    rng = np.random.default_rng(8)
    real, fake = (rng.standard_normal((n, 4)).astype(np.float16) for n in (50, 41))
    whole = score(real, fake)
    monkeypatch.setattr(moments_module, "_BLOCK_BYTES", 1)
    blocks = score(real.astype(np.float64), fake.astype(np.float64))
    assert blocks.value == pytest.approx(whole.value, rel=1e-12)
    assert blocks.standard_error == pytest.approx(whole.standard_error, rel=1e-12)


@pytest.mark.parametrize("stretch", [None, 1.5], ids=["turned and shifted", "wider"])
def test_the_standard_error_is_the_spread_over_repeats(stretch):
    d = 5
    mix = np.eye(d) + np.random.default_rng(99).standard_normal((d, d)) / math.sqrt(d)
    values, errors = [], []
    for repeat in range(300):
        rng = np.random.default_rng(repeat)
        real, fake = rng.standard_normal((200, d)), rng.standard_normal((150, d))
        found = score(real, stretch * fake if stretch else 1.5 * fake @ mix + 0.3)
        values.append(found.value)
        errors.append(found.standard_error)
    assert math.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values, ddof=1), rel=0.15)


@pytest.mark.parametrize("d", [1, 4])
def test_the_standard_error_is_the_plain_formula(d):
    """Influences by the map of optimal transport, T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, from SciPy's matrix roots."""
    rng = np.random.default_rng(11)
    mix = np.eye(d) + rng.standard_normal((d, d)) / d
    real, fake = rng.standard_normal((60, d)), 1.4 * rng.standard_normal((45, d)) @ mix + 0.3

    def variance(x, y):
        a, b = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (x, y))
        root = np.atleast_2d(sqrtm(a)).real
        transport = np.linalg.solve(root, np.linalg.solve(root, np.atleast_2d(sqrtm(root @ b @ root)).real).T)
        z = x - x.mean(axis=0)
        u = 2 * z @ (x.mean(axis=0) - y.mean(axis=0)) + np.einsum("ij,ij->i", z @ (np.eye(d) - transport), z)
        return u.var(ddof=1) / len(u)

    found = score(real, fake)
    expected = math.sqrt(variance(real, fake) + variance(fake, real))
    assert found.standard_error == pytest.approx(expected, rel=1e-12 if d == 1 else 1e-11)
    assert {side: len(u) for side, u in found.terms.influence(None).items()} == {"real": 60, "generated": 45}


@pytest.mark.parametrize(("n", "m"), [(6, 100), (100, 6)])
def test_the_standard_error_is_not_known_with_no_more_rows_than_columns(n, m):
    rng = np.random.default_rng(9)
    assert math.isnan(score(rng.standard_normal((n, 6)), rng.standard_normal((m, 6))).standard_error)


def test_the_standard_error_is_not_known_where_a_column_is_a_sum_of_others():
    rng = np.random.default_rng(10)
    real, fake = rng.standard_normal((50, 3)), rng.standard_normal((50, 3))
    flat = np.hstack([real, real.sum(axis=1, keepdims=True)])
    assert math.isnan(score(flat, np.hstack([fake, fake[:, :1]])).standard_error)
    assert score(real, fake).standard_error > 0


def test_it_is_of_whole_sets():
    found = score(np.eye(3), np.eye(3))
    assert (found.per_sample, found.of) == (None, "generated")


def test_one_row_has_no_covariance():
    with pytest.raises(InputError, match=r"the generated table has 1 row; a comparison needs at least 2"):
        score(np.ones((3, 2)), np.ones((1, 2)))


def test_tables_of_different_width_are_refused():
    with pytest.raises(
        InputError,
        match=r"the real table has 2 feature columns but the generated table has 3; encode both with the same encoder",
    ):
        score(np.ones((3, 2)), np.ones((3, 3)))
