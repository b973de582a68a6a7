"""Score: its value, its error and its intervals against independent computations."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

import pointwise as pw
from pointwise.errors import InputError
from pointwise.score import Score, mean_score
from pointwise.terms import Extra, Terms, WholeSets

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


def test_standard_error_of_a_mean_of_groups_is_that_of_their_sums():
    """Ten groups of unequal size: the mean is the sum of their sums over n, whose influences are those of groups."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(10), np.arange(1, 11))
    x = rng.normal(size=10)[groups] + 0.1 * rng.normal(size=len(groups))
    sums = np.array([(x - x.mean())[groups == group].sum() for group in range(10)]) / len(x)
    expected = math.sqrt(10 / 9 * ((sums - sums.mean()) ** 2).sum())
    for names in (groups, np.array([f"image {group}" for group in groups])):
        assert mean_score(x, of="pair", groups=names).standard_error == pytest.approx(expected, rel=1e-12)
    assert mean_score(x, of="pair").standard_error < 0.6 * expected


def test_interval_of_a_share_widens_with_its_standard_error():
    samples = (np.arange(100) < 30).astype(float)
    honest = mean_score(samples, of="real", kind="share")
    wider, narrower = (
        replace(honest, terms=None, errors={None: factor * honest.standard_error}) for factor in (2, 0.5)
    )
    assert wider.interval() == pytest.approx(
        tuple(binomtest_interval(0.3, 1 + 0.21 / wider.standard_error**2)), rel=1e-9
    )
    assert narrower.interval() == honest.interval()


@given(st.integers(2, 40), st.integers(2, 6), st.data(), st.sampled_from([0.5, 0.95]))
def test_a_share_of_samples_that_are_alike_in_groups_is_one_of_groups(groups, size, data, level):
    """Where all samples of a group are the same, the interval is Wilson's of so many groups, at 0 and 1 too."""
    hits = data.draw(st.integers(0, groups))
    samples = np.repeat(np.arange(groups) < hits, size).astype(float)
    score = mean_score(samples, of="pair", kind="share", groups=np.repeat(np.arange(groups), size))
    expected = binomtest(hits, groups).proportion_ci(level, method="wilson")
    assert score.interval(level) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


def test_modes_have_their_own_groups():
    """Ten groups of three in each mode; one mode is always right."""
    samples = np.concatenate([np.ones(30), np.repeat(np.arange(10) < 4, 3)]).astype(float)
    modes, groups = np.repeat(["a", "b"], 30), np.repeat(np.arange(20), 3)
    score = mean_score(samples, of="pair", kind="share", modes=modes, groups=groups)
    for mode, hits in (("a", 10), ("b", 4)):
        expected = binomtest(hits, 10).proportion_ci(method="wilson")
        assert score.by_mode()[mode].interval() == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_one_group_has_no_standard_error_and_the_interval_of_one_sample():
    score = mean_score(np.array([1.0, 0.0, 1.0]), of="pair", kind="share", groups=np.array(["a", "a", "a"]))
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
            (held, mean_score(samples, of="pair", kind="share", groups=groups)),
            (naive, mean_score(samples, of="pair", kind="share")),
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
    low, high = mean_score((np.arange(n) < hits).astype(float), of="real", kind="share").interval(level)
    assert low == pytest.approx(expected.low, rel=1e-9, abs=1e-12)
    assert high == pytest.approx(expected.high, rel=1e-9, abs=1e-12)
    assert 0 <= low <= hits / n <= high <= 1


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_interval_of_a_mean_has_normal_quantiles(level):
    reach = NormalDist().inv_cdf(0.5 + level / 2) * 0.5
    score = Score(2.0, errors={None: 0.5})
    assert score.interval(level) == pytest.approx((2 - reach, 2 + reach), rel=1e-12)
    assert score.interval(level=0.95) == score.interval()


