"""The door: which arrays come in, as what, and what is refused with which words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointwise._arrays import as_column, as_features
from pointwise.errors import InputError

X = np.arange(6, dtype=np.float32).reshape(3, 2)


class DLPack:
    """The least that an array of another library offers."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def __dlpack__(self, **options):
        return self.x.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


class BrokenDLPack(DLPack):
    def __dlpack__(self, **options):
        raise BufferError("read-only memory")


class ArrayLike:
    def __array__(self, dtype=None, copy=None):
        return X.astype(dtype or X.dtype)


# ---- features


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_keep_their_precision_and_their_memory(dtype):
    x = np.ones((3, 2), dtype=dtype)
    features = as_features(x)
    assert features.numpy().dtype == dtype
    x[0, 0] = 7
    assert features[0, 0] == 7


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_integers_are_widened_to_float64(dtype):
    features = as_features(np.array([[0, 1], [1, 0]], dtype=dtype))
    assert features.dtype == torch.float64
    assert features.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_short_floats_are_widened_to_float32(dtype):
    features = as_features(torch.tensor([[0.5, -2.0]]).to(dtype))
    assert features.dtype == torch.float32
    assert features.tolist() == [[0.5, -2.0]]


def unwriteable() -> np.ndarray:
    x = X.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "x",
    [
        X.astype(">f4"),
        X[::-1, ::-1][::-1, ::-1],
        np.asfortranarray(X),
        unwriteable(),
        np.zeros(3, dtype=[("pad", "u1"), ("x", "f4", (2,))])["x"] + X,
        X.tolist(),
        tuple(map(tuple, X.tolist())),
        ArrayLike(),
        DLPack(torch.from_numpy(X.copy())),
        torch.from_numpy(X.copy()).requires_grad_(),
    ],
    ids=["big-endian", "negative", "fortran", "read-only", "field", "list", "tuple", "__array__", "dlpack", "grad"],
)
def test_whatever_holds_the_numbers_comes_in(x):
    features = as_features(x)
    assert features.is_contiguous()
    assert not features.requires_grad
    np.testing.assert_array_equal(features.numpy(), X)


def test_odd_memory_comes_in():
    np.testing.assert_array_equal(as_features(X[::-1]).numpy(), X[::-1])
    np.testing.assert_array_equal(as_features(np.broadcast_to(X[0], (4, 2))).numpy(), X[[0] * 4])
    packed = np.zeros(3, dtype=[("pad", "u1"), ("x", "f4", (2,))])
    packed["x"] = X
    np.testing.assert_array_equal(as_features(packed["x"]).numpy(), X)  # strides that no float32 has
    imaginary = torch.complex(torch.zeros(3, 2), torch.from_numpy(X.copy())).conj().imag
    np.testing.assert_array_equal(as_features(imaginary).numpy(), -X)  # torch negates it lazily


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (X[0], r"features has 1 dimension \(shape \(2,\)\); it must have 2.*x\[:, None\]"),
        (X[None], r"features has 3 dimensions \(shape \(1, 3, 2\)\); it must have 2.*x.reshape\(len\(x\), -1\)"),
        (torch.tensor(1.0), r"features has 0 dimensions \(shape \(\)\)"),
        (X[:, :0], r"features has shape \(3, 0\): its rows are empty"),
        (np.array([[object()]]), "features holds values of type object.*they can carry code.*astype"),
        (np.array([["a"]]), "features holds values of type <U1; only real numbers"),
        (X.astype(np.longdouble), "features holds values of type float128"),
        (X.astype(np.complex64), "features holds values of type complex64"),
        (torch.zeros(2, 2, dtype=torch.complex64), r"features holds complex values \(torch.complex64\)"),
        ([[1.0, 2.0], [3.0]], "features is a list of rows that differ in length"),
        ("abc", "features is a str; it must be a NumPy array, a torch tensor, or an object with __dlpack__"),
        (None, "features is a NoneType; it must be"),
        (BrokenDLPack(torch.eye(2)), r"features is a BrokenDLPack that torch cannot take over \(read-only memory\)"),
        (
            torch.eye(2).to_sparse(),
            r"features is a sparse tensor \(torch.sparse_coo\); make it dense with x.to_dense\(\)",
        ),
        (np.ma.masked_greater(X, 2), r"features is a masked array, whose mask would be lost; fill it"),
    ],
)
def test_what_is_no_feature_matrix(x, says):
    with pytest.raises(InputError, match=says):
        as_features(x)


