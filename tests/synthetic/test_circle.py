import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special

from pointwise.errors import InputError
from pointwise.synthetic import Circle

KAPPAS = [(0.0, 3.0), (0.5, 0.5), (8.0, 4.0), (30.0, 30.0), (200.0, 1.0)]


def points(angles):
    return np.column_stack([np.cos(angles), np.sin(angles)])


def density(angles, kappa):
    """p(angle | z), [n, 20000], for latents all around the circle."""
    z = 2 * math.pi * np.arange(20_000) / 20_000
    return np.exp(kappa * np.cos(np.asarray(angles)[:, None] - z)) / (2 * math.pi * special.i0(kappa))


@pytest.mark.parametrize("kappas", KAPPAS)
def test_pmi_is_the_integral_over_the_latent(kappas):
    x, y = [0.0, 0.4, 1.5, 3.0, math.pi], [-0.1] * 5
    joint = (density(x, kappas[0]) * density(y, kappas[1])).mean(axis=1)
    expected = np.log(joint * (2 * math.pi) ** 2)
    np.testing.assert_allclose(Circle(*kappas).pmi(points(x), points(y)), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kappas", [*KAPPAS, (1e4, 2e4)])
def test_information_is_the_integral_over_the_difference(kappas):
    law = Circle(*kappas)

    def integrand(t):
        pmi = float(law.pmi(points(np.array([t])), points(np.zeros(1)))[0])
        return np.array([math.exp(pmi), math.exp(pmi) * pmi]) / math.pi

    edges = [0, 0.02, 0.1, 0.5, math.pi]
    one, information = sum(
        integrate.quad_vec(integrand, low, high, epsabs=1e-13)[0] for low, high in itertools.pairwise(edges)
    )
    assert one == pytest.approx(1, abs=1e-11)
    assert law.mutual_information() == pytest.approx(information, abs=1e-11)


@pytest.mark.parametrize("kappa", [1e4, 1e6])
def test_close_to_the_latent_the_angles_differ_by_a_normal_law(kappa):
    expected = math.log(2 * math.pi) - 0.5 * math.log(2 * math.pi * math.e * 2 / kappa)
    assert Circle(kappa, kappa).mutual_information() == pytest.approx(expected, abs=1 / kappa)


def test_far_from_the_latent_there_is_no_information():
    law = Circle(0.0, 0.0)
    assert law.mutual_information() == 0
    assert law.pmi(*law.sample(3, seed=0)).tolist() == [0, 0, 0]


def test_opposite_points_of_narrow_laws_stay_finite():
    assert Circle(1e6, 1e6).pmi([[1.0, 0.0]], [[-1.0, 0.0]])[0] == pytest.approx(-2e6, rel=1e-4)
    expected = -2 * math.log(special.i0(5.0))  # R = 0
    assert Circle(5.0, 5.0).pmi([[0.0, 1.0]], [[0.0, -1.0]])[0] == pytest.approx(expected, rel=1e-14)


def test_the_sides_change_places_with_their_kappas():
    x, y = Circle(7.0, 2.0).sample(10, seed=0)
    np.testing.assert_allclose(Circle(7.0, 2.0).pmi(x, y), Circle(2.0, 7.0).pmi(y, x), rtol=1e-13)


def test_samples_lie_on_the_circle_as_close_as_the_kappas_say():
    x, y = Circle(7.0, 2.0).sample(20_000, seed=0)
    np.testing.assert_allclose((x**2).sum(axis=1), 1, rtol=1e-14)
    closeness = special.iv(1, [7.0, 2.0]) / special.iv(0, [7.0, 2.0])  # E cos(x - z), and the two are independent
    assert (x * y).sum(axis=1).mean() == pytest.approx(closeness.prod(), abs=0.015)
    assert abs(x.mean(axis=0)).max() < 0.02


def test_noise_columns_say_nothing():
    law = Circle(7.0, 2.0, noise_columns=2)
    x, y = law.sample(10, seed=0)
    assert x.shape == y.shape == (10, 4)
    assert np.array_equal(law.pmi(x, y), Circle(7.0, 2.0).pmi(x[:, :2], y[:, :2]))
    assert law.mutual_information() == Circle(7.0, 2.0).mutual_information()


def test_single_precision_is_taken():
    law = Circle(7.0, 2.0)
    x, y = law.sample(10, seed=0)
    np.testing.assert_allclose(law.pmi(x.astype(np.float32), y.astype(np.float32)), law.pmi(x, y), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0), r"kappa_x is -1\.0; it must be a number of at least 0 and at most 1e\+06\."),
        ((1.0, math.inf), r"kappa_y is inf; it must be a number of at least 0 and at most 1e\+06\."),
        ((math.nan, 1.0), "kappa_x is nan; it must be a number"),
        (("1", 1.0), "kappa_x is '1'; it must be a number"),
    ],
)
def test_kappas_that_are_none(arguments, message):
    with pytest.raises(InputError, match=message):
        Circle(*arguments)


def test_noise_columns_that_are_none():
    with pytest.raises(InputError, match="noise_columns is -1; it must be a whole number of at least 0"):
        Circle(1.0, 1.0, noise_columns=-1)


def test_points_that_are_not_on_the_circle():
    with pytest.raises(
        InputError, match=r"x has a point of length 5 in row 1; its first two columns must be the cosine"
    ):
        Circle(1.0, 1.0).pmi([[1.0, 0.0], [3.0, 4.0]], points(np.zeros(2)))
    with pytest.raises(InputError, match="y has 3 columns; this law has 2"):
        Circle(1.0, 1.0).pmi([[1.0, 0.0]], [[1.0, 0.0, 0.0]])
