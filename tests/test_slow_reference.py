"""The specification itself, against digits of other implementations and of independent formulas.

Digits were made with the official code of each metric on the arrays built here; names say which.
"""

import math

import numpy as np
import pytest
from hypothesis import given

from slow_reference import SLOW, gaussian_discrepancy, kth_within
from strategies import table_pairs

rng = np.random.RandomState(0)
REAL = rng.randn(200, 8)
FAKE = rng.randn(150, 8) * 1.2 + 0.3

LATTICE_REAL = np.array([[i % 5, (i * 3) % 7] for i in range(35)], dtype=float)
LATTICE_FAKE = np.array([[(i * 2) % 5, (i * 5) % 7] for i in range(20)], dtype=float)

LINE_REAL = np.array([[0.0], [1], [3], [6], [10]])
LINE_FAKE = np.array([[0.5], [2.5], [4], [9]])

# k: precision, recall, density, coverage, CE(G,R), CE(R,G), H(R), H(G)
OFFICIAL = {
    1: (0.42, 0.725, 0.6, 0.285, 12.569856951755877, 11.948737609766958, 11.153718083858953, 12.605416694889879),
    2: (88 / 150, 0.87, 0.61, 0.505, 12.456523562875859, 12.040045407711514, 11.258533442180564, 12.643202583719225),
    3: (2 / 3, 0.94, 5 / 9, 0.6, 12.487385468212459, 12.036117615591957, 11.265811319271629, 12.675162042144),
    5: (119 / 150, 0.98, 0.56, 0.78, 12.532237291360707, 12.225719073029559, 11.316936765672672, 12.803249803126489),
    10: (
        134 / 150,
        1,
        169 / 300,
        0.925,
        12.592768439085862,
        12.400802875378654,
        11.465066568269599,
        12.984486619836277,
    ),
}
PAIRWISE = ("mid", "kme_pmi", "clip_score", "r_precision", "info_nce")
TERMS = ("cross_entropy_fake_real", "cross_entropy_real_fake", "entropy_real", "entropy_fake")


def test_the_arrays_are_those_of_the_digits():
    assert REAL.sum() == pytest.approx(-24.857124576862212, abs=1e-9)
    assert FAKE.sum() == pytest.approx(310.72545105402986, abs=1e-9)


@pytest.mark.parametrize("k", OFFICIAL)
def test_neighbour_metrics_have_the_official_digits(k):
    names = ("precision", "recall", "density", "coverage", *TERMS)
    assert [SLOW[name](REAL, FAKE, k)[0] for name in names] == pytest.approx(OFFICIAL[k], rel=1e-12)


@pytest.mark.parametrize(
    ("k", "pce", "rce", "re"),
    [
        (3, 1.221574148940828, 0.7703062963203262, 1.4093507228723716),
        (5, 1.2153005256880345, 0.908782307356887, 1.486313037453817),
    ],
)
def test_differences_have_the_official_digits(k, pce, rce, re):
    assert [SLOW[name](REAL, FAKE, k)[0] for name in ("pce", "rce", "re")] == pytest.approx([pce, rce, re], rel=1e-12)


def test_raw_terms_have_the_official_digits_sample_by_sample():
    first = {
        "cross_entropy_fake_real": (11.551458743689949, 14.137493611758742, 14.112469689052354, 11.997367728413924),
        "cross_entropy_real_fake": (12.626063378621176, 10.035301789386935, 12.359880177208858, 13.81519358832799),
        "entropy_real": (13.745473146689513, 9.429039000521161, 12.805889829476715, 13.38156270952071),
        "entropy_fake": (12.040419939359511, 14.6580165846371, 13.929467620012062, 12.211987662947758),
    }
    for name, terms in first.items():
        assert SLOW[name](REAL, FAKE, 5)[1][:4] == pytest.approx(terms, rel=1e-12)


@pytest.mark.parametrize(("k", "pc", "rc"), [(2, 0.98, 0.605), (5, 149 / 150, 0.6)])
def test_precision_and_recall_cover_have_the_published_digits(k, pc, rc):
    assert SLOW["precision_cover"](REAL, FAKE, k, 3)[0] == pytest.approx(pc, rel=1e-12)
    assert SLOW["recall_cover"](REAL, FAKE, k, 3)[0] == pytest.approx(rc, rel=1e-12)


