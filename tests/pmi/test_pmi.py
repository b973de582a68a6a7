"""KmePmi against laws whose pointwise mutual information is known, and against the Gaussian; what it refuses."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
import torch

import pointwise as pw
from pointwise.pmi.learning import canonical_axes
from pointwise.synthetic import Circle, CorrelatedGaussians, DiscreteLatent
from pointwise.training.inputs import Inputs
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.towers import VisionTransformer


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The problems are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Clusters:
    """Eight clusters of x and eight of y, at random places of four dimensions, paired by a common latent."""

    def __init__(self):
        rng = np.random.default_rng(5)
        self.x, self.y, self.deviation = rng.normal(size=(8, 4)), rng.normal(size=(8, 4)), 0.35

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        z = rng.integers(8, size=n)
        return tuple(means[z] + self.deviation * rng.normal(size=(n, 4)) for means in (self.x, self.y))

    def pmi(self, x, y):
        of_x, of_y = (
            np.exp(-((rows[:, None] - means) ** 2).sum(2) / (2 * self.deviation**2))
            for rows, means in ((x, self.x), (y, self.y))
        )
        return np.log(8 * (of_x * of_y).sum(1) / of_x.sum(1) / of_y.sum(1))


RNG = np.random.default_rng(4)
FEW = [RNG.normal(size=(100, 2))]
FEW.append(FEW[0] + RNG.normal(size=(100, 2)))


def errors(law, *, n, seed=1):
    """Mean absolute error per pair of KmePmi and of the Gaussian, on fresh pairs, and what was learned."""
    x, y = law.sample(n, seed=seed)
    fresh = law.sample(2000, seed=seed + 1)
    truth = law.pmi(*fresh)
    learned, gaussian = pw.KmePmi.fit(x, y), pw.GaussianPair()
    gaussian.update(x, y)
    return *(float(abs(one.pmi(*fresh).per_sample - truth).mean()) for one in (learned, gaussian)), learned


@pytest.fixture(scope="module")
def on_circle():
    return errors(Circle(8.0, 4.0, noise_columns=2), n=600)


@pytest.fixture(scope="module")
def few():
    return pw.KmePmi.fit(*FEW)


def test_on_a_circle_it_is_nearer_to_the_truth_than_a_gaussian(on_circle):
    learned, gaussian, _ = on_circle
    assert learned < 0.2
    assert learned < gaussian / 2


def test_of_clusters_it_is_nearer_to_the_truth_than_a_gaussian():
    learned, gaussian, _ = errors(Clusters(), n=600)
    assert learned < 0.8
    assert learned < 0.6 * gaussian


def test_of_gaussians_it_knows_most_of_what_the_gaussian_does():
    law = CorrelatedGaussians([0.9, 0.6])
    learned, gaussian, found = errors(law, n=600)
    assert gaussian < learned < 0.35  # points on a sphere are Gaussian near their centre alone
    assert found.calibration.mutual_information.value == pytest.approx(law.mutual_information(), abs=0.3)


def test_where_nothing_is_shared_it_finds_nothing_though_columns_are_many():
    """What it takes for a relation costs a little on other pairs: on average their value is never above the truth."""
    rng = np.random.default_rng(0)
    found = pw.KmePmi.fit(rng.normal(size=(300, 200)), rng.normal(size=(300, 100)))
    fresh = found.pmi(rng.normal(size=(500, 200)), rng.normal(size=(500, 100)))
    assert -0.3 < found.calibration.mutual_information.value < 0.05
    assert -0.2 < fresh.value < 0.03


def test_copies_do_not_leak_from_what_is_trained_on():
    """Pairs of independent x and y, each there three times: a split by rows would find each of them again."""
    rng = np.random.default_rng(1)
    x, y = (np.tile(rng.normal(size=(100, 6)), (3, 1)) for _ in range(2))
    assert pw.KmePmi.fit(x, y).calibration.mutual_information.value < 0.1


def test_many_captions_of_a_picture_do_not_leak_from_what_is_trained_on():
    """Sixty pictures with ten captions each, which are alike, and of which the picture says nothing."""
    rng = np.random.default_rng(1)
    x, y = (np.repeat(rng.normal(size=(60, 8)), 10, axis=0) for _ in range(2))
    found = pw.KmePmi.fit(x, y + 0.3 * rng.normal(size=y.shape))
    assert found.calibration.mutual_information.value < 0.1


def test_copies_are_no_unpaired_items():
    """The same model and pairs, each twice: the constant is that of the different ones."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 4))
    model = DualEncoder(FrozenTokens(width=3), FrozenTokens(width=4), points=2, dim=3)
    once = pw.KmePmi.calibrated(model, x, y).calibration.constant
    twice = pw.KmePmi.calibrated(model, np.tile(x, (2, 1)), np.tile(y, (2, 1))).calibration.constant
    assert twice == pytest.approx(once, abs=1e-9)


