import math

import numpy as np
import pytest
from scipy import stats

import pointwise as pw
from pointwise.errors import InputError
from pointwise.synthetic import CorrelatedGaussians

CORRELATIONS = [0.9, -0.5, 0.0]


def test_pmi_is_the_ratio_of_the_densities():
    law = CorrelatedGaussians(CORRELATIONS)
    c = np.diag(CORRELATIONS)
    joint = stats.multivariate_normal(np.zeros(6), np.block([[np.eye(3), c], [c, np.eye(3)]]))
    x, y = law.sample(20, seed=0)
    rows, others = np.repeat(x, 20, axis=0), np.tile(y, (20, 1))
    expected = joint.logpdf(np.hstack([rows, others])) - stats.norm.logpdf(np.hstack([rows, others])).sum(axis=1)
    np.testing.assert_allclose(law.pmi_matrix(x, y).ravel(), expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(law.pmi(rows, others), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("correlation", "information"), [(0.0, 0), (0.6, 0.2231435513142097), (-0.8, 0.5108256237659907)]
)
def test_information_of_one_correlation(correlation, information):  # -ln .8 and -ln .6
    assert CorrelatedGaussians([correlation]).mutual_information() == pytest.approx(information, rel=1e-14)


def test_information_near_one_keeps_its_digits():
    assert CorrelatedGaussians([1 - 2**-40]).mutual_information() == pytest.approx(
        -0.5 * (math.log(2**-40) + math.log1p(1 - 2**-40)), rel=1e-15
    )


def test_samples_have_the_correlations():
    x, y = CorrelatedGaussians(CORRELATIONS).sample(20_000, seed=1)
    found = np.cov(np.hstack([x, y]).T)
    expected = np.eye(6) + np.diag(CORRELATIONS, 3) + np.diag(CORRELATIONS, -3)
    assert abs(found - expected).max() < 0.05


@pytest.mark.parametrize(
    ("correlations", "message"),
    [
        ([0.5, 1.0], "correlations holds 1; each must be between -1 and 1"),
        ([-1.5], r"correlations holds -1\.5; each"),
        ([math.nan], "correlations holds nan; each"),
        ([], r"correlations has shape \(0,\); it must be \[d\]"),
        ([[0.5]], r"correlations has shape \(1, 1\); it must be \[d\]"),
    ],
)
def test_correlations_that_are_none(correlations, message):
    with pytest.raises(InputError, match=message):
        CorrelatedGaussians(correlations)


def test_rows_of_another_width():
    with pytest.raises(InputError, match="y has 2 columns; this law has 3"):
        CorrelatedGaussians(CORRELATIONS).pmi(np.zeros((1, 3)), np.zeros((1, 2)))


def test_a_gaussian_fitted_to_samples_finds_the_pmi():
    law = CorrelatedGaussians(CORRELATIONS)
    x, y = law.sample(50_000, seed=4)
    pair = pw.GaussianPair()
    pair.update(x, y)
    assert pair.mutual_information() == pytest.approx(law.mutual_information(), abs=0.02)
    assert abs(pair.pmi(x[:100], y[:100]).per_sample - law.pmi(x[:100], y[:100])).max() < 0.15
