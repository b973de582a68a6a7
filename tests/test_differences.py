"""Differences of scores where chance is shared, where none is seen, and where two cannot be subtracted."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

import pointwise as pw

RNG = np.random.default_rng(0)
REAL, NEAR, FAR = (RNG.normal(size=(120, 3)) for _ in range(3))
TEXT = REAL[:, :2] + RNG.normal(size=(120, 2))


def pairs(rows=REAL, text=TEXT):
    return pw.FeatureTable(rows, text=text)


def test_a_difference_of_differences_still_knows_its_tables():
    both = pw.compare(REAL, {"a": NEAR, "b": FAR}, metrics=["rce"])
    there, back = (both.difference(*names)["rce"] for names in (("a", "b"), ("b", "a")))
    assert there.difference(back).standard_error == pytest.approx(2 * there.standard_error, rel=1e-9)
    assert there.difference(there).standard_error == 0


@pytest.mark.parametrize("name", ["precision", "coverage", "recall_cover"])
def test_shares_at_1_and_0_differ_by_newcombes_interval(name):
    real = RNG.normal(size=(20, 2))
    both = pw.compare(real, {"near": real * 0.99 + 0.001, "far": real + 50}, metrics=[name])
    one, other, change = both["near"][name], both["far"][name], both.difference("near", "far")[name]
    assert (one.value, other.value) == (1, 0)
    low, high = (binomtest(hits, 20).proportion_ci(method="wilson") for hits in (20, 0))
    reach = math.hypot(1 - low.low, high.high)  # Newcombe's, method 10
    assert change.interval() == pytest.approx((1 - reach, 1 + reach), rel=1e-9)
    assert 0 < change.p_value < 1e-6
    assert both.difference("near", "near")[name].interval() == (0, 0)


def test_gaussians_of_other_axes_are_other_fits():
    fits = []
    for reduce in (None, 2):
        fit = pw.GaussianPair(reduce=reduce)
        fit.update(REAL, TEXT)
        fits.append(fit.pmi(NEAR, TEXT))
    apart = math.hypot(*(score.standard_error for score in fits))
    assert fits[0].difference(fits[1]).standard_error == pytest.approx(apart, rel=0.5)


def test_a_gaussian_of_the_same_samples_with_other_texts_is_not_the_tables_own():
    own, shuffled = pw.GaussianPair(), pw.GaussianPair()
    own.update(REAL, TEXT)
    shuffled.update(REAL, TEXT[RNG.permutation(len(TEXT))])
    generated = pairs(NEAR, NEAR[:, :2] + RNG.normal(size=(120, 2)))
    for fit, at_hand in ((own, True), (shuffled, False)):
        score = pw.evaluate(pw.Reference(pairs(), pairs=fit), generated, metrics=["mid"])["mid"]
        assert ("fit" in score.tables) != at_hand


def test_the_constants_of_two_calibrations_do_not_cancel():
    x = RNG.normal(size=(400, 3))
    y = x[:, :2] + RNG.normal(size=(400, 2))
    learned = pw.KmePmi.fit(x[:200], y[:200])
    again = pw.KmePmi.calibrated(learned.model, x[200:300], y[200:300])
    scores = [pmi.pmi(x[300:], y[300:]) for pmi in (learned, learned, again)]
    errors = [pmi.calibration.constant_error for pmi in (learned, again)]
    assert scores[0].difference(scores[1]).standard_error < scores[0].difference(scores[2]).standard_error
    assert scores[0].difference(scores[2]).standard_error > math.hypot(*errors)


def test_functions_on_tables_name_them():
    assert pw.entropy(REAL).difference(pw.entropy(REAL)).standard_error == 0
    assert pw.cross_entropy(REAL, NEAR).difference(pw.cross_entropy(REAL, FAR)).standard_error < math.hypot(
        *(pw.cross_entropy(REAL, fake).standard_error for fake in (NEAR, FAR))
    )


def test_resamples_of_other_draws_cannot_be_subtracted():
    few, many = (pw.agreement(REAL[:, 0], REAL[:, 1], resamples=n)["kendall_b"] for n in (50, 60))
    with pytest.raises(pw.InputError, match="one score has 50 resamples and the other 60"):
        few.difference(many)


def test_a_comparison_is_asked_as_a_dictionary_is(tmp_path):
    both = pw.compare(REAL, {"a": NEAR, "b": FAR}, metrics=(name for name in ["rce", "re"]))
    assert (both.get("a"), both.get("c"), both.get("c", 1)) == (both["a"], None, 1)
    assert list(both["a"].to_dict()) == ["rce", "re"]
    both.to_json(tmp_path / "c.json")
    read = pw.Comparison.from_json(tmp_path / "c.json")
    assert [score.of for score in read.difference("a", "b").scores.values()] == ["real", "generated"]
    with pytest.raises(pw.InputError, match="metrics is 5; give a list of names"):
        pw.evaluate(REAL, NEAR, metrics=5)


def test_what_is_no_key_or_option_is_a_sentence():
    evaluation = pw.evaluate(REAL, NEAR, metrics=["rce"], k=np.array([3, 5]))
    assert list(evaluation) == [("rce", 3), ("rce", 5)]
    for key in (5, ("rce", 3, 5)):
        with pytest.raises(pw.InputError, match="is no key of an evaluation; ask for evaluation"):
            evaluation[key]
    for dimension in (np.array([1, 2]), 1e308, "flat"):
        with pytest.raises(pw.InputError, match="it must be 'ambient', 'intrinsic' or a positive number"):
            pw.evaluate(REAL, NEAR, dimension=dimension)
    with pytest.raises(pw.InputError, match="a comparison needs the evaluation of at least one generator"):
        pw.Comparison({})