def test_the_message_uses_the_name_given():
    with pytest.raises(InputError, match=r"^fake has 1 dimension"):
        as_features(X[0], name="fake")


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_beyond_the_exact_are_refused(dtype):
    limit = np.array([[2**53, 1]], dtype=dtype)
    assert int(as_features(limit)[0, 0]) == 2**53
    with pytest.raises(InputError, match=r"features holds the integer 9007199254740993, beyond 2\*\*53"):
        as_features(limit + dtype(1))
    if dtype is np.int64:
        with pytest.raises(InputError, match="features holds the integer -9223372036854775808"):
            as_features(np.full((1, 1), -(2**63)))
    else:
        with pytest.raises(InputError, match="features holds the integer 18446744073709551615"):
            as_features(np.full((1, 1), 2**64 - 1, dtype=np.uint64))


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(width=32)))
def test_nan_and_inf_are_counted_and_the_first_is_named(x):
    bad = ~np.isfinite(x)
    if not bad.any():
        assert torch.equal(as_features(x), torch.from_numpy(x))
        return
    row, column = np.argwhere(bad)[0]
    says = rf"NaN or inf in {bad.any(axis=1).sum()} of {len(x)} rows; the first is row {row}, column {column} \(value "
    with pytest.raises(InputError, match=says):
        as_features(x)


def test_a_large_table_is_checked_to_its_last_row():
    x = np.zeros(((1 << 24) + 5, 1), dtype=np.float16)  # more values than are looked at in one step
    x[[-3, -1]] = np.inf
    says = r"in 2 of 16777221 rows; the first is row 16777218, column 0 \(value inf\).*A float16 array .* above 65504"
    with pytest.raises(InputError, match=says):
        as_features(x)


def test_only_float16_gets_the_hint_of_overflow():
    with pytest.raises(InputError, match=r"drop or mend those rows\.$"):
        as_features(np.full((1, 1), np.inf, dtype=np.float32))


# ---- columns


@pytest.mark.parametrize(
    ("values", "kind", "held"),
    [
        ([1, 2], "i", [1, 2]),
        (range(2), "i", [0, 1]),
        (np.array([1, 2], dtype=">i2"), "i", [1, 2]),
        (np.array([1, 2**63 - 1], dtype=np.uint64), "i", [1, 2**63 - 1]),
        (torch.tensor([1, 2], dtype=torch.int32), "i", [1, 2]),
        ((np.int8(1), 2), "i", [1, 2]),
        (["a", "bcd"], "U", ["a", "bcd"]),
        (np.array(["a", "é"], dtype=">U2"), "U", ["a", "é"]),
        (np.array(["a", "b"], dtype=object), "U", ["a", "b"]),
        (iter(["a", ""]), "U", ["a", ""]),
        ({"a": 1, "b": 2}.keys(), "U", ["a", "b"]),
    ],
)
def test_columns_are_int64_or_strings(values, kind, held):
    column = as_column(values, name="ids", length=2)
    assert column.dtype.kind == kind
    assert column.dtype.isnative
    assert kind == "U" or column.dtype == np.int64
    assert column.tolist() == held


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("ab", "ids is the single string 'ab'; it must be a sequence of 2 values"),
        (5, "ids is a int; it must be a sequence of 2 values"),
        ([1, 2, 3], "ids has 3 values but features has 2 rows"),
        (np.zeros((2, 2), int), r"ids has shape \(2, 2\); it must be one-dimensional"),
        (np.array(3), r"ids has shape \(\); it must be one-dimensional"),
        (torch.tensor(3), r"ids has shape \(\); it must be one-dimensional"),
        (["a", 1], "all integers or all strings; row 1 holds 1 of type int"),
        ([1, None], "row 1 holds None of type NoneType"),
        ([1.0, 2], "row 0 holds 1.0 of type float"),
        ([1, True], "row 1 holds True of type bool"),
        ([True, False], "row 0 holds True of type bool"),
        (np.array([1.5, 2]), r"row 0 holds np.float64\(1.5\) of type float64"),
        (torch.tensor([1.5, 2], dtype=torch.bfloat16), "row 0 holds .*1.5"),
        ([0, 2**63], "ids holds 9223372036854775808 in row 1, beyond 64-bit integers"),
        (np.array([0, 2**63], dtype=np.uint64), "ids holds 9223372036854775808 in row 1, beyond 64-bit integers"),
        (["a", "b\0"], r"ids has a string that ends in a NUL character in row 1 \('b\\x00'\)"),
        (np.ma.array([1, 2], mask=[0, 1]), "ids is a masked array"),
    ],
)
def test_columns_that_are_refused(values, says):
    with pytest.raises(InputError, match=says):
        as_column(values, name="ids", length=2)


def test_empty_columns_keep_being_integers_or_strings():
    assert as_column(np.empty(0, dtype=np.int32), name="ids", length=0).dtype == np.int64
    assert as_column([], name="ids", length=0).dtype.kind == "U"
