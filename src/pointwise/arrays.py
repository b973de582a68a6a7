"""The door: whatever array a user holds becomes a checked torch tensor, and columns become NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from pointwise.errors import InputError

Array: TypeAlias = Any  # NumPy, torch, or anything with __dlpack__
Column: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_LARGEST_EXACT_INTEGER = 2**53
_CHECKED_AT_ONCE = 1 << 24  # values looked at in one step, so that the check of a large table stays small


def as_features(x: Array, *, name: str = "features") -> torch.Tensor:
    """Return x as a finite floating-point tensor [n, d], of its own precision, without copying where possible.

    float16, float32 and float64 stay what they are; bfloat16 and integers are widened, which is exact.

    Raises:
        InputError: x is not a numeric 2-D array, has no columns, or holds NaN or inf.
    """
    tensor = _as_tensor(x, name)
    if tensor.ndim != 2:
        advice = "reshape a single column with x[:, None]" if tensor.ndim == 1 else "flatten it with x.reshape(len(x), -1)"
        raise InputError(
            f"{name} has {tensor.ndim} dimension{'s' * (tensor.ndim != 1)} (shape {tuple(tensor.shape)}); "
            f"it must have 2, one row per sample [n, d]: {advice}."
        )
    if tensor.shape[1] == 0:
        raise InputError(f"{name} has shape {tuple(tensor.shape)}: its rows are empty; they need at least one column.")
    tensor = _as_floating(tensor, name).detach()
    _require_finite(tensor, name)
    return tensor.contiguous()


def as_column(values: Sequence[Any] | Array, *, name: str, length: int) -> Column:
    """Return a column (ids, modes or captions) as an int64 or string array of the given length.

    Raises:
        InputError: the length differs, or the values are neither all integers nor all strings.
    """
    if isinstance(values, str):
        raise InputError(f"{name} is the single string {values!r}; it must be a sequence of {length} values, one per row.")
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    items = values if isinstance(values, np.ndarray) else list(values)
    if len(items) != length:
        raise InputError(f"{name} has {len(items)} values but features has {length} rows; give one value per row.")
    if length == 0:
        return np.asarray(items, dtype=np.int64 if getattr(items, "dtype", None) == np.int64 else str)
    if isinstance(items, np.ndarray) and items.ndim != 1:
        raise InputError(f"{name} has shape {items.shape}; it must be one-dimensional, one value per row.")
    strings = sum(isinstance(item, str) for item in items)
    integers = sum(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items)
    if strings == length:
        return np.asarray(items, dtype=str)
    if integers == length:
        return np.asarray(items, dtype=np.int64)
    odd = next(i for i, item in enumerate(items) if not isinstance(item, str if strings else int | np.integer))
    raise InputError(
        f"{name} must be all integers or all strings; row {odd} holds {items[odd]!r} of type {type(items[odd]).__name__}."
    )


def _as_tensor(x: Array, name: str) -> torch.Tensor:
    if isinstance(x, torch.Tensor):
        return x
    if isinstance(x, np.ndarray) or not hasattr(x, "__dlpack__"):
        array = np.asarray(x) if isinstance(x, np.ndarray | list | tuple) or hasattr(x, "__array__") else None
        if array is None:
            raise InputError(
                f"{name} is a {type(x).__name__}; it must be a NumPy array, a torch tensor, or an object with __dlpack__."
            )
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise InputError(
                f"{name} holds values of type {array.dtype}; only real numbers of at most 64 bits are allowed "
                "(object arrays are refused: they can carry code). Convert it with x.astype('float32')."
            )
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        if not native.flags.writeable or any(stride < 0 for stride in native.strides):
            native = native.copy()  # torch warns about read-only memory and refuses negative strides
        return torch.from_numpy(native)
    return torch.from_dlpack(x)


def _as_floating(tensor: torch.Tensor, name: str) -> torch.Tensor:
    if tensor.is_complex():
        raise InputError(f"{name} holds complex values ({tensor.dtype}); only real numbers are allowed.")
    if tensor.dtype in (torch.float16, torch.float32, torch.float64):
        return tensor
    if tensor.dtype.is_floating_point:  # bfloat16 and the 8-bit formats fit into float32 exactly
        return tensor.to(torch.float32)
    if tensor.numel() and tensor.dtype in (torch.int64, torch.uint64):
        largest = int(max(abs(int(tensor.max())), abs(int(tensor.min()))))
        if largest > _LARGEST_EXACT_INTEGER:
            raise InputError(
                f"{name} holds the integer {largest}, beyond 2**53: float64 cannot represent it exactly. "
                "Rescale or convert the features yourself."
            )
    return tensor.to(torch.float64)


def _require_finite(tensor: torch.Tensor, name: str) -> None:
    rows_at_once = max(1, _CHECKED_AT_ONCE // max(1, tensor.shape[1]))
    bad_rows = [
        start + torch.nonzero(~torch.isfinite(block).all(dim=1)).flatten()
        for start, block in zip(
            range(0, len(tensor), rows_at_once), tensor.split(rows_at_once) if len(tensor) else (), strict=True
        )
    ]
    rows = torch.cat(bad_rows) if bad_rows else torch.empty(0)
    if len(rows) == 0:
        return
    first = int(rows[0])
    column = int(torch.nonzero(~torch.isfinite(tensor[first]))[0])
    hint = (
        " A float16 array holds nothing above 65504: larger values overflowed when it was made; write it as float32."
        if tensor.dtype == torch.float16
        else ""
    )
    raise InputError(
        f"{name} has NaN or inf in {len(rows)} of {len(tensor)} rows; the first is row {first}, column {column} "
        f"(value {float(tensor[first, column])}). Every value must be finite: drop or mend those rows.{hint}"
    )
