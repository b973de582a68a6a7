"""Comparison: several generators against one reference, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointwise import document
from pointwise.document import Document, Part, Scores
from pointwise.errors import InputError, MissingExtra
from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import closest_names

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Mapping[str, Evaluation]):
    """The evaluations of several generators against one reference, by name, and the paired differences of each two.

    Args:
        evaluations: of each generator, in the order they were given.
        stored: differences that were read from a file, where the evaluations come from one.

    ``comparison["a"]`` is the evaluation of a generator, ``comparison.difference("a", "b")["rce"]`` what a scores above
    b, with the error of the difference: what both owe to the same real samples cancels.

    >>> import numpy as np
    >>> import pointwise as pw
    >>> real, a, b = np.random.default_rng(0).normal(size=(3, 300, 4))
    >>> comparison = pw.compare(real, {"a": a, "b": b / 2}, metrics=["rce", "re"])
    >>> comparison.difference("a", "b")["re"].interval()[0] > 0  # b has shrunk
    True
    """

    evaluations: Mapping[str, Evaluation]
    _: KW_ONLY
    stored: Mapping[tuple[str, str], Scores] | None = None

    def __post_init__(self) -> None:
        if not self.evaluations:
            raise InputError("a comparison needs the evaluation of at least one generator, {'a': evaluation} say.")

    def __getitem__(self, name: str) -> Evaluation:
        if name not in self.evaluations:
            hint = closest_names(name, self.evaluations)
            raise InputError(f"there is no generator {name!r}{hint}; there are {', '.join(self.evaluations)}.")
        return self.evaluations[name]

    def __contains__(self, name: object) -> bool:
        return name in self.evaluations

    def get(self, name: str, default: Any = None) -> Any:  # that of Mapping waits for a KeyError
        """Return the evaluation of a generator, or the default where there is no such one."""
        return self.evaluations.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.evaluations)

    def __len__(self) -> int:
        return len(self.evaluations)

    def difference(self, first: str, second: str) -> Evaluation:
        """Return the first generator's scores less the second's: of each metric a `Score` with its paired error.

        Raises:
            InputError: there is no such generator, or the comparison comes from a file that lacks these two.
        """
        one, other = self[first], self[second]
        both = {"first": first, "second": second}
        if self.stored is None:
            scores = {
                key: score.difference(other.scores[key]) for key, score in one.scores.items() if key in other.scores
            }
            return Evaluation(scores, both)
        if (first, second) in self.stored:
            return Evaluation(self.stored[first, second], both)
        if (second, first) in self.stored:
            return Evaluation({key: score.scaled(-1) for key, score in self.stored[second, first].items()}, both)
        raise InputError(f"the file of this comparison holds no differences of {first!r} and {second!r}.")

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], Evaluation]:
        """The difference of each two generators, in their order."""
        return {pair: self.difference(*pair) for pair in combinations(self.evaluations, 2)}

    def notes(self) -> Iterator[str]:
        """Yield what a reader of the scores of alignment should know; it is the same for all generators."""
        provenances = [evaluation.provenance for evaluation in self.values()]
        about = next((each["reference_pairs"] for each in provenances if "reference_pairs" in each), None)
        if about is not None and about["reduce"] is not None:
            widths = [min(width, about["reduce"]) for width in about["columns"]]
            kept = [f"{share:.1%}" for share in about["kept_variance"]]
            yield (
                f"mid is of {widths[0]} + {widths[1]} principal axes of {about['pairs']} reference pairs; they keep "
                f"{kept[0]} of the samples' and {kept[1]} of the texts' variance."
            )
        learned = next((each["learned"]["calibration"] for each in provenances if "learned" in each), None)
        if learned is not None:
            yield (
                f"kme_pmi of {learned['pairs']} real pairs that were not learned from is "
                f"{learned['mutual_information']:.3g} nats; its constant has the standard error "
                f"{learned['constant_error']:.2g}, which moves all generators alike."
            )

    def to_json(self, path: str | Path) -> None:
        """Write all of it to a JSON file, whole or not at all; floats keep every digit.

        Raises:
            InputError: the path cannot be written.
        """
        document.write(path, self.document())

    def document(self) -> Document:
        """Return the content of the JSON document."""
        parts = {
            name: Part(evaluation.scores, evaluation.provenance, evaluation.warnings)
            for name, evaluation in self.items()
        }
        return Document(parts, {pair: scores.scores for pair, scores in self.differences.items()})

    @staticmethod
    def from_json(path: str | Path) -> Comparison:
        """Read what `to_json` or ``pointwise compare --json`` wrote.

        Raises:
            InputError: the file cannot be read, or is something else.
        """
        parts, differences = document.read(path)
        evaluations = {
            name: Evaluation(part.scores, part.provenance, warnings=part.warnings) for name, part in parts.items()
        }
        return Comparison(evaluations, stored=differences)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a pandas table with one row per generator and metric.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtra("pandas", extra="pandas") from None
        tables = [evaluation.to_dataframe().assign(generator=name) for name, evaluation in self.items()]
        joined = pandas.concat(tables, ignore_index=True)
        return joined[["generator", *(column for column in joined if column != "generator")]]

    def __repr__(self) -> str:
        lines = [f"{name}: {evaluation!r}" for name, evaluation in self.items()]
        return "Comparison(\n" + "\n".join(lines) + "\n)"
