"""knn: the nearest reference rows of each query row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pointwise._arrays import Array, as_features, require_same_width
from pointwise.errors import InputError, ordinal
from pointwise.neighbors import blocked

ENGINES = ("auto", "blocked")


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest reference rows of each of n queries, nearest first; equal distances go by smaller index.

    Args:
        distances: float64 [n, k], Euclidean.
        indices: int64 [n, k], rows of the reference.

    >>> found = knn([[0.0], [1.0]], [[5.0], [2.0]], 2)
    >>> found.depth, len(found), found.indices[0].tolist()
    (2, 2, [1, 0])
    """

    distances: np.ndarray[Any, np.dtype[np.float64]]
    indices: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.distances)

    @property
    def depth(self) -> int:
        """How many neighbours each query has, k."""
        return int(self.distances.shape[1])


def knn(
    queries: Array,
    reference: Array,
    k: int,
    *,
    exclude_self: bool = False,
    engine: str = "auto",
    device: str | torch.device | None = None,
) -> Neighbors:
    r"""Find the k nearest reference rows of every query row, exactly.

    Distances are :math:`\|q - r\|_2` by subtraction in float64, whatever the precision of the input, and do not depend
    on the engine, the device or the size of blocks. Memory stays at one copy of the inputs and
    a few tiles; masses of exact copies add some.

    Args:
        queries: [n, d]; NumPy, torch, or anything with ``__dlpack__``.
        reference: [m, d].
        k: neighbours per query, from 1 to m, or to m - 1 with exclude_self.
        exclude_self: queries and reference are the same rows, and row i is no neighbour of itself. It is left out by
            its index, so copies of it elsewhere still count.
        engine: "auto" or "blocked".
        device: "cpu" or "cuda"; None keeps the data where it is.

    Returns:
        Neighbors with distances float64 [n, k] and indices int64 [n, k], as NumPy arrays.

    Raises:
        InputError: k is out of range, the widths differ, values are not finite, or the engine or device is unknown.

    >>> import numpy as np
    >>> found = knn(np.array([[0.0], [9.0]]), np.array([[1.0], [3.0], [10.0]]), 2)
    >>> found.indices.tolist(), found.distances.tolist()
    ([[0, 1], [2, 1]], [[1.0, 3.0], [1.0, 6.0]])
    """
    x, y = as_features(queries, name="queries"), as_features(reference, name="reference")
    require_same_width(x, y, names=("queries", "reference"))
    require_engine(engine)
    require_count(k, name="k")
    if len(x) == 0:
        raise InputError("queries has 0 rows; there is nothing to find neighbours of. Give at least one row.")
    require_enough(len(y), k, name="reference", without_self=exclude_self)
    x, y = on_device(x, y, device=device)
    if exclude_self:
        if not (x is y or torch.equal(x, y)):
            raise InputError(
                f"exclude_self=True leaves out row i for query i, so queries ({tuple(x.shape)}) and reference "
                f"({tuple(y.shape)}) must be the same rows; they are not. "
                "Pass the same array twice, or exclude_self=False."
            )
        return as_neighbors(blocked.within(x, k))
    return as_neighbors(blocked.nearest(x, y, k))


def as_neighbors(found: blocked.Found) -> Neighbors:
    """The result of an engine as NumPy arrays."""
    distances, indices = found
    return Neighbors(distances.contiguous().cpu().numpy(), indices.contiguous().cpu().numpy())


def on_device(*tensors: torch.Tensor, device: str | torch.device | None) -> list[torch.Tensor]:
    """All tensors on the device, or on the first one's where none is named, ready for arithmetic."""
    try:
        target = tensors[0].device if device is None else torch.device(device)
        if target.type not in ("cpu", "cuda"):
            raise InputError(
                f"device is {str(target)!r}; distances are refined in float64, which needs 'cpu' or 'cuda'."
            )
        # float32 holds float16 exactly and is converted many times sooner.
        return [tensor.to(target, torch.float32 if tensor.dtype == torch.float16 else None) for tensor in tensors]
    except (RuntimeError, AssertionError):
        raise InputError(f"device {str(device)!r} cannot be used here; use 'cpu', or 'cuda' on a GPU.") from None


def require_engine(engine: str) -> None:
    """Raise an InputError unless the engine is known."""
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}; it must be one of {', '.join(map(repr, ENGINES))}.")


def require_count(value: int, *, name: str) -> None:
    """Raise an InputError unless value is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least 1.")


def require_enough(rows: int, k: int, *, name: str, without_self: bool, product: str = "") -> None:
    """Raise an InputError unless a table of this many rows has k neighbours to give."""
    available = rows - without_self
    if k > available:
        itself = " besides the row itself" if without_self else ""
        raise InputError(
            f"{name} has {rows} row{'s' * (rows != 1)}, which is too few for {product or f'k = {k}'}: a {ordinal(k)} "
            f"nearest neighbour{itself} needs at least {k + without_self} rows. "
            f"Use a smaller k{' or cover' if product else ''}, or more samples."
        )
