"""Comparison: a mapping of evaluations, differences paired on the rows that both share, to JSON and back."""

from __future__ import annotations

import json
import math
from itertools import combinations

import numpy as np
import pandas
import pytest

import pointwise as pw
from pointwise.metrics.registry import METRICS
from pointwise.score import WHOLE, Score

DEFAULT = [name for name, row in METRICS.items() if row.by_default]
NAMES = ["a", "b", "c"]


def rows(n: int, d: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def pairs(n: int, *, seed: int, noise: float = 1.0, **columns: object) -> pw.FeatureTable:
    text = rows(n, seed=seed)
    return pw.FeatureTable(text + noise * rows(n, seed=seed + 100), text=text, **columns)


@pytest.fixture(scope="module")
def comparison() -> pw.Comparison:
    """All metrics at two k, modes of integers and of strings, captions, ids of both kinds."""
    real = pairs(120, seed=0, modes=np.arange(120) % 3 - 1, ids=np.arange(120) - 2**60)
    captions = [f"ä picture {i}" for i in range(110)]
    generators = {
        "a": pairs(110, seed=1, noise=0.8, modes=["x", "ÿ"] * 55, captions=captions),
        "b": pairs(130, seed=2, noise=1.2, modes=["x", "ÿ"] * 65, ids=[f"b{i}" for i in range(130)]),
        "c": pairs(105, seed=3),
    }
    return pw.compare(real, generators, k=(3, 5))


@pytest.fixture(scope="module")
def read(comparison, tmp_path_factory) -> pw.Comparison:
    path = tmp_path_factory.mktemp("comparison") / "all.json"
    comparison.to_json(path)
    return pw.Comparison.from_json(path)


def assert_same_scores(left: pw.Evaluation, right: pw.Evaluation) -> None:
    assert list(left) == list(right)
    for key, one in left.scores.items():
        other = right.scores[key]
        np.testing.assert_array_equal(
            [one.value, one.standard_error, *one.interval(), *one.interval(0.5), one.p_value],
            [other.value, other.standard_error, *other.interval(), *other.interval(0.5), other.p_value],
        )


# ---- a mapping


def test_it_is_a_mapping_of_evaluations_by_name(comparison):
    assert list(comparison) == list(comparison.keys()) == NAMES
    assert len(comparison) == 3
    assert "a" in comparison
    assert "d" not in comparison
    assert [evaluation.provenance["generator"] for evaluation in comparison.values()] == NAMES
    assert comparison["b"] is dict(comparison.items())["b"]
    lines = repr(comparison).splitlines()
    assert (lines[0], lines[-1]) == ("Comparison(", ")")
    assert [line[0] for line in lines if line.endswith(": Evaluation(")] == NAMES


def test_a_generator_that_is_not_there_is_named_with_those_that_are(comparison, read):
    named = pw.Comparison({"model": comparison["a"], "copied": comparison["b"]})
    for ask in (lambda: named["modle"], lambda: named.difference("copied", "modle")):
        with pytest.raises(
            pw.InputError, match=r"there is no generator 'modle' \(did you mean 'model'\?\); there are model, copied\."
        ):
            ask()
    with pytest.raises(pw.InputError, match=r"there is no generator 'd'; there are a, b, c\."):
        read["d"]


# ---- differences


@pytest.mark.parametrize("of", ["measured", "read"])
def test_differences_are_of_each_two_and_turn_with_their_order(comparison, read, of):
    chosen = {"measured": comparison, "read": read}[of]
    assert list(chosen.differences) == list(combinations(NAMES, 2))
    for (first, second), difference in chosen.differences.items():
        assert_same_scores(difference, chosen.difference(first, second))
        turned = chosen.difference(second, first)
        assert list(difference) == list(turned) == list(comparison["a"])
        assert (difference.provenance["first"], difference.provenance["second"]) == (first, second)
        assert (turned.provenance["first"], turned.provenance["second"]) == (second, first)
        for key, score in difference.scores.items():
            assert score.value == comparison[first].scores[key].value - comparison[second].scores[key].value
            other = turned.scores[key]
            assert other.value == -score.value
            assert other.standard_error == pytest.approx(score.standard_error, rel=1e-12)
            assert other.interval() == pytest.approx([-end for end in score.interval()][::-1], rel=1e-9, abs=1e-12)
            assert other.p_value == pytest.approx(score.p_value, rel=1e-9)


def test_every_metric_has_a_difference_with_an_error(comparison):
    difference = comparison.difference("a", "b")
    assert {name for name, _ in difference} == set(DEFAULT)
    for key, score in difference.scores.items():
        exact = key[0] == "entropy_real"  # the same for both
        assert math.isfinite(score.standard_error), key
        assert (score.standard_error == 0) == exact, key
        assert all(map(math.isfinite, score.interval())), key
        assert 0 <= score.p_value <= 1, key
    for name in ("frechet", "kid", "cmmd", "mid"):
        assert difference[name].standard_error > 0


def test_the_difference_of_a_generator_with_itself_is_nothing_without_error(comparison):
    twins = pw.Comparison({"a": comparison["a"], "again": comparison["a"]})
    for difference in (comparison.difference("a", "a"), twins.difference("a", "again")):
        assert {name for name, _ in difference} == set(DEFAULT)
        for key, score in difference.scores.items():
            assert (score.value, score.standard_error, score.interval()) == (0, 0, (0, 0)), key
            assert score.p_value == 1


def test_two_tables_of_the_same_rows_are_one(comparison):
    """Named twice, measured twice: there is nothing that chance could have made different."""
    real, fake = rows(80), rows(70, seed=1)
    twice = pw.compare(real, {"a": fake, "b": fake.copy()})
    for key, score in twice.difference("a", "b").scores.items():
        assert (score.value, score.standard_error) == (0, 0), key


def test_evaluations_of_two_calls_are_paired_by_what_the_tables_hold():
    real, fakes = rows(80), (rows(70, seed=1), rows(60, seed=2))
    together = pw.compare(real, {"a": fakes[0], "b": fakes[1]}, metrics=["rce", "kid"]).difference("a", "b")
    one, other = (pw.evaluate(real.copy(), fake, metrics=["rce", "kid"]) for fake in fakes)
    unpaired = pw.evaluate(rows(80, seed=9), fakes[1], metrics=["rce", "kid"])
    for name in ("rce", "kid"):
        assert one[name].difference(other[name]).standard_error == together[name].standard_error
    independent = one["rce"].difference(unpaired["rce"]).standard_error
    assert independent == pytest.approx(math.hypot(one["rce"].standard_error, unpaired["rce"].standard_error))


def test_a_difference_has_a_value_for_each_sample_of_a_shared_table(comparison):
    difference = comparison.difference("a", "b")
    for key, score in difference.scores.items():
        one, other = comparison["a"].scores[key], comparison["b"].scores[key]
        if METRICS[key[0]].of == "real":
            np.testing.assert_array_equal(score.per_sample, one.per_sample - other.per_sample)
            assert score.ids.tolist() == one.ids.tolist()
            assert list(score.by_mode()) == [-1, 0, 1]
        else:
            assert score.per_sample is None


def test_differences_by_mode(comparison):
    """Of modes of the real table they are paired too; the mode of the difference is the difference of the modes."""
    whole = comparison.difference("a", "b")["rce", 5].by_mode()
    a, b = (comparison[name]["rce", 5].by_mode() for name in "ab")
    for mode in (-1, 0, 1):
        difference = a[mode].difference(b[mode])
        assert difference.value == a[mode].value - b[mode].value
        assert difference.value == pytest.approx(whole[mode].value, rel=1e-9)
        assert difference.standard_error == pytest.approx(whole[mode].standard_error, rel=1e-9)
        assert 0 < difference.standard_error < math.hypot(a[mode].standard_error, b[mode].standard_error)
        same = a[mode].difference(a[mode])
        assert (same.value, same.standard_error) == (0, 0)
    generated = [comparison[name]["mid"].by_mode()["x"] for name in "ab"]
    assert math.isfinite(generated[0].difference(generated[1]).standard_error)


def test_captions_of_the_same_samples_are_paired():
    """The same pictures with texts of two captioners: row by row, since each has its text for each picture."""
    real, text = pairs(150, seed=0), rows(120, seed=1)
    samples = text + rows(120, seed=2)
    generators = {
        name: pw.FeatureTable(samples, text=text + 0.1 * rows(120, seed=seed)) for name, seed in (("a", 3), ("b", 4))
    }
    comparison = pw.compare(real, generators, metrics=["mid", "clip_score"])
    for name in ("mid", "clip_score"):
        difference = comparison.difference("a", "b")[name]
        np.testing.assert_array_equal(
            difference.per_sample, comparison["a"][name].per_sample - comparison["b"][name].per_sample
        )
        both = math.hypot(*(comparison[each][name].standard_error for each in "ab"))
        assert 0 < difference.standard_error < both / 3


def test_mid_has_an_error_of_the_difference_with_a_given_gaussian_too():
    real = pairs(300, seed=0)
    pair = pw.GaussianPair()
    pair.update(real.features, real.text)
    bare = pw.FeatureTable(real.features[:50])
    generators = {"a": pairs(110, seed=1), "b": pairs(110, seed=2, noise=2.0)}
    differences = [
        pw.compare(reference, generators, metrics=["mid"]).difference("a", "b")["mid"]
        for reference in (pw.Reference(real), pw.Reference(bare, pairs=pair))
    ]
    assert differences[0].value == differences[1].value
    assert all(0 < difference.standard_error < math.inf for difference in differences)


def test_the_error_of_a_difference_is_the_spread_that_it_has():
    """Sixty draws of everything; errors added in squares would be wrong by far, which is what pairing is for."""
    names = ["pce", "rce", "re", "coverage"]
    values: dict[object, list[float]] = {}
    errors: dict[object, list[float]] = {}
    in_squares: dict[object, list[float]] = {}
    for draw in range(60):
        real, a, b = np.random.default_rng(draw).normal(size=(3, 200, 4))
        table = pw.FeatureTable(real, modes=np.arange(200) % 2)
        comparison = pw.compare(table, {"a": a, "b": b}, metrics=names)
        scores = {name: (comparison["a"][name], comparison["b"][name]) for name in names}
        scores["rce of a mode"] = tuple(comparison[name]["rce"].by_mode()[1] for name in "ab")
        for name, (one, other) in scores.items():
            difference = one.difference(other)
            values.setdefault(name, []).append(difference.value)
            errors.setdefault(name, []).append(difference.standard_error)
            in_squares.setdefault(name, []).append(math.hypot(one.standard_error, other.standard_error))
    spread = {name: np.std(drawn, ddof=1) for name, drawn in values.items()}
    paired = {name: np.sqrt(np.mean(np.square(errors[name]))) / spread[name] for name in values}
    squares = {name: np.sqrt(np.mean(np.square(in_squares[name]))) / spread[name] for name in values}
    for name, ratio in paired.items():
        # The jackknife is an upper bound on average; of half the rows it is less tight.
        assert 0.8 < ratio < (1.8 if name == "rce of a mode" else 1.5), (name, ratio)
    assert squares["rce"] > 1.5
    assert squares["pce"] > 1.4
    assert squares["rce"] > 1.3 * paired["rce"]


# ---- to JSON and back


def test_json_keeps_everything(comparison, read):
    assert list(read) == NAMES
    for name, evaluation in comparison.items():
        again = read[name]
        assert_same_scores(evaluation, again)
        assert again.provenance == evaluation.provenance
        assert again.warnings == evaluation.warnings
        for key, score in evaluation.scores.items():
            other = again.scores[key]
            assert (score.of, score.kind) == (other.of, other.kind)
            for column in ("per_sample", "ids", "modes", "captions", "groups"):
                kept, stored = getattr(score, column), getattr(other, column)
                assert (kept is None) == (stored is None), (name, key, column)
                if kept is not None:
                    np.testing.assert_array_equal(kept, stored)
                    assert kept.dtype.kind == stored.dtype.kind
            if score.modes is None or score.per_sample is None:
                continue
            assert list(score.by_mode()) == list(other.by_mode())
            for mode, part in score.by_mode().items():
                np.testing.assert_array_equal(
                    [part.value, part.standard_error, *part.interval()],
                    [getattr(other.by_mode()[mode], name) for name in ("value", "standard_error")]
                    + [*other.by_mode()[mode].interval()],
                )
    assert list(read["a"]["rce", 3].by_mode()) == [-1, 0, 1]
    assert list(read["a"]["pce", 3].by_mode()) == ["x", "ÿ"]
    assert read["a"]["mid"].captions[1] == "ä picture 1"


def test_json_keeps_differences_both_ways_round(comparison, read):
    for first, second in [*combinations(NAMES, 2), ("b", "a"), ("c", "a")]:
        for key, score in comparison.difference(first, second).scores.items():
            other = read.difference(first, second).scores[key]
            assert other.value == score.value
            assert other.standard_error == pytest.approx(score.standard_error, rel=1e-12)
            assert other.interval() == pytest.approx(score.interval(), rel=1e-9, abs=1e-12)
            assert other.p_value == pytest.approx(score.p_value, rel=1e-9)


def test_json_is_written_again_as_the_same_bytes(comparison, read, tmp_path):
    comparison.to_json(tmp_path / "one.json")
    read.to_json(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_scores_of_a_file_have_no_difference_of_their_own(comparison, read):
    for pair in ((read["a"], read["b"]), (comparison["a"], read["b"]), (read["a"], comparison["b"])):
        with pytest.raises(
            pw.InputError, match="a score does not know how it hangs on the rows, as one that was read from a file"
        ):
            pair[0]["frechet"].difference(pair[1]["frechet"])


def test_a_file_without_a_difference_says_so(read, comparison):
    partial = pw.Comparison(read.evaluations, stored={("a", "b"): read.difference("a", "b").scores})
    assert partial.difference("b", "a")["kid"].value == -comparison.difference("a", "b")["kid"].value
    with pytest.raises(pw.InputError, match="the file of this comparison holds no differences of 'a' and 'c'"):
        partial.difference("a", "c")


def test_json_of_values_that_are_no_numbers(tmp_path):
    """Not a number is null; infinities are strings; neither is lost, nor their errors."""
    copies = np.concatenate([rows(40), rows(40)[:2]])
    generators = {"a": np.concatenate([rows(38, seed=1), rows(40)[:1]]), "b": rows(40, seed=2)}
    made = pw.compare(copies, generators, k=(1, 4), duplicates="keep")
    made.to_json(tmp_path / "all.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((tmp_path / "all.json").read_text(), parse_constant=refuse)
    written = {(row["metric"], row["k"]): row for row in content["evaluations"]["a"]["scores"]}
    assert written["entropy_real", 1]["value"] == "-inf"
    assert written["entropy_real", 1]["standard_error"] is None
    again = pw.Comparison.from_json(tmp_path / "all.json")
    assert again["a"]["entropy_real", 1].value == -math.inf
    assert np.isnan(again["a"]["kl_real_fake", 1].per_sample).any()
    for name in "ab":
        assert_same_scores(made[name], again[name])
    difference, kept = (each.difference("a", "b") for each in (made, again))
    assert_same_scores(difference, kept)
    assert math.isnan(kept["entropy_real", 1].value)
    assert math.isnan(kept["entropy_real", 1].standard_error)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.1, -0.0, 5e-324])
def test_json_keeps_any_number_of_a_difference(tmp_path, value):
    scores = {("kid", None): Score(value, errors={WHOLE: abs(value)})}
    made = pw.Comparison({name: pw.Evaluation(scores, {}) for name in "ab"}, stored={("a", "b"): scores})
    made.to_json(tmp_path / "all.json")
    again = pw.Comparison.from_json(tmp_path / "all.json").difference("a", "b")["kid"]
    np.testing.assert_array_equal([again.value, again.standard_error], [value, abs(value)])


def damaged(content: dict, change: str) -> object:
    first = content["differences"][0]
    match change:
        case "no differences":
            del content["differences"]
        case "differences of no list":
            content["differences"] = 3
        case "no first":
            del first["first"]
        case "no error":
            del first["standard_error"]
        case "a word for a number":
            first["value"] = "much"
        case "no columns":
            del content["columns"]
        case "a column of another kind":
            content["columns"][0] = {"type": "int", "values": ["x"]}
        case "a column that is not there":
            content["evaluations"]["a"]["scores"][0]["per_sample"] = 999
        case "an evaluation without scores":
            del content["evaluations"]["b"]["scores"]
        case "scores of no list":
            content["evaluations"]["b"]["scores"] = 3
        case "no warnings":
            del content["evaluations"]["b"]["warnings"]
    return content


@pytest.mark.parametrize(
    "change",
    [
        "no differences",
        "differences of no list",
        "no first",
        "no error",
        "a word for a number",
        "no columns",
        "a column of another kind",
        "a column that is not there",
        "an evaluation without scores",
        "scores of no list",
        "no warnings",
    ],
)
def test_damaged_json_is_a_sentence(tmp_path, change):
    path = tmp_path / "all.json"
    pw.compare(rows(40), {"a": rows(40, seed=1), "b": rows(40, seed=2)}, metrics=["pce", "kid"]).to_json(path)
    path.write_text(json.dumps(damaged(json.loads(path.read_text()), change)))
    with pytest.raises(
        pw.InputError, match=r"all.json is an evaluation whose content is damaged \(.+\); write it again"
    ):
        pw.Comparison.from_json(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"[]", b'{"format": "x"}'])
