import math

import numpy as np
import pytest
import torch
from scipy import stats

from pointwise.errors import InputError
from pointwise.synthetic import DiscreteLatent


@pytest.fixture
def law():
    return DiscreteLatent.dirichlet(32, 64, 64, seed=0)


def test_information_is_what_summing_one_by_one_gives():
    law = DiscreteLatent.dirichlet(3, 4, 5, seed=2, z_concentration=1.0)
    assert law.p_z.std() > 0.01
    joint = np.array(
        [
            [sum(law.p_z[z] * law.x_given_z[z, x] * law.y_given_z[z, y] for z in range(3)) for y in range(5)]
            for x in range(4)
        ]
    )
    pmi = np.array([[joint[x, y] / (joint[x].sum() * joint[:, y].sum()) for y in range(5)] for x in range(4)])
    np.testing.assert_allclose(law.joint, joint, rtol=1e-13)
    np.testing.assert_allclose(law.pmi_matrix(np.arange(4), np.arange(5)), np.log(pmi), rtol=1e-11)
    assert law.mutual_information() == pytest.approx((joint * np.log(pmi)).sum(), rel=1e-12)


def test_exp_pmi_has_the_rank_of_the_latent(law):
    singular = np.linalg.svd(np.exp(law.pmi_table), compute_uv=False)
    assert law.pmi_table.shape == (64, 64)
    assert singular[31] > 1e-4
    assert singular[32] < 1e-13


def test_exp_pmi_is_the_product_of_the_factors(law):
    x, y = law.factors()
    assert x.shape == y.shape == (64, 32)
    np.testing.assert_allclose(x @ y.T, law.joint / np.outer(law.joint.sum(1), law.joint.sum(0)), rtol=1e-12)
    posterior = x * np.sqrt(law.p_z)
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-13)


def test_exp_pmi_has_mean_one_over_either_side(law):
    np.testing.assert_allclose(np.exp(law.pmi_table) @ law.joint.sum(axis=0), 1, rtol=1e-13)
    np.testing.assert_allclose(law.joint.sum(axis=1) @ np.exp(law.pmi_table), 1, rtol=1e-13)


def test_values_that_tell_the_latent_have_its_entropy_as_information():
    law = DiscreteLatent(np.full(4, 0.25), np.eye(4), np.eye(4))
    assert law.mutual_information() == pytest.approx(math.log(4), rel=1e-15)
    assert law.pmi([0, 0], [0, 1]).tolist() == [pytest.approx(math.log(4)), -math.inf]
    x, y = law.sample(1000, seed=0)
    assert np.array_equal(x, y)


def test_one_latent_value_leaves_nothing_in_common():
    assert abs(DiscreteLatent.dirichlet(1, 8, 8, seed=0).mutual_information()) < 1e-15


def test_samples_follow_the_joint_law():
    law = DiscreteLatent.dirichlet(3, 4, 5, seed=2, concentration=2.0, z_concentration=1.0)
    x, y = law.sample(20_000, seed=9)
    counts = np.zeros((4, 5))
    np.add.at(counts, (x, y), 1)
    assert stats.chisquare(counts.ravel(), 20_000 * law.joint.ravel()).pvalue > 1e-3


def test_values_without_probability_given_z_are_never_drawn():
    law = DiscreteLatent([0.5, 0.5], [[0, 1, 0], [0.5, 0, 0.5]], [[1.0], [1.0]])
    x, _ = law.sample(5000, seed=0)
    assert np.bincount(x, minlength=3) / 5000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_tensors_are_taken(law):
    assert law.pmi(torch.tensor([1, 2]), torch.tensor([3, 4])).tolist() == law.pmi([1, 2], [3, 4]).tolist()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            ([0.5, 0.6], np.eye(2), np.eye(2)),
            r"p_z must hold probabilities.*its least value is 0\.5 and it sums to 1\.1",
        ),
        (([1.5, -0.5], np.eye(2), np.eye(2)), r"p_z must hold probabilities.*least value is -0\.5"),
        (([1.0], [[0.5, 0.2]], [[1.0]]), r"x_given_z must .* in each row; .* row 0 sums to 0\.7"),
        (([1.0], [[math.nan, 0.2]], [[1.0]]), "x_given_z must .* row 0 sums to nan"),
        (([1.0], [1.0], [[1.0]]), r"x_given_z has shape \(1,\); it must be \[K, values\]"),
        (([], np.eye(2), np.eye(2)), r"p_z has shape \(0,\); it must be \[K\]"),
        (([0.5, 0.5], np.eye(2), np.eye(3)), "y_given_z has 3 rows for 2 values of z"),
        (([0.5, 0.5], np.eye(2), [[1, 0], [1, 0]]), "value 1 of y has probability 0 whatever z is"),
    ],
)
def test_tables_that_are_no_law(tables, message):
    with pytest.raises(InputError, match=message):
        DiscreteLatent(*tables)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": 0}, "latents is 0; it must be a whole number of at least 1"),
        ({"values_x": 2.5}, r"values_x is 2\.5; it must be a whole number"),
        ({"concentration": 0.0}, r"concentration is 0\.0; it must be a number above 0"),
        ({"concentration": math.inf}, "concentration is inf; it must be a number above 0"),
        ({"z_concentration": -1.0}, r"z_concentration is -1\.0; it must be a number above 0\."),
    ],
)
def test_laws_that_cannot_be_drawn(options, message):
    with pytest.raises(InputError, match=message):
        DiscreteLatent.dirichlet(**{"latents": 2, "values_x": 3, "values_y": 3, "seed": 0, **options})


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([64], "x holds 64; its values must be integers from 0 to 63"),
        ([-1], "x holds -1; its values must be integers from 0 to 63"),
        ([0.5], r"x holds 0\.5; its values must be integers"),
        ([math.nan], "x holds nan; its values must be integers"),
        ([[1]], r"x has shape \(1, 1\); it must be one-dimensional"),
    ],
)
def test_values_that_the_law_has_not(law, x, message):
    with pytest.raises(InputError, match=message):
        law.pmi(x, [0])
    with pytest.raises(InputError, match=message.replace("x h", "y h")):
        law.pmi_matrix([0], x)


def test_the_law_keeps_tables_of_its_own():
    mine = np.array([0.5, 0.5])
    law = DiscreteLatent(mine, np.eye(2), np.eye(2))
    mine[0] = 9
    assert law.p_z.tolist() == [0.5, 0.5]