def test_a_mean_of_ones_and_zeros_is_no_share_unless_it_is_said_to_be_one():
    """The kind comes from the row of METRICS, not from the values that happen to be there."""
    values = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    mean, share = (mean_score(values, of="generated", kind=kind) for kind in ("mean", "share"))
    assert mean.standard_error == share.standard_error
    reach = NormalDist().inv_cdf(0.975) * mean.standard_error
    assert mean.interval() == pytest.approx((0.6 - reach, 0.6 + reach), rel=1e-12)
    expected = binomtest(3, 5).proportion_ci(method="wilson")
    assert share.interval() == pytest.approx((expected.low, expected.high), rel=1e-9)
    constant = mean_score(np.ones(9), of="generated")
    assert constant.interval() == (1, 1)


def test_interval_holds_the_truth_as_often_as_it_says():
    """Of 2,000 intervals at 90 % between 87.3 and 92.7 % hold the mean (four standard errors); t would add 0.3 %."""
    rng = np.random.default_rng(6)
    intervals = [mean_score(rng.normal(size=60), of="real").interval(0.9) for _ in range(2000)]
    assert 0.873 < np.mean([low < 0 < high for low, high in intervals]) < 0.927


def test_interval_is_unknown_without_a_standard_error():
    assert all(math.isnan(end) for end in Score(1.0).interval())


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, math.nan])
def test_levels_outside_0_and_1_are_refused(level):
    with pytest.raises(InputError, match=f"level is {level}; it must be a number above 0 and below 1"):
        Score(1.0, errors={None: 0.1}).interval(level)


# ---- differences

SHARED = {"real": "one table"}


def noisy_pair(of="real", *, n=300, tables=SHARED, **columns):
    """Two scores of the same rows, which have most of their spread in common."""
    rng = np.random.default_rng(3)
    common = 5 * rng.normal(size=n)
    return [mean_score(common + shift + rng.normal(size=n), of=of, tables=tables, **columns) for shift in (0.5, 0.0)]


def test_what_a_shared_table_moves_alike_cancels():
    one, other = noisy_pair(ids=np.arange(300))
    difference = one.difference(other)
    row_by_row = one.per_sample - other.per_sample
    assert difference.value == one.value - other.value
    assert difference.standard_error == pytest.approx(row_by_row.std(ddof=1) / math.sqrt(300), rel=1e-12)
    assert difference.standard_error < one.standard_error / 3
    np.testing.assert_array_equal(difference.per_sample, row_by_row)
    np.testing.assert_array_equal(difference.ids, np.arange(300))
    assert (difference.kind, difference.of) == ("mean", "real")


@pytest.mark.parametrize("tables", [[{}, {}], [{"real": "a"}, {"real": "b"}], [SHARED, {"generated": "one table"}]])
def test_errors_of_tables_that_are_not_shared_add_in_squares(tables):
    """A table that nobody named is no other's, and the same name on the other side is another table."""
    one, other = (replace(score, tables=own) for score, own in zip(noisy_pair(), tables, strict=True))
    difference = one.difference(other)
    assert difference.standard_error == pytest.approx(math.hypot(one.standard_error, other.standard_error), rel=1e-12)
    assert difference.per_sample is None
    with pytest.raises(InputError, match="it has no value per sample and so none per mode"):
        difference.by_mode()


def test_a_score_does_not_differ_from_itself():
    one, _ = noisy_pair()
    difference = one.difference(one)
    assert (difference.value, difference.standard_error, difference.interval(), difference.p_value) == (0, 0, (0, 0), 1)


def test_generated_tables_differ_while_the_real_one_is_shared():
    """Terms of generated rows that hang on the same real rows: each table is counted once."""
    rng = np.random.default_rng(4)
    subtracted = Terms("real", 3 * rng.normal(size=80))
    one, other = (
        mean_score(
            Terms("generated", rng.normal(size=n), sizes={"real": 80, "generated": n}, less=subtracted),
            of="generated",
            tables={"real": "r", "generated": name},
        )
        for n, name in ((50, "a"), (60, "b"))
    )
    alone = [score.per_sample.std(ddof=1) / math.sqrt(len(score.per_sample)) for score in (one, other)]
    assert one.difference(other).standard_error == pytest.approx(math.hypot(*alone), rel=1e-12)
    assert one.standard_error > 2 * alone[0]  # alone, it hangs on the real rows too


