"""failures: each does what it says to the rows it says, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointwise._evaluate import evaluate
from pointwise.errors import InputError
from pointwise.failures import drop, invent, memorize, shrink
from pointwise.tables.table import FeatureTable


def table(n: int = 120, *, modes: int = 3, seed: int = 0, dtype: type = np.float64) -> FeatureTable:
    """Rows around far apart centres, in every column what a table can carry."""
    rng = np.random.default_rng(seed)
    mode = np.arange(n) % modes
    features = rng.standard_normal((n, 4)) + 20 * mode[:, None]
    return FeatureTable(
        features.astype(dtype),
        text=rng.standard_normal((n, 2)),
        ids=[f"row {i}" for i in range(n)],
        modes=mode,
        captions=[f"caption {i}" for i in range(n)],
        meta={"source": "here"},
    )


def assert_same_but_features(changed: FeatureTable, original: FeatureTable) -> None:
    for name in ("ids", "modes", "captions"):
        assert getattr(changed, name).tolist() == getattr(original, name).tolist()
    assert torch.equal(changed.text, original.text)
    assert changed.meta == original.meta
    assert changed.features.dtype == original.features.dtype
    assert changed.features.shape == original.features.shape


FAILURES = {
    "drop": lambda t: drop(t, [1]),
    "shrink": lambda t: shrink(t, 0.5),
    "invent": lambda t: invent(t, 0.5),
    "memorize": lambda t: memorize(t, table(seed=9), 0.5),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_the_table_that_is_given_stays_as_it_is(failure):
    given = table()
    before = given.fingerprint()
    FAILURES[failure](given)
    assert given.fingerprint() == before


@pytest.mark.parametrize("failure", FAILURES)
def test_the_same_seed_makes_the_same_failure(failure):
    assert FAILURES[failure](table()).fingerprint() == FAILURES[failure](table()).fingerprint()


# ---- drop


def test_drop_takes_out_the_rows_of_the_modes_and_no_others():
    t = table()
    dropped = drop(t, [0, 2])
    kept = t.modes == 1
    assert set(dropped.modes) == {1}
    assert torch.equal(dropped.features, t.features[torch.from_numpy(kept)])
    assert torch.equal(dropped.text, t.text[torch.from_numpy(kept)])
    assert dropped.ids.tolist() == t.ids[kept].tolist()
    assert dropped.captions.tolist() == t.captions[kept].tolist()
    assert dropped.meta == t.meta


def test_drop_of_nothing_changes_nothing():
    assert drop(table(), []).fingerprint() == table().fingerprint()


def test_drop_refuses():
    with pytest.raises(InputError, match=r"there is no mode 7 to drop; the modes are 0, 1, 2\."):
        drop(table(), [1, 7])
    with pytest.raises(InputError, match=r"there is no mode '1' to drop; the modes are 0, 1, 2\."):
        drop(table(), ["1"])
    with pytest.raises(InputError, match=r"dropping 0, 1, 2 leaves no rows; keep at least one mode\."):
        drop(table(), [0, 1, 2])
    with pytest.raises(InputError, match=r"the table carries no modes; give it modes=, one per row\."):
        drop(FeatureTable(np.eye(3)), [0])


# ---- shrink


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shrink_moves_every_row_towards_the_mean_of_its_mode(dtype):
    t = table(dtype=dtype)
    shrunk = shrink(t, 0.25)
    assert_same_but_features(shrunk, t)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    for mode in (0, 1, 2):
        before, after = (x.features.double().numpy()[t.modes == mode] for x in (t, shrunk))
        np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), **tolerance)
        np.testing.assert_allclose(after - after.mean(axis=0), 0.25 * (before - before.mean(axis=0)), **tolerance)


def test_shrink_by_one_changes_nothing():
    np.testing.assert_allclose(shrink(table(), 1.0).features, table().features, rtol=1e-12)


@pytest.mark.parametrize("factor", [0, -0.5, 1.5, float("nan")])
def test_shrink_refuses(factor):
    with pytest.raises(InputError, match=f"factor is {factor}; it must be a number above 0 and at most 1"):
        shrink(table(), factor)
    with pytest.raises(InputError, match="the table carries no modes"):
        shrink(FeatureTable(np.eye(3)), 0.5)


# ---- invent


@pytest.mark.parametrize("share", [0.0, 0.1, 0.55, 1.0])
def test_invent_puts_a_share_of_rows_halfway_to_a_row_of_another_mode(share):
    t = table()
    invented = invent(t, share, seed=3)
    assert_same_but_features(invented, t)
    changed = np.flatnonzero((invented.features != t.features).any(dim=1).numpy())
    assert len(changed) == round(share * len(t))
    for row in changed:
        other_end = 2 * invented.features[row] - t.features[row]
        distances = torch.linalg.vector_norm(t.features - other_end, dim=1)
        assert float(distances.min()) < 1e-9
        assert t.modes[int(distances.argmin())] != t.modes[row]


def test_invent_differs_by_seed():
    assert invent(table(), 0.3, seed=1).fingerprint() != invent(table(), 0.3, seed=2).fingerprint()


def test_invent_refuses():
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match=f"share is {share}; it must be a number of at least 0 and at most 1"):
            invent(table(), share)
    with pytest.raises(InputError, match="mixtures between modes need at least 2 modes; this table has 1"):
        invent(table(modes=1), 0.5)
    with pytest.raises(InputError, match="the table carries no modes"):
        invent(FeatureTable(np.eye(3)), 0.5)


# ---- memorize


@pytest.mark.parametrize("share", [0.0, 0.1, 0.55, 1.0])
def test_memorize_copies_training_rows_of_the_same_mode(share):
    t, training = table(), table(90, seed=9)
    copied = memorize(t, training, share, seed=3)
    assert_same_but_features(copied, t)
    changed = np.flatnonzero((copied.features != t.features).any(dim=1).numpy())
    assert len(changed) == round(share * len(t))
    for row in changed:
        source = np.flatnonzero((training.features == copied.features[row]).all(dim=1).numpy())
        assert len(source) == 1
        assert training.modes[source[0]] == t.modes[row]


def test_memorize_without_modes_copies_any_row():
    t, training = FeatureTable(np.zeros((50, 2))), FeatureTable(1.0 + np.arange(20).reshape(10, 2))
    copied = memorize(t, training, 0.4).features
    assert sum(bool((training.features == row).all(dim=1).any()) for row in copied) == 20


def test_memorize_takes_the_precision_of_the_table():
    copied = memorize(table(dtype=np.float32), table(seed=9), 1.0)
    assert copied.features.dtype == torch.float32


def test_memorize_refuses():
    with pytest.raises(InputError, match="the table has 4 feature columns but training has 3"):
        memorize(table(), FeatureTable(np.eye(3)), 0.5)
    with pytest.raises(InputError, match="share is 2; it must be a number of at least 0 and at most 1"):
        memorize(table(), table(), 2)
    with pytest.raises(InputError, match="mode 1 of row 1 has no training row to copy"):
        memorize(table(), drop(table(), [1]), 1.0)
    with pytest.raises(InputError, match="training has no rows to copy; give it at least one"):
        memorize(table(), FeatureTable(np.empty((0, 4))), 0.5)


# ---- what the metrics say of them


def test_each_failure_moves_its_own_metric():
    real, model = table(600, modes=6, seed=1), table(600, modes=6, seed=2)
    names = ("pce", "rce", "re", "recall_cover")

    def measure(generated: FeatureTable) -> dict[str, float]:
        return evaluate(real, generated, metrics=names, duplicates="floor").to_dict()

    whole = measure(model)
    assert all(abs(whole[name]) < 0.3 for name in ("pce", "rce", "re"))
    dropped = measure(drop(model, [0, 4]))
    assert dropped["rce"] > whole["rce"] + 1
    assert dropped["recall_cover"] < whole["recall_cover"] - 0.3
    assert abs(dropped["pce"] - whole["pce"]) < 0.5  # not blind, but fidelity is not what failed
    shrunk = measure(shrink(model, 1 / 3))
    assert shrunk["re"] == pytest.approx(whole["re"] - 4 * np.log(3), abs=0.05)
    invented = measure(invent(model, 0.3))
    assert invented["pce"] > whole["pce"] + 1


def test_copies_come_first_by_pce_per_sample():
    real, model = table(300, modes=3, seed=1), table(300, modes=3, seed=2)
    copied = memorize(model, real, 0.2)
    pce = evaluate(real, copied, k=1, duplicates="keep", metrics=["pce"])["pce"].per_sample
    changed = np.flatnonzero((copied.features != model.features).any(dim=1).numpy())
    assert len(changed) == 60
    assert np.flatnonzero(pce == -np.inf).tolist() == changed.tolist()
