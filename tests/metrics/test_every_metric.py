"""What holds for every metric, written once, over the rows of METRICS."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pointwise as pw
from pointwise.neighbors.passes import SWEEPS
from pointwise.neighbors.sweep_torch import TorchSweep
from pointwise.reference.options import Options
from slow_reference import SLOW
from strategies import table_pairs

NEIGHBOURS = [name for name, row in pw.METRICS.items() if row.summary == "neighborhoods"]
WITHOUT_UNIT = ["pce", "rce", "re", "kl_real_fake", "kl_fake_real"] + [
    name for name in NEIGHBOURS if pw.METRICS[name].unit in ("share", "ratio")
]
PAIRWISE = [name for name, row in pw.METRICS.items() if row.of == "pair"]
QUICK = [name for name in PAIRWISE if pw.METRICS[name].by_default]
ALONE = [name for name in pw.METRICS if name not in PAIRWISE]  # that need no texts
RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(110, 5)), RNG.normal(size=(100, 5)) * 1.2 + 0.3
REAL_TEXT, FAKE_TEXT = REAL + RNG.normal(size=REAL.shape), FAKE + RNG.normal(size=FAKE.shape)


def moved(x, seed=1):
    """A rigid motion: a rotation with a reflection, then a shift."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]
    return x @ rotation + rng.normal(size=x.shape[1])


def assert_equal(found, expected, *, rtol=1e-9, atol=1e-9):
    assert list(found) == list(expected)
    for key in expected:
        np.testing.assert_allclose(found[key].value, expected[key].value, rtol=rtol, atol=atol, err_msg=str(key))
        if expected[key].per_sample is not None:
            np.testing.assert_allclose(
                found[key].per_sample, expected[key].per_sample, rtol=rtol, atol=atol, err_msg=str(key)
            )


def with_texts(real=REAL, fake=FAKE):
    return pw.FeatureTable(real, text=REAL_TEXT), pw.FeatureTable(fake, text=FAKE_TEXT)


@pytest.fixture(scope="module")
def baseline():
    return pw.evaluate(*with_texts(), k=(2, 5))


def test_the_slow_reference_has_every_metric():
    """A new metric is asked for its plainest form here, and here alone; the other properties hold it from its row."""
    assert set(SLOW) == set(pw.METRICS), "write the plainest form of each into tests/slow_reference.py"


