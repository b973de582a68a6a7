"""MID and its rivals against their plainest form, and against pairs whose answer is known."""

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

import pointwise as pw
from pointwise.metrics.alignment import _drawn

RNG = np.random.default_rng(0)
IMAGE, TEXT = RNG.normal(size=(40, 6)), RNG.normal(size=(40, 6))


def cosine(a, b):
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def test_mid_fits_on_real_pairs_and_scores_generated_ones():
    rng = np.random.default_rng(1)
    text = rng.normal(size=(2000, 4))
    real, fake, unrelated = (
        text + rng.normal(size=(2000, 4)),
        text + rng.normal(size=(2000, 4)),
        rng.normal(size=(2000, 4)),
    )
    score = pw.mid(real, text, fake)
    assert score.of == "pair"
    assert score.per_sample.shape == (2000,)
    low, high = score.interval()
    assert low < 2 * math.log(2) < high  # 4 correlations of 1 / sqrt(2)
    assert pw.mid(real, text, unrelated).value < 0
    assert pw.mid(real, text, fake, debias=True).value == pytest.approx(score.value, abs=0.05)
    assert pw.mid(real, text, fake, ridge=1.0).value < score.value


@pytest.mark.parametrize("debias", [False, True])
def test_mid_in_principal_axes_takes_fewer_pairs_than_columns(debias):
    rng = np.random.default_rng(1)
    real, text, fake = rng.normal(size=(3, 30, 40)) * 0.7 ** np.arange(40)
    with pytest.raises(pw.InputError, match=r"30 pairs are too few for 40 \+ 40 columns.*\(reduce=\)"):
        pw.mid(real, text, fake)
    pair = pw.GaussianPair(reduce=3)
    pair.update(real, text)
    expected = pair.pmi(fake, text, debias=debias)
    np.testing.assert_array_equal(pw.mid(real, text, fake, reduce=3, debias=debias).per_sample, expected.per_sample)
    with pytest.raises(pw.InputError, match="reduce is 0; it must be a whole number of at least 1"):
        pw.mid(real, text, fake, reduce=0)


@pytest.mark.parametrize("scale", [2.5, 100])
def test_clip_score(scale):
    expected = [scale * max(cosine(a, b), 0) for a, b in zip(IMAGE, TEXT, strict=True)]
    score = pw.clip_score(IMAGE, TEXT, scale=scale)
    np.testing.assert_allclose(score.per_sample, expected, rtol=1e-12)
    assert score.value == pytest.approx(np.mean(expected))
    assert min(expected) == 0


def test_ref_clip_score():
    references = RNG.normal(size=(40, 3, 6))
    expected = []
    for image, text, shown in zip(IMAGE, TEXT, references, strict=True):
        own = 2.5 * max(cosine(image, text), 0)
        nearest = max(0, *(cosine(text, reference) for reference in shown))
        expected.append(2 * own * nearest / (own + nearest) if own + nearest else 0)
    np.testing.assert_allclose(pw.ref_clip_score(IMAGE, TEXT, references).per_sample, expected, rtol=1e-12)
    one = pw.ref_clip_score(IMAGE, TEXT, references[:, 0])
    np.testing.assert_array_equal(one.per_sample, pw.ref_clip_score(IMAGE, TEXT, references[:, :1]).per_sample)


def test_ref_clip_score_does_not_depend_on_its_blocks(monkeypatch):
    references = np.random.default_rng(5).normal(size=(40, 3, 6)).astype(np.float32)
    expected = pw.ref_clip_score(IMAGE, TEXT, references).per_sample
    monkeypatch.setattr("pointwise.metrics.alignment._ENTRIES_AT_ONCE", 100)
    np.testing.assert_allclose(pw.ref_clip_score(IMAGE, TEXT, references).per_sample, expected, rtol=1e-12)
    references[7, 1] = 0
    with pytest.raises(pw.InputError, match=r"1 rows of references are all zeros \(the first is row 22\)"):
        pw.ref_clip_score(IMAGE, TEXT, references)


def test_info_nce_score():
    cosines = np.array([[cosine(a, b) for b in TEXT] for a in IMAGE])
    expected = cosines.diagonal() - np.log(np.exp(cosines).sum(axis=1))
    np.testing.assert_allclose(pw.info_nce_score(IMAGE, TEXT).per_sample, expected, rtol=1e-12)


def test_info_nce_score_does_not_depend_on_its_blocks(monkeypatch):
    expected = pw.info_nce_score(IMAGE, TEXT).per_sample
    monkeypatch.setattr("pointwise.metrics.alignment._ENTRIES_AT_ONCE", 100)
    np.testing.assert_allclose(pw.info_nce_score(IMAGE, TEXT).per_sample, expected, rtol=1e-12)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells its memory on Linux alone")