def test_set_distances_have_the_official_digits():
    assert SLOW["frechet"](REAL, FAKE)[0] == pytest.approx(1.0758908464715091, rel=1e-11)
    assert SLOW["kid"](REAL[:150], FAKE)[0] == pytest.approx(0.356205232545741, rel=1e-11)
    # The published CMMD code scales rows in its encoder, not in its distance: these digits are of rows as they are.
    assert 1000 * gaussian_discrepancy(REAL, FAKE, 10) == pytest.approx(6.205443843935177, rel=1e-11)


@pytest.mark.parametrize(("k", "density", "entropy"), [(1, 4.3, 5.248306075367093), (3, 22 / 15, 3.8275228960025167)])
def test_balls_are_closed_where_distances_tie(k, density, entropy):
    values = {
        name: metric(LATTICE_REAL, LATTICE_FAKE, k)[0]
        for name, metric in SLOW.items()
        if name not in ("cmmd", *PAIRWISE)
    }
    assert (values["precision"], values["recall"], values["coverage"]) == (1, 1, 1)
    assert values["density"] == pytest.approx(density, rel=1e-12)
    assert values["entropy_real"] == pytest.approx(entropy, rel=1e-12)
    assert values["frechet"] == pytest.approx(0.01693373925333752, rel=1e-9)


def test_a_neighbour_at_distance_zero_makes_the_log_minus_infinity():
    assert SLOW["cross_entropy_fake_real"](LATTICE_REAL, LATTICE_FAKE, 1)[0] == -math.inf
    assert SLOW["cross_entropy_real_fake"](LATTICE_REAL, LATTICE_FAKE, 1)[0] == -math.inf
    assert SLOW["cross_entropy_fake_real"](LATTICE_REAL, LATTICE_FAKE, 3)[0] == pytest.approx(3.7772936122403458)
    assert SLOW["cross_entropy_real_fake"](LATTICE_REAL, LATTICE_FAKE, 3)[0] == pytest.approx(3.6335661326408917)


@pytest.mark.parametrize(
    ("k", "terms"),
    [
        (1, (2.533227167615606, 2.379398334357391, 3.292267972650958, 3.1473539614321817)),
        (2, (2.2558201070896473, 2.499082726157066, 2.9011724601956432, 2.6365939577426563)),
    ],
)
def test_a_line_of_few_points_worked_by_an_independent_formula(k, terms):
    assert [SLOW[name](LINE_REAL, LINE_FAKE, k)[0] for name in TERMS] == pytest.approx(terms, rel=1e-12)


def test_a_line_of_few_points_worked_by_hand():
    assert kth_within(LINE_REAL, 2).tolist() == [3, 2, 3, 4, 7]
    # Balls of the real points at k = 1: [-1, 1], [0, 2], [1, 5], [3, 9], [6, 14].
    assert SLOW["density"](LINE_REAL, LINE_FAKE, 1)[1].tolist() == [2, 1, 2, 2]
    assert SLOW["coverage"](LINE_REAL, LINE_FAKE, 1)[1].tolist() == [1, 1, 1, 1, 1]


@given(table_pairs(kinds=("plain", "offset", "clusters")))
def test_identities_hold_between_the_metrics(pair):
    real, fake = pair
    value = {
        name: SLOW[name](real, fake, 3)[0] for name in (*TERMS, "pce", "rce", "re", "kl_real_fake", "kl_fake_real")
    }
    assert value["pce"] == pytest.approx(value["cross_entropy_fake_real"] - value["entropy_real"], abs=1e-9)
    assert value["kl_real_fake"] == pytest.approx(value["rce"], abs=1e-9)
    assert value["kl_fake_real"] == pytest.approx(value["pce"] - value["re"], abs=1e-9)


@given(table_pairs())
def test_each_value_is_the_mean_of_as_many_samples_as_the_table_has_rows(pair):
    real, fake = pair
    of_real = {"rce", "cross_entropy_real_fake", "entropy_real", "kl_real_fake", "recall", "coverage", "recall_cover"}
    for name in SLOW.keys() - {"frechet", "kid", "cmmd", *PAIRWISE}:
        value, per_sample = SLOW[name](real, fake, 2)
        assert len(per_sample) == len(real if name in of_real else fake)
        if np.isfinite(per_sample).all():
            assert value == pytest.approx(math.fsum(per_sample) / len(per_sample), rel=1e-9, abs=1e-9)
        else:
            assert not math.isfinite(value)
