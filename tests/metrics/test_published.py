"""Digits of other implementations and closed forms, reached through the public surface."""

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.special import digamma

import pointwise as pw
from pointwise.synthetic import Gaussian

RNG = np.random.RandomState(0)
REAL = RNG.randn(200, 8)
FAKE = RNG.randn(150, 8) * 1.2 + 0.3
LATTICE_REAL = np.array([[i % 5, (i * 3) % 7] for i in range(35)])
LATTICE_FAKE = np.array([[(i * 2) % 5, (i * 5) % 7] for i in range(20)])
TERMS = ("cross_entropy_fake_real", "cross_entropy_real_fake", "entropy_real", "entropy_fake")
SHARES = ("precision", "recall", "density", "coverage")


def test_the_arrays_are_those_of_the_digits():
    assert REAL.sum() == pytest.approx(-24.857124576862212, rel=1e-12)
    assert FAKE.sum() == pytest.approx(310.72545105402986, rel=1e-12)


@pytest.mark.parametrize(
    ("k", "shares", "terms"),
    [
        (
            1,
            (0.42, 0.725, 0.6, 0.285),
            (12.569856951755877, 11.948737609766958, 11.153718083858953, 12.605416694889879),
        ),
        (
            2,
            (0.5866666666666667, 0.87, 0.61, 0.505),
            (12.456523562875859, 12.040045407711514, 11.258533442180564, 12.643202583719225),
        ),
        (
            3,
            (0.6666666666666666, 0.94, 0.5555555555555556, 0.6),
            (12.487385468212459, 12.036117615591957, 11.265811319271629, 12.675162042144),
        ),
        (
            5,
            (0.7933333333333333, 0.98, 0.56, 0.78),
            (12.532237291360707, 12.225719073029559, 11.316936765672672, 12.803249803126489),
        ),
        (
            10,
            (0.8933333333333333, 1.0, 0.5633333333333334, 0.925),
            (12.592768439085862, 12.400802875378654, 11.465066568269599, 12.984486619836277),
        ),
    ],
)
def test_official_digits(k, shares, terms):
    """NSSAC/PrecisionRecallMetric and prdc 0.2 on REAL and FAKE, float64."""
    ev = pw.evaluate(REAL, FAKE, k=k)
    assert [ev[name].value for name in SHARES + TERMS] == pytest.approx([*shares, *terms], rel=1e-9)
    assert ev["frechet"].value == pytest.approx(1.0758908464715091, rel=1e-9)


@pytest.mark.parametrize(
    ("k", "pce", "rce", "re"),
    [
        (5, 1.2153005256880345, 0.908782307356887, 1.486313037453817),
        (3, 1.221574148940828, 0.7703062963203262, 1.4093507228723716),
    ],
)
def test_differences(k, pce, rce, re):
    ev = pw.evaluate(REAL, FAKE, k=k)
    assert [ev[name].value for name in ("pce", "rce", "re")] == pytest.approx([pce, rce, re], rel=1e-9)
    assert ev["kl_fake_real"].value == pytest.approx(pce - re, rel=1e-9)


def test_raw_terms_sample_by_sample():
    ev = pw.evaluate(REAL, FAKE, k=5)
    for name, terms in {
        "cross_entropy_fake_real": [11.551458743689949, 14.137493611758742, 14.112469689052354, 11.997367728413924],
        "cross_entropy_real_fake": [12.626063378621176, 10.035301789386935, 12.359880177208858, 13.81519358832799],
        "entropy_real": [13.745473146689513, 9.429039000521161, 12.805889829476715, 13.38156270952071],
        "entropy_fake": [12.040419939359511, 14.6580165846371, 13.929467620012062, 12.211987662947758],
    }.items():
        np.testing.assert_allclose(ev[name].per_sample[:4], terms, rtol=1e-9)


@pytest.mark.parametrize(("k", "pc", "rc"), [(2, 0.98, 0.605), (5, 0.9933333333333333, 0.6)])
def test_precision_and_recall_cover(k, pc, rc):
    ev = pw.evaluate(REAL, FAKE, k=k, cover=3)
    assert [ev["precision_cover"].value, ev["recall_cover"].value] == pytest.approx([pc, rc], rel=1e-9)


def test_unbiased_polynomial_discrepancy():
    assert pw.evaluate(REAL[:150], FAKE, metrics=["kid"])["kid"].value == pytest.approx(0.356205232545741, rel=1e-9)


@pytest.mark.parametrize(
    ("k", "shares", "terms"),
    [
        (1, (1.0, 1.0, 4.3, 1.0), (-math.inf, -math.inf, 5.248306075367093)),
        (3, (1.0, 1.0, 1.4666666666666666, 1.0), (3.7772936122403458, 3.6335661326408917, 3.8275228960025167)),
    ],
)
def test_ties_count_as_inside(k, shares, terms):
    """The official code on two lattices: closed balls."""
    ev = pw.evaluate(LATTICE_REAL, LATTICE_FAKE, k=k, duplicates="keep")
    assert [ev[name].value for name in SHARES] == pytest.approx(shares, rel=1e-9)
    assert [ev[name].value for name in TERMS[:3]] == pytest.approx(terms, rel=1e-9)
    assert ev["frechet"].value == pytest.approx(0.01693373925333752, rel=1e-9)


