"""How MID hangs on scored and on fitted pairs: against numerical derivatives, refits, and the spread over redraws."""

import math

import numpy as np
import pytest
import torch

import pointwise as pw
from pointwise.score import Score
from pointwise.terms import variance

N, M, DX, DY = 120, 90, 4, 3


def pairs(n, *, seed, dx=DX, dy=DY, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dx)) * np.linspace(1, 2, dx)
    return x, x[:, :dy] + noise * rng.normal(size=(n, dy))


REAL, REAL_TEXT = pairs(N, seed=1)
FAKE, TEXT = pairs(M, seed=2, noise=1.5)
FAKE = 1.2 * FAKE + 0.3


def fitted(x=REAL, y=REAL_TEXT, **options):
    pair = pw.GaussianPair(**options)
    pair.update(x, y)
    return pair


def scored(pair, x=FAKE, y=TEXT, *, at_hand=True, debias=False, **columns) -> Score:
    own = tuple(map(torch.from_numpy, (REAL, REAL_TEXT))) if at_hand else None
    return pair.score(torch.from_numpy(x), torch.from_numpy(y), debias=debias, fitted=own)


def mid_of(mean, covariance, z, *, dx, ridge, debias, n):
    """The mean PMI of rows z under a Gaussian with this mean and covariance, in its plainest form."""
    covariance = covariance + ridge * np.eye(len(covariance))
    total = 0.0
    for part, sign in ((slice(0, dx), 1), (slice(dx, None), 1), (slice(None), -1)):
        s, rows = covariance[part, part], (z - mean)[:, part]
        share = (n - 1 - len(s) - 1) / (n - 1) if debias else 1.0
        squares = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(s), rows).mean()
        total += sign * (np.linalg.slogdet(s)[1] + share * squares) / 2
    return total  # the debiased information differs by a constant


CASES = {
    "plain": {},
    "debias": {"debias": True},
    "ridge": {"ridge": 0.4},
    "reduce": {"reduce": 2},
    "reduce, debias": {"reduce": 2, "debias": True},
    "reduce, ridge": {"reduce": 2, "ridge": 0.4},
}


@pytest.mark.parametrize("rows", [None, np.arange(20, 55)], ids=["all", "a mode"])
@pytest.mark.parametrize("case", CASES)
def test_the_influence_of_a_fitted_pair_is_the_derivative_by_its_weight(case, rows):
    """Mean and covariance move by epsilon (w, ww' - their mean); principal axes stay where they are."""
    options = {"ridge": 0.0, "debias": False, "reduce": None} | CASES[case]
    pair = fitted(ridge=options["ridge"], reduce=options["reduce"])
    found = scored(pair, debias=options["debias"]).terms.influence(rows)["real"]
    axes = [
        np.eye(side.shape[1])
        if options["reduce"] is None
        else np.linalg.eigh(np.cov(side, rowvar=False))[1][:, -options["reduce"] :]
        for side in (REAL, REAL_TEXT)
    ]
    z, new = (np.hstack([x @ axes[0], y @ axes[1]]) for x, y in ((REAL, REAL_TEXT), (FAKE, TEXT)))
    new = new if rows is None else new[rows]
    mean, covariance = z.mean(axis=0), np.cov(z, rowvar=False)
    about = {"dx": axes[0].shape[1], "ridge": options["ridge"], "debias": options["debias"], "n": N}
    step = 1e-5
    expected = []
    for w in z - mean:
        change = np.outer(w, w) - covariance * (N - 1) / N
        up, down = (mid_of(mean + sign * step * w, covariance + sign * step * change, new, **about) for sign in (1, -1))
        expected.append((up - down) / (2 * step) / N)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"debias": True}, {"ridge": 0.4}], ids=["plain", "debias", "ridge"])
def test_the_influence_of_a_fitted_pair_is_what_leaving_it_out_changes(options):
    ridge, debias = options.get("ridge", 0.0), options.get("debias", False)
    real, text = pairs(600, seed=5)
    pair, own = fitted(real, text, ridge=ridge), (torch.from_numpy(real), torch.from_numpy(text))
    whole = pair.score(torch.from_numpy(FAKE), torch.from_numpy(TEXT), debias=debias, fitted=own)
    without = [
        fitted(np.delete(real, i, 0), np.delete(text, i, 0), ridge=ridge).pmi(FAKE, TEXT, debias=debias).value
        for i in range(600)
    ]
    left_out = -599 / 600 * (np.array(without) - whole.value)
    found = whole.terms.influence(None)["real"]
    assert np.corrcoef(found, left_out)[0, 1] > 0.999  # what is left is of second order
    assert np.std(left_out) == pytest.approx(np.std(found), rel=0.05)


def test_the_influence_of_scored_pairs_is_that_of_a_mean():
    score = scored(fitted())
    expected = (score.per_sample - score.value) / M
    np.testing.assert_allclose(score.terms.influence(None)["generated"], expected, rtol=1e-12, atol=1e-15)
    modes = np.arange(M) % 3
    table = pw.FeatureTable(FAKE, text=TEXT, modes=modes)
    mode = pw.evaluate(pw.FeatureTable(REAL, text=REAL_TEXT), table, metrics=["mid"])["mid"].by_mode()[1]
    both = [variance(u) for u in scored(fitted()).terms.influence(np.flatnonzero(modes == 1)).values()]
    assert mode.standard_error == pytest.approx(math.sqrt(sum(both)), rel=1e-12)
    assert both[0] == pytest.approx(mode.per_sample.var(ddof=1) / 30, rel=1e-12)
    assert both[1] > 0.1 * both[0]


