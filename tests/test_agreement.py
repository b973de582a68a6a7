"""Agreement with people: values and resamples against scipy and counted pairs, laws with known truth, bad input."""

from __future__ import annotations

import json
import math
import re
import sys

import numpy as np
import pandas
import pytest
import scipy.stats
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pointwise._agreement import STATISTICS, Agreement, agreement
from pointwise._agreement.rank_statistics import Association
from pointwise._compare import compare
from pointwise.errors import InputError
from pointwise.score import Score

RANKED = tuple(name for name in STATISTICS if name != "pearson")


@st.composite
def columns(draw, rows=(3, 40)):
    """Scores and ratings [n] of one law: few levels on either side, so that ties of all kinds occur, or none at all."""
    n = draw(st.integers(*rows))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x_levels, y_levels = draw(st.sampled_from([2, 3, 5, 17, 10**6])), draw(st.sampled_from([2, 3, 4, 9, 10**6]))
    common = rng.random(n) * draw(st.sampled_from([0, 1, 10]))
    x, y = (np.floor((common + rng.random(n)) * levels) / levels for levels in (x_levels, y_levels))
    assume(np.ptp(x) > 0)
    assume(np.ptp(y) > 0)
    return (-x if draw(st.booleans()) else x), y


def by_scipy(x, y):
    """All statistics but the pairwise accuracy, in the order of STATISTICS."""
    return [
        scipy.stats.kendalltau(x, y, variant="b").statistic,
        scipy.stats.kendalltau(x, y, variant="c").statistic,
        scipy.stats.spearmanr(x, y).statistic,
        scipy.stats.pearsonr(x, y).statistic,
    ]


def by_counting(x, y):
    """kendall_b, kendall_c and pairwise_accuracy from all pairs, one by one."""
    concordant = discordant = tied_x = tied_y = right = unequal = 0
    n = len(x)
    for i in range(n):
        for j in range(i):
            a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
            concordant, discordant = concordant + (a * b > 0), discordant + (a * b < 0)
            tied_x, tied_y = tied_x + (a == 0), tied_y + (b == 0)
            right += 0 if b == 0 else 0.5 if a == 0 else a == b
            unequal += b != 0
    pairs, m = n * (n - 1) / 2, min(len(set(x)), len(set(y)))
    return {
        "kendall_b": (concordant - discordant) / math.sqrt((pairs - tied_x) * (pairs - tied_y)),
        "kendall_c": 2 * (concordant - discordant) / (n * n * (m - 1) / m),
        "pairwise_accuracy": right / unequal,
    }, (tied_x, tied_y)


def values(result, metric="score"):
    return [result[metric, name].value for name in STATISTICS]