def test_the_constant_with_copies_is_what_plain_loops_find():
    """Some pairs share x, some y, two both."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(20, 3))[np.arange(40) // 2], rng.normal(size=(30, 4))[np.arange(40) % 30]
    y[3] = y[2]
    model = DualEncoder(FrozenTokens(width=3), FrozenTokens(width=4), points=2, dim=3)
    found = pw.KmePmi.calibrated(model, x, y)
    pmi = [[found.pmi(x[[i]], y[[j]]).value for j in range(40)] for i in range(40)]
    others = [(i, j) for i in range(40) for j in range(40) if (x[i] != x[j]).any() and (y[i] != y[j]).any()]
    assert len(others) == 40 * 39 - 2 * (20 + 11 - 1)  # copies in x, in y, in both
    unpaired = [math.exp(pmi[i][j]) for i, j in others]
    assert np.std(unpaired) > 0.01
    assert np.mean(unpaired) == pytest.approx(1, rel=1e-9)
    assert found.calibration.rows.mean() == pytest.approx(1, rel=1e-9)
    np.testing.assert_allclose(found.calibration.mutual_information.per_sample, np.diag(pmi), atol=1e-12)


def test_rows_of_few_values_are_no_copies():
    """A discrete law, both sides one-hot: equal rows are what is to be learned."""
    law = DiscreteLatent.dirichlet(3, 12, 14, seed=0, concentration=0.2)

    def drawn(n, seed):
        values = law.sample(n, seed=seed)
        return values, (np.eye(12)[values[0]], np.eye(14)[values[1]])

    _, rows = drawn(600, 1)
    values, fresh = drawn(1000, 2)
    found = pw.KmePmi.fit(*rows)
    pmi = found.pmi(*fresh).per_sample
    assert abs(pmi - law.pmi(*values)).mean() < 0.35
    assert found.calibration.mutual_information.value == pytest.approx(law.mutual_information(), abs=0.15)


def test_the_constant_and_the_values_of_a_trained_model_are_what_plain_loops_find():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    model = DualEncoder(FrozenTokens(width=5), FrozenTokens(width=3), points=2, dim=4, seed=1)
    found = pw.KmePmi.calibrated(model, x, y)
    with torch.no_grad():
        s = model.double()(*(Inputs(torch.from_numpy(rows)[:, None]) for rows in (x, y))).numpy()
    constant = math.log(np.mean([math.exp(s[i, j]) for i in range(40) for j in range(40) if i != j]))
    assert found.calibration.constant == pytest.approx(constant, rel=1e-12)
    score = found.pmi(x, y)
    assert score.of == "pair"
    np.testing.assert_allclose(score.per_sample, np.diag(s) - constant, rtol=0, atol=1e-12)
    own = np.diag(s).std(ddof=1) / math.sqrt(40)
    assert score.standard_error == pytest.approx(math.hypot(own, found.calibration.constant_error))
    np.testing.assert_allclose(found.pmi(x[7:9], y[7:9]).per_sample, score.per_sample[7:9], rtol=0, atol=1e-12)


def test_a_model_that_learned_stays_usable_as_it_was(on_circle):
    """In float32, as it was trained; what is scored is a copy in float64."""
    _, _, found = on_circle
    assert all(p.dtype == torch.float32 for p in found.model.parameters())
    assert found.model.meta["trained_on"] == 420
    assert found.model.meta["held_out"]["pairs"] == len(found.calibration.rows) == 90


def test_the_same_seed_learns_the_same_bits_and_touches_no_disk(few, monkeypatch):
    for name in ("open", "mkdir"):  # what every file and folder is made with
        monkeypatch.setattr(os, name, None)
    monkeypatch.setattr("builtins.open", None)
    steps = []
    x, y = FEW
    again = pw.KmePmi.fit(x, y, progress=lambda *step: steps.append(step))
    np.testing.assert_array_equal(few.pmi(x, y).per_sample, again.pmi(x, y).per_sample)
    assert few.calibration.to_dict() == again.calibration.to_dict()
    assert steps == [("learning kme_pmi", i + 1, 300) for i in range(300)]


def test_offset_and_scale_of_the_features_change_nothing(few):
    x, y = FEW
    moved = pw.KmePmi.fit(1e-30 * x, 1e6 + y)
    np.testing.assert_allclose(moved.pmi(1e-30 * x, 1e6 + y).per_sample, few.pmi(x, y).per_sample, atol=1e-3)


def test_it_is_kept_in_a_file(on_circle, tmp_path):
    _, _, found = on_circle
    path = tmp_path / "learned.safetensors"
    found.save(path)
    again = pw.KmePmi.load(path)
    x, y = Circle(8.0, 4.0, noise_columns=2).sample(20, seed=9)
    np.testing.assert_array_equal(again.pmi(x, y).per_sample, found.pmi(x, y).per_sample)
    assert again.calibration.to_dict() == found.calibration.to_dict()
    for name in ("rows", "columns"):
        np.testing.assert_array_equal(getattr(again.calibration, name), getattr(found.calibration, name))
    one, other = again.calibration.mutual_information, found.calibration.mutual_information
    np.testing.assert_array_equal(one.per_sample, other.per_sample)
    assert (one.standard_error, one.of) == (other.standard_error, "pair")
    assert repr(again) == repr(found)
    assert repr(found).startswith("KmePmi(4 + 4 columns, 4 points of 5, Calibration(constant ")
    assert DualEncoder.load(path).meta == json.loads(json.dumps(found.model.meta))
    found.model.save(path)
    with pytest.raises(pw.InputError, match=r"holds a model without its constant; .* KmePmi\.calibrated\("):
        pw.KmePmi.load(path)
    for more, missing in [({}, "'pmi'"), ({name: torch.ones(3) for name in ("pmi", "rows", "columns")}, "'constant'")]:
        found.model.save(path, more=more, facts={"kme_pmi": {"standard_error": 0.1}})
        with pytest.raises(
            pw.InputError, match=rf"a constant that this version cannot read \(.*{missing}.*\); learn it"
        ):
            pw.KmePmi.load(path)
    with pytest.raises(pw.InputError, match="cannot be read as a model"):
        pw.KmePmi.load(tmp_path / "gone.safetensors")


def rows(n, d=3, *, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (rows(99), rows(99), r"99 pairs are too few to learn .* at least 100 are needed"),
        (rows(100), rows(101), r"x has 100 rows and y has 101; row i of one belongs to row i of the other"),
        (rows(0), rows(0), r"x and y have no rows; give at least one pair"),
        (rows(100), np.ones((100, 3)), r"all 100 rows of y are equal: nothing can be learned"),
        (1e200 * rows(100), rows(100), r"rows of x differ by at most .*e\+200, whose square does not fit into float64"),
        (rows(100), 1e-200 * rows(100), r"rows of y differ by at most .*e-200, whose square"),
        (rows(100), np.repeat(rows(20), 5, axis=0), r"100 pairs cannot be split into 70% to train on and twice 15%"),
        (rows(100), np.full((100, 3), np.nan), r"y has NaN or inf in 100 of 100 rows"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(x, y, message):
    with pytest.raises(pw.InputError, match=message):
        pw.KmePmi.fit(x, y)


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, True])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(pw.InputError, match=rf"seed is {seed}; it must be a whole number from 0 to {2**63 - 1}"):
        pw.KmePmi.fit(rows(100), rows(100), seed=seed)


def test_pairs_of_other_encoders_are_refused(on_circle):
    _, _, found = on_circle
    message = r"these pairs have 3 \+ 4 columns but those learned from have 4 \+ 4"
    with pytest.raises(pw.InputError, match=message):
        found.pmi(rows(5), rows(5, 4))
    with pytest.raises(pw.InputError, match=r"x has 5 rows and y has 4"):
        found.pmi(rows(5, 4), rows(4, 4))
    with pytest.raises(pw.InputError, match=message):
        pw.KmePmi.calibrated(found.model, rows(5), rows(5, 4))
    with pytest.raises(pw.InputError, match=r"similarity is of 2 pairs; at least 3 are needed"):
        pw.KmePmi.calibrated(found.model, rows(2, 4), rows(2, 4))
    pictures = DualEncoder(VisionTransformer(image_size=8, width=8, depth=1, heads=1), FrozenTokens(width=4), dim=4)
    with pytest.raises(pw.InputError, match=r"this model takes pictures or token ids, and not rows of features"):
        pw.KmePmi.calibrated(pictures, rows(5), rows(5, 4))


def test_an_outlier_does_not_set_the_constant():
    """One row a thousand deviations away, and tails without a variance: no point has a weight beyond all others."""
    rng = np.random.default_rng(7)
    x = rng.standard_t(2, size=(300, 3))
    y = x + rng.standard_t(2, size=(300, 3))
    x[0] *= 1000
    found = pw.KmePmi.fit(x, y)
    assert found.calibration.constant_error < 0.3
    assert found.calibration.mutual_information.value > 0.2


def test_canonical_axes_are_found_and_measured_where_they_were_not():
    """Two of 40 directions go together, with the correlations of the law in that order; others hardly."""
    rng = np.random.default_rng(8)
    law = CorrelatedGaussians([0.9, 0.7])
    turn = [np.linalg.qr(rng.normal(size=(40, 40)))[0] for _ in range(2)]

    def drawn(n, seed):
        return tuple(
            torch.from_numpy(np.hstack([side, 0.5 * np.random.default_rng([i, seed]).normal(size=(n, 38))]) @ turn[i])
            for i, side in enumerate(law.sample(n, seed=seed))
        )

    held_out = drawn(500, 2)
    *towers, correlations = canonical_axes(drawn(1500, 1), held_out, most=10)
    assert correlations.shape == (10,)
    assert correlations[:2].tolist() == pytest.approx([0.9, 0.7], abs=0.06)
    assert float(correlations[2:].max()) < 0.25
    z = [tower(Inputs(rows[:, None]))[0][:, 0] for tower, rows in zip(towers, held_out, strict=True)]
    for side in z:
        assert side.shape == (500, 21)
        assert side[:, :10].std(0).tolist() == pytest.approx([1] * 10, abs=0.01)  # one row in many is cut
        assert abs(side[:, :10]).max() <= 4
        assert (side[:, 10] == 1).all()
        np.testing.assert_allclose(side[:, 11:], 0.3 * (side[:, :10] ** 2 - 1), atol=1e-12)
    measured = np.corrcoef(z[0][:, 0], z[1][:, 0])[0, 1]
    assert float(correlations[0]) == pytest.approx(measured, abs=0.01)