@pytest.mark.parametrize(
    ("k", "terms"),
    [
        (1, (2.533227167615606, 2.379398334357391, 3.292267972650958, 3.1473539614321817)),
        (2, (2.2558201070896473, 2.499082726157066, 2.9011724601956432, 2.6365939577426563)),
    ],
)
def test_a_line_of_nine_points(k, terms):
    """Small enough to check by hand; cover = 1 as there are only four generated points."""
    real, fake = np.array([[0.0], [1], [3], [6], [10]]), np.array([[0.5], [2.5], [4], [9]])
    ev = pw.evaluate(real, fake, k=k, cover=1, metrics=TERMS)
    assert [ev[name].value for name in TERMS] == pytest.approx(terms, rel=1e-9)
    assert pw.entropy(real, k=k).value == pytest.approx(terms[2], rel=1e-9)
    assert pw.cross_entropy(fake, real, k=k).value == pytest.approx(terms[0], rel=1e-9)


# By how much the estimate of a cross-entropy falls short, at 20,000 rows and k = 5, if the law that scores is narrower
# (factor s in variance) than the law that is scored: (d, s) -> nats. Made with scipy's cKDTree in place of our search,
# 3 repetitions, spread below .02: it is the estimator's, not ours. All other cases are off by less than .04.
SHORTFALL = {
    (1, 0.25): 0.155,
    (2, 0.25): 0.54,
    (2, 0.8): 0.017,
    (5, 0.25): 2.765,
    (5, 0.8): 0.13,
}
UNBIASED_ENOUGH = {1: 0.005, 2: 0.02, 5: 0.06}


@pytest.fixture(scope="module", params=[1, 2, 5])
def standard_normal(request):
    """20,000 real rows of N(0, I) in d columns, prepared once for all generators."""
    return pw.Reference(Gaussian.isotropic(request.param).sample(20_000, seed=1))


@pytest.mark.parametrize("variance", [0.25, 0.8, 1.0, 1.25, 4.0])
def test_closed_forms_of_gaussians(standard_normal, variance):
    """R = N(0, I), G = N(0, s I), 20,000 rows each: four standard errors from the truth, known shortfall added."""
    d = standard_normal.table.dim
    real, fake = Gaussian.isotropic(d), Gaussian.isotropic(d, variance=variance)
    names = [*TERMS, "pce", "rce", "re", "kl_real_fake", "kl_fake_real", "density", "coverage"]
    names += ["precision_cover", "recall_cover"]
    x, y = standard_normal.table.features.numpy(), fake.sample(20_000, seed=2)
    ev = pw.evaluate(standard_normal, y, metrics=names)
    entropy, fake_entropy = real.entropy(), fake.entropy()
    of_fake = fake.cross_entropy(real) - SHORTFALL.get((d, 1 / variance), 0)
    of_real = real.cross_entropy(fake) - SHORTFALL.get((d, variance), 0)
    expected = {
        "cross_entropy_fake_real": of_fake,
        "cross_entropy_real_fake": of_real,
        "entropy_real": entropy,
        "entropy_fake": fake_entropy,
        "pce": of_fake - entropy,
        "rce": of_real - entropy,
        "re": fake_entropy - entropy,
        "kl_real_fake": of_real - entropy,
        "kl_fake_real": of_fake - fake_entropy,
    }
    assert fake.cross_entropy(real) - entropy == pytest.approx(d * (variance - 1) / 2)
    assert real.kl(fake) == pytest.approx(d * (math.log(variance) + 1 / variance - 1) / 2)
    for name, value in expected.items():
        assert abs(ev[name].value - value) < 4 * ev[name].standard_error + UNBIASED_ENOUGH[d], name
    assert ev["entropy_real"].value == pytest.approx(by_tree(x, x, 5).mean(), rel=1e-9)
    assert ev["cross_entropy_fake_real"].value == pytest.approx(by_tree(y, x, 5).mean(), rel=1e-9)
    assert ev["cross_entropy_real_fake"].value == pytest.approx(by_tree(x, y, 5).mean(), rel=1e-9)
    if variance == 1:  # limits for equal laws
        assert ev["density"].value == pytest.approx(1, abs=0.03)
        assert ev["coverage"].value == pytest.approx(1 - 2**-5, abs=0.01)
        assert ev["precision_cover"].value == pytest.approx(0.9904, abs=0.005)
        assert ev["recall_cover"].value == pytest.approx(0.9904, abs=0.005)


def by_tree(x, y, k):
    """The same terms by scipy's tree: of x within itself, or of x among y."""
    d, within = x.shape[1], x is y
    radii = cKDTree(y).query(x, k=k + within)[0][:, -1]
    volume = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    return math.log(len(y) - within) - digamma(k) + volume + d * np.log(radii)


def test_intrinsic_dimension_makes_embedded_data_readable():
    """A plane turned into 50 dimensions: the plane's own dimension, and divergences as if measured in it."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(50, 2)))[0]
    real, fake = rng.normal(size=(4000, 2)), 2 * rng.normal(size=(4000, 2))
    names = ("pce", "rce", "re")
    embedded = pw.evaluate(real @ turn.T, fake @ turn.T, dimension="intrinsic", metrics=names)
    flat = pw.evaluate(real, fake, metrics=names)
    assert embedded.provenance["dimension"] == pytest.approx(2, abs=0.1)
    for name in names:
        assert embedded[name].value == pytest.approx(flat[name].value, rel=0.1)