def correlated(n, rho, *, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(n)


# ---- the values


@given(columns())
@example((np.array([1.0, 2, 3]), np.array([1.0, 1, 2])))
def test_values_are_those_of_scipy(data):
    x, y = data
    np.testing.assert_allclose(values(agreement(x, y, resamples=2))[:4], by_scipy(x, y), atol=1e-12)


@given(columns())
@settings(max_examples=40)
def test_values_and_ties_are_those_of_counted_pairs(data):
    x, y = data
    result = agreement(x, y, resamples=2)
    expected, (tied_x, tied_y) = by_counting(x, y)
    for name, value in expected.items():
        assert result[name].value == pytest.approx(value, abs=1e-12)
    assert (result.tied_scores, result.tied_ratings, result.n) == ({"score": tied_x}, tied_y, len(x))


@given(columns(), st.integers(0, 2**32 - 1))
def test_a_weighted_table_is_the_table_with_rows_repeated(data, seed):
    x, y = data
    weights = np.random.default_rng(seed).integers(0, 4, size=(3, len(x)))
    found = Association(x, y).statistics(weights)
    for row, weight in zip(found, weights, strict=True):
        repeated = np.repeat(x, weight), np.repeat(y, weight)
        if any(len(set(column)) < 2 for column in repeated):
            assert np.isnan(row).all()
        else:
            np.testing.assert_allclose(row[:4], by_scipy(*repeated), atol=1e-12)
            assert row[4] == pytest.approx(by_counting(*repeated)[0]["pairwise_accuracy"], abs=1e-12)


@pytest.mark.parametrize("levels", [None, 4])
def test_counts_of_many_items_are_exact(levels):
    x, y = correlated(60_000, 0.6, seed=3)
    y = y if levels is None else np.digitize(y, [-1, 0, 1]).astype(float)
    np.testing.assert_allclose(values(agreement(x, y, resamples=2))[:4], by_scipy(x, y), atol=1e-12)


@given(columns())
def test_rank_statistics_see_order_alone(data):
    x, y = data
    plain, mapped = (agreement(column, y, resamples=20) for column in (x, np.exp(3 * x)))
    for name in RANKED:
        np.testing.assert_array_equal(plain[name].draws, mapped[name].draws)
        assert plain[name].value == mapped[name].value


@given(columns())
def test_turning_the_scores_round_turns_every_statistic_round(data):
    x, y = data
    result, turned = agreement(x, y, resamples=20), agreement(-x, y, resamples=20)
    for name in STATISTICS:
        middle = result[name].null
        assert turned[name].value - middle == pytest.approx(middle - result[name].value, abs=1e-12)
        np.testing.assert_allclose(turned[name].draws - middle, middle - result[name].draws, atol=1e-12)


@given(columns(), st.integers(0, 2**32 - 1))
def test_the_order_of_items_does_not_matter_to_values(data, seed):
    x, y = data
    order = np.random.default_rng(seed).permutation(len(x))
    np.testing.assert_allclose(
        values(agreement(x, y, resamples=2)), values(agreement(x[order], y[order], resamples=2)), atol=1e-12
    )


def test_perfect_agreement_is_one_and_its_reverse_minus_one():
    x = np.array([0.3, 0.1, 7.0, 1.5])
    assert values(agreement(x, x, resamples=2)) == [1, 1, 1, 1, 1]
    assert values(agreement(x, -x, resamples=2)) == [-1, -1, -1, -1, 0]


def test_a_tied_score_is_half_right():
    assert agreement([1, 1, 2], [1, 2, 3], resamples=2)["pairwise_accuracy"].value == pytest.approx(2.5 / 3)


@pytest.mark.parametrize(("scale", "shift"), [(1, 1e9), (1e300, 0), (1e-300, 0), (-1e200, 1e203)])
def test_pearson_does_not_hang_on_where_and_how_wide_the_scores_are(scale, shift):
    x, y = correlated(200, 0.5, seed=1)
    plain, moved = agreement(x, y, resamples=50)["pearson"], agreement(scale * x + shift, y, resamples=50)["pearson"]
    np.testing.assert_allclose(np.sign(scale) * moved.draws, plain.draws, atol=1e-6)
    assert np.sign(scale) * moved.value == pytest.approx(plain.value, abs=1e-6)


# ---- the resamples


def test_resamples_are_tables_drawn_with_replacement():
    x, y = correlated(30, 0.5, seed=0)
    result = agreement(x, y, resamples=20, seed=7)
    rng = np.random.default_rng(7)
    for i in range(20):
        rows = rng.integers(30, size=30)
        found = [result[name].draws[i] for name in STATISTICS]
        np.testing.assert_allclose(found[:4], by_scipy(x[rows], y[rows]), atol=1e-12)
    assert len({len(result[name].draws) for name in STATISTICS} | {20}) == 1


def test_resamples_are_those_of_the_seed_and_the_same_for_every_metric():
    x, y = correlated(50, 0.5, seed=0)
    noise = np.random.default_rng(1).standard_normal(50)
    both = agreement({"x": x, "noise": noise}, y, resamples=30, seed=5)
    for metric, column in (("x", x), ("noise", noise)):
        alone = agreement(column, y, resamples=30, seed=5)
        for name in STATISTICS:
            np.testing.assert_array_equal(both[metric, name].draws, alone[name].draws)
    other = agreement(x, y, resamples=30, seed=6)
    assert (other["kendall_b"].draws != both["x", "kendall_b"].draws).any()


@pytest.mark.parametrize("at_once", [1, 7 * 50, 1 << 30])
def test_the_size_of_blocks_does_not_show(monkeypatch, at_once):
    x, y = correlated(50, 0.5, seed=0)
    expected = agreement(x, y, resamples=30)
    monkeypatch.setattr(sys.modules[agreement.__module__], "_WEIGHTS_AT_ONCE", at_once)
    found = agreement(x, y, resamples=30)
    for name in STATISTICS:
        np.testing.assert_array_equal(found[name].draws, expected[name].draws)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rho, repeats = 0.5, 200
    truth = {
        "kendall_b": 2 / math.pi * math.asin(rho),
        "spearman": 6 / math.pi * math.asin(rho / 2),
        "pearson": rho,
        "pairwise_accuracy": 0.5 + math.asin(rho) / math.pi,
    }
    held = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        result = agreement(*correlated(100, rho, seed=seed), resamples=300)
        for name, value in truth.items():
            low, high = result[name].interval()
            held[name] += low <= value <= high
    three_sigma = 3 * math.sqrt(0.95 * 0.05 / repeats)
    for name, count in held.items():
        assert abs(count / repeats - 0.95) < three_sigma, name


def test_the_standard_error_is_the_spread_between_tables():
    estimates = [agreement(*correlated(150, 0.3, seed=seed), resamples=200)["kendall_b"] for seed in range(100)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.25)


def test_copies_of_items_are_no_news_when_they_are_one_group():
    x, y = correlated(60, 0.5, seed=2)
    copies = np.repeat(x, 4), np.repeat(y, 4)
    plain, naive = agreement(x, y, resamples=400), agreement(*copies, resamples=400)
    grouped = agreement(*copies, groups=np.repeat([f"image {i:02}" for i in range(60)], 4), resamples=400)
    for name in ("kendall_b", "spearman", "pearson", "pairwise_accuracy"):
        np.testing.assert_allclose(grouped[name].draws, plain[name].draws, atol=1e-12)
        assert naive[name].standard_error == pytest.approx(plain[name].standard_error / 2, rel=0.15)


def test_groups_that_are_single_items_change_nothing():
    x, y = correlated(40, 0.5, seed=2)
    np.testing.assert_array_equal(
        agreement(x, y, groups=range(40), resamples=20)["spearman"].draws,
        agreement(x, y, resamples=20)["spearman"].draws,
    )


def test_resamples_where_nothing_is_ordered_are_left_out():
    result = agreement([1, 2, 3, 4], [0, 0, 0, 1], resamples=200)
    undefined = np.isnan(result["kendall_b"].draws)
    assert 0.2 < undefined.mean() < 0.45  # the one item of another rating is not drawn with chance (3/4)^4 = 0.32
    assert not np.isnan(result["kendall_b"].interval()).any()
    assert result["kendall_b"].standard_error > 0
    assert result["kendall_b"].p_value == pytest.approx(2 / (1 + np.count_nonzero(~undefined)))


# ---- two metrics


def test_metrics_alike_are_called_different_as_rarely_as_promised():
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        human = rng.standard_normal(80)
        scores = {name: human + rng.standard_normal(80) for name in ("one", "other")}
        p_values.append(agreement(scores, human, resamples=200).compare("one", "other").p_value)
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert np.mean(np.array(p_values) <= 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_a_better_metric_is_found_out():
    rng = np.random.default_rng(0)
    human = rng.standard_normal(200)
    scores = {"good": human + 0.5 * rng.standard_normal(200), "poor": human + 2 * rng.standard_normal(200)}
    result = agreement(scores, human, resamples=500)
    for name in STATISTICS:
        difference = result.compare("good", "poor", statistic=name)
        assert difference.value == result["good", name].value - result["poor", name].value > 0
        assert difference.interval()[0] > 0
        assert difference.p_value == pytest.approx(2 / 501)
        back = result.compare("poor", "good", statistic=name)
        assert (back.value, back.p_value) == (-difference.value, difference.p_value)
        np.testing.assert_array_equal(back.draws, -difference.draws)


def test_what_metrics_share_cancels_in_their_difference():
    x, y = correlated(200, 0.5, seed=4)
    near = x + 0.05 * np.random.default_rng(5).standard_normal(200)
    result = agreement({"x": x, "near": near}, y, resamples=300)
    assert result.compare("x", "near").standard_error < result["x", "kendall_b"].standard_error / 5


def test_a_metric_does_not_differ_from_itself():
    x, y = correlated(50, 0.5, seed=0)
    difference = agreement({"a": x, "b": x.copy()}, y, resamples=50).compare("a", "b", statistic="pairwise_accuracy")
    assert (difference.value, difference.interval(), difference.p_value) == (0, (0, 0), 1)
    assert difference.null == 0  # not a half, as that of the accuracy itself is


# ---- estimates


def test_an_estimate_is_read_off_its_resamples():
    drawn = np.random.default_rng(0).standard_normal(999)
    estimate = Score(0.1, draws=drawn)
    assert estimate.interval(0.9) == pytest.approx(np.quantile(drawn, [0.05, 0.95]))
    assert estimate.interval(0.5) == pytest.approx(np.quantile(drawn, [0.25, 0.75]))
    assert estimate.standard_error == pytest.approx(np.std(drawn, ddof=1))


def test_p_value_counts_the_lesser_side():
    drawn = np.array([-0.1, 0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert Score(0.4, draws=drawn).p_value == pytest.approx(2 * (1 + 2) / 10)
    assert Score(-0.4, draws=-drawn).p_value == pytest.approx(2 * (1 + 2) / 10)
    assert Score(0.4, draws=drawn, null=-1.0).p_value == pytest.approx(2 / 10)
    assert Score(0.4, draws=drawn, null=0.4).p_value == 1


def test_an_estimate_without_defined_resamples_has_no_interval():
    estimate = Score(0.5, draws=np.full(3, np.nan))
    assert np.isnan([*estimate.interval(), estimate.standard_error]).all()
    assert estimate.p_value == 1
    assert math.isnan(Score(0.5, draws=np.array([0.5, np.nan])).standard_error)


def test_no_agreement_is_zero_and_for_accuracy_a_half():
    result = agreement(*correlated(300, 0.6, seed=0), resamples=100)
    assert [result[name].null for name in STATISTICS] == [0, 0, 0, 0, 0.5]
    assert all(result[name].p_value == pytest.approx(2 / 101) for name in STATISTICS)


# ---- the result as a whole


@pytest.fixture
def two() -> Agreement:
    x, y = correlated(40, 0.5, seed=0)
    return agreement({"mid": x, "a longer name": -x}, np.round(y), resamples=50, level=0.9)


def test_to_dict_holds_every_number_and_is_json(two):
    content = two.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content) == ["mid", "a longer name"]
    for metric, statistics in content.items():
        assert tuple(statistics) == STATISTICS
        for name, row in statistics.items():
            estimate = two[metric, name]
            assert row == {
                "value": estimate.value,
                "low": estimate.interval(0.9)[0],
                "high": estimate.interval(0.9)[1],
                "standard_error": estimate.standard_error,
            }


def test_its_repr_is_a_table(two):
    lines = repr(two).splitlines()
    assert lines[0] == "Agreement of 2 metrics with the ratings of 40 items, 90 % intervals"
    assert len(lines) == 11
    assert two.level == 0.9
    low, high = two["mid", "kendall_c"].interval(0.9)
    assert re.sub(" +", " ", lines[2]) == (
        f" mid kendall_c {two['mid', 'kendall_c'].value:.3f} {low:.3f} to {high:.3f}"
    )
    assert len({line.index("kendall" if "kendall" in line else "p") for line in lines[1:3] + lines[6:8]}) == 1
    assert repr(agreement([1, 2, 3], [1, 2, 3], resamples=9)).startswith("Agreement of 1 metric with the ratings of 3")


def test_it_is_a_mapping_of_pairs(two):
    assert len(two) == 10
    assert list(two)[:2] == [("mid", "kendall_b"), ("mid", "kendall_c")]
    assert set(two) == {(metric, name) for metric in ("mid", "a longer name") for name in STATISTICS}


def test_a_single_metric_needs_no_name():
    result = agreement({"mid": [1, 2, 3]}, [1, 3, 2], resamples=9)
    assert result["spearman"] is result["mid", "spearman"]
    assert agreement([1, 2, 3], [1, 3, 2], resamples=9)["score", "spearman"].value == 0.5


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda two: two["spearman"],
            r"agreement is of 2 metrics \(mid, a longer name\); .* as agreement\['mid', 'spearman'\]\.",
        ),
        (lambda two: two["mid"], r"ask for one statistic of one as agreement\['mid', 'kendall_b'\]\."),
        (
            lambda two: two["mit", "spearman"],
            r"'mit' is not a metric of this agreement \(did you mean 'mid'\?\); it holds mid, a longer name\.",
        ),
        (
            lambda two: two["mid", "spearmen"],
            r"'spearmen' is not a statistic \(did you mean 'spearman'\?\); "
            r"there are kendall_b, kendall_c, spearman, pearson, pairwise_accuracy\.",
        ),
        (lambda two: two.compare("mid", "other"), r"'other' is not a metric of this agreement; it holds mid, a longer"),
        (lambda two: two.compare("mid", "a longer name", statistic="tau"), r"'tau' is not a statistic; there are kend"),
        (lambda two: two["mid", "pearson"].interval(1), r"level is 1; it must be a number above 0 and below 1"),
    ],
)
def test_asking_for_what_is_not_there(two, ask, message):
    with pytest.raises(InputError, match=message):
        ask(two)


