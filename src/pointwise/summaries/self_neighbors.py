"""SelfNeighbors: the neighbours of a table within itself, reusable for as long as the table stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pointwise._arrays import Array, on_device
from pointwise._options import whole_number
from pointwise.errors import InputError
from pointwise.neighbors import Neighbors
from pointwise.neighbors.passes import Prepared, sweep_named, within
from pointwise.neighbors.search import as_neighbors, require_enough
from pointwise.tables.saved import load_arrays, save_arrays
from pointwise.tables.table import FeatureTable, as_table

_KIND = "self_neighbors"


@dataclass(frozen=True, eq=False)
class SelfNeighbors:
    """The k nearest other rows of every row of one table, and the fingerprint of that table.

    It is the real half of a comparison: made once, it serves every generator. Two are equal when they come from equal
    features at the same depth. It refuses to serve any other table.

    Args:
        fingerprint: of the table it was made from.
        neighbors: distances and indices [n, k].

    >>> half = self_neighbors([[0.0], [1.0], [3.0]], 2)
    >>> half == self_neighbors([[0.0], [1.0], [3.0]], 2), half == self_neighbors([[0.0], [1.0], [4.0]], 2)
    (True, False)
    """

    fingerprint: str
    neighbors: Neighbors

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SelfNeighbors) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, int]:
        return self.fingerprint, self.neighbors.depth

    def require_match(self, table: FeatureTable, depth: int) -> None:
        """Raise an InputError unless this was made from just this table and reaches this depth."""
        if self.fingerprint != table.fingerprint():
            raise InputError(
                f"these neighbours were made from another table ({len(self.neighbors)} rows, fingerprint "
                f"{self.fingerprint[:12]}) than the one given ({len(table)} rows, fingerprint "
                f"{table.fingerprint()[:12]}). Make them again with self_neighbors(real, k)."
            )
        if self.neighbors.depth < depth:
            raise InputError(
                f"these neighbours reach k = {self.neighbors.depth} but {depth} are needed (cover times the "
                f"largest k, and one more where there is one). Make them again with self_neighbors(real, {depth})."
            )

    def save(self, path: str | Path) -> None:
        """Write to a .safetensors file, whole or not at all.

        Raises:
            InputError: the path cannot be written.
        """
        arrays = {"distances": self.neighbors.distances, "indices": self.neighbors.indices}
        save_arrays(path, arrays, kind=_KIND, words={"fingerprint": self.fingerprint})

    @staticmethod
    def load(path: str | Path) -> SelfNeighbors:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read or is something else.
        """
        arrays, words = load_arrays(path, kind=_KIND, called="the neighbours of a table")
        return SelfNeighbors(words["fingerprint"], Neighbors(arrays["distances"], arrays["indices"]))


def self_neighbors(
    x: FeatureTable | Array,
    k: int,
    *,
    engine: str = "auto",
    device: str | torch.device | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SelfNeighbors:
    """Find the k nearest other rows of every row of a table.

    Args:
        x: table or array [n, d].
        k: neighbours of each row, at most n - 1. A comparison needs cover times its largest k, and one
            more where there is one.
        engine: "auto" or "torch".
        device: "cpu" or "cuda"; None keeps the data where it is.
        progress: called with (tiles done, tiles in all).

    Raises:
        InputError: k is out of range, or values are not finite.

    >>> import numpy as np
    >>> self_neighbors(np.array([[0.0], [1.0], [3.0]]), 1).neighbors.indices.tolist()
    [[1], [0], [1]]
    """
    table = as_table(x)
    whole_number(k, "k")
    require_enough(len(table), k, name="the table", without_self=True)
    (features,) = on_device(table.features, device=device)
    nearest = within(Prepared(features, sweep=sweep_named(engine)), k, progress=progress)
    return SelfNeighbors(table.fingerprint(), as_neighbors(nearest))
