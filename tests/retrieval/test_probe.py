"""The linear probe against a classifier fitted by hand, and on digits."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from pointwise._retrieval import probe
from pointwise._retrieval.probe import linear_probe
from pointwise.errors import InputError, MissingExtra
from pointwise.tables.table import FeatureTable


@pytest.fixture(autouse=True)
def one_thread():
    """The problems are so small that threads would mostly wait for each other."""
    with threadpool_limits(1):
        yield


def blobs(n, classes=3, d=4, width=1.0, seed=0):
    """A table of classes around fixed centres."""
    centres = 2 * np.random.default_rng(99).normal(size=(classes, d))
    rng = np.random.default_rng(seed)
    modes = np.arange(n) % classes
    return FeatureTable(centres[modes] + width * rng.normal(size=(n, d)), modes=modes, ids=np.arange(n) + 1000)


def test_digits_are_read_from_pixels():
    digits = load_digits()
    table = FeatureTable(digits.data.astype(np.float32), modes=digits.target)
    found = linear_probe(table[:1200], table[1200:])
    assert found.accuracy.value > 0.9
    assert found.converged
    assert found.accuracy.of == "pair"
    assert found.accuracy.per_sample.tolist() == (found.predictions == digits.target[1200:]).tolist()
    by_mode = found.accuracy.by_mode()
    assert sorted(by_mode) == list(range(10))
    assert by_mode[3].value == np.mean(found.predictions[digits.target[1200:] == 3] == 3)


def test_the_last_fit_is_a_logistic_regression_on_all_scaled_rows():
    train, test = blobs(300), blobs(200, seed=1)
    found = linear_probe(train, test)
    x, x_test = train.features.numpy(), test.features.numpy()
    middle, width = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(C=found.strength, max_iter=2000).fit((x - middle) / width, train.modes)
    assert found.predictions.tolist() == model.predict((x_test - middle) / width).tolist()
    assert found.accuracy.ids.tolist() == test.ids.tolist()
    assert repr(found) == f"LinearProbe(accuracy {found.accuracy.value:.4g}, 200 rows, C = {found.strength:g})"


def narrow(n, noise, seed=0):
    """A table of two classes on either side of a line that nearly all rows are close to."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) * [1, 0.05]
    x[:, 1] += x[:, 0]
    return FeatureTable(x, modes=(x[:, 0] + noise * rng.normal(size=n) > x[:, 1]).astype(int))


def test_regularisation_is_strong_where_columns_are_noise_and_weak_where_classes_lie_close():
    rng = np.random.default_rng(0)
    modes = np.arange(240) % 2
    wide = rng.normal(size=(240, 200))
    wide[:, 0] += 2 * modes
    noisy, sharp = FeatureTable(wide, modes=modes), narrow(1000, noise=0)
    assert linear_probe(noisy[:120], noisy[120:]).strength <= 0.1
    assert linear_probe(sharp[:500], sharp[500:]).strength >= 10


def test_the_seed_is_of_the_split():
    table = narrow(200, noise=0.03)
    once, again = (linear_probe(table[:60], table[60:], seed=3) for _ in range(2))
    assert once.predictions.tolist() == again.predictions.tolist()
    assert len({linear_probe(table[:60], table[60:], seed=seed).strength for seed in range(6)}) > 1


def test_scale_and_shift_of_columns_change_nothing():
    train, test = blobs(150), blobs(100, seed=1)
    factor, shift = torch.tensor([1.0, 10, 0.01, 2]), torch.tensor([0.0, 5, -3, 100])
    moved = [FeatureTable(table.features * factor + shift, modes=table.modes) for table in (train, test)]
    assert linear_probe(*moved).predictions.tolist() == linear_probe(train, test).predictions.tolist()


def test_a_constant_column_and_names_of_modes_are_fine():
    train, test = blobs(90), blobs(30, seed=1)
    names = np.array(["ant", "bee", "cat"])
    with_constant = [
        FeatureTable(torch.cat([table.features, torch.ones(len(table), 1)], dim=1), modes=names[table.modes])
        for table in (train, test)
    ]
    found = linear_probe(*with_constant)
    assert found.predictions.tolist() == names[linear_probe(train, test).predictions].tolist()


def test_two_rows_of_a_mode_are_enough():
    train = blobs(6, width=0.1)
    assert linear_probe(train, blobs(30, width=0.1, seed=1)).accuracy.value == 1


def test_a_fit_that_stops_early_is_said_to(monkeypatch):
    monkeypatch.setattr(probe, "_STEPS", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = linear_probe(blobs(90), blobs(30, seed=1))
    assert not found.converged
    assert repr(found).endswith(", not converged)")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(MissingExtra, match=r"scikit-learn, which fits the linear probe, .*pointwise\[demo\]"):
        linear_probe(blobs(9), blobs(9))


TABLE = blobs(9)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (FeatureTable(TABLE.features), TABLE, r"the training table carries no modes; give it modes="),
        (TABLE, FeatureTable(TABLE.features), r"the test table carries no modes; give it modes="),
        (TABLE, TABLE[:0], r"the test table has no rows"),
        (TABLE[[0, 3, 6]], TABLE, r"the training table has 1 mode; at least 2 are needed"),
        (TABLE[TABLE.modes < 2], TABLE, r"the test table has mode 2, which the training table lacks"),
        (
            TABLE,
            FeatureTable(TABLE.features, modes=["0"] * 9),
            r"the test table has mode '0', which the",
        ),
        (TABLE[:3], TABLE, r"each of the 3 modes of the training table has one row; at least one needs two"),
        (TABLE, blobs(9, d=5), r"the training table has 4 feature columns but the test table has 5"),
    ],
)
def test_what_cannot_be_probed_is_refused(train, test, message):
    with pytest.raises(InputError, match=message):
        linear_probe(train, test)


def test_a_seed_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"seed is -1; it must be a whole number of at least 0"):
        linear_probe(TABLE, TABLE, seed=-1)
