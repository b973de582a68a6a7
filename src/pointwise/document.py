"""The one JSON document of results: the scores of one or several generators, and their paired differences.

``{"format": "pointwise.comparison/1", "evaluations": {generator: {"provenance", "warnings", "scores"}}, "differences":
[...], "columns": [...]}``. A score has its value, standard error, interval, unit and target, a row for each mode, and
the positions of its columns: values per sample, ids, modes and captions, which scores share and which are written once.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointwise._files import atomic_write
from pointwise._types import Column
from pointwise.errors import InputError
from pointwise.metrics.registry import METRICS
from pointwise.score import WHOLE, Score, as_json

FORMAT = "pointwise.comparison/1"
Key = tuple[str, int | None]  # the name of a metric, and k where it is of neighbours
Scores = Mapping[Key, Score]

_COLUMNS = ("per_sample", "ids", "modes", "captions", "groups")


class Part(NamedTuple):
    """What a document holds of one generator."""

    scores: Scores
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]


class Document(NamedTuple):
    """What a document holds: parts by generator, and differences by the two generators."""

    parts: Mapping[str, Part]
    differences: Mapping[tuple[str, str], Scores]


def to_json(document: Document) -> str:
    """Return the text of a document; floats keep every digit."""
    columns = _Shared()
    evaluations = {
        name: {
            "provenance": part.provenance,
            "warnings": list(part.warnings),
            "scores": [_plain(key, score, columns) for key, score in part.scores.items()],
        }
        for name, part in document.parts.items()
    }
    differences = [
        {
            "first": first,
            "second": second,
            "metric": name,
            "k": k,
            "of": score.of,
            **score.to_dict(),
            "p_value": as_json(score.p_value),
        }
        for (first, second), scores in document.differences.items()
        for (name, k), score in scores.items()
    ]
    content = {"format": FORMAT, "evaluations": evaluations, "differences": differences, "columns": columns.written}
    return json.dumps(content, allow_nan=False)


def write(path: str | Path, document: Document) -> None:
    """Write a document to a file, whole or not at all."""
    content = to_json(document).encode()
    with atomic_write(path) as file:
        file.write(content)


def read(path: str | Path) -> Document:
    """Read what `write` wrote."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as an evaluation ({error}).") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is JSON but not an evaluation that pointwise wrote (format {FORMAT!r}).")
    if not content.get("evaluations"):
        raise InputError(f"{path} has the format of evaluations but holds none; write it again.")
    try:
        columns = [_column(stored) for stored in content["columns"]]
        parts = {
            name: Part(
                {(row["metric"], row["k"]): _score(row, columns) for row in stored["scores"]},
                stored["provenance"],
                tuple(stored["warnings"]),
            )
            for name, stored in content["evaluations"].items()
        }
        differences: dict[tuple[str, str], dict[Key, Score]] = {}
        for row in content["differences"]:
            of_two = differences.setdefault((row["first"], row["second"]), {})
            errors = {WHOLE: _number(row["standard_error"])}
            of_two[row["metric"], row["k"]] = Score(_number(row["value"]), of=row["of"], errors=errors)
        return Document(parts, differences)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is an evaluation whose content is damaged ({type(error).__name__}: {error}); write it again."
        ) from None


class _Shared:
    """Columns that are written once, however many scores have them."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self._places: dict[tuple[str, bytes], int] = {}

    def place(self, column: Column | None) -> int | None:
        if column is None:
            return None
        key = (column.dtype.str, column.tobytes())
        if key not in self._places:
            self._places[key] = len(self.written)
            kind = {"f": "float", "i": "int", "U": "str"}[column.dtype.kind]
            values = column.tolist()
            if kind == "float" and not np.isfinite(column).all():
                values = [as_json(value) for value in values]
            self.written.append({"type": kind, "values": values})
        return self._places[key]


def _plain(key: Key, score: Score, columns: _Shared) -> dict[str, Any]:
    by_mode = score.by_mode() if score.modes is not None and score.per_sample is not None else {}
    row = METRICS.get(key[0])
    return {
        "metric": key[0],
        "k": key[1],
        **score.to_dict(),
        "unit": row.unit if row else None,
        "target": row.target if row else None,
        "of": score.of,
        "kind": score.kind,
        **{name: columns.place(getattr(score, name)) for name in _COLUMNS},
        "by_mode": [{"mode": mode, **of_mode.to_dict()} for mode, of_mode in by_mode.items()],
    }


def _score(row: Mapping[str, Any], columns: list[Column]) -> Score:
    of_modes = {of_mode["mode"]: _number(of_mode["standard_error"]) for of_mode in row["by_mode"]}
    shared: dict[str, Any] = {name: None if row[name] is None else columns[row[name]] for name in _COLUMNS}
    errors = {WHOLE: _number(row["standard_error"]), **of_modes}
    return Score(_number(row["value"]), of=row["of"], kind=row["kind"], errors=errors, **shared)


def _number(value: float | str | None) -> float:
    return float("nan" if value is None else value)


def _column(stored: Mapping[str, Any]) -> Column:
    if stored["type"] == "float":
        return np.array([_number(value) for value in stored["values"]], dtype=np.float64)
    return np.array(stored["values"], dtype=np.int64 if stored["type"] == "int" else str)
