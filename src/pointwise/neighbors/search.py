"""knn: the nearest reference rows of each query row."""

from dataclasses import dataclass

import torch

from pointwise._arrays import as_features, on_device, require_same_width
from pointwise._options import whole_number
from pointwise._types import Array, Floats, Integers
from pointwise.errors import InputError, ordinal
from pointwise.neighbors.certify import Nearest
from pointwise.neighbors.passes import Prepared, nearest, sweep_named, within


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The k nearest reference rows of each of n queries, nearest first; equal distances go by smaller index.

    Distances are Euclidean, float64 [n, k]; indices are rows of the reference, int64 [n, k].

    >>> found = knn([[0.0], [1.0]], [[5.0], [2.0]], 2)
    >>> found.depth, len(found), found.indices[0].tolist()
    (2, 2, [1, 0])
    """

    distances: Floats
    indices: Integers

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
    on the engine or the device. Memory stays at one copy of the inputs and a few tiles; masses of copies add some.

    Args:
        queries: [n, d]; NumPy, torch, or anything with ``__dlpack__``.
        reference: [m, d].
        k: neighbours per query, from 1 to m, or to m - 1 with exclude_self.
        exclude_self: queries and reference are the same rows, and row i is no neighbour of itself. It is left out by
            its index, so copies of it elsewhere still count.
        engine: "auto" or "torch".
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
    whole_number(k, "k")
    if len(x) == 0:
        raise InputError("queries has 0 rows; there is nothing to find neighbours of. Give at least one row.")
    require_enough(len(y), k, name="reference", without_self=exclude_self)
    x, y = on_device(x, y, device=device)
    prepared = Prepared(y, sweep=sweep_named(engine))
    if exclude_self:
        if not (x is y or torch.equal(x, y)):
            raise InputError(
                f"exclude_self=True leaves out row i for query i, so queries ({tuple(x.shape)}) and reference "
                f"({tuple(y.shape)}) must be the same rows; they are not. "
                "Pass the same array twice, or exclude_self=False."
            )
        return as_neighbors(within(prepared, k))
    return as_neighbors(nearest(Prepared(x, like=prepared), prepared, k))


def as_neighbors(nearest: Nearest) -> Neighbors:
    """What a pass gave, as NumPy arrays."""
    return Neighbors(*(tensor.contiguous().cpu().numpy() for tensor in nearest))


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
