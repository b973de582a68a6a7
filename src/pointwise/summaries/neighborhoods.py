"""Neighborhoods: the four neighbour tables and the ball counts of one comparison, from one pass over the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from pointwise._types import Integers, Progress, Steps
from pointwise.errors import InputError
from pointwise.neighbors import Neighbors
from pointwise.neighbors.certify import Nearest
from pointwise.neighbors.passes import Prepared, across, within
from pointwise.neighbors.search import as_neighbors, require_enough
from pointwise.summaries.dimension import intrinsic_dimension
from pointwise.terms import Side

Duplicates = Literal["raise", "floor", "keep"]
DUPLICATES: tuple[Duplicates, ...] = ("raise", "floor", "keep")


@dataclass(frozen=True, eq=False, repr=False)
class Neighborhoods:
    """Who is near whom in a comparison of N real and M generated rows; every kNN metric is a function of this.

    Args:
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
    >>> import pointwise as pw
    >>> hoods = pw.neighborhoods(np.arange(8.0)[:, None], np.arange(8.0)[:, None] + 0.25, k=1)
    >>> hoods.fake_to_real.distances[:2, 0].tolist()
    [0.25, 0.25]
    """

    within_real: Neighbors
    within_fake: Neighbors
    real_to_fake: Neighbors
    fake_to_real: Neighbors
    fake_in_real_balls: Integers
    real_in_fake_balls: Integers
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

    @property
    def sizes(self) -> dict[Side, int]:
        """Rows of each table."""
        return {"real": len(self.within_real), "generated": len(self.within_fake)}

    def __repr__(self) -> str:
        real, fake = self.sizes.values()
        return f"Neighborhoods({real} real, {fake} generated, k = {', '.join(map(str, self.ks))})"


def neighborhoods_of(
    real: Prepared,
    within_real: Nearest,
    fake: torch.Tensor,
    *,
    ks: tuple[int, ...],
    cover: int,
    dimension: str | float,
    duplicates: Duplicates,
    progress: Progress | None = None,
) -> Neighborhoods:
    """Find who is near whom between prepared real rows and checked generated ones on the same device."""
    n, m = len(real.table), len(fake)
    require_neighbors(m, ks, cover, name="the generated table")
    generated = Prepared(fake, like=real)  # placed once, for both passes
    within_fake = within(generated, depth_within(m, ks, cover), progress=_named(progress, "generated neighbours"))
    columns = [k - 1 for k in ks]
    crossing = across(
        real,
        generated,
        min(max(ks) + 1, n, m),
        radii_x=within_real.distances[:, columns],
        radii_y=within_fake.distances[:, columns],
        progress=_named(progress, "real and generated"),
    )
    return Neighborhoods(
        within_real=as_neighbors(within_real),
        within_fake=as_neighbors(within_fake),
        real_to_fake=as_neighbors(crossing.of_x),
        fake_to_real=as_neighbors(crossing.of_y),
        fake_in_real_balls=crossing.y_in_balls_of_x.cpu().numpy(),
        real_in_fake_balls=crossing.x_in_balls_of_y.cpu().numpy(),
        ks=ks,
        k=ks[0] if len(ks) == 1 else None,
        cover=cover,
        dimension=_as_dimension(dimension, fake.shape[1], within_real),
        duplicates=duplicates,
    )


def neighbors_within_real(
    real: Prepared, ks: Sequence[int], cover: int, *, progress: Progress | None = None
) -> Nearest:
    """Find the neighbours within the real table that a comparison needs."""
    require_neighbors(len(real.table), ks, cover, name="the real table")
    depth = depth_within(len(real.table), ks, cover)
    return within(real, depth, progress=_named(progress, "real neighbours"))


def depth_within(rows: int, ks: Sequence[int], cover: int) -> int:
    """How many neighbours within a table of so many rows a comparison needs.

    Those of the widest cover and one more, which steps in where the standard error asks what would be without one;
    and two for the intrinsic dimension.
    """
    return min(max(cover * max(ks) + 1, 2), rows - 1)


def require_neighbors(rows: int, ks: Sequence[int], cover: int, *, name: str) -> None:
    """Raise an InputError unless every one of so many rows has cover * k others."""
    product = f"cover * k = {cover} * {max(ks)}"
    require_enough(rows, cover * max(ks), name=name, without_self=True, product=product)


def _as_dimension(dimension: str | float, columns: int, within_real: Nearest) -> float:
    if dimension == "intrinsic":
        rows = len(within_real.distances)
        if rows < 3:
            raise InputError(f"dimension='intrinsic' needs at least 3 real rows; there are {rows}.")
        return intrinsic_dimension(within_real.distances.cpu().numpy())
    return float(columns if dimension == "ambient" else dimension)


def _named(progress: Progress | None, name: str) -> Steps | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
