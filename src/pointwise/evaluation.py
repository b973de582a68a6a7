"""Evaluation: all scores of one comparison, with where they came from, to and from JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointwise._arrays import Column
from pointwise._files import atomic_write
from pointwise.errors import InputError, MissingExtra
from pointwise.metrics.registry import METRICS, closest_names
from pointwise.score import Score

if TYPE_CHECKING:
    import pandas

_FORMAT = "pointwise.evaluations/1"
Key = tuple[str, int | None]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """All scores of one comparison of a real and a generated table.

    Args:
        scores: (metric name, k) -> Score; k is None for metrics without neighbours.
        provenance: versions, sizes, settings, encoders and fingerprints of what was compared.
        warnings: sentences about what a reader of the numbers should know.

    ``evaluation["pce"]`` is the score of a metric, ``evaluation["pce", 3]`` that at k = 3 where several were asked for.

    >>> evaluation = Evaluation({("precision", 3): Score(0.5), ("precision", 5): Score(0.75)}, {})
    >>> evaluation["precision", 5].value, evaluation.to_dict()
    (0.75, {'precision@3': 0.5, 'precision@5': 0.75})
    """

    scores: Mapping[Key, Score]
    provenance: Mapping[str, Any]
    _: KW_ONLY
    warnings: tuple[str, ...] = ()

    def __getitem__(self, key: str | tuple[str, int]) -> Score:
        name, k = (key, None) if isinstance(key, str) else key
        ks = [other for metric, other in self.scores if metric == name]
        if not ks:
            computed = ", ".join(dict.fromkeys(metric for metric, _ in self.scores))
            hint = closest_names(name, [metric for metric, _ in self.scores])
            raise InputError(f"{name!r} is not in this evaluation{hint}; it holds {computed}.")
        if k is None and len(ks) == 1:
            return self.scores[name, ks[0]]
        if (name, k) in self.scores:
            return self.scores[name, k]
        if ks == [None]:
            raise InputError(f"{name} has no k; ask for it as evaluation[{name!r}].")
        which = ", ".join(map(str, ks))
        raise InputError(f"{name} was computed at k = {which}; ask for it as evaluation[{name!r}, {ks[0]}].")

    def __contains__(self, key: object) -> bool:
        return key in self.scores or any(name == key for name, _ in self.scores)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def to_dict(self) -> dict[str, float]:
        """Return {name: value}; where several k were asked for, names read "pce@3"."""
        return {self.label(key): score.value for key, score in self.scores.items()}

    def label(self, key: Key) -> str:
        """Return the flat name of one score: "pce", or "pce@3" where there are several k."""
        name, k = key
        return name if k is None or sum(metric == name for metric, _ in self.scores) == 1 else f"{name}@{k}"

    def to_json(self, path: str | Path) -> None:
        """Write all of it to a JSON file, whole or not at all; floats keep every digit.

        Raises:
            InputError: the path cannot be written.
        """
        content = evaluations_to_json([self]).encode()
        with atomic_write(path) as file:
            file.write(content)

    @staticmethod
    def from_json(path: str | Path, *, index: int | None = None) -> Evaluation:
        """Read what `to_json` or ``pointwise compare --json`` wrote; index chooses where the file holds several.

        Raises:
            InputError: the file cannot be read, is something else, or holds several and no index was given.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path} cannot be read as an evaluation ({error}).") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise InputError(f"{path} is JSON but not an evaluation that pointwise wrote (format {_FORMAT!r}).")
        stored = content.get("evaluations")
        if not isinstance(stored, list) or not stored:
            raise InputError(f"{path} has the format of evaluations but holds none; write it again.")
        if index is None and len(stored) > 1:
            raise InputError(f"{path} holds {len(stored)} evaluations; choose one with index=0 to {len(stored) - 1}.")
        if not 0 <= (index or 0) < len(stored):
            last = f" to {len(stored) - 1}" if len(stored) > 1 else ""
            raise InputError(f"{path} holds {len(stored)} evaluations; index is {index}, it must be 0{last}.")
        try:
            return _from_plain(stored[index or 0])
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} is an evaluation whose content is damaged ({type(error).__name__}: {error}); write it again."
            ) from None

    def to_dataframe(self, *, of: str | None = None) -> pandas.DataFrame:
        """Return a pandas table: one row per metric, or with of="real", "generated" or "pair" one row per sample.

        Raises:
            MissingExtra: pandas is not installed.
            InputError: no score has values per sample of that table.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtra("pandas", extra="pandas") from None
        if of is None:
            return pandas.DataFrame([self._row(key) for key in self.scores]).astype({"k": "Int64"})
        chosen = {key: score for key, score in self.scores.items() if score.of == of and score.per_sample is not None}
        if not chosen:
            there = dict.fromkeys(repr(score.of) for score in self.scores.values() if score.per_sample is not None)
            raise InputError(
                f"of is {of!r}, but no score here has a value per sample of that"
                + (f"; there are values per sample of {' and '.join(there)}." if there else ", nor of anything else.")
            )
        first = next(iter(chosen.values()))
        columns: dict[str, Any] = {}
        for name, column in (("id", first.ids), ("mode", first.modes), ("caption", first.captions)):
            if column is not None:
                columns[name] = column
        return pandas.DataFrame(columns | {self.label(key): score.per_sample for key, score in chosen.items()})

    def _row(self, key: Key) -> dict[str, Any]:
        score, row = self.scores[key], METRICS[key[0]]
        low, high = score.interval()
        return {
            "metric": key[0],
            "k": key[1],
            "value": score.value,
            "standard_error": score.standard_error,
            "low": low,
            "high": high,
            "unit": row.unit,
            "better": row.better,
            "of": score.of,
        }

    def __repr__(self) -> str:
        lines = [f"  {self.label(key):24} {score.value:12.6g}" for key, score in self.scores.items()]
        return "Evaluation(\n" + "\n".join(lines) + "\n)"


def evaluations_to_json(evaluations: Sequence[Evaluation]) -> str:
    """Return the JSON text of several evaluations, in the one format that `Evaluation.from_json` reads."""
    return json.dumps(
        {"format": _FORMAT, "evaluations": [_to_plain(evaluation) for evaluation in evaluations]}, allow_nan=False
    )


def _to_plain(evaluation: Evaluation) -> dict[str, Any]:
    """Columns that many scores share (ids, modes) are written once and named by their position."""
    shared: list[Any] = []
    positions: dict[int, int] = {}

    def place(column: np.ndarray[Any, Any] | None) -> int | None:
        if column is None:
            return None
        if id(column) not in positions:
            same = next((i for i, other in enumerate(shared) if _same(other, column)), None)
            positions[id(column)] = len(shared) if same is None else same
            if same is None:
                shared.append(column)
        return positions[id(column)]

    scores = [
        {
            "metric": name,
            "k": k,
            "value": _number(score.value),
            "standard_error": _number(score.standard_error),
            "of": score.of,
            "per_sample": place(score.per_sample),
            "modes": place(score.modes),
            "mode_standard_errors": _pairs(score.mode_standard_errors),
            "ids": place(score.ids),
            "captions": place(score.captions),
        }
        for (name, k), score in evaluation.scores.items()
    ]
    return {
        "provenance": evaluation.provenance,
        "warnings": list(evaluation.warnings),
        "scores": scores,
        "columns": [_values(column) for column in shared],
    }


def _from_plain(stored: Mapping[str, Any]) -> Evaluation:
    columns = [_column(values) for values in stored["columns"]]

    def column(position: int | None) -> Any:
        return None if position is None else columns[position]

    scores = {
        (row["metric"], row["k"]): Score(
            float(row["value"]),
            per_sample=column(row["per_sample"]),
            of=row["of"],
            standard_error=float(row["standard_error"]),
            modes=column(row["modes"]),
            ids=column(row["ids"]),
            captions=column(row.get("captions")),
            mode_standard_errors=_mapping(row["mode_standard_errors"]),
        )
        for row in stored["scores"]
    }
    return Evaluation(scores, stored["provenance"], warnings=tuple(stored["warnings"]))


def _pairs(errors: Mapping[Any, float] | None) -> list[list[Any]] | None:
    """JSON has only strings as keys, and modes may be integers."""
    return None if errors is None else [[mode, _number(error)] for mode, error in errors.items()]


def _mapping(pairs: list[list[Any]] | None) -> dict[Any, float] | None:
    return None if pairs is None else {mode: float(error) for mode, error in pairs}


def _same(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and bool((left == right).all())


def _number(value: float) -> float | str:
    """JSON has no infinities and no nan: they are written as the strings that float() reads."""
    return value if math.isfinite(value) else str(value)


def _values(column: np.ndarray[Any, Any]) -> dict[str, Any]:
    kind = {"f": "float", "i": "int", "U": "str"}[column.dtype.kind]
    values = column.tolist()
    return {"type": kind, "values": [_number(value) for value in values] if kind == "float" else values}


def _column(stored: Mapping[str, Any]) -> Column:
    if stored["type"] == "float":
        return np.array([float(value) for value in stored["values"]], dtype=np.float64)
    return np.array(stored["values"], dtype=np.int64 if stored["type"] == "int" else str)
