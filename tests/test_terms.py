"""Standard errors against metrics computed anew without each row, and against the spread over repetitions."""

import math

import numpy as np
import pytest

import pointwise as pw
from pointwise.score import mean_score
from pointwise.terms import Removal, Terms, variance
from slow_reference import SLOW

# Shares are held to the spread over repetitions below: what a removal flips is averaged over rows.
JACKKNIFED = [name for name, row in pw.METRICS.items() if row.unit == "nats" and row.of != "pair"]
RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(80, 3)), RNG.normal(size=(70, 3)) * 1.3 + 0.4


def standard_error(terms, rows=None):
    return math.sqrt(sum(variance(u) for u in terms.influence(rows).values()))


def delete_one(name, real, fake, k):
    """The jackknife in its plainest form: the metric again, without each row in turn."""
    variance = 0.0
    for table in ("real", "fake"):
        rows = real if table == "real" else fake
        values = np.array(
            [
                SLOW[name](*((np.delete(real, i, 0), fake) if table == "real" else (real, np.delete(fake, i, 0))), k)[0]
                for i in range(len(rows))
            ]
        )
        variance += (len(rows) - 1) / len(rows) * ((values - values.mean()) ** 2).sum()
    return math.sqrt(variance)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("name", JACKKNIFED)
def test_equals_leaving_out_each_row(name, k):
    error = pw.evaluate(REAL, FAKE, metrics=[name], k=k)[name].standard_error
    assert error == pytest.approx(delete_one(name, REAL, FAKE, k), rel=0.02)


@pytest.mark.parametrize(("d", "spread", "n"), [(2, 0.6, 200), (20, 0.8, 200)])
def test_is_about_the_spread_over_repetitions(d, spread, n):
    """60 repetitions know the spread to 9 %. Of nats it is right or too large, of shares at times too small."""
    nats, shares = ["pce", "rce", "re", "kl_fake_real", "entropy_real"], ["coverage", "recall_cover", "precision_cover"]
    names = nats + shares
    values, errors, reach = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ev = pw.evaluate(rng.normal(size=(n, d)), spread * rng.normal(size=(n, d)), metrics=names)
        values.append([ev[name].value for name in names])
        errors.append([ev[name].standard_error for name in names])
        reach.append([np.diff(ev[name].interval())[0] / 2 / 1.96 for name in names])
    seen = dict(zip(names, np.std(values, axis=0, ddof=1), strict=True))
    stated = dict(zip(names, np.mean(errors, axis=0), strict=True))
    half = dict(zip(names, np.mean(reach, axis=0), strict=True))
    for name in nats:
        assert 0.8 < stated[name] / seen[name] < 2, (name, stated[name] / seen[name])
    for name in (share for share in shares if seen[share] > 0.002):  # one that hardly moves has no spread to speak of
        assert 0.5 < half[name] / seen[name] < 2, (name, half[name] / seen[name])


def test_each_mode_has_the_error_of_its_own_rows():
    """By mode it is the jackknife of that mode's mean, the entropy of all real rows subtracted."""
    modes = np.where(np.arange(len(REAL)) < 30, "a", "b")
    ev = pw.evaluate(pw.FeatureTable(REAL, modes=modes), FAKE, metrics=["rce"], k=3)
    variance = 0.0
    for table, rows in (("real", REAL), ("fake", FAKE)):
        values = []
        for i in range(len(rows)):
            real, fake = (np.delete(REAL, i, 0), FAKE) if table == "real" else (REAL, np.delete(FAKE, i, 0))
            kept = np.delete(modes, i) if table == "real" else modes
            values.append(SLOW["rce"](real, fake, 3)[1][kept == "a"].mean())
        variance += (len(rows) - 1) / len(rows) * np.var(values) * len(rows)
    assert ev["rce"].by_mode()["a"].standard_error == pytest.approx(math.sqrt(variance), rel=0.03)


@pytest.mark.parametrize("correlation", [-0.8, 0.0, 0.8])
def test_paired_rows_have_the_error_of_their_differences(correlation):
    rng = np.random.default_rng(1)
    x, h = rng.multivariate_normal([3, 1], [[1, correlation], [correlation, 1]], size=200).T
    error = standard_error(Terms("real", x, less=Terms("real", h)))
    assert error == pytest.approx((x - h).std(ddof=1) / math.sqrt(200), rel=1e-12)
    assert error == pytest.approx(standard_error(Terms("real", x) - Terms("real", h)), rel=1e-12)


def test_errors_of_independent_tables_add_in_squares():
    rng = np.random.default_rng(2)
    x, h = rng.normal(size=80), rng.normal(scale=3, size=30)
    terms = Terms("generated", x, sizes={"real": 30, "generated": 80}, less=Terms("real", h))
    expected = math.hypot(x.std(ddof=1) / math.sqrt(80), h.std(ddof=1) / math.sqrt(30))
    assert standard_error(terms) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(terms.per_sample, x - h.mean(), rtol=1e-12)