# ---- what may be given


@pytest.mark.parametrize(
    "form",
    [
        np.float32,
        list,
        tuple,
        torch.tensor,
        lambda x: torch.tensor(x, dtype=torch.bfloat16, requires_grad=True),
        pandas.Series,
        lambda x: x.astype(np.int8),
        lambda x: x.astype(">f8")[::-1][::-1],
        lambda x: Score(float(x.mean()), per_sample=x, of="pair"),
    ],
)
def test_scores_and_ratings_of_any_kind(form):
    x, y = np.array([3.0, 1, 4, 1, 5, 9, 2, 6]), np.array([2.0, 7, 1, 8, 2, 8, 1, 8])
    assert values(agreement(form(x), y, resamples=2)) == values(agreement(x, y, resamples=2))
    if not isinstance(form(x), Score):
        assert values(agreement(x, form(y), resamples=2)) == values(agreement(x, y, resamples=2))


def test_ratings_of_several_raters_are_averaged():
    x, nan = [1, 2, 3, 4, 5], math.nan
    human = np.array([[1, 2, 6], [4, nan, nan], [nan, 2, 8], [7, 7, 1], [9, nan, 8]])
    for reduce, ratings in {"mean": [3, 4, 5, 5, 8.5], "median": [2, 4, 5, 7, 8.5]}.items():
        found, expected = agreement(x, human, reduce=reduce, resamples=20), agreement(x, ratings, resamples=20)
        for name in STATISTICS:
            np.testing.assert_array_equal(found[name].draws, expected[name].draws)
        assert found.tied_ratings == expected.tied_ratings
    assert values(agreement(x, np.array([[1], [2], [2], [4], [3]]), resamples=2)) == (
        values(agreement(x, [1, 2, 2, 4, 3], resamples=2))
    )


