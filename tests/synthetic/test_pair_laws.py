"""What holds for every law of pairs."""

import numpy as np
import pytest

from pointwise.errors import InputError
from pointwise.synthetic import Circle, CorrelatedGaussians, DiscreteLatent, Scenes

LAWS = {
    "discrete": DiscreteLatent.dirichlet(5, 12, 9, seed=3),
    "discrete, uneven latent": DiscreteLatent.dirichlet(8, 6, 20, seed=1, concentration=0.1, z_concentration=0.5),
    "gaussians": CorrelatedGaussians([0.6, -0.3, 0.0]),
    "circle": Circle(6.0, 2.0),
    "circle with noise": Circle(1.0, 30.0, noise_columns=3),
    "scenes": Scenes(grid=2, shapes=2, colours=2, sizes=1),
    "scenes of one object": Scenes(grid=1, most_objects=1, pairs=1.0),
    "scenes of many": Scenes(grid=3, shapes=6, colours=8, most_objects=9, detail=0.2, pairs=0.9, mismatched=0.3),
    "scenes, all told, two if possible": Scenes(shapes=2, colours=1, sizes=1, detail=1.0, pairs=1.0, mismatched=0.2),
    "scenes of independent sentences": Scenes(mismatched=1.0),
}


@pytest.fixture(params=LAWS)
def law(request):
    return LAWS[request.param]


def four_errors(values):
    return 4 * values.std() / len(values) ** 0.5 + 1e-12


def test_mean_pmi_of_pairs_is_the_mutual_information(law):
    pmi = law.pmi(*law.sample(8_000, seed=5))
    assert type(law.mutual_information()) is float
    assert abs(pmi.mean() - law.mutual_information()) < four_errors(pmi)


def test_mean_of_exp_pmi_over_unpaired_samples_is_one(law):
    x, y = law.sample(16_000, seed=6)
    unpaired = np.exp(law.pmi(x[:8_000], y[8_000:]))
    assert abs(unpaired.mean() - 1) < four_errors(unpaired)


def test_the_diagonal_of_the_matrix_is_the_pmi_of_the_pairs(law):
    x, y = law.sample(600, seed=0)
    matrix = law.pmi_matrix(x, y[:7])
    assert matrix.shape == (600, 7)
    assert matrix.dtype == law.pmi(x, y).dtype == np.float64
    np.testing.assert_allclose(np.diag(matrix), law.pmi(x, y)[:7], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matrix[500:507, 2], law.pmi(x[500:507], [y[2]] * 7), rtol=1e-12, atol=1e-12)


def test_the_seed_decides(law):
    (x, y), (same, as_well), (other, _) = (law.sample(50, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(x, same)
    assert np.array_equal(y, as_well)
    assert not np.array_equal(x, other)


def test_nothing_may_be_drawn(law):
    x, y = law.sample(0, seed=0)
    assert len(x) == len(y) == 0


@pytest.mark.parametrize(
    ("n", "seed", "message"),
    [
        (-1, 0, "n is -1; it must be a whole number of at least 0"),
        (2.0, 0, r"n is 2\.0; it must be a whole number"),
        (True, 0, "n is True; it must be a whole number"),
        (1, -5, "seed is -5; it must be a whole number of at least 0"),
        (1, None, "seed is None; it must be a whole number"),
    ],
)
def test_what_cannot_be_drawn(law, n, seed, message):
    with pytest.raises(InputError, match=message):
        law.sample(n, seed=seed)


def test_pairs_are_as_many_of_each(law):
    x, y = law.sample(5, seed=0)
    with pytest.raises(InputError, match="x has 5 rows and y has 3; pmi goes pair by pair"):
        law.pmi(x, y[:3])