def test_info_nce_score_leaves_no_blocks_behind():
    """6,000 x 6,000 cosines are 288 MB; blocks that were freed between results that are kept would stay in use."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    image, text = np.random.default_rng(5).normal(size=(2, 6000, 3))
    pw.info_nce_score(image[:2000], text[:2000])
    before = resident()
    pw.info_nce_score(image, text)
    assert resident() - before < 100e6


def test_r_precision_against_all_others_is_retrieval():
    cosines = np.array([[cosine(a, b) for b in TEXT] for a in IMAGE])
    expected = (cosines.argmax(axis=1) == np.arange(40)).astype(float)
    np.testing.assert_array_equal(pw.r_precision(IMAGE, TEXT, negatives=39).per_sample, expected)


def test_r_precision_by_chance_and_at_its_best():
    rng = np.random.default_rng(2)
    image, text = rng.normal(size=(2, 3000, 8))
    assert pw.r_precision(image, text, negatives=9).value == pytest.approx(0.1, abs=0.025)
    assert pw.r_precision(text, text).value == 1
    assert pw.r_precision(np.ones((50, 2)), np.ones((50, 2)), negatives=4).value == pytest.approx(0.2)


def test_r_precision_is_seeded():
    first, again, other = (pw.r_precision(IMAGE, TEXT, negatives=5, seed=seed).per_sample for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    wider = [np.hstack([rows, np.zeros((40, 9))]) for rows in (IMAGE, TEXT)]
    np.testing.assert_array_equal(pw.r_precision(*wider, negatives=5, seed=3).per_sample, first)  # the same rivals


@pytest.mark.parametrize("gathered", [0, 10**9])
def test_every_choice_of_rivals_is_equally_likely(gathered, monkeypatch):
    monkeypatch.setattr("pointwise.metrics.alignment._GATHERED", gathered)
    drawn = np.sort(_drawn(np.random.default_rng(0), 35_000, 3, 7), axis=1)
    choices, counts = np.unique(drawn, axis=0, return_counts=True)
    assert choices.tolist() == [list(choice) for choice in itertools.combinations(range(7), 3)]
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("negatives", [1, 30, 31, 32, 300, 999])
def test_r_precision_draws_others_and_never_the_own_row(negatives):
    """Each image is nearest to the text of the next row, and farther from all the rest than from its own."""
    image = np.eye(1000) + 2 * np.roll(np.eye(1000), 1, axis=1)
    score = pw.r_precision(image, np.eye(1000), negatives=negatives)
    assert set(score.per_sample) <= {0.0, 1.0}
    share = negatives / 999
    assert 1 - score.value == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1000) + 1e-12)


@pytest.mark.parametrize("negatives", [2, 199])
def test_equal_captions_tie_whatever_the_rounding(negatives):
    text = np.repeat(np.random.default_rng(6).normal(size=(100, 37)), 2, axis=0)
    won = pw.r_precision(text, text, negatives=negatives).per_sample
    assert set(won) <= {0.5, 1.0}
    assert (won == 0.5).mean() == pytest.approx(negatives / 199, abs=0.03)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_r_precision_with_a_seed_that_is_none(seed):
    with pytest.raises(pw.InputError, match=f"seed is {seed}; it must be a whole number of at least 0"):
        pw.r_precision(IMAGE, TEXT, negatives=5, seed=seed)


@pytest.mark.parametrize("score", [pw.clip_score, pw.info_nce_score, pw.r_precision])
def test_pairs_must_be_in_one_space(score):
    with pytest.raises(pw.InputError, match=r"image is \[40, 6\] and text \[39, 6\]; cosines need pairs"):
        score(IMAGE, TEXT[:39])
    with pytest.raises(pw.InputError, match=r"text \[40, 5\]"):
        score(IMAGE, TEXT[:, :5])
    zeros = TEXT.copy()
    zeros[7] = 0
    with pytest.raises(pw.InputError, match=r"1 rows of text are all zeros \(the first is row 7\)"):
        score(IMAGE, zeros)


def test_other_bad_input():
    with pytest.raises(
        pw.InputError, match="negatives is 99, but each of 40 rows has only 39 others to draw from; give more"
    ):
        pw.r_precision(IMAGE, TEXT)
    with pytest.raises(pw.InputError, match="negatives is 0; it must be a whole number of at least 1"):
        pw.r_precision(IMAGE, TEXT, negatives=0)
    with pytest.raises(pw.InputError, match=r"references has shape \[40, 3, 5\]; for text \[40, 6\]"):
        pw.ref_clip_score(IMAGE, TEXT, np.ones((40, 3, 5)))
    with pytest.raises(pw.InputError, match="x has 40 rows and y has 39"):
        pw.mid(IMAGE, TEXT[:39], IMAGE)
