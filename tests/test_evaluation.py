"""Evaluation: to JSON and back without losing a digit, what is refused as such a file, and pandas tables of it."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointwise import document
from pointwise._compare import compare
from pointwise._evaluate import evaluate
from pointwise.comparison import Comparison
from pointwise.document import Document, Part
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import METRICS
from pointwise.score import WHOLE, Score
from pointwise.tables.table import FeatureTable


def rows(n: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 3))


def full_evaluation() -> Evaluation:
    """All metrics at two k, of tables with modes and ids of both kinds, with -inf, inf and nan among the values."""
    features = np.concatenate([rows(40), rows(40)[:2]])
    real = FeatureTable(features, modes=["ä", "b"] * 21, ids=np.arange(42) - 2**60, meta={"encoder": "e"})
    fake = FeatureTable(
        np.concatenate([rows(38, seed=1), rows(40)[:1]]), modes=[3] * 39, ids=[f"g{i}" for i in range(39)]
    )
    return evaluate(real, fake, k=(1, 4), duplicates="keep")


def assert_equal(left: Evaluation, right: Evaluation) -> None:
    assert list(left) == list(right)
    assert left.provenance == right.provenance
    assert left.warnings == right.warnings
    for key in left:
        one, other = left.scores[key], right.scores[key]
        assert (one.of, one.kind) == (other.of, other.kind)
        np.testing.assert_array_equal([one.value, one.standard_error], [other.value, other.standard_error])
        if one.modes is not None and one.per_sample is not None:
            for mode, part in one.by_mode().items():
                again = other.by_mode()[mode]
                np.testing.assert_array_equal(
                    [part.value, part.standard_error, *part.interval()],
                    [again.value, again.standard_error, *again.interval()],
                )
        for name in ("per_sample", "modes", "ids"):
            kept, read = getattr(one, name), getattr(other, name)
            assert (kept is None) == (read is None)
            if kept is not None:
                np.testing.assert_array_equal(kept, read)
                assert kept.dtype.kind == read.dtype.kind
        np.testing.assert_array_equal(one.interval(), other.interval())
        np.testing.assert_array_equal(one.interval(level=0.5), other.interval(level=0.5))


def test_json_keeps_every_digit(tmp_path):
    ev = full_evaluation()
    ev.to_json(tmp_path / "ev.json")
    again = Evaluation.from_json(tmp_path / "ev.json")
    assert_equal(ev, again)
    assert ev["entropy_real", 1].value == again["entropy_real", 1].value == -math.inf
    assert np.isnan(again["kl_real_fake", 1].per_sample).any()
    assert list(again["rce", 4].by_mode()) == ["b", "ä"]
    assert list(again["pce", 4].by_mode()) == [3]
    for mode, part in ev["rce", 4].by_mode().items():
        assert again["rce", 4].by_mode()[mode].standard_error == part.standard_error > 0


def test_json_is_written_again_as_the_same_bytes(tmp_path):
    full_evaluation().to_json(tmp_path / "one.json")
    Evaluation.from_json(tmp_path / "one.json").to_json(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_json_is_strict_and_writes_shared_columns_once(tmp_path):
    full_evaluation().to_json(tmp_path / "ev.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((tmp_path / "ev.json").read_text(), parse_constant=refuse)
    columns = content["columns"]
    assert sum(column["type"] == "str" for column in columns) == 2  # real modes, generated ids
    assert sum(column["type"] == "int" for column in columns) == 2


@given(st.lists(st.floats(), min_size=1, max_size=20), st.floats(), st.floats())
def test_json_keeps_any_float(values, value, error):
    """Not a number is null, which is None here, and the infinities are the strings that float() reads."""
    score = Score(value, per_sample=np.array(values), of="real", errors={WHOLE: error})
    stored = json.loads(document.to_json(Document({"a": Part({("rce", 5): score}, {}, ())}, {})))
    (row,) = stored["evaluations"]["a"]["scores"]
    for written, number in zip(
        [row["value"], row["standard_error"], *stored["columns"][0]["values"]], [value, error, *values], strict=True
    ):
        assert (written is None) == math.isnan(number)
        assert written is None or float(written) == number
        assert isinstance(written, str) == math.isinf(number)


def test_several_evaluations_in_one_file(tmp_path):
    path = tmp_path / "ev.json"
    generators = {f"g{seed}": rows(40, seed=seed) for seed in (1, 2, 3)}
    compare(rows(40), generators, metrics=["pce", "kid"]).to_json(path)
    for name, fake in generators.items():
        read = Comparison.from_json(path)[name]
        expected = evaluate(rows(40), fake, metrics=["pce", "kid"])
        assert_equal(Evaluation(expected.scores, {"generator": name, **expected.provenance}), read)
    sentence = r"ev.json holds 3 evaluations; choose one as Comparison.from_json\(path\)\[name\], of g1, g2, g3\."
    with pytest.raises(InputError, match=sentence):
        Evaluation.from_json(path)


def test_the_only_evaluation_of_a_comparison_is_read_alone_too(tmp_path):
    path = tmp_path / "ev.json"
    compare(rows(40), {"mine": rows(40, seed=1)}, metrics=["pce"]).to_json(path)
    assert_equal(Comparison.from_json(path)["mine"], Evaluation.from_json(path))
    evaluate(rows(40), rows(40, seed=1), metrics=["pce"]).to_json(path)
    assert list(Comparison.from_json(path)) == ["generated"]  # nobody named it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as an evaluation"),
        (b"{", "cannot be read as an evaluation"),
        (b"\xff\xfe\x00", "cannot be read as an evaluation"),
        (b"[" * 100_000, "cannot be read as an evaluation"),
        (b"[1, 2]", r"is JSON but not an evaluation that pointwise wrote \(format 'pointwise.comparison/1'\)"),
        (b'{"format": "pointwise.comparison/2"}', "is JSON but not an evaluation"),
        (b'{"format": "pointwise.comparison/1"}', "has the format of evaluations but holds none"),
        (b'{"format": "pointwise.comparison/1", "evaluations": {}}', "has the format of evaluations but holds none"),
        (b'{"format": "pointwise.comparison/1", "evaluations": 3}', "is an evaluation whose content is damaged"),
        (b'{"format": "pointwise.comparison/1", "evaluations": [4]}', "is an evaluation whose content is damaged"),
        (b'{"format": "pointwise.comparison/1", "evaluations": {"a": {}}}', r"is .* damaged \(KeyError: 'columns'\)"),
        (
            b'{"format": "pointwise.comparison/1", "columns": [], "evaluations": {"a": 4}}',
            r"is an evaluation .* damaged \(TypeError",
        ),
    ],
)
def test_files_that_are_no_evaluation(tmp_path, content, message):
    path = tmp_path / "ev.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"ev\.json {message}"):
        Evaluation.from_json(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("per_sample", 99), ("per_sample", "x"), ("value", "much"), ("by_mode", None), ("value", []), ("by_mode", [{}])],
)
def test_files_with_a_damaged_score(tmp_path, name, value):
    path = tmp_path / "ev.json"
    evaluate(rows(40), rows(40, seed=1), metrics=["pce"]).to_json(path)
    content = json.loads(path.read_text())
    content["evaluations"]["generated"]["scores"][0][name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"is an evaluation whose content is damaged .* write it again"):
        Evaluation.from_json(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json cannot be read as an evaluation"):
        Evaluation.from_json(tmp_path / "absent.json")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "ev.json"
    path.write_text("before")
    with pytest.raises(TypeError, match="not JSON serializable"):
        Evaluation({}, {"made by": object()}).to_json(path)
    assert [file.name for file in tmp_path.iterdir()] == ["ev.json"]
    assert path.read_text() == "before"
    with pytest.raises(InputError, match=r"cannot write .*: the folder .*absent does not exist; create it first"):
        full_evaluation().to_json(tmp_path / "absent" / "ev.json")


def test_dataframe_of_metrics():
    ev = full_evaluation()
    frame = ev.to_dataframe()
    assert list(frame.columns) == ["metric", "k", "value", "standard_error", "low", "high", "unit", "better", "of"]
    assert frame["metric"].tolist() == [name for name, _ in ev]
    assert frame["k"].tolist()[:3] == [1, 4, 1]
    assert frame.loc[frame["metric"] == "frechet", "k"].isna().all()
    pce = frame[(frame["metric"] == "pce") & (frame["k"] == 4)].iloc[0]
    assert pce["value"] == ev["pce", 4].value
    assert (pce["low"], pce["high"]) == ev["pce", 4].interval()
    assert (pce["unit"], pce["better"], pce["of"]) == ("nats", "lower", "generated")
    assert set(frame["metric"]) == {name for name, row in METRICS.items() if row.of != "pair"}


@pytest.mark.parametrize("of", ["real", "generated"])
def test_dataframe_of_samples(of):
    real = FeatureTable(rows(40), modes=["a", "b"] * 20, ids=np.arange(40))
    ev = evaluate(real, FeatureTable(rows(30, seed=1), ids=[f"g{i}" for i in range(30)]))
    frame = ev.to_dataframe(of=of)
    names = [row.name for row in METRICS.values() if row.of == of]
    assert list(frame.columns) == (["id", "mode", *names] if of == "real" else ["id", *names])
    assert len(frame) == (40 if of == "real" else 30)
    for name in names:
        np.testing.assert_array_equal(frame[name], ev[name].per_sample)
    if of == "real":
        means = frame.groupby("mode")["rce"].mean()
        assert means["a"] == pytest.approx(ev["rce"].by_mode()["a"].value, rel=1e-12)


def test_dataframe_of_samples_at_several_k():
    frame = evaluate(rows(40), rows(30, seed=1), k=(3, 5), metrics=["pce", "rce"]).to_dataframe(of="generated")
    assert list(frame.columns) == ["pce@3", "pce@5"]
    assert isinstance(frame, pandas.DataFrame)


@pytest.mark.parametrize("of", ["fake", "pair"])
def test_dataframe_of_samples_that_are_not_there(of):
    ev = evaluate(rows(40), rows(30, seed=1), metrics=["pce", "frechet"])
    there = f"of is '{of}', but no score here has a value per sample of that"
    with pytest.raises(InputError, match=f"{there}; there are values per sample of 'generated'\\."):
        ev.to_dataframe(of=of)
    with pytest.raises(InputError, match=f"{there}, nor of anything else"):
        evaluate(rows(40), rows(30, seed=1), metrics=["frechet"]).to_dataframe(of=of)


def test_dataframe_of_pairs():
    texts = [f"prompt {i}" for i in range(120)]
    fake = FeatureTable(rows(120), text=rows(120, seed=2), captions=texts, ids=np.arange(120), modes=["a", "b"] * 60)
    ev = evaluate(FeatureTable(rows(100, seed=3), text=rows(100, seed=4)), fake)
    frame = ev.to_dataframe(of="pair")
    names = [row.name for row in METRICS.values() if row.of == "pair" and row.by_default]
    assert list(frame.columns) == ["id", "mode", "caption", *names]
    assert frame["caption"].tolist() == texts
    for name in names:
        np.testing.assert_array_equal(frame[name], ev[name].per_sample)
    assert frame.groupby("mode")["mid"].mean()["b"] == pytest.approx(ev["mid"].by_mode()["b"].value, rel=1e-12)


@pytest.mark.parametrize(
    "caption", ["\x1b[31mred\x07", "a\0b", "[red]x[/red]", "猫 👩‍👩‍👧", "\ud800 alone", "\u202eturned", " ", ""]
)
def test_json_keeps_any_caption(tmp_path, caption):
    fake = FeatureTable(rows(120), text=rows(120, seed=2), captions=[caption] * 120)
    ev = evaluate(fake, fake, metrics=["clip_score"])
    ev.to_json(tmp_path / "ev.json")
    assert Evaluation.from_json(tmp_path / "ev.json")["clip_score"].captions.tolist() == [caption] * 120


def test_repr_names_every_score():
    ev = evaluate(rows(40), rows(30, seed=1), k=(3, 5), metrics=["pce", "frechet"])
    assert [line.split()[0] for line in repr(ev).splitlines()[1:-1]] == ["pce@3", "pce@5", "frechet"]
    assert f"{ev['frechet'].value:.6g}" in repr(ev)