def test_differences_of_groups_are_of_groups():
    groups = np.repeat(np.arange(60), 5)
    one, other = noisy_pair("pair", tables={"generated": "prompts"}, groups=groups)
    difference = one.difference(other)
    row_by_row = mean_score(difference.per_sample, of="pair", groups=groups)
    assert difference.standard_error == pytest.approx(row_by_row.standard_error, rel=1e-12)
    np.testing.assert_array_equal(difference.groups, groups)


def test_differences_by_mode_are_those_of_the_modes():
    modes = np.repeat(["a", "b", "c"], [200, 80, 20])
    one, other = noisy_pair(modes=modes)
    by_mode = one.difference(other).by_mode()
    assert list(by_mode) == ["a", "b", "c"]
    for mode, part in by_mode.items():
        rows = (one.per_sample - other.per_sample)[modes == mode]
        assert part.value == pytest.approx(rows.mean(), rel=1e-12)
        apart = one.by_mode()[mode].difference(other.by_mode()[mode])  # the other way round: first the mode
        assert part.value == pytest.approx(apart.value, rel=1e-12)
        assert part.standard_error == pytest.approx(apart.standard_error, rel=1e-12)
        expected = rows.std(ddof=1) / math.sqrt(len(rows))
        assert part.standard_error == pytest.approx(expected, rel=1e-12)


def test_modes_of_other_rows_are_not_paired():
    one, other = noisy_pair(modes=np.repeat(["a", "b"], 150))
    a, b = one.by_mode()["a"], other.by_mode()["b"]
    assert a.difference(b).per_sample is None
    assert a.difference(b).standard_error == pytest.approx(math.hypot(a.standard_error, b.standard_error), rel=1e-12)


def test_differences_of_resamples_are_taken_resample_by_resample():
    draws = np.random.default_rng(5).normal(size=(2, 400))
    draws[1] = draws[0] + 0.1 * draws[1]
    one, other = (Score(value, draws=drawn, null=0.5) for value, drawn in zip((0.3, 0.1), draws, strict=True))
    difference = one.difference(other)
    np.testing.assert_array_equal(difference.draws, draws[0] - draws[1])
    assert difference.null == 0
    assert difference.standard_error == pytest.approx((draws[0] - draws[1]).std(ddof=1), rel=1e-12)
    assert difference.interval() == pytest.approx(np.quantile(draws[0] - draws[1], [0.025, 0.975]))


def test_scores_from_files_have_no_paired_difference():
    stored = Score(1.0, errors={None: 0.1})
    for one, other in ((stored, stored), (stored, noisy_pair()[0]), (noisy_pair()[0], stored)):
        with pytest.raises(
            InputError, match="hangs on the rows, as one that was read from a file; compute both again, or"
        ):
            one.difference(other)


@given(st.floats(-10, 10), st.floats(0.01, 5), st.sampled_from([0.0, 0.5]))
def test_p_value_is_that_of_a_normal_law(value, error, null):
    score = Score(value, errors={None: error}, null=null)
    assert score.p_value == pytest.approx(2 * norm.sf(abs(value - null) / error), rel=1e-9, abs=1e-300)


def test_p_value_where_nothing_varies_or_nothing_is_known():
    assert Score(0.0, errors={None: 0.0}).p_value == 1
    assert Score(0.1, errors={None: 0.0}).p_value == 0
    assert math.isnan(Score(0.1).p_value)


def test_p_values_of_no_difference_are_uniform():
    """Two generators of one law against one real table: 5 % of their differences in kl_real_fake have p below .05."""
    p_values = []
    for seed in range(100):
        real, a, b = np.random.default_rng(seed).normal(size=(3, 150, 2))
        reference = pw.Reference(real)
        one, other = (pw.evaluate(reference, fake, metrics=["kl_real_fake"])["kl_real_fake"] for fake in (a, b))
        p_values.append(one.difference(other).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)
    assert 0.4 < np.median(p_values) < 0.7  # the error is at most some tenth too large


