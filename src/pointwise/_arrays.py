"""The door: whatever array a user holds becomes a checked torch tensor, and columns become NumPy arrays."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.dlpack import from_dlpack

from pointwise._options import usable_device
from pointwise._types import Array, Column, Floats
from pointwise.errors import InputError

_LARGEST_EXACT_INTEGER = 2**53
_HALF = " A float16 array holds nothing above 65504: larger values overflowed when it was made; write it as float32."
_CHECKED_AT_ONCE = 1 << 24  # values looked at in one step, so that the check of a large table stays small


def as_features(x: Array, *, name: str = "features") -> torch.Tensor:
    """Return x as a finite floating-point tensor [n, d], of its own precision, without copying where possible.

    float16, float32 and float64 stay what they are; bfloat16 and integers are widened, which is exact.
    """
    tensor = _as_tensor(x, name)
    if tensor.ndim != 2:
        single = tensor.ndim == 1
        advice = "reshape a single column with x[:, None]" if single else "flatten it with x.reshape(len(x), -1)"
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
    """Return a column (ids, modes or captions) as an int64 or string array of the given length."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        what = f"the single string {values!r}" if isinstance(values, str) else f"a {type(values).__name__}"
        raise InputError(f"{name} is {what}; it must be a sequence of {length} values, one per row.")
    _refuse_masked(values, name)
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    items = values if isinstance(values, np.ndarray) else list(values)
    if isinstance(items, np.ndarray) and items.ndim != 1:
        raise InputError(f"{name} has shape {items.shape}; it must be one-dimensional, one value per row.")
    if len(items) != length:
        raise InputError(f"{name} has {len(items)} values but features has {length} rows; give one value per row.")
    if length == 0:
        return np.empty(0, dtype=np.int64 if isinstance(items, np.ndarray) and items.dtype.kind in "iu" else str)
    # Each of these is a copy: the table makes it read-only, and the caller's is not the table's to change.
    if isinstance(items, np.ndarray) and items.dtype.kind in "iU":  # no need to look at each
        return items.astype(np.int64 if items.dtype.kind == "i" else items.dtype.newbyteorder("="))
    kind = str if any(isinstance(item, str) for item in items) else int
    for row, item in enumerate(items):
        if isinstance(item, bool) or not isinstance(item, str if kind is str else int | np.integer):
            raise InputError(
                f"{name} must be all integers or all strings; row {row} holds {item!r} of type {type(item).__name__}."
            )
        if isinstance(item, str) and item.endswith("\0"):
            raise InputError(
                f"{name} has a string that ends in a NUL character in row {row} ({item!r}); strip it first."
            )
        if kind is int and not -(2**63) <= int(item) < 2**63:
            raise InputError(f"{name} holds {item} in row {row}, beyond 64-bit integers; give such values as strings.")
    return np.array(items, dtype=str if kind is str else np.int64)


def as_numbers(x: Array, *, name: str) -> Floats:
    """Return x, of any shape and on any device, as float64 in NumPy; NaN and inf are let through."""
    return _as_floating(_as_tensor(x, name), name).detach().cpu().double().numpy()


def on_device(*tensors: torch.Tensor, device: str | torch.device | None) -> list[torch.Tensor]:
    """All tensors on the device, or on the first one's where none is named, ready for arithmetic."""
    target = usable_device(tensors[0].device if device is None else device)
    if target is None or target.type not in ("cpu", "cuda"):
        raise InputError(f"device is {str(target)!r}; distances are refined in float64, which needs 'cpu' or 'cuda'.")
    # float32 holds float16 exactly and is converted many times sooner.
    return [tensor.to(target, torch.float32 if tensor.dtype == torch.float16 else None) for tensor in tensors]


def _refuse_masked(x: object, name: str) -> None:
    if isinstance(x, np.ma.MaskedArray):
        raise InputError(
            f"{name} is a masked array, whose mask would be lost; fill it with x.filled(...) or drop those rows."
        )


