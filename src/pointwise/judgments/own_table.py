"""A table of one's own: human ratings and scores of metrics, item by item, in a file of rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointwise._files import reading
from pointwise._types import Floats
from pointwise.errors import InputError
from pointwise.metrics.registry import closest_names
from pointwise.tables.rows import KINDS, READERS, open_rows


@dataclass(frozen=True, eq=False)
class OwnTable:
    """What people and metrics said of the same n items."""

    human: Floats  # [n, r], a column for each rater, nan where one did not rate
    scores: dict[str, Floats]  # metric -> [n]
    groups: list[str] | None  # [n]
    left_out: tuple[str, ...] = ()  # a sentence for each column that looks like one of scores and cannot be


def read_own_table(
    path: str | Path, *, human: Sequence[str], metrics: Sequence[str] | None = None, group: str | None = None
) -> OwnTable:
    """Read the columns of ratings, one for each rater, of scores, and of the groups of items that belong together.

    The file is a .csv or .tsv with a header, a .jsonl with an object a line, a .json list of them, or a .parquet. Where
    no metrics are named they are all other columns that hold numbers alone, and not one number alone.
    """
    path = Path(path)
    if not human:
        raise InputError("no column of ratings is named; give one for each rater.")
    columns = _read(path)
    named = [*human, *(metrics or ()), *([] if group is None else [group])]
    for name in named:
        if name not in columns:
            raise InputError(
                f"{path} has no column {name!r}{closest_names(name, columns)}; its columns are {', '.join(columns)}."
            )
    numbers = {name: np.array([_number(value) for value in values]) for name, values in columns.items()}
    chosen = list(dict.fromkeys(metrics or ()))
    left_out = []
    if metrics is None:
        others = [name for name in columns if name not in named and np.isfinite(numbers[name]).any()]
        reasons = {name: _why_left_out(columns[name], numbers[name]) for name in others}
        chosen = [name for name, why in reasons.items() if why is None]
        left_out = [f"column {name!r} of {path} is left out: {why}." for name, why in reasons.items() if why]
    if not chosen:
        raise InputError(
            f"{path} has no column of numbers beside {', '.join(named)}; add one for each metric."
            + "".join(f" ({sentence})" for sentence in left_out)
        )
    raters = list(dict.fromkeys(human))
    allowed = [(name, ~np.isinf(numbers[name])) for name in raters]  # nan where one did not rate
    allowed += [(name, np.isfinite(numbers[name])) for name in chosen]
    for name, good in allowed:
        if not good.all():
            row = int(good.argmin())
            raise InputError(f"{path}: column {name!r} has {columns[name][row]!r} in row {row}; it must hold numbers.")
    groups = None if group is None else ["" if value is None else str(value).strip() for value in columns[group]]
    if groups and "" in groups:
        raise InputError(
            f"{path}: column {group!r} is empty in {groups.count('')} of {len(groups)} rows, the first is row "
            f"{groups.index('')}; name the group of each row."
        )
    ratings = np.stack([numbers[name] for name in raters], axis=1)
    return OwnTable(ratings, {name: numbers[name] for name in chosen}, groups, tuple(left_out))


def _read(path: Path) -> dict[str, list[Any]]:
    if path.suffix.lower() not in READERS:
        raise InputError(f"{path} has the suffix {path.suffix!r}; a table of ratings is one of {', '.join(READERS)}.")
    with reading(f"{path} cannot be read"):
        rows = open_rows(path)
        names = [name for name, kind in zip(rows.names, rows.kinds, strict=True) if kind in KINDS]
        if len(set(names)) < len(names):
            raise InputError(f"it has two columns of one name; its columns are {', '.join(names)}.")
        return dict(zip(names, rows.read(names)[0], strict=True))


def _number(value: Any) -> float:
    """The value as a number, nan where it is missing, inf where it is something else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    try:
        return math.inf if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.inf


def _why_left_out(values: Sequence[Any], numbers: Floats) -> str | None:
    """Why a column that has numbers is no column of scores."""
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        first = values[bad[0]]
        return f"{len(bad)} of its {len(values)} rows hold no number, the first is row {bad[0]} ({first!r})"
    return f"it is {values[0]} in all {len(values)} rows" if (numbers == numbers[0]).all() else None
