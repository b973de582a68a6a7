"""Score: its value, its error and its intervals against independent computations."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pointwise.errors import InputError
from pointwise.score import Score, mean_score

samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30).map(np.array)


@given(samples)
def test_value_is_the_mean_of_the_samples(x):
    score = mean_score(x, of="real")
    assert score.value == np.mean(score.per_sample)
    np.testing.assert_array_equal(score.per_sample, x)


@given(samples, st.data())
def test_modes_average_to_the_value_by_their_size(x, data):
    modes = np.array(data.draw(st.lists(st.sampled_from("abc"), min_size=len(x), max_size=len(x))))
    score = mean_score(x, of="generated", modes=modes, ids=np.arange(len(x)))
    table = score.by_mode()
    assert list(table) == sorted(set(modes.tolist()))
    total = sum(part.value * len(part.per_sample) for part in table.values())
    assert math.isclose(total / len(x), score.value, rel_tol=1e-9, abs_tol=1e-6)
    for name, part in table.items():
        np.testing.assert_array_equal(part.ids, np.flatnonzero(modes == name))
        np.testing.assert_array_equal(part.per_sample, x[modes == name])
        assert part.of == "generated"
        assert part.modes is None


def test_integer_modes_give_plain_integers():
    table = mean_score(np.arange(4.0), of="real", modes=np.array([7, 7, -1, -1])).by_mode()
    assert {type(name) for name in table} == {int}
    assert {name: part.value for name, part in table.items()} == {-1: 2.5, 7: 0.5}


# ---- standard errors


def test_standard_error_of_a_mean():
    x = np.random.default_rng(0).normal(size=50)
    assert mean_score(x, of="real").standard_error == pytest.approx(x.std(ddof=1) / math.sqrt(50), rel=1e-12)


def test_standard_error_of_a_share_takes_booleans():
    x = np.array([True, False, True, True])
    assert mean_score(x, of="real").value == 0.75
    assert mean_score(x, of="real").standard_error == pytest.approx(0.25, rel=1e-12)


def test_standard_error_is_unknown_of_one_sample_and_of_infinite_ones():
    assert math.isnan(mean_score(np.array([1.0]), of="real").standard_error)
    infinite = np.array([1.0, -math.inf])
    assert math.isnan(mean_score(infinite, of="real").standard_error)


def test_interval_of_a_share_widens_with_its_standard_error():
    samples = (np.arange(100) < 30).astype(float)
    honest = mean_score(samples, of="real")
    wider = mean_score(samples, of="real", error=lambda rows: 2 * honest.standard_error)
    narrower = mean_score(samples, of="real", error=lambda rows: honest.standard_error / 2)
    assert wider.interval() == pytest.approx(
        tuple(binomtest_interval(0.3, 1 + 0.21 / wider.standard_error**2)), rel=1e-9
    )
    assert narrower.interval() == honest.interval()


@given(st.integers(2, 40), st.integers(2, 6), st.data(), st.sampled_from([0.5, 0.95]))
def test_a_share_of_samples_that_are_alike_in_groups_is_one_of_groups(groups, size, data, level):
    """Where all samples of a group are the same, the interval is Wilson's of so many groups, at 0 and 1 too."""
    hits = data.draw(st.integers(0, groups))
    samples = np.repeat(np.arange(groups) < hits, size).astype(float)
    score = mean_score(samples, of="pair", groups=np.repeat(np.arange(groups), size))
    expected = binomtest(hits, groups).proportion_ci(level, method="wilson")
    assert score.interval(level) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


def test_modes_have_their_own_groups():
    """Ten groups of three in each mode; one mode is always right."""
    samples = np.concatenate([np.ones(30), np.repeat(np.arange(10) < 4, 3)]).astype(float)
    score = mean_score(samples, of="pair", modes=np.repeat(["a", "b"], 30), groups=np.repeat(np.arange(20), 3))
    for mode, hits in (("a", 10), ("b", 4)):
        expected = binomtest(hits, 10).proportion_ci(method="wilson")
        assert score.by_mode()[mode].interval() == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_one_group_has_no_standard_error_and_the_interval_of_one_sample():
    score = mean_score(np.array([1.0, 0.0, 1.0]), of="pair", groups=np.array(["a", "a", "a"]))
    assert math.isnan(score.standard_error)
    assert score.interval() == pytest.approx(tuple(binomtest_interval(2 / 3, 1)))


