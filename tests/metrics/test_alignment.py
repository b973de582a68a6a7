"""MID and its rivals against their plainest form, and against pairs whose answer is known."""

import math

import numpy as np
import pytest

import pointwise as pw

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


def test_info_nce_score():
    cosines = np.array([[cosine(a, b) for b in TEXT] for a in IMAGE])
    expected = cosines.diagonal() - np.log(np.exp(cosines).sum(axis=1))
    np.testing.assert_allclose(pw.info_nce_score(IMAGE, TEXT).per_sample, expected, rtol=1e-12)


def test_info_nce_score_does_not_depend_on_its_blocks(monkeypatch):
    expected = pw.info_nce_score(IMAGE, TEXT).per_sample
    monkeypatch.setattr("pointwise.metrics.alignment._ENTRIES_AT_ONCE", 100)
    np.testing.assert_allclose(pw.info_nce_score(IMAGE, TEXT).per_sample, expected, rtol=1e-12)


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
    with pytest.raises(pw.InputError, match="negatives is 99, but each of 40 rows has only 39 others"):
        pw.r_precision(IMAGE, TEXT)
    with pytest.raises(pw.InputError, match="negatives is 0; it must be a whole number of at least 1"):
        pw.r_precision(IMAGE, TEXT, negatives=0)
    with pytest.raises(pw.InputError, match=r"references has shape \[40, 3, 5\]; for text \[40, 6\]"):
        pw.ref_clip_score(IMAGE, TEXT, np.ones((40, 3, 5)))
    with pytest.raises(pw.InputError, match="x has 40 rows and y has 39"):
        pw.mid(IMAGE, TEXT[:39], IMAGE)
