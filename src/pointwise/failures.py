"""The ways in which a generator fails, made on purpose: each takes a table and returns one that fails so."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pointwise._arrays import require_same_width
from pointwise._options import number
from pointwise._types import Column, Integers
from pointwise.errors import InputError
from pointwise.tables.table import FeatureTable


def drop(table: FeatureTable, modes: Sequence[Any]) -> FeatureTable:
    """Return the table without the rows of these modes.

    Raises:
        InputError: the table carries no modes, has none of that name, or nothing would be left.

    >>> import numpy as np
    >>> len(drop(FeatureTable(np.eye(3), modes=["a", "b", "b"]), ["b"]))
    1
    """
    column = _modes(table)
    absent = [mode for mode in modes if mode not in column]
    if absent:
        raise InputError(
            f"there is no mode {absent[0]!r} to drop; the modes are {', '.join(map(str, np.unique(column)))}."
        )
    kept = ~np.isin(column, list(modes))
    if not kept.any():
        raise InputError(f"dropping {', '.join(map(str, modes))} leaves no rows; keep at least one mode.")
    return table[kept]


def shrink(table: FeatureTable, factor: float) -> FeatureTable:
    """Return the table with every row moved towards the mean of its mode, to `factor` of its distance from it.

    Raises:
        InputError: the table carries no modes, or factor is not above 0 and at most 1.

    >>> import numpy as np
    >>> shrink(FeatureTable(np.array([[0.0], [4.0]]), modes=["a", "a"]), 0.5).features.tolist()
    [[1.0], [3.0]]
    """
    number(factor, "factor", above=0, most=1)
    column = _modes(table)
    features = table.features.clone()
    for mode in np.unique(column):
        rows = torch.from_numpy(column == mode)
        mean = features[rows].double().mean(dim=0)
        features[rows] = (mean + factor * (features[rows].double() - mean)).to(features.dtype)
    return replace(table, features=features)


def invent(table: FeatureTable, share: float, *, seed: int = 0) -> FeatureTable:
    """Return the table with a share of rows replaced by points halfway to a row of another mode.

    Raises:
        InputError: the table has fewer than two modes, or share is not between 0 and 1.

    >>> import numpy as np
    >>> invent(FeatureTable(np.array([[0.0], [4.0]]), modes=["a", "b"]), 1.0).features.tolist()
    [[2.0], [2.0]]
    """
    column = _modes(table)
    if len(np.unique(column)) < 2:
        raise InputError(f"mixtures between modes need at least 2 modes; this table has {len(np.unique(column))}.")
    rng = np.random.default_rng(seed)
    rows = _some_rows(len(table), share, rng)
    features = table.features.clone()
    for row in rows:
        partner = rng.choice(np.flatnonzero(column != column[row]))
        features[row] = ((table.features[row].double() + table.features[partner].double()) / 2).to(features.dtype)
    return replace(table, features=features)


def memorize(table: FeatureTable, training: FeatureTable, share: float, *, seed: int = 0) -> FeatureTable:
    """Return the table with a share of rows replaced by copies of training rows, of the same mode if there are modes.

    Raises:
        InputError: the widths differ, share is not between 0 and 1, or there is no training row (of a mode) to copy.

    >>> import numpy as np
    >>> copied = memorize(FeatureTable(np.zeros((2, 1))), FeatureTable(np.ones((3, 1))), 0.5)
    >>> float(copied.features.sum())
    1.0
    """
    require_same_width(table.features, training.features, names=("the table", "training"))
    if len(training) == 0:
        raise InputError("training has no rows to copy; give it at least one.")
    rng = np.random.default_rng(seed)
    features = table.features.clone()
    for row in _some_rows(len(table), share, rng):
        source = np.arange(len(training))
        if table.modes is not None and training.modes is not None:
            source = np.flatnonzero(training.modes == table.modes[row])
            if len(source) == 0:
                raise InputError(f"mode {table.modes[row]!s} of row {row} has no training row to copy.")
        features[row] = training.features[rng.choice(source)].to(features.dtype)
    return replace(table, features=features)


def _some_rows(count: int, share: float, rng: np.random.Generator) -> Integers:
    number(share, "share", above=0, below=1, closed=True)
    return np.sort(rng.choice(count, size=round(share * count), replace=False))


def _modes(table: FeatureTable) -> Column:
    if table.modes is None:
        raise InputError("the table carries no modes; give it modes=, one per row.")
    return table.modes
