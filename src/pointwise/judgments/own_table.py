"""A table of one's own: human ratings and scores of metrics, item by item, in a file of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
    chosen = list(dict.fromkeys(metrics or ()))
    sentences: tuple[str, ...] = ()
    if metrics is None:
        others = {name: values for name, values in columns.items() if name not in named and _some_number(values)}
        reasons = {name: _why_left_out(values) for name, values in others.items()}
        chosen = [name for name, why in reasons.items() if why is None]
        sentences = tuple(f"column {name!r} of {path} is left out: {why}." for name, why in reasons.items() if why)
    if not chosen:
        raise InputError(
            f"{path} has no column of numbers beside {', '.join(named)}; add one for each metric."
            + "".join(f" ({sentence})" for sentence in sentences)
        )
    return OwnTable(
        np.stack([_numbers(columns[name], name, path, missing=True) for name in dict.fromkeys(human)], axis=1),
        {name: _numbers(columns[name], name, path, missing=False) for name in chosen},
        None if group is None else _groups(columns[group], group, path),
        sentences,
    )


def _read(path: Path) -> dict[str, list[Any]]:
    if path.suffix.lower() not in READERS:
        raise InputError(f"{path} has the suffix {path.suffix!r}; a table of ratings is one of {', '.join(READERS)}.")
    try:
        rows = open_rows(path)
        names = [name for name, kind in zip(rows.names, rows.kinds, strict=True) if kind in KINDS]
        if len(set(names)) < len(names):
            raise InputError(f"it has two columns of one name; its columns are {', '.join(names)}.")
        return dict(zip(names, rows.read(names)[0], strict=True))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
    except InputError as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _number(value: Any) -> float:
    """The value as a number, nan where it is missing, inf where it is something else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    try:
        return math.inf if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.inf


def _some_number(values: Sequence[Any]) -> bool:
    return any(math.isfinite(_number(value)) for value in values)


def _why_left_out(values: Sequence[Any]) -> str | None:
    """Why a column that has numbers is no column of scores."""
    numbers = [_number(value) for value in values]
    bad = [i for i, number in enumerate(numbers) if not math.isfinite(number)]
    if bad:
        return f"{len(bad)} of its {len(values)} rows hold no number, the first is row {bad[0]} ({values[bad[0]]!r})"
    return f"it is {values[0]} in all {len(values)} rows" if len(set(numbers)) == 1 else None


def _groups(values: Sequence[Any], name: str, path: Path) -> list[str]:
    groups = ["" if value is None else str(value).strip() for value in values]
    if "" in groups:
        raise InputError(
            f"{path}: column {name!r} is empty in {groups.count('')} of {len(groups)} rows, the first is row "
            f"{groups.index('')}; name the group of each row."
        )
    return groups


def _numbers(values: Sequence[Any], name: str, path: Path, *, missing: bool) -> Floats:
    numbers = np.array([_number(value) for value in values], dtype=np.float64)
    bad = np.isinf(numbers) if missing else ~np.isfinite(numbers)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{path}: column {name!r} has {values[row]!r} in row {row}; it must hold numbers.")
    return numbers
