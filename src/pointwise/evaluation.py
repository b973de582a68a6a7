"""Evaluation: all scores of one comparison, with where they came from, to and from JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointwise import document
from pointwise.document import Document, Key, Part
from pointwise.errors import InputError, MissingExtra
from pointwise.metrics.registry import METRICS, closest_names
from pointwise.score import Score

if TYPE_CHECKING:
    import pandas


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
        if not isinstance(key, str) and not (isinstance(key, tuple) and len(key) == 2):
            raise InputError(f"{key!r} is no key of an evaluation; ask for evaluation['pce'] or evaluation['pce', 3].")
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
        name = str(self.provenance.get("generator", "generated"))
        document.write(path, Document({name: Part(self.scores, self.provenance, self.warnings)}, {}))

    @staticmethod
    def from_json(path: str | Path) -> Evaluation:
        """Read what `to_json` wrote, or the one evaluation of a `Comparison`.

        Raises:
            InputError: the file cannot be read, is something else, or holds several.
        """
        parts = document.read(path).parts
        if len(parts) > 1:
            raise InputError(
                f"{path} holds {len(parts)} evaluations; choose one as Comparison.from_json(path)[name], of "
                f"{', '.join(parts)}."
            )
        scores, provenance, warnings = next(iter(parts.values()))
        return Evaluation(scores, provenance, warnings=warnings)

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
        score, row = self.scores[key], METRICS.get(key[0])
        low, high = score.interval()
        numbers = {"value": score.value, "standard_error": score.standard_error, "low": low, "high": high}
        return {
            "metric": key[0],
            "k": key[1],
            **numbers,
            "unit": row and row.unit,
            "better": row and row.better,
            "of": score.of,
        }

    def __repr__(self) -> str:
        lines = [f"  {self.label(key):24} {score.value:12.6g}" for key, score in self.scores.items()]
        return "Evaluation(\n" + "\n".join(lines) + "\n)"
