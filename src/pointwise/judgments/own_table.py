"""A table of one's own: human ratings and scores of metrics, item by item, from .csv, .tsv, .jsonl or .parquet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointwise._types import Floats
from pointwise.errors import InputError
from pointwise.items.caption_json import parsed_json
from pointwise.judgments.tree import read_text
from pointwise.metrics.registry import closest_names
from pointwise.tables.columns import first_line

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_Columns = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class OwnTable:
    """What people and metrics said of the same items.

    Attributes:
        human: float64 [n, r], a column for each rater, nan where one did not rate.
        scores: metric -> float64 [n].
        groups: [n], or None.
        left_out: a sentence for each column that looks like one of scores and cannot be.
    """

    human: Floats
    scores: dict[str, Floats]
    groups: list[str] | None
    left_out: tuple[str, ...] = ()


def read_own_table(
    path: str | Path, *, human: Sequence[str], metrics: Sequence[str] | None = None, group: str | None = None
) -> OwnTable:
    """Read the columns of ratings, of scores, and of groups.

    Args:
        path: .csv or .tsv with a header, .jsonl with an object a line, or .parquet.
        human: the columns of ratings, one for each rater.
        metrics: the columns of scores; None for all other columns that hold numbers alone, and not one number alone.
        group: the column that says which items belong together, such as the image.

    Raises:
        InputError: the file cannot be read, a column is not there or holds something else than numbers, a row belongs
            to no group.
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
    left_out = {}
    chosen = list(dict.fromkeys(metrics or ()))
    if metrics is None:
        others = [name for name in columns if name not in named and _some_number(columns[name])]
        left_out = {name: why for name in others if (why := _why_left_out(columns[name])) is not None}
        chosen = [name for name in others if name not in left_out]
    sentences = tuple(f"column {name!r} of {path} is left out: {why}." for name, why in left_out.items())
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


def _read(path: Path) -> _Columns:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(f"{path} has the suffix {path.suffix!r}; a table of ratings is one of {', '.join(_SUFFIXES)}.")
    if suffix == ".parquet":
        return _read_parquet(path)
    text = read_text(path)
    return (
        _read_objects(text, path) if suffix == ".jsonl" else _read_cells(text, path, "\t" if suffix == ".tsv" else ",")
    )


def _read_cells(text: str, path: Path, separator: str) -> _Columns:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}, cannot be read: {error}.") from None
    if not rows:
        raise InputError(f"{path} is empty; its first line must name the columns.")
    names = [name.strip() for name in rows[0][1]]
    _require_one_of_each(names, path)
    for line, row in rows[1:]:
        if len(row) != len(names):
            raise InputError(f"{path}, line {line}, has {len(row)} cells; the first line names {len(names)} columns.")
    return {name: [row[i] for _, row in rows[1:]] for i, name in enumerate(names)}


def _read_objects(text: str, path: Path) -> _Columns:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parsed_json(line)
        except InputError:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}, is not a JSON object; write one a line.")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(path: Path) -> _Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        dataset = pq.ParquetDataset(path)
        names = [field.name for field in dataset.schema if not _is_heavy(field.type)]
        _require_one_of_each(names, path)
        table = dataset.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as a .parquet file ({first_line(error)}).") from None
    return {name: table[name].to_pylist() for name in names}


def _is_heavy(type_: Any) -> bool:
    """Whether a column may hold pictures, which need not be read."""
    import pyarrow.types as kinds

    tests = (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary, kinds.is_struct)
    return any(is_of_kind(type_) for is_of_kind in tests)


def _require_one_of_each(names: Sequence[str], path: Path) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{path} has two columns of one name; its columns are {', '.join(names)}.")


def _number(value: Any) -> float | None:
    """The value as a number, nan where it is missing, None where it is something else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _some_number(values: Sequence[Any]) -> bool:
    return any((number := _number(value)) is not None and math.isfinite(number) for value in values)


def _why_left_out(values: Sequence[Any]) -> str | None:
    """Why a column that has numbers is no column of scores."""
    numbers = [_number(value) for value in values]
    bad = [i for i, number in enumerate(numbers) if number is None or not math.isfinite(number)]
    if bad:
        return f"{len(bad)} of its {len(values)} rows hold no number, the first is row {bad[0]} ({values[bad[0]]!r})"
    return f"it is {values[0]} in all {len(values)} rows" if len(set(numbers)) == 1 else None


def _groups(values: Sequence[Any], name: str, path: Path) -> list[str]:
    groups = ["" if value is None else str(value).strip() for value in values]
    blank = [row for row, group in enumerate(groups) if not group]
    if blank:
        raise InputError(
            f"{path}: column {name!r} is empty in {len(blank)} of {len(groups)} rows, the first is row {blank[0]}; "
            "name the group of each row."
        )
    return groups


def _numbers(values: Sequence[Any], name: str, path: Path, *, missing: bool) -> Floats:
    numbers = [_number(value) for value in values]
    for row, (value, number) in enumerate(zip(values, numbers, strict=True)):
        if number is None or not (math.isfinite(number) or (missing and math.isnan(number))):
            raise InputError(f"{path}: column {name!r} has {value!r} in row {row}; it must hold numbers.")
    return np.asarray(numbers, dtype=np.float64)