def test_the_order_of_raters_leaves_ties_tied():
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    human = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.5, 0.5, 0.5]]
    assert agreement([1, 2, 3], human, resamples=2).tied_ratings == 1


def test_what_is_given_is_not_changed():
    x, human = np.array([2.0, 1, 3]), np.array([[3.0, 1], [2, 1], [5, 4]])
    agreement(x, human, resamples=5)
    np.testing.assert_array_equal(x, [2, 1, 3])
    np.testing.assert_array_equal(human, [[3, 1], [2, 1], [5, 4]])


# ---- bad input

GOOD = np.array([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("scores", "human", "options", "message"),
    [
        (GOOD, GOOD[:3], {}, r"scores has 4 values but human has ratings of 3 items; they must match\."),
        ({"mid": GOOD[:3]}, GOOD, {}, r"scores\['mid'\] has 3 values but human has ratings of 4 items"),
        (
            {"a": GOOD, "b": [1, np.nan, -np.inf, 2]},
            GOOD,
            {},
            r"scores\['b'\] has NaN or inf in 2 of 4 places; the first is nan at index 1\. Drop those items from",
        ),
        ([1, 2, 3, np.inf], GOOD, {}, r"scores has NaN or inf in 1 of 4 places; the first is inf at index 3\."),
        ([0.5] * 4, GOOD, {}, r"scores is 0\.5 for all 4 items: it orders none of them, so nothing can agree\."),
        (GOOD, [2, 2, 2, 2], {}, r"human rates all 4 items 2: no order to agree with"),
        (GOOD, [[1, 3], [2, 2], [3, 1], [2, 2]], {}, r"human rates all 4 items 2: no order"),
        (GOOD[:2], GOOD[:2], {}, r"human has ratings of 2 items; agreement needs at least 3\."),
        ([], [], {}, r"human has ratings of 0 items; agreement needs at least 3\."),
        (GOOD, [1, 2, np.nan, 3], {}, r"human has no rating \(only NaN\) for 1 of 4 items; the first is row 2\."),
        (GOOD, [[1, 2], [np.nan] * 2, [2, 2], [np.nan] * 2], {}, r"only NaN\) for 2 of 4 items; the first is row 1\."),
        (GOOD, [[1, 2], [1, np.nan], [2, np.inf], [3, 3]], {}, r"human has inf in 1 of 4 rows; the first is row 2\."),
        (GOOD, np.ones((2, 2, 2)), {}, r"human has shape \(2, 2, 2\); it must be \[n\], or \[n, r\] with one column"),
        (GOOD, np.ones((4, 0)), {}, r"human has shape \(4, 0\); it must be \[n\], or \[n, r\]"),
        (
            GOOD[:, None],
            GOOD,
            {},
            r"scores has shape \(4, 1\); it must be one-dimensional, .* mapping \{name: scores\}",
        ),
        ({}, GOOD, {}, r"scores is an empty mapping; give at least one metric as \{name: scores\}\."),
        ({1: GOOD}, GOOD, {}, r"scores has the key 1 of type int; metrics are named by strings\."),
        (
            {"frechet": Score(3.0)},
            GOOD,
            {},
            r"scores\['frechet'\] is a Score of whole sets, without a value per sample; it has nothing to rank\.",
        ),
        (["a", "b", "c", "d"], GOOD, {}, r"scores holds values of type <U1; only real numbers"),
        (GOOD, [1j, 2, 3, 4], {}, r"human holds values of type complex128"),
        ("scores.csv", GOOD, {}, r"scores is a str; it must be a NumPy array"),
        (GOOD, GOOD, {"groups": [0, 0, 1]}, r"groups has 3 values but human has ratings of 4 items; give one per item"),
        (GOOD, GOOD, {"groups": ["x"] * 4}, r"groups has the one value 'x'; resampling groups needs at least 2\."),
        (GOOD, GOOD, {"groups": [0, 0, 1, 1.5]}, r"groups must be all integers or all strings; row 3 holds 1\.5"),
        (GOOD, GOOD, {"groups": "abcd"}, r"groups is the single string 'abcd'"),
        (GOOD, GOOD, {"reduce": "max"}, r"reduce is 'max'; it must be one of 'mean', 'median'\."),
        (GOOD, GOOD, {"level": 95}, r"level is 95; it must be a number above 0 and below 1\."),
        (GOOD, GOOD, {"level": 0.0}, r"level is 0\.0; it must be a number above 0 and below 1"),
        (GOOD, GOOD, {"level": math.nan}, r"level is nan; it must be a number above 0 and below 1"),
        (GOOD, GOOD, {"resamples": 0}, r"resamples is 0; it must be a whole number of at least 2\."),
        (GOOD, GOOD, {"resamples": 1e3}, r"resamples is 1000\.0; it must be a whole number"),
        (GOOD, GOOD, {"resamples": True}, r"resamples is True; it must be a whole number"),
        (GOOD, GOOD, {"seed": -1}, r"seed is -1; it must be a whole number of at least 0\."),
        (GOOD, GOOD, {"seed": "a"}, r"seed is 'a'; it must be a whole number of at least 0\."),
    ],
)
def test_bad_input_is_refused_with_its_numbers(scores, human, options, message):
    with pytest.raises(InputError, match=message):
        agreement(scores, human, **options)


def test_a_comparison_is_rated_by_generator():
    rng = np.random.default_rng(0)
    tables = {f"{scale}": rng.normal(size=(200, 4)) * scale for scale in (4, 1, 0.1, 2)}
    names = ("pce", "rce", "entropy_fake", "coverage")
    comparison = compare(rng.normal(size=(200, 4)), tables, metrics=names, k=5)
    human = [1, 4, 2, 3]
    result = agreement(comparison, human, resamples=50)

    assert list(result.tied_scores) == ["pce", "rce", "coverage"]  # an entropy has no better and worse
    values = {name: np.array([e.scores[name, 5].value for e in comparison.values()]) for name in names}
    assert values["rce"].min() < 0 < values["rce"].max()  # so that both sides of its target are seen
    nearness = {"pce": -values["pce"], "rce": -abs(values["rce"]), "coverage": values["coverage"]}
    for name, near in nearness.items():
        assert result[name, "pearson"].value == pytest.approx(scipy.stats.pearsonr(near, human).statistic)
    with pytest.raises(InputError, match="4"):
        agreement(comparison, human[:3], resamples=50)
