"""Standard errors against metrics computed anew without each row, and against the spread over repetitions."""

import math

import numpy as np
import pytest
from pointwise.metrics.jackknife import Terms, standard_error

import pointwise as pw
from slow_reference import SLOW

# Shares are held to the spread over repetitions below: what a removal flips is averaged over rows.
JACKKNIFED = [name for name, row in pw.METRICS.items() if row.unit == "nats" and row.of != "pair"]
RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(80, 3)), RNG.normal(size=(70, 3)) * 1.3 + 0.4


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
    error = standard_error(Terms("real", x), Terms("real", h), np.arange(200), {"real": 200})
    assert error == pytest.approx((x - h).std(ddof=1) / math.sqrt(200), rel=1e-12)
    assert error == pytest.approx(
        standard_error(Terms("real", x) - Terms("real", h), None, np.arange(200), {"real": 200}), rel=1e-12
    )


def test_errors_of_independent_tables_add_in_squares():
    rng = np.random.default_rng(2)
    x, h = rng.normal(size=80), rng.normal(scale=3, size=30)
    error = standard_error(Terms("generated", x), Terms("real", h), np.arange(80), {"real": 30, "generated": 80})
    assert error == pytest.approx(math.hypot(x.std(ddof=1) / math.sqrt(80), h.std(ddof=1) / math.sqrt(30)), rel=1e-12)


def test_is_unknown_of_one_row_and_of_infinite_ones():
    one, infinite = Terms("real", np.array([1.0])), Terms("real", np.array([1.0, -math.inf, 2.0]))
    assert math.isnan(standard_error(one, None, np.arange(1), {"real": 1}))
    assert math.isnan(standard_error(infinite, None, np.arange(3), {"real": 3}))
    assert math.isnan(standard_error(Terms("real", np.arange(3.0)), infinite, np.arange(3), {"real": 3}))
    assert standard_error(infinite, None, np.array([0, 2]), {"real": 3}) > 0
