"""compare: several generators in their order, each as evaluate has it, and errors that say whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

import pointwise as pw
from pointwise.metrics.registry import METRICS

ALONE = [name for name, row in METRICS.items() if row.of != "pair"]


def rows(n: int = 60, d: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


class Watched(Mapping[str, np.ndarray]):
    """A mapping that notes which table is asked for, and when."""

    def __init__(self, tables: Mapping[str, np.ndarray]) -> None:
        self.tables, self.asked = tables, []

    def __getitem__(self, name: str) -> np.ndarray:
        self.asked.append(name)
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


def test_every_generator_has_what_evaluate_gives_it_in_the_order_given():
    real = pw.FeatureTable(rows(), modes=["a", "b"] * 30, meta={"encoder": "e"})
    generators = {"z": rows(50, seed=1), "a": pw.FeatureTable(rows(40, seed=2), meta={"encoder": "f"})}
    comparison = pw.compare(real, generators, k=(3, 5), cover=2, duplicates="floor", seed=4)
    assert list(comparison) == ["z", "a"]
    for name, fake in generators.items():
        alone = pw.evaluate(real, fake, k=(3, 5), cover=2, duplicates="floor", seed=4)
        assert comparison[name].provenance == {"generator": name, **alone.provenance}
        assert comparison[name].warnings == alone.warnings
        assert list(comparison[name]) == list(alone)
        for key, score in alone.scores.items():
            other = comparison[name].scores[key]
            assert (score.value, score.standard_error, score.of) == (other.value, other.standard_error, other.of)
            if score.per_sample is not None:
                np.testing.assert_array_equal(score.per_sample, other.per_sample)
    assert "their features cannot be compared" in comparison["a"].warnings[0]
    assert list(comparison["z"]["rce", 3].by_mode()) == ["a", "b"]


def test_a_reference_serves_several_comparisons():
    reference = pw.Reference(rows())
    first = pw.compare(reference, {"a": rows(50, seed=1)}, metrics=ALONE)
    made = reference.made()
    second = pw.compare(reference, {"b": rows(50, seed=2), "a": rows(50, seed=1)}, metrics=ALONE)
    assert reference.made() == made
    assert first["a"].to_dict() == second["a"].to_dict()


def test_tables_are_asked_for_one_after_the_other():
    generators = Watched({"a": rows(50, seed=1), "b": rows(40, seed=2)})
    seen = []
    reference = pw.Reference(rows(), progress=lambda what, done, total: seen.append((what, tuple(generators.asked))))
    pw.compare(reference, generators, metrics=["pce", "kid"])
    assert generators.asked == ["a", "b"]
    assert list(dict.fromkeys(seen)) == [
        ("real neighbours", ()),
        ("generated neighbours", ("a",)),
        ("real and generated", ("a",)),
        ("moments, kernels and pairs", ("a",)),
        ("generated neighbours", ("a", "b")),
        ("real and generated", ("a", "b")),
        ("moments, kernels and pairs", ("a", "b")),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0; it must be a whole number of at least 1"),
        ({"cover": 0}, "cover is 0; it must be"),
        ({"dimension": -3}, "dimension is -3; it must be 'ambient', 'intrinsic' or a positive number"),
        ({"duplicates": "drop"}, "duplicates is 'drop'; it must be one of 'raise', 'floor', 'keep'"),
        ({"engine": "quantum"}, "engine is 'quantum'; it must be one of 'auto', 'torch'"),
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"metrics": ["pc"]}, r"there is no metric 'pc' \(did you mean 'pce'\?\)"),
        ({"metrics": []}, "metrics is empty"),
    ],
)
def test_options_are_checked_before_any_table_is_asked_for(options, message):
    generators = Watched({"a": rows(50, seed=1), "b": rows(40, seed=2)})
    with pytest.raises(pw.InputError, match=message):
        pw.compare(rows(), generators, **options)
    assert generators.asked == []


@pytest.mark.parametrize("generators", [{}, [rows(50)], None, {1: rows(50)}, rows(50)])
def test_what_is_no_mapping_of_names_is_refused(generators):
    with pytest.raises(
        pw.InputError, match=r"generators must be a mapping of at least one name to a table, as \{'a': "
    ):
        pw.compare(rows(), generators)


SPOILT = {
    "width": (rows(50, 2), "the real table has 3 feature columns but the generated table has 2"),
    "few": (rows(10, seed=1), "the generated table has 10 rows, which is too few for cover"),
    "nan": (np.full((50, 3), np.nan), "fake has NaN or inf in 50 of 50 rows"),
    "no table": ("fake.npz", "fake is a str; it must be a NumPy array"),
    "copies": (np.ones((50, 3)), "50 of 50 rows of the generated table have their 5th neighbour at distance zero"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_an_error_names_the_generator_where_there_are_several(case):
    fake, message = SPOILT[case]
    with pytest.raises(pw.InputError, match=f"^shrunk: {message}"):
        pw.compare(rows(), {"good": rows(50, seed=1), "shrunk": fake})
    with pytest.raises(pw.InputError, match=f"^{message}"):
        pw.compare(rows(), {"shrunk": fake})


def test_an_error_of_the_real_table_names_no_generator():
    for generators in ({"a": rows(50, seed=1)}, {"a": rows(50, seed=1), "b": rows(40, seed=2)}):
        with pytest.raises(pw.InputError, match=r"^the real table has 10 rows, which is too few for cover"):
            pw.compare(rows(10), generators)
    with pytest.raises(pw.InputError, match=r"^real has NaN or inf"):
        pw.compare(np.full((60, 3), np.nan), generators)


def test_what_one_generator_lacks_is_left_out_of_it_alone():
    zero = rows(50, seed=1)
    zero[3] = 0
    comparison = pw.compare(rows(), {"zero": zero, "whole": rows(50, seed=2)})
    assert "cmmd" not in comparison["zero"]
    assert comparison["zero"].warnings[0].startswith("cmmd is left out: 1 of 50 rows of the generated table are all z")
    assert "cmmd" in comparison["whole"]
    assert comparison["whole"].warnings == ()
    assert [name for name, _ in comparison.difference("zero", "whole")] == [name for name in ALONE if name != "cmmd"]
