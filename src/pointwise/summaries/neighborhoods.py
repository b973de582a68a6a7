"""Neighborhoods: the four neighbour tables and the ball counts of one comparison, from one pass over the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch

from pointwise._arrays import Array, on_device, require_comparable
from pointwise._options import whole_number
from pointwise.errors import InputError
from pointwise.neighbors import Neighbors
from pointwise.neighbors.passes import Prepared, across, sweep_named, within
from pointwise.neighbors.search import as_neighbors, require_enough
from pointwise.summaries.dimension import intrinsic_dimension
from pointwise.summaries.self_neighbors import SelfNeighbors
from pointwise.tables.table import FeatureTable, as_table

Duplicates = Literal["raise", "floor", "keep"]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Neighborhoods:
    """Who is near whom in a comparison of N real and M generated rows; every kNN metric is a function of this.

    Args:
        real: the real table.
        fake: the generated table.
        within_real: the nearest other real rows of each real row, cover * k of them, and one more if there is one.
        within_fake: the same among generated rows.
        real_to_fake: the nearest generated rows of each real row, k of them, and one more if there is one.
        fake_to_real: the nearest real rows of each generated row.
        fake_in_real_balls: int64 [M, len(ks)], how many real rows hold each generated row within their k-th radius.
        real_in_fake_balls: int64 [N, len(ks)], the same with the roles swapped.
        ks: the numbers of neighbours that this serves.
        k: the one that the metrics read, or None where there are several: choose with `at`.
        cover: the factor C of precision cover and recall cover.
        dimension: what multiplies the log distances of entropies.
        duplicates: what a k-th neighbour at distance zero does to a log: "raise", "floor" or "keep".

    >>> import numpy as np
    >>> hoods = neighborhoods(np.arange(8.0)[:, None], np.arange(8.0)[:, None] + 0.25, k=1)
    >>> hoods.fake_to_real.distances[:2, 0].tolist()
    [0.25, 0.25]
    """

    real: FeatureTable
    fake: FeatureTable
    within_real: SelfNeighbors
    within_fake: SelfNeighbors
    real_to_fake: Neighbors
    fake_to_real: Neighbors
    fake_in_real_balls: Counts
    real_in_fake_balls: Counts
    ks: tuple[int, ...]
    k: int | None
    cover: int
    dimension: float
    duplicates: Duplicates

    def at(self, k: int) -> Neighborhoods:
        """Return the same tables with k chosen.

        Raises:
            InputError: k is not among those that the pass was made for.
        """
        if k not in self.ks:
            raise InputError(
                f"k = {k} was not asked for; these neighborhoods serve k = {', '.join(map(str, self.ks))}."
            )
        return dataclasses.replace(self, k=k)

    @cached_property
    def chosen_k(self) -> int:
        """The k that the metrics read.

        Raises:
            InputError: there are several and none was chosen.
        """
        if self.k is None:
            raise InputError(f"these neighborhoods serve k = {', '.join(map(str, self.ks))}; choose one with .at(k).")
        return self.k

    def __repr__(self) -> str:
        return f"Neighborhoods({len(self.real)} real, {len(self.fake)} generated, k = {', '.join(map(str, self.ks))})"


def neighborhoods(
    real: FeatureTable | Array,
    fake: FeatureTable | Array,
    *,
    k: int | Sequence[int] = 5,
    cover: int = 3,
    dimension: str | float = "ambient",
    duplicates: Duplicates = "raise",
    within_real: SelfNeighbors | None = None,
    engine: str = "auto",
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Neighborhoods:
    """Find all neighbours that the kNN metrics of one comparison need, each pair of rows visited once.

    Args:
        real: table or array [N, d].
        fake: table or array [M, d], the generated rows.
        k: one or several numbers of neighbours; one pass serves all.
        cover: the factor C of precision cover and recall cover; C * k must be below N and below M.
        dimension: "ambient" (d), "intrinsic" (TwoNN on the real table), or a positive number.
        duplicates: what a k-th neighbour at distance zero does to a log term: "raise", "floor" or "keep".
        within_real: the real half, from `self_neighbors` or an earlier result; refused if the real table is another.
        engine: "auto" or "torch".
        device: "cpu" or "cuda"; None keeps the data where it is.
        progress: called with (what is under way, steps done, steps in all).

    Raises:
        InputError: too few rows, widths that differ, or an option out of range.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> hoods = neighborhoods(rng.normal(size=(40, 2)), rng.normal(size=(30, 2)), k=(3, 5))
    >>> hoods.fake_to_real.distances.shape, hoods.at(3).k
    ((30, 6), 3)
    """
    real, fake = as_table(real, name="real"), as_table(fake, name="fake")
    ks = checked_options(k, cover, dimension, duplicates)
    require_comparable(real.features, fake.features)
    require_neighbors(real, ks, cover, name="the real table")
    require_neighbors(fake, ks, cover, name="the generated table")
    x, y = on_device(real.features, fake.features, device=device)
    prepared_x = Prepared(x, sweep=sweep_named(engine))
    prepared_y = Prepared(y, like=prepared_x)
    columns = [k - 1 for k in ks]
    if within_real is None:
        of_real = within(prepared_x, within_depth(len(real), ks, cover), progress=_named(progress, "real neighbours"))
        within_real, radii_x = SelfNeighbors(real.fingerprint(), as_neighbors(of_real)), of_real.distances[:, columns]
    else:
        within_real.require_match(real, within_depth(len(real), ks, cover))
        radii_x = torch.from_numpy(within_real.neighbors.distances[:, columns]).to(x.device)
    of_fake = within(prepared_y, within_depth(len(fake), ks, cover), progress=_named(progress, "generated neighbours"))
    crossing = across(
        prepared_x,
        prepared_y,
        min(max(ks) + 1, len(real), len(fake)),
        radii_x=radii_x,
        radii_y=of_fake.distances[:, columns],
        progress=_named(progress, "real and generated"),
    )
    return Neighborhoods(
        real=real,
        fake=fake,
        within_real=within_real,
        within_fake=SelfNeighbors(fake.fingerprint(), as_neighbors(of_fake)),
        real_to_fake=as_neighbors(crossing.of_x),
        fake_to_real=as_neighbors(crossing.of_y),
        fake_in_real_balls=crossing.y_in_balls_of_x.cpu().numpy(),
        real_in_fake_balls=crossing.x_in_balls_of_y.cpu().numpy(),
        ks=ks,
        k=ks[0] if len(ks) == 1 else None,
        cover=cover,
        dimension=_as_dimension(dimension, real, within_real),
        duplicates=duplicates,
    )


def within_depth(rows: int, ks: Sequence[int], cover: int) -> int:
    """How many neighbours within a table of so many rows a comparison needs.

    Those of the widest cover and one more, which steps in where the standard error asks what would be without one;
    and two for the intrinsic dimension.
    """
    return min(max(cover * max(ks) + 1, 2), rows - 1)


def require_neighbors(table: FeatureTable, ks: Sequence[int], cover: int, *, name: str) -> None:
    """Raise an InputError unless every row has cover * k other rows."""
    product = f"cover * k = {cover} * {max(ks)}"
    require_enough(len(table), cover * max(ks), name=name, without_self=True, product=product)


def checked_options(k: int | Sequence[int], cover: int, dimension: str | float, duplicates: str) -> tuple[int, ...]:
    """Return the numbers of neighbours, each once; raise an InputError where an option is out of its range."""
    ks = tuple(k) if isinstance(k, Sequence) else (k,)
    if not ks:
        raise InputError("k is empty; give one number of neighbours or several, 5 or (3, 5, 10) say.")
    for value in ks:
        whole_number(value, "k")
    whole_number(cover, "cover")
    if duplicates not in get_args(Duplicates):
        raise InputError(f"duplicates is {duplicates!r}; it must be 'raise', 'floor' or 'keep'.")
    number = isinstance(dimension, int | float | np.integer | np.floating) and not isinstance(dimension, bool)
    if not (dimension in ("ambient", "intrinsic") or (number and 0 < float(dimension) < float("inf"))):
        raise InputError(f"dimension is {dimension!r}; it must be 'ambient', 'intrinsic' or a positive number.")
    return tuple(dict.fromkeys(int(value) for value in ks))


def _as_dimension(dimension: str | float, real: FeatureTable, within_real: SelfNeighbors) -> float:
    if dimension == "intrinsic":
        if len(real) < 3:
            raise InputError(f"dimension='intrinsic' needs at least 3 real rows; there are {len(real)}.")
        return intrinsic_dimension(within_real.neighbors.distances)
    return float(real.dim if dimension == "ambient" else dimension)


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