@settings(max_examples=30)
@given(table_pairs(), st.integers(1, 4), st.integers(1, 3), st.sampled_from([None, 2.5]))
def test_equals_its_plainest_form(pair, k, cover, dimension):
    real, fake = pair
    found = pw.evaluate(
        real, fake, metrics=NEIGHBOURS, k=k, cover=cover, duplicates="keep", dimension=dimension or "ambient"
    )
    for name in (name for name in NEIGHBOURS if name in SLOW):
        value, per_sample = SLOW[name](real.astype(np.float64), fake.astype(np.float64), k, cover, dimension)
        np.testing.assert_allclose(found[name].value, value, rtol=1e-9, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(found[name].per_sample, per_sample, rtol=1e-9, atol=1e-9, err_msg=name)


@settings(max_examples=10)
@given(table_pairs(kinds=("plain", "clusters")))
def test_metrics_of_whole_sets_equal_their_plainest_form(pair):
    real, fake = (x.astype(np.float64) for x in pair)
    found = pw.evaluate(real, fake, metrics=["frechet", "kid", "cmmd"])
    for (name, _), score in found.scores.items():
        value, _ = SLOW[name](real, fake, 5, 3, None)
        assert score.value == pytest.approx(value, rel=1e-6, abs=1e-6), name
        assert score.per_sample is None


@settings(max_examples=10)
@given(table_pairs(kinds=("plain", "offset"), rows=(100, 100), columns=(2, 6)))
def test_metrics_of_pairs_equal_their_plainest_form(pair):
    real, fake = (x.astype(np.float64) for x in pair)
    noise = np.random.default_rng(2**40).normal(size=(2, *real.shape))
    real_text, fake_text = real + noise[0], fake + noise[1]
    found = pw.evaluate(pw.FeatureTable(real, text=real_text), pw.FeatureTable(fake, text=fake_text), metrics=QUICK)
    for name in QUICK:
        value, per_sample = SLOW[name](real, real_text, fake, fake_text)
        assert found[name].value == pytest.approx(value, rel=1e-8, abs=1e-8), name
        np.testing.assert_allclose(found[name].per_sample, per_sample, rtol=1e-7, atol=1e-7, err_msg=name)


def narrow(rows=FAKE, text=FAKE_TEXT):
    """Pairs of few columns, from which is learned quickly."""
    return pw.FeatureTable(rows[:, :3], text=text[:, :2])


@pytest.fixture(scope="module")
def learned():
    """The narrow real pairs, and what is learned from them: once, as it takes seconds."""
    reference = pw.Reference(narrow(REAL, REAL_TEXT))
    pw.evaluate(reference, narrow(), metrics=["kme_pmi"])
    assert reference.has("learned_pair", Options.checked())
    return reference


def test_what_is_learned_from_pairs_scores_by_its_plainest_form(learned):
    real, fake = learned.table, narrow()
    found = pw.evaluate(learned, fake, metrics=["kme_pmi"])["kme_pmi"]
    value, per_sample = SLOW["kme_pmi"](
        *(table.numpy() for table in (real.features, real.text, fake.features, fake.text)),
        learned=learned.half("learned_pair", Options.checked()),
    )
    assert found.value == pytest.approx(value, abs=1e-7)  # log m, which drops out of PMI, is taken in float32
    np.testing.assert_allclose(found.per_sample, per_sample, rtol=0, atol=1e-7)


def test_the_constant_of_what_is_learned_is_in_the_error_and_not_in_that_of_a_difference(learned):
    one, other = (
        pw.evaluate(learned, narrow(text=text), metrics=["kme_pmi"])["kme_pmi"] for text in (FAKE_TEXT, FAKE_TEXT[::-1])
    )
    constant = learned.half("learned_pair", Options.checked()).calibration.constant_error
    assert constant > 0
    for score in (one, other):
        alone = score.per_sample.std(ddof=1) / np.sqrt(len(FAKE))
        assert score.standard_error == pytest.approx(np.hypot(alone, constant), rel=1e-9)
    # The same images with other texts: row by row.
    expected = (one.per_sample - other.per_sample).std(ddof=1) / np.sqrt(len(FAKE))
    assert one.difference(other).standard_error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", pw.METRICS)
def test_row_tells_the_truth(name, baseline, request):
    row = pw.METRICS[name]
    key = (name, 5) if row.summary == "neighborhoods" else name
    assert (key in baseline) == row.by_default
    found = baseline if row.by_default else pw.evaluate(request.getfixturevalue("learned"), narrow(), metrics=[name])
    score = found[key]
    assert row.name == name
    assert score.kind == ("share" if row.unit == "share" else "mean")
    assert (score.per_sample is not None) == (row.of is not None)
    if row.of is not None:
        assert score.of == row.of
        assert score.per_sample.shape == (len(REAL if row.of == "real" else FAKE),)
        assert score.per_sample.dtype == np.float64
        assert score.value == pytest.approx(score.per_sample.mean(), rel=1e-12, abs=1e-12)
    low, high = score.interval()
    assert low <= score.value <= high


@pytest.mark.parametrize("name", [name for name in ALONE if name not in ("entropy_real", "entropy_fake")])
def test_direction_prefers_the_same_law_to_a_distant_one(name):
    """Entropies, which look at one table, aside: every metric ranks the real law above one that is far away."""
    rng = np.random.default_rng(3)
    real, same, far = rng.normal(size=(3, 200, 3))
    row, losses = pw.METRICS[name], []
    for fake in (same, far * 0.5 + 2.5):
        value = pw.evaluate(real, fake, metrics=[name])[name].value
        losses.append({"lower": value, "higher": -value, "zero": abs(value)}[row.better])
        assert row.loss(value) == losses[-1]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("name", PAIRWISE)
def test_direction_prefers_texts_that_fit_to_texts_that_do_not(name, request):
    rng = np.random.default_rng(3)
    if pw.METRICS[name].summary == "learned_pair":
        reference, fitting, others = request.getfixturevalue("learned"), FAKE_TEXT, rng.permutation(FAKE_TEXT)
        tables = [narrow(text=text) for text in (fitting, others)]
    else:
        real, fake = rng.normal(size=(2, 200, 3))
        real_text, fitting = real + 0.5 * rng.normal(size=real.shape), fake + 0.5 * rng.normal(size=fake.shape)
        reference = pw.FeatureTable(real, text=real_text)
        tables = [pw.FeatureTable(fake, text=text) for text in (fitting, rng.permutation(fitting))]
    values = [pw.evaluate(reference, table, metrics=[name])[name].value for table in tables]
    assert pw.METRICS[name].better == "higher"
    assert pw.METRICS[name].loss(values[0]) < pw.METRICS[name].loss(values[1])
    assert values[0] > values[1]


def test_rigid_motions_change_nothing(baseline):
    found = pw.evaluate(moved(REAL), moved(FAKE), k=(2, 5), metrics=[*NEIGHBOURS, "frechet"])
    assert_equal(found.scores, {key: baseline.scores[key] for key in found.scores})


@pytest.mark.parametrize("scale", [1e-6, 7.0, 1e6])
def test_scale_changes_no_metric_without_a_unit(scale, baseline):
    found = pw.evaluate(REAL * scale, FAKE * scale, k=(2, 5), metrics=WITHOUT_UNIT)
    assert_equal(found.scores, {key: baseline.scores[key] for key in found.scores})


def test_scale_shifts_raw_terms_by_d_log_scale(baseline):
    names = ["entropy_real", "entropy_fake", "cross_entropy_fake_real", "cross_entropy_real_fake"]
    found = pw.evaluate(REAL * 7, FAKE * 7, k=(2, 5), metrics=names)
    for key, score in found.scores.items():
        assert score.value == pytest.approx(baseline.scores[key].value + 5 * np.log(7), rel=1e-12)


def test_permuting_rows_permutes_samples(baseline):
    rng = np.random.default_rng(4)
    p, q = rng.permutation(len(REAL)), rng.permutation(len(FAKE))
    real, fake = with_texts()
    found = pw.evaluate(real[p], fake[q], k=(2, 5))
    assert list(found) == list(baseline)
    for key, score in found.scores.items():
        expected = baseline.scores[key]
        assert score.value == pytest.approx(expected.value, rel=1e-9, abs=1e-9), key
        if expected.per_sample is not None:
            order = p if expected.of == "real" else q
            np.testing.assert_allclose(score.per_sample, expected.per_sample[order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [32, 64])
def test_tiles_do_not_matter(width, baseline, monkeypatch):
    monkeypatch.setitem(SWEEPS, "narrow", TorchSweep(width=width))
    assert_equal(pw.evaluate(*with_texts(), k=(2, 5), engine="narrow").scores, baseline.scores, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("columns", [5, 100])
def test_precision_of_storage_does_not_matter(dtype, columns):
    """The same numbers stored in less precision give the same result: nothing is computed in it."""
    rng = np.random.default_rng(5)
    real, fake = rng.normal(size=(80, columns)).astype(dtype), rng.normal(size=(60, columns)).astype(dtype)
    wide = pw.evaluate(real.astype(np.float64), fake.astype(np.float64))
    assert_equal(pw.evaluate(real, fake).scores, wide.scores, rtol=1e-9, atol=1e-9)


def test_torch_and_numpy_give_the_same(baseline):
    found = pw.evaluate(*with_texts(torch.from_numpy(REAL), torch.from_numpy(FAKE)), k=(2, 5))
    assert_equal(found.scores, baseline.scores, rtol=0, atol=0)


def test_several_k_in_one_pass_equal_one_at_a_time(baseline):
    for k in (2, 5):
        alone = pw.evaluate(REAL, FAKE, k=k)
        for name in ALONE:
            key = (name, k) if name in NEIGHBOURS else name
            assert alone[name].value == baseline[key].value


def test_modes_average_to_the_whole():
    modes = np.arange(len(REAL)) % 3
    real, fake = pw.FeatureTable(REAL, modes=modes), pw.FeatureTable(FAKE, modes=np.arange(len(FAKE)) % 4)
    for score in pw.evaluate(real, fake, metrics=NEIGHBOURS).scores.values():
        by_mode = score.by_mode()
        assert list(by_mode) == list(range(3 if score.of == "real" else 4))
        sizes = [len(part.per_sample) for part in by_mode.values()]
        assert np.average([part.value for part in by_mode.values()], weights=sizes) == pytest.approx(score.value)


@settings(max_examples=25)
@given(table_pairs(kinds=("plain", "offset", "clusters")), st.integers(1, 4))
def test_fidelity_and_diversity_split_the_divergence(pair, k):
    """KL(G||R) = PCE - RE and KL(R||G) = RCE, on every sample; volumes and digammas cancel."""
    real, fake = pair
    ev = pw.evaluate(real, fake, k=k, duplicates="keep", metrics=WITHOUT_UNIT)
    hoods = pw.neighborhoods(real, fake, k=k)
    if not all(np.isfinite(score.value) for score in ev.scores.values()):
        return
    n, m, d = len(real), len(fake), real.shape[1]
    rho_real = hoods.within_real.distances[:, k - 1]
    rho_fake = hoods.within_fake.distances[:, k - 1]
    to_fake, to_real = hoods.real_to_fake.distances[:, k - 1], hoods.fake_to_real.distances[:, k - 1]
    assert ev["kl_fake_real"].value == pytest.approx(ev["pce"].value - ev["re"].value, rel=1e-9, abs=1e-9)
    assert ev["kl_real_fake"].value == pytest.approx(ev["rce"].value, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(
        ev["kl_real_fake"].per_sample, d * np.log(to_fake / rho_real) + np.log(m / (n - 1)), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        ev["kl_fake_real"].per_sample, d * np.log(to_real / rho_fake) + np.log(n / (m - 1)), rtol=1e-9, atol=1e-9
    )