@pytest.mark.parametrize("case", CASES)
def test_where_fitted_pairs_are_not_at_hand_their_part_is_that_of_gaussian_rows(case):
    """Of pairs that are Gaussian both are the same; with a ridge the pairs still have their own covariance."""
    options = {"ridge": 0.0, "debias": False, "reduce": None} | CASES[case]
    real, text = pairs(40_000, seed=3)
    pair = fitted(real, text, ridge=10 * options["ridge"], reduce=options["reduce"])
    new, prompts = (torch.from_numpy(side) for side in (FAKE, TEXT))
    own = torch.from_numpy(real), torch.from_numpy(text)
    here, away = (pair.score(new, prompts, debias=options["debias"], fitted=rows) for rows in (own, None))
    expected = variance(here.terms.influence(None)["real"])
    assert variance(away.terms.influence(None)["fit"]) == pytest.approx(expected, rel=0.04)
    for rows in (np.arange(30), np.arange(30, 90)):
        expected = variance(here.terms.influence(rows)["real"])
        assert variance(away.terms.influence(rows)["fit"]) == pytest.approx(expected, rel=0.04)
    assert set(here.terms.influence(None)) == {"generated", "real"}
    assert set(away.terms.influence(None)) == {"generated", "fit"}


def test_a_pair_that_was_fitted_elsewhere_is_not_taken_for_the_own_table():
    """Even where both have as many pairs: then its part of the error is that of a Gaussian."""
    elsewhere = fitted(*pairs(N, seed=9))
    real, fake = pw.FeatureTable(REAL, text=REAL_TEXT), pw.FeatureTable(FAKE, text=TEXT)
    given = pw.evaluate(pw.Reference(real, pairs=elsewhere), fake, metrics=["mid"])["mid"]
    assert given.standard_error == pytest.approx(scored(elsewhere, at_hand=False).standard_error, rel=1e-12)
    own = pw.evaluate(pw.Reference(real, pairs=fitted()), fake, metrics=["mid"])["mid"]
    assert own.standard_error == pytest.approx(scored(fitted()).standard_error, rel=1e-12)
    assert own.standard_error == pw.evaluate(real, fake, metrics=["mid"])["mid"].standard_error
    offset = pw.FeatureTable(REAL + 1e4, text=REAL_TEXT), pw.FeatureTable(FAKE + 1e4, text=TEXT)
    assert pw.evaluate(*offset, metrics=["mid"])["mid"].standard_error == pytest.approx(own.standard_error, rel=1e-6)


def test_a_fit_that_is_not_at_hand_counts_in_the_error():
    """200 pairs fitted on and not kept: the error is the spread over redraws; that of scored pairs alone is not."""
    values, errors, alone = [], [], []
    for seed in range(300):
        pair = fitted(*pairs(200, seed=2 * seed, dx=8, dy=8))
        score = scored(pair, *pairs(1000, seed=2 * seed + 1, dx=8, dy=8, noise=1.5), at_hand=False)
        values.append(score.value)
        errors.append(score.standard_error)
        alone.append(score.per_sample.std(ddof=1) / math.sqrt(1000))
    assert math.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values, ddof=1), rel=0.2)
    assert np.mean(alone) < 0.8 * np.std(values, ddof=1)


def test_a_fit_that_two_generators_share_is_counted_once():
    """Of a generator and a looser one: the Gaussian moves both, the looser one more; and another fit moves nothing."""
    values, errors, apart = [], [], []
    for seed in range(300):
        pair = fitted(*pairs(300, seed=2 * seed, dx=8, dy=8))
        reference = pw.Reference(np.eye(9, 8), pairs=pair)
        rng = np.random.default_rng(2 * seed + 1)
        x, y = pairs(1000, seed=2 * seed + 1, dx=8, dy=8)
        one, other = (
            pw.evaluate(reference, pw.FeatureTable(x, text=text), metrics=["mid"])["mid"]
            for text in (y, y + rng.normal(size=y.shape))
        )
        difference = other.difference(one)
        values.append(difference.value)
        errors.append(difference.standard_error)
        alone = variance(other.per_sample / 1000 - one.per_sample / 1000)  # the same images
        apart.append(math.sqrt(alone))
    assert math.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values, ddof=1), rel=0.2)
    assert np.mean(apart) < 0.8 * np.std(values, ddof=1)
    elsewhere = pw.evaluate(
        pw.Reference(np.eye(9, 8), pairs=fitted(*pairs(300, seed=999, dx=8, dy=8))),
        pw.FeatureTable(x, text=y),
        metrics=["mid"],
    )["mid"]
    fits = variance(one.terms.influence(None)["fit"]) + variance(elsewhere.terms.influence(None)["fit"])
    rows = variance((one.per_sample - elsewhere.per_sample) / 1000)
    assert one.difference(elsewhere).standard_error == pytest.approx(math.sqrt(fits + rows), rel=1e-9)


@pytest.mark.parametrize("d", [16, 32])
def test_intervals_hold_the_mean_over_redraws_of_both_tables(d):
    """300 real and 300 scored pairs of d + d columns; benchmarks/mid_coverage.py has the long form."""
    scores, apart = [], []
    for seed in range(160):
        rng = np.random.default_rng(seed)
        text, noise, more, new = rng.normal(size=(4, 300, d))
        score = pw.mid(text + noise, text, text + 0.5 * noise + more + new)
        scores.append(score)
        apart.append(score.per_sample.std(ddof=1) / math.sqrt(300))
    truth = np.mean([score.value for score in scores])
    held = np.mean([low < truth < high for low, high in (score.interval() for score in scores)])
    assert 0.92 <= held <= 0.99
    alone = np.mean([abs(score.value - truth) < 1.96 * error for score, error in zip(scores, apart, strict=True)])
    assert alone < 0.92