# ---- metrics of whole sets


def test_further_variance_is_added_and_the_whole_held_at_its_least():
    influences = {"real": np.array([1.0, -1.0]), "generated": np.zeros(3)}  # variance 2 * (1 + 1) = 4
    for extras, expected in (
        ({}, 4),
        ({"real": Extra(5.0)}, 9),
        ({"real": Extra(5.0), "generated": Extra(-2.0, 1.0)}, 7),
        ({"real": Extra(-3.5, 0.2), "generated": Extra(-2.0, 0.5)}, 0.7),
        ({"real": Extra(-9.0)}, 0),
    ):
        score = Score(1.0, terms=WholeSets(influences, extras))
        assert score.standard_error == pytest.approx(math.sqrt(expected), rel=1e-12), extras


def test_further_variance_of_a_shared_table_is_in_neither():
    rng = np.random.default_rng(6)
    u, v, a, b = rng.normal(size=(4, 30))
    extras = [{"real": Extra(7.0, 1.0), "generated": Extra(added, 0.1)} for added in (0.5, 0.25)]
    one, other = (
        Score(1.0, terms=WholeSets({"real": x, "generated": y}, extra), tables={"real": "r", "generated": name})
        for x, y, extra, name in ((u, a, extras[0], "a"), (v, b, extras[1], "b"))
    )
    expected = 30 / 29 * 30 * (np.var(u - v) + np.var(a) + np.var(b)) + 0.75
    assert one.difference(other).standard_error == pytest.approx(math.sqrt(expected), rel=1e-12)
    apart = replace(other, tables={"real": "s", "generated": "b"})
    expected = 30 / 29 * 30 * (np.var(u) + np.var(v) + np.var(a) + np.var(b)) + 14.75
    assert one.difference(apart).standard_error == pytest.approx(math.sqrt(expected), rel=1e-12)


# ---- numbers for files


def test_to_dict_is_json_at_any_value():
    score = mean_score(np.array([0.0, 1.0, 1.0]), of="real")
    low, high = score.interval(0.8)
    assert score.to_dict(0.8) == {
        "value": score.value,
        "standard_error": score.standard_error,
        "low": low,
        "high": high,
    }
    infinite = mean_score(np.array([1.0, -math.inf]), of="real").to_dict()
    assert infinite == {"value": "-inf", "standard_error": None, "low": None, "high": None}
    assert Score(math.nan).to_dict() == dict.fromkeys(("value", "standard_error", "low", "high"))
    assert float(Score(math.inf).to_dict()["value"]) == math.inf
    for content in (score.to_dict(), infinite):
        assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_scaled_turns_a_stored_or_resampled_difference_round():
    stored = Score(2.0, errors={None: 0.5, "a": 0.25}, null=1.0).scaled(-1)
    assert (stored.value, stored.standard_error, stored.errors["a"], stored.null) == (-2, 0.5, 0.25, -1)
    drawn = Score(0.3, draws=np.array([0.2, 0.4, 0.5])).scaled(-2)
    np.testing.assert_array_equal(drawn.draws, [-0.4, -0.8, -1.0])


# ---- what a score cannot tell


def test_by_mode_says_why_it_cannot():
    with pytest.raises(InputError, match="this metric is of whole sets, or this is a difference"):
        Score(1.0, modes=np.array(["a"])).by_mode()
    with pytest.raises(InputError, match="the real table carries no modes; give it modes="):
        mean_score(np.arange(3.0), of="real").by_mode()


def test_repr():
    assert repr(Score(1.25)) == "Score(1.25)"
    assert repr(mean_score(np.array([0.0, 1.0]), of="pair")) == "Score(0.5 ± 0.5, per_sample [2] of pair)"
