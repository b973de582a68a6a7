"""FeatureTable: what goes in, what is refused, and which rows come out."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pointwise.errors import InputError
from pointwise.tables.table import FeatureTable, as_table, concat

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def table() -> FeatureTable:
    return FeatureTable(
        X,
        text=X[:, :2].astype(np.float64),
        ids=[10, 11, 12, 13],
        modes=["a", "b", "b", "a"],
        captions=["w", "x", "y", "z"],
        meta={"encoder": "e"},
    )


def rows_of(chosen: FeatureTable) -> list[int]:
    """The row numbers in table() of the chosen rows, read from every column, which must agree."""
    rows = (chosen.ids - 10).tolist()
    np.testing.assert_array_equal(chosen.features.numpy(), X[rows], strict=True)
    np.testing.assert_array_equal(chosen.text.numpy(), X[rows, :2].astype(np.float64), strict=True)
    assert chosen.modes.tolist() == [["a", "b", "b", "a"][row] for row in rows]
    assert chosen.captions.tolist() == [["w", "x", "y", "z"][row] for row in rows]
    assert chosen.meta == {"encoder": "e"}
    return rows


def test_columns_as_given():
    t = table()
    assert (len(t), t.dim) == (4, 3)
    assert rows_of(t) == [0, 1, 2, 3]
    assert repr(t) == "FeatureTable(4 x 3 float32, 2 modes, text 2, ids, captions)"
    assert repr(FeatureTable(X)) == "FeatureTable(4 x 3 float32)"


@pytest.mark.parametrize(
    "rows",
    [
        [True, False, True, False],
        np.array([True, False, True, False]),
        torch.tensor([True, False, True, False]),
        [0, 2],
        np.array([0, 2], dtype=np.uint8),
        torch.tensor([-4, 2]),
        slice(0, 4, 2),
        slice(-4, None, 2),
    ],
)
def test_rows_by_mask_index_and_slice(rows):
    assert rows_of(table()[rows]) == [0, 2]


def test_a_slice_may_run_backwards():
    assert rows_of(table()[::-1]) == [3, 2, 1, 0]
    assert rows_of(table()[2:0:-1]) == [2, 1]


@given(st.lists(st.integers(-4, 3)))
def test_any_rows_in_any_order_as_numpy_takes_them(rows):
    assert rows_of(table()[rows]) == np.arange(4)[np.array(rows, dtype=int)].tolist()


def test_no_rows_keep_their_types():
    for empty in (table()[[]], table()[table().modes == "c"], table()[4:]):
        assert (len(empty), empty.dim, empty.features.dtype) == (0, 3, torch.float32)
        assert empty.ids.dtype == np.int64
        assert empty.modes.dtype.kind == "U"
        assert concat([empty, table()]).ids.tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (1, r"got shape \(\)\. For a single row i write table\[i : i \+ 1\]"),
        ([[0, 1]], r"got shape \(1, 2\)"),
        ([0, 4], "row 4 does not exist: the table has 4 rows"),
        ([-5], "row -5 does not exist: the table has 4 rows"),
        ([True], "the mask has 1 entries but the table has 4 rows"),
        ([0.0, 1.0], "rows are chosen by booleans or integers; got float64"),
        (["a"], "rows are chosen by booleans or integers; got <U1"),
    ],
)
def test_rows_that_cannot_be_chosen(rows, says):
    with pytest.raises(InputError, match=says):
        table()[rows]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"ids": [1, 2]}, "ids has 2 values but features has 4 rows"),
        ({"modes": list("abcde")}, "modes has 5 values but features has 4 rows"),
        ({"captions": ["x"]}, "captions has 1 values but features has 4 rows"),
        ({"text": X[:3]}, "text has 3 rows but features has 4; give one text row per sample"),
        ({"text": X[:, 0]}, r"text has 1 dimension \(shape \(4,\)\)"),
        ({"text": X / np.float32(0.25) * np.float32(np.nan)}, "text has NaN or inf in 4 of 4 rows"),
        ({"captions": [7, 8, 9, 10]}, r"captions holds integers \(7 in row 0\); it must hold strings"),
        ({"meta": {"a": {1, 2}}}, "meta must be writable as JSON .*set is not JSON serializable"),
        ({"meta": {"a": float("nan")}}, "meta must be writable as JSON .*not JSON compliant"),
        ({"meta": 5}, "meta must be writable as JSON .*not iterable"),
    ],
)
def test_columns_that_are_refused(columns, says):
    with pytest.raises(InputError, match=says):
        FeatureTable(X, **columns)


def test_frozen():
    t = table()
    with pytest.raises(dataclasses.FrozenInstanceError, match="features"):
        t.features = torch.eye(3)
    with pytest.raises(ValueError, match="read-only"):
        t.modes[0] = "z"
    with pytest.raises(TypeError, match="does not support item assignment"):
        t.meta["encoder"] = "other"


def test_what_the_caller_gave_stays_the_callers():
    ids, modes, meta = np.arange(4), np.array(list("abcd")), {"a": [1]}
    t = FeatureTable(X, ids=ids, modes=modes, meta=meta)
    ids[0], modes[0] = 99, "z"
    meta["a"].append(2)
    assert (t.ids[0], t.modes[0], t.meta["a"]) == (0, "a", [1])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["copy", "pickle"])
def test_copies_hold_the_same(copied):
    t = copied(table())
    assert rows_of(t) == [0, 1, 2, 3]
    with pytest.raises(TypeError, match="does not support item assignment"):
        t.meta["encoder"] = "other"


def test_fingerprint_tells_features_and_nothing_else():
    same = [
        FeatureTable(X),
        FeatureTable(torch.from_numpy(X.copy())),
        FeatureTable(X[::-1])[::-1],
        FeatureTable(X.astype(">f4")),
    ]
    same += [FeatureTable(np.asfortranarray(X), modes=[1, 2, 3, 4])]
    assert len({t.fingerprint() for t in same}) == 1
    changed = X.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], np.float32(99))
    others = [changed, X.astype(np.float64), X[::-1], X.reshape(3, 4), X[:3], X[:0], np.zeros((0, 4), np.float32)]
    assert len({FeatureTable(x).fingerprint() for x in [X, *others]}) == 8


def test_fingerprint_is_computed_once():
    t = FeatureTable(X)
    assert t.fingerprint() is t.fingerprint()


def test_concat_rows_and_meta():
    t = table()
    assert rows_of(concat([t[:2], t[3:], t[:0]])) == [0, 1, 3]
    a, b = FeatureTable(X, meta={"encoder": "e", "part": 1}), FeatureTable(X, meta={"encoder": "e", "part": 2, "x": 0})
    assert dict(concat([a, b]).meta) == {"encoder": "e"}
    assert concat([FeatureTable(X, modes=["a"] * 4), FeatureTable(X, modes=["longer"] * 4)]).modes[7] == "longer"
    assert concat(iter([a])).dim == 3


def test_concat_refuses():
    t = FeatureTable(X)
    with pytest.raises(InputError, match="concat got no tables"):
        concat([])
    with pytest.raises(InputError, match=r"the tables have \[3, 2\] feature columns"):
        concat([t, FeatureTable(X[:, :2])])
    with pytest.raises(InputError, match=r"the tables have \[3, 1\] text columns"):
        concat([FeatureTable(X, text=X), FeatureTable(X, text=X[:, :1])])
    with pytest.raises(InputError, match="table 1 has no modes but others do"):
        concat([FeatureTable(X, modes=[1, 2, 3, 4]), t])
    with pytest.raises(InputError, match="ids are integers in some tables and strings in others"):
        concat([FeatureTable(X, ids=[1, 2, 3, 4]), FeatureTable(X, ids=list("abcd"))])


def test_as_table_returns_tables_as_they_are():
    t = table()
    assert as_table(t) is t
    assert as_table(X).fingerprint() == t.fingerprint()
    with pytest.raises(InputError, match="real has 1 dimension"):
        as_table(X[0], name="real")