def test_files_that_are_no_comparison(tmp_path, content):
    path = tmp_path / "all.json"
    path.write_bytes(content)
    with pytest.raises(pw.InputError, match=r"all\.json (cannot be read as an evaluation|is JSON but not an eval)"):
        pw.Comparison.from_json(path)
    with pytest.raises(pw.InputError, match=r"absent\.json cannot be read as an evaluation"):
        pw.Comparison.from_json(tmp_path / "absent.json")


# ---- tables


def test_dataframe_has_a_row_for_each_generator_and_metric(comparison, read):
    frame = comparison.to_dataframe()
    assert list(frame.columns) == [
        "generator", "metric", "k", "value", "standard_error", "low", "high", "unit", "better", "of",
    ]  # fmt: skip
    assert len(frame) == 3 * len(comparison["a"])
    assert frame["generator"].unique().tolist() == NAMES
    for name in NAMES:
        part = frame[frame["generator"] == name]
        assert list(zip(part["metric"], part["k"].replace({pandas.NA: None}), strict=True)) == list(comparison[name])
    rce = frame[(frame["generator"] == "b") & (frame["metric"] == "rce") & (frame["k"] == 5)].iloc[0]
    assert (rce["value"], rce["low"], rce["high"]) == (
        comparison["b"]["rce", 5].value,
        *comparison["b"]["rce", 5].interval(),
    )
    pandas.testing.assert_frame_equal(frame, read.to_dataframe())


def test_dataframe_of_a_difference(comparison):
    frame = comparison.difference("a", "b").to_dataframe()
    assert len(frame) == len(comparison["a"])
    assert frame["value"].tolist() == [score.value for score in comparison.difference("a", "b").scores.values()]