def require_same_width(x: torch.Tensor, y: torch.Tensor, *, names: tuple[str, str]) -> None:
    """Raise an InputError unless both have equally many columns."""
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"{names[0]} has {x.shape[1]} feature columns but {names[1]} has {y.shape[1]}; "
            "encode both with the same encoder."
        )


def require_comparable(real: torch.Tensor, fake: torch.Tensor) -> None:
    """Raise an InputError unless both tables have at least two rows and equally many columns."""
    for name, table in (("real", real), ("generated", fake)):
        if len(table) < 2:
            raise InputError(
                f"the {name} table has {len(table)} row{'s' * (len(table) != 1)}; a comparison needs at least 2."
            )
    require_same_width(real, fake, names=("the real table", "the generated table"))


def _as_tensor(x: Array, name: str) -> torch.Tensor:
    _refuse_masked(x, name)
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided:
            raise InputError(f"{name} is a sparse tensor ({x.layout}); make it dense with x.to_dense().")
        return x.resolve_neg()
    if isinstance(x, np.ndarray | list | tuple) or (hasattr(x, "__array__") and not hasattr(x, "__dlpack__")):
        return _from_numpy(x, name)
    if not hasattr(x, "__dlpack__"):
        raise InputError(
            f"{name} is a {type(x).__name__}; it must be a NumPy array, a torch tensor, or an object with __dlpack__."
            + (" To read a file: pointwise.load(path)." if isinstance(x, str | os.PathLike) else "")
        )
    try:
        return from_dlpack(x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{name} is a {type(x).__name__} that torch cannot take over ({error}); give it as NumPy."
        ) from None


def _from_numpy(x: Array, name: str) -> torch.Tensor:
    try:
        array = np.asarray(x)
    except ValueError:
        raise InputError(
            f"{name} is a {type(x).__name__} of rows that differ in length; all must be equally long."
        ) from None
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise InputError(
            f"{name} holds values of type {array.dtype}; only real numbers of at most 64 bits are allowed "
            "(object arrays are refused: they can carry code). Convert it with x.astype('float32')."
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not native.flags.writeable or any(stride < 0 or stride % native.itemsize for stride in native.strides):
        native = native.copy()  # torch warns about read-only memory and refuses negative or odd strides
    return torch.from_numpy(native)


def _as_floating(tensor: torch.Tensor, name: str) -> torch.Tensor:
    if tensor.is_complex():
        raise InputError(f"{name} holds complex values ({tensor.dtype}); only real numbers are allowed.")
    if tensor.dtype in (torch.float16, torch.float32, torch.float64):
        return tensor
    if tensor.dtype.is_floating_point:  # bfloat16 and the 8-bit formats fit into float32 exactly
        return tensor.to(torch.float32)
    if tensor.numel() and tensor.dtype in (torch.int64, torch.uint64):
        values = tensor.detach().cpu().numpy()  # torch has no extremes of uint64
        largest = max(int(values.max()), int(values.min()), key=abs)
        if abs(largest) > _LARGEST_EXACT_INTEGER:
            raise InputError(
                f"{name} holds the integer {largest}, beyond 2**53: float64 cannot represent it exactly. "
                "Rescale or convert the features yourself."
            )
    return tensor.to(torch.float64)


def _require_finite(tensor: torch.Tensor, name: str) -> None:
    wide = torch.float32 if tensor.dtype == torch.float16 else tensor.dtype
    if torch.isfinite(tensor.sum(dtype=wide)):  # NaN and inf survive a sum: nearly always this is all
        return
    rows_at_once = max(1, _CHECKED_AT_ONCE // tensor.shape[1])
    bad = torch.cat([~torch.isfinite(block).all(dim=1) for block in tensor.split(rows_at_once)])
    if not bad.any():  # large values, whose sum alone is inf
        return
    first = int(bad.nonzero()[0])
    column = int(torch.nonzero(~torch.isfinite(tensor[first]))[0])
    hint = _HALF if tensor.dtype == torch.float16 else ""
    raise InputError(
        f"{name} has NaN or inf in {int(bad.sum())} of {len(tensor)} rows; the first is row {first}, column {column} "
        f"(value {float(tensor[first, column])}). Every value must be finite: drop or mend those rows.{hint}"
    )