def test_the_interval_of_a_share_near_1_holds_it_where_samples_come_in_groups():
    """A share of .97 of 40 groups of five that are alike: taken as 200 independent samples it would hold it in .57."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    held, naive = [], []
    for _ in range(1000):
        samples = np.repeat(rng.random(40) < 0.97, 5).astype(float)
        for found, score in (
            (held, mean_score(samples, of="pair", groups=groups)),
            (naive, mean_score(samples, of="pair")),
        ):
            low, high = score.interval()
            found.append(low <= 0.97 <= high)
    assert np.mean(held) > 0.93
    assert np.mean(naive) < 0.7


def binomtest_interval(share, n):
    z2 = NormalDist().inv_cdf(0.975) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return middle - reach, middle + reach


# ---- infinite values and no values


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1, -math.inf], -math.inf),
        ([math.inf, 0], math.inf),
        ([math.inf, -math.inf], math.nan),
        ([0, math.nan], math.nan),
    ],
)
def test_infinite_samples_have_an_infinite_mean_and_no_interval(values, mean):
    score = mean_score(np.array(values, dtype=float), of="real", modes=np.array(["a", "b"]))
    np.testing.assert_equal(score.value, mean)
    assert all(math.isnan(end) for end in score.interval())
    np.testing.assert_equal(score.by_mode()["b"].value, float(values[1]))


def test_no_samples_are_refused():
    with pytest.raises(InputError, match="no samples of generated to average: the table has no rows"):
        mean_score(np.empty(0), of="generated")


# ---- intervals


@given(st.integers(1, 200), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_interval_of_a_share_is_wilsons(n, data, level):
    hits = data.draw(st.integers(0, n))
    expected = binomtest(hits, n).proportion_ci(level, method="wilson")
    low, high = mean_score((np.arange(n) < hits).astype(float), of="real").interval(level)
    assert low == pytest.approx(expected.low, rel=1e-9, abs=1e-12)
    assert high == pytest.approx(expected.high, rel=1e-9, abs=1e-12)
    assert 0 <= low <= hits / n <= high <= 1


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_interval_of_a_mean_has_normal_quantiles(level):
    reach = NormalDist().inv_cdf(0.5 + level / 2) * 0.5
    assert Score(2.0, standard_error=0.5).interval(level) == pytest.approx((2 - reach, 2 + reach), rel=1e-12)
    assert Score(2.0, standard_error=0.5).interval(level=0.95) == Score(2.0, standard_error=0.5).interval()


def test_interval_holds_the_truth_as_often_as_it_says():
    """Of 2,000 intervals at 90 % between 87.3 and 92.7 % hold the mean (four standard errors); t would add 0.3 %."""
    rng = np.random.default_rng(6)
    intervals = [mean_score(rng.normal(size=60), of="real").interval(0.9) for _ in range(2000)]
    assert 0.873 < np.mean([low < 0 < high for low, high in intervals]) < 0.927


def test_interval_is_unknown_without_a_standard_error():
    assert all(math.isnan(end) for end in Score(1.0).interval())


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, math.nan])
def test_levels_outside_0_and_1_are_refused(level):
    with pytest.raises(InputError, match=f"level is {level}; it must lie strictly between 0 and 1"):
        Score(1.0, standard_error=0.1).interval(level)


# ---- what a score cannot tell


def test_by_mode_says_why_it_cannot():
    with pytest.raises(InputError, match="this metric is of whole sets: it has no value per sample"):
        Score(1.0, modes=np.array(["a"])).by_mode()
    with pytest.raises(InputError, match="the real table carries no modes; give it modes="):
        mean_score(np.arange(3.0), of="real").by_mode()


def test_repr():
    assert repr(Score(1.25)) == "Score(1.25)"
    assert repr(mean_score(np.array([0.0, 1.0]), of="pair")) == "Score(0.5 ± 0.5, per_sample [2] of pair)"
