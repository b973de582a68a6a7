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

from pointwise.data.caption_json import parsed_json
from pointwise.errors import InputError
from pointwise.judgments.protocol import Values
from pointwise.judgments.tree import read_text
from pointwise.metrics.registry import closest_names

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_Columns = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class OwnTable:
    """What people and metrics said of the same items.

    Attributes:
        human: float64 [n, r], a column for each rater, nan where one did not rate.
        scores: metric -> float64 [n].
        groups: [n], or None.
    """

    human: Values
    scores: dict[str, Values]
    groups: list[str] | None


def read_own_table(
    path: str | Path, *, human: Sequence[str], metrics: Sequence[str] | None = None, group: str | None = None
) -> OwnTable:
    """Read the columns of ratings, of scores, and of groups.

    Args:
        path: .csv or .tsv with a header, .jsonl with an object a line, or .parquet.
        human: the columns of ratings, one for each rater.
        metrics: the columns of scores; None for all other columns that hold numbers alone.
        group: the column that says which items belong together, such as the image.

    Raises:
        InputError: the file cannot be read, a column is not there or holds something else than numbers.
    """
    path = Path(path)
    columns = _read(path)
    named = [*human, *(metrics or ()), *([] if group is None else [group])]
    for name in named:
        if name not in columns:
            raise InputError(
                f"{path} has no column {name!r}{closest_names(name, columns)}; its columns are {', '.join(columns)}."
            )
    others = [name for name in columns if name not in named and _are_numbers(columns[name])]
    chosen = others if metrics is None else list(metrics)
    if not chosen:
        raise InputError(f"{path} has no column of numbers beside {', '.join(named)}; add one for each metric.")
    return OwnTable(
        np.stack([_numbers(columns[name], name, path, missing=True) for name in human], axis=1),
        {name: _numbers(columns[name], name, path, missing=False) for name in chosen},
        None if group is None else [str(value) for value in columns[group]],
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
    if len(set(names)) < len(names):
        raise InputError(f"{path} has two columns of one name; its columns are {', '.join(names)}.")
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
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as a .parquet file ({str(error).splitlines()[0]}).") from None
    return {name: table[name].to_pylist() for name in table.column_names}


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


def _are_numbers(values: Sequence[Any]) -> bool:
    return all((number := _number(value)) is not None and math.isfinite(number) for value in values)


def _numbers(values: Sequence[Any], name: str, path: Path, *, missing: bool) -> Values:
    numbers = [_number(value) for value in values]
    for row, (value, number) in enumerate(zip(values, numbers, strict=True)):
        if number is None or not (math.isfinite(number) or (missing and math.isnan(number))):
            raise InputError(f"{path}: column {name!r} has {value!r} in row {row}; it must hold numbers.")
    return np.asarray(numbers, dtype=np.float64)
