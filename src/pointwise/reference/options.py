"""Options of a comparison, checked once, at the door."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from pointwise._options import number, one_of, whole_number
from pointwise.errors import InputError
from pointwise.neighbors.passes import sweep_named
from pointwise.summaries.neighborhoods import DUPLICATES, Duplicates


@dataclass(frozen=True)
class Options:
    """What a comparison may be asked for, checked; see `evaluate`."""

    ks: tuple[int, ...]
    cover: int
    dimension: str | float
    duplicates: Duplicates
    device: str | torch.device | None
    engine: str
    seed: int

    @staticmethod
    def checked(
        *,
        k: int | Sequence[int] = 5,
        cover: int = 3,
        dimension: str | float = "ambient",
        duplicates: str = "raise",
        device: str | torch.device | None = None,
        engine: str = "auto",
        seed: int = 0,
    ) -> Options:
        """Return the options, or raise an InputError where one is out of its range."""
        ks = tuple(k) if isinstance(k, Iterable) else (k,)
        if not ks:
            raise InputError("k is empty; give one number of neighbours or several, 5 or (3, 5, 10) say.")
        if not isinstance(dimension, str) or dimension not in ("ambient", "intrinsic"):
            try:
                dimension = number(dimension, "dimension", above=0, most=1e9)
            except InputError:
                raise InputError(
                    f"dimension is {dimension!r}; it must be 'ambient', 'intrinsic' or a positive number."
                ) from None
        sweep_named(engine)
        return Options(
            ks=tuple(dict.fromkeys(whole_number(value, "k") for value in ks)),
            cover=whole_number(cover, "cover"),
            dimension=dimension,
            duplicates=cast(Duplicates, one_of(duplicates, "duplicates", DUPLICATES)),
            device=device,
            engine=engine,
            seed=whole_number(seed, "seed", least=0),
        )