def test_is_unknown_of_one_row_and_of_infinite_ones():
    one, infinite = Terms("real", np.array([1.0])), Terms("real", np.array([1.0, -math.inf, 2.0]))
    assert math.isnan(standard_error(one))
    assert math.isnan(standard_error(infinite))
    assert math.isnan(standard_error(Terms("real", np.arange(3.0), less=infinite)))
    assert standard_error(infinite, np.array([0, 2])) > 0


def test_a_difference_hangs_on_what_both_hang_on():
    """Row by row: the values of x less those of h, and what a removal does to either, with its sign."""
    rng = np.random.default_rng(3)
    x, h = (
        Terms(
            "real",
            rng.normal(size=40),
            sizes={"real": 40, "generated": 25},
            removals=(Removal(side, rng.integers(size, size=(40, 3)), rng.normal(size=40)),),
        )
        for side, size in (("generated", 25), ("real", 40))
    )
    found = (x - h).influence(None)
    for side, u in x.influence(None).items():
        np.testing.assert_allclose(found[side], u - h.influence(None)[side], rtol=1e-12, atol=1e-15)


def test_a_removal_counts_wherever_the_row_is_a_neighbour():
    """Against a loop over rows: -(n - 1)/n of the change of the mean when a row of the other table is removed."""
    rng = np.random.default_rng(4)
    neighbours, change = np.array([rng.permutation(6)[:2] for _ in range(9)]), rng.normal(size=9)
    terms = Terms(
        "generated",
        rng.normal(size=9),
        sizes={"generated": 9, "real": 6},
        removals=(Removal("real", neighbours, change),),
    )
    for rows in (None, np.array([0, 3, 4, 8])):
        chosen = np.arange(9) if rows is None else rows
        expected = [-5 / 6 * sum(change[i] for i in chosen if j in neighbours[i]) / len(chosen) for j in range(6)]
        np.testing.assert_allclose(terms.influence(rows)["real"], expected, rtol=1e-12, atol=1e-15)


# ---- rows that come in groups


def grouped(*, groups, side="generated"):
    rng = np.random.default_rng(5)
    removals = (Removal("real", rng.integers(20, size=(60, 3)), rng.normal(size=60)),)
    values = rng.normal(size=60)
    return Terms("generated", values, sizes={"generated": 60, "real": 20}, removals=removals, groups=groups)


def test_influences_of_a_group_are_those_of_its_rows_together():
    names = np.random.default_rng(6).integers(7, size=60)
    real_names = np.repeat(["x", "y", "z", "w"], 5)
    alone = grouped(groups={}).influence(None)
    together = grouped(groups={"generated": names, "real": real_names}).influence(None)
    own = [alone["generated"][names == name].sum() for name in range(7)]
    scale = together["generated"] / own
    np.testing.assert_allclose(scale, scale[0], rtol=1e-9)  # n / (n - 1) is of groups, not of rows
    others = [alone["real"][real_names == name].sum() for name in ("w", "x", "y", "z")]
    np.testing.assert_allclose(together["real"], others, rtol=1e-12, atol=1e-15)


def test_only_the_grouped_side_comes_in_groups():
    names = np.repeat(np.arange(30), 2)
    found = grouped(groups={"generated": names}).influence(None)
    assert {side: len(u) for side, u in found.items()} == {"generated": 30, "real": 20}
    np.testing.assert_array_equal(found["real"], grouped(groups={}).influence(None)["real"])


def test_groups_of_one_row_each_change_nothing():
    shuffled = np.random.default_rng(7).permutation(60)
    found, expected = (grouped(groups=groups) for groups in ({"generated": shuffled}, {}))
    assert standard_error(found) == pytest.approx(standard_error(expected), rel=1e-12)


def test_some_rows_have_the_error_of_their_own_groups():
    """Also where a group is only partly among them."""
    rng = np.random.default_rng(8)
    names, values = rng.integers(12, size=90), rng.normal(size=90)
    rows = np.flatnonzero((names > 3) & (rng.random(90) < 0.7))
    found = standard_error(Terms("generated", values, groups={"generated": names}), rows)
    alone = standard_error(Terms("generated", values[rows], groups={"generated": names[rows]}))
    assert found == pytest.approx(alone, rel=1e-12)


def test_the_error_of_groups_is_the_spread_over_repetitions():
    """Five captions of each of 40 images, alike within an image."""
    groups = np.repeat(np.arange(40), 5)
    values, errors = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        score = mean_score(rng.normal(size=40)[groups] + rng.normal(size=200), of="pair", groups=groups)
        values.append(score.value)
        errors.append(score.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.15)  # four spreads of 400
