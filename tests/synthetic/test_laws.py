import math

import numpy as np
import pytest
from scipy import stats

from pointwise.errors import InputError
from pointwise.synthetic import Gaussian, Uniform, sample_mixture

MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.4], [0.1, -0.4, 0.7]])

# Per dimension, R = N(0, 1) and G = N(0, s): CE(G,R), CE(R,G), H(G), KL(G‖R), KL(R‖G), CE(G,R) − H(R), H(G) − H(R).
ISOTROPIC = {
    0.10: (0.9689, 4.7676, 0.2676, 0.7013, 3.3487, -0.4500, -1.1513),
    0.25: (1.0439, 2.2258, 0.7258, 0.3181, 0.8069, -0.3750, -0.6931),
    0.50: (1.1689, 1.5724, 1.0724, 0.0966, 0.1534, -0.2500, -0.3466),
    1.00: (1.4189, 1.4189, 1.4189, 0, 0, 0, 0),
    4.00: (2.9189, 1.7371, 2.1121, 0.8069, 0.3181, 1.5000, 0.6931),
    10.0: (5.9189, 2.1202, 2.5702, 3.3487, 0.7013, 4.5000, 1.1513),
}


@pytest.mark.parametrize("s", ISOTROPIC)
@pytest.mark.parametrize("d", [1, 7])
def test_isotropic_gaussians_have_their_closed_forms(s, d):
    real, fake = Gaussian.isotropic(d), Gaussian.isotropic(d, variance=s)
    found = (
        fake.cross_entropy(real),
        real.cross_entropy(fake),
        fake.entropy(),
        fake.kl(real),
        real.kl(fake),
        fake.cross_entropy(real) - real.entropy(),
        fake.entropy() - real.entropy(),
    )
    assert [value / d for value in found] == pytest.approx(ISOTROPIC[s], abs=5.1e-5)
    assert fake.cross_entropy(real) == pytest.approx(d * (math.log(2 * math.pi) + s) / 2, rel=1e-12)


def test_shift_is_added_to_every_coordinate():
    fake, real = Gaussian.isotropic(8, variance=1.44, shift=0.3), Gaussian.isotropic(8)
    assert real.entropy() == pytest.approx(11.351508265637381, rel=1e-13)
    assert fake.cross_entropy(real) == pytest.approx(13.471508265637382, rel=1e-13)


def test_a_general_gaussian_agrees_with_scipy():
    law = Gaussian(MEAN, COVARIANCE)
    other = Gaussian(MEAN[::-1], COVARIANCE + np.eye(3))
    assert law.entropy() == pytest.approx(stats.multivariate_normal(MEAN, COVARIANCE).entropy(), rel=1e-12)
    minus_log = -stats.multivariate_normal(other.mean, other.covariance).logpdf(law.sample(200_000, 0))
    error = minus_log.std() / math.sqrt(len(minus_log))
    assert abs(minus_log.mean() - law.cross_entropy(other)) < 4 * error < 0.05
    assert law.kl(other) == pytest.approx(law.cross_entropy(other) - law.entropy(), rel=1e-12)


def test_divergence_does_not_change_under_an_affine_map():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 3)), rng.standard_normal(3)
    law, other = Gaussian(MEAN, COVARIANCE), Gaussian(np.zeros(3), np.diag([1.0, 2, 3]))
    mapped = [Gaussian(a @ g.mean + b, (c := a @ g.covariance @ a.T) / 2 + c.T / 2) for g in (law, other)]
    assert mapped[0].kl(mapped[1]) == pytest.approx(law.kl(other), rel=1e-10)
    assert mapped[0].entropy() == pytest.approx(law.entropy() + math.log(abs(np.linalg.det(a))), rel=1e-10)


def test_a_sample_has_the_moments_of_its_law_and_repeats_with_its_seed():
    law = Gaussian(MEAN, COVARIANCE)
    rows = law.sample(100_000, 3)
    assert rows.dtype == np.float64
    assert rows.mean(axis=0) == pytest.approx(MEAN, abs=0.02)
    assert np.cov(rows, rowvar=False) == pytest.approx(COVARIANCE, abs=0.03)
    assert np.array_equal(rows[:0].shape, (0, 3))
    assert np.array_equal(law.sample(10, 5), law.sample(10, 5))
    assert not np.array_equal(law.sample(10, 5), law.sample(10, 6))


def test_a_uniform_law_knows_its_volume():
    box, wider = Uniform(np.array([0.0, 1.0]), np.array([2.0, 4.0])), Uniform(np.zeros(2), np.full(2, 5.0))
    rows = box.sample(10_000, 0)
    assert box.entropy() == pytest.approx(math.log(6), rel=1e-14)
    assert box.cross_entropy(wider) == pytest.approx(math.log(25), rel=1e-14)
    assert box.kl(wider) == pytest.approx(math.log(25 / 6), rel=1e-13)
    assert wider.kl(box) == math.inf
    assert ((rows >= box.low) & (rows < box.high)).all()
    assert rows.mean(axis=0) == pytest.approx([1, 2.5], abs=0.05)


def test_a_mixture_gives_each_row_its_component():
    near, far = Gaussian.isotropic(2), Uniform(np.full(2, 50.0), np.full(2, 51.0))
    rows, modes = sample_mixture([near, far], 4000, 0, weights=[0.25, 0.75])
    assert modes.dtype == np.int64
    assert np.array_equal(modes == 1, rows[:, 0] > 25)
    assert modes.mean() == pytest.approx(0.75, abs=0.03)
    again, _ = sample_mixture([near, far], 4000, 0, weights=[0.25, 0.75])
    assert np.array_equal(rows, again)
    assert sample_mixture([near, near], 4000, 1)[1].mean() == pytest.approx(0.5, abs=0.04)
    assert len(np.unique(sample_mixture([near, near], 100, 1)[0], axis=0)) == 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(np.zeros(2), np.eye(3)), r"mean has shape \(2,\) and covariance \(3, 3\)"),
        (lambda: Gaussian(np.zeros(2), np.array([[1, 0.5], [0, 1]])), r"covariance is not symmetric"),
        (lambda: Gaussian(np.zeros(2), np.array([[1, 2.0], [2, 1]])), r"covariance has the eigenvalue -1"),
        (lambda: Uniform(np.zeros(2), np.zeros(3)), r"low has shape \(2,\) and high \(3,\)"),
        (lambda: Uniform(np.zeros(2), np.array([1.0, 0])), r"side 1 of the box runs from 0.0 to 0.0"),
        (lambda: Gaussian.isotropic(2).kl(Gaussian.isotropic(3)), r"the laws have 2 and 3 dimensions"),
        (lambda: sample_mixture([], 5, 0), r"a mixture needs at least one component"),
        (lambda: sample_mixture([Gaussian.isotropic(2)], 5, 0, weights=[0.5, 0.5]), r"weights has 2 values for 1 comp"),
        (lambda: sample_mixture([Gaussian.isotropic(2)], 5, 0, weights=[0.5]), r"weights are \[0.5\]; .* sum to 1"),
    ],
)
def test_what_is_no_law_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
