"""pointwise demo: quick, says what the numbers say, writes what it promises, and tells when a failure does not show."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import time

import pytest
from pointwise.cli.digits import digits

from pointwise._evaluate import evaluate
from pointwise.cli import main
from pointwise.cli.demo import sentences
from pointwise.evaluation import Evaluation
from pointwise.tables.table import load

GENERATORS = ["held-out", "model", "dropped", "shrunk", "invented", "copied"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The demo, run once: (folder that it wrote, what it printed, seconds that it took)."""
    out, printed, started = tmp_path_factory.mktemp("demo") / "a b" / "demo", io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(out)])
    assert stop.value.code == 0
    return out, printed.getvalue(), time.monotonic() - started


@pytest.fixture(scope="module")
def said(ran):
    """The sentence about each generator."""
    return dict(line[2:].split(": ", 1) for line in ran[1].splitlines() if line.startswith("- "))


@pytest.fixture(scope="module")
def evaluations(ran):
    return {name: Evaluation.from_json(ran[0] / "results.json", index=i) for i, name in enumerate(GENERATORS)}


def test_it_takes_less_than_a_minute(ran):
    assert ran[2] < 60


def test_every_generator_gets_a_column_and_a_sentence(ran, said):
    header = next(line for line in ran[1].splitlines() if line.startswith("┃"))
    assert [cell.strip() for cell in header.strip("┃").split("┃")] == ["metric", "better", "unit", *GENERATORS]
    assert list(said) == ["held-out", "dropped", "shrunk", "invented", "copied"]


def test_each_failure_shows_where_the_theory_says(said):
    assert re.search(r"rce rises from [\d.]+ to [\d.]+; recall_cover falls from", said["dropped"])
    assert "By mode, kl_real_fake is highest for 3 and 7, recall cover lowest for 3 and 7." in said["dropped"]
    assert "re falls from" in said["shrunk"]
    assert "pce rises from" in said["invented"]
    assert "270 samples are at distance zero from a training digit (0 of the held-out digits are)" in said["copied"]
    assert not any("should" in sentence for sentence in said.values())


def test_the_numbers_in_the_sentences_are_those_of_the_results(said, evaluations):
    for generator, name in (("dropped", "rce"), ("dropped", "recall_cover"), ("shrunk", "re"), ("invented", "pce")):
        start, end = re.search(rf"{name} (?:rises|falls) from (\S+) to ([-\d.]*\d)", said[generator]).groups()
        assert float(start) == pytest.approx(evaluations["model"][name].value, abs=0.006)
        assert float(end) == pytest.approx(evaluations[generator][name].value, abs=0.006)
    for name, value in re.findall(r"(pce|rce|re) (-?[\d.]*\d)", said["held-out"]):
        assert float(value) == pytest.approx(evaluations["held-out"][name].value, abs=0.006)


def test_the_perfect_generator_is_near_zero_and_the_failures_are_not(evaluations):
    held_out = {name: abs(evaluations["held-out"][name].value) for name in ("pce", "rce", "re")}
    assert max(held_out.values()) < 3
    assert evaluations["dropped"]["rce"].value > held_out["rce"] + 3
    assert evaluations["shrunk"]["re"].value < -held_out["re"] - 30


def test_it_writes_the_tables_and_the_results(ran, evaluations):
    out, printed, _ = ran
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["real.parquet", "results.json", *[f"{name}.parquet" for name in GENERATORS]]
    )
    assert f"The tables and results.json are in {out}/." in printed
    real = load(out / "real.parquet")
    for name in GENERATORS:
        table, told = load(out / f"{name}.parquet"), evaluations[name].provenance
        assert told["generator"] == name
        assert told["generated"]["fingerprint"] == table.fingerprint()
        assert told["real"]["fingerprint"] == real.fingerprint()
    assert set(load(out / "dropped.parquet").modes) == set(range(10)) - {3, 7}


def test_the_command_that_it_ends_with_works(ran):
    command = ran[1].splitlines()[-1].strip()
    assert command.startswith("pointwise compare ")
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), "--metrics", "rce"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"rce .* 1\.\d+ .* 5\.\d+", done.stdout)


def test_every_seed_is_a_demo_of_its_own():
    first, again, other = digits(seed=0), digits(seed=0), digits(seed=1)
    for name in GENERATORS:
        assert first.generators[name].fingerprint() == again.generators[name].fingerprint()
        assert first.generators[name].fingerprint() != other.generators[name].fingerprint()
    assert not set(first.training.ids) & set(first.generators["held-out"].ids)
    assert len(first.training) + len(first.generators["held-out"]) == 1797


# ---- sentences tell what the numbers say, not what was meant to happen


COPIES = {"held-out": 0, "model": 0, "dropped": 0, "shrunk": 0, "invented": 0, "copied": 270}


def test_a_failure_that_does_not_show_is_said_not_to(evaluations):
    unharmed = {**evaluations, **dict.fromkeys(["dropped", "shrunk", "invented", "copied"], evaluations["model"])}
    text = dict(sentence.split(": ", 1) for sentence in sentences(unharmed, dict.fromkeys(GENERATORS, 0)))
    assert re.search(r"rce does not move from (\S+) to \1, though it should have risen; ", text["dropped"])
    assert re.search(r"recall_cover does not move from (\S+) to \1, though it should have fallen\.", text["dropped"])
    assert re.search(r"; re does not move from (\S+) to \1, though it should have fallen\.", text["shrunk"])
    assert re.search(r"; pce does not move from (\S+) to \1, though it should have risen\.", text["invented"])
    assert text["copied"].endswith("None is at distance zero from a training digit, though they should be.")


def test_a_metric_that_moves_the_wrong_way_is_said_to(evaluations):
    turned = {**evaluations, "model": evaluations["dropped"], "dropped": evaluations["model"]}
    text = dict(sentence.split(": ", 1) for sentence in sentences(turned, COPIES))
    assert re.search(r"rce falls from 5\S+ to 1\S+, though it should have risen; ", text["dropped"])
    assert re.search(r"recall_cover rises from \S+ to \S+, though it should have fallen\.", text["dropped"])


def test_the_worst_modes_are_read_from_the_numbers(evaluations):
    real, model = digits().training, digits().generators["model"]
    without = evaluate(
        real, model[(model.modes != 0) & (model.modes != 5)], metrics=["rce", "kl_real_fake", "recall_cover"]
    )
    text = list(sentences({**evaluations, "dropped": without}, COPIES))[1]
    assert "By mode, kl_real_fake is highest for 0 and 5, recall cover lowest for 0 and 5." in text


def test_a_small_change_is_not_called_a_rise(evaluations):
    """Two halves of one model differ by chance alone."""
    made = digits()
    model, names = made.generators["model"], ["pce", "rce", "re", "recall_cover"]
    before, after = (evaluate(made.training, model[slice(start, None, 2)], metrics=names) for start in (0, 1))
    assert before["pce"].value != after["pce"].value
    text = list(sentences({**evaluations, "model": before, "invented": after}, COPIES))[3]
    assert re.search(r"; pce does not move from \S+ to \S+, though it should have risen\.", text)


# ---- what is refused


@pytest.mark.parametrize("name", ["taken", "taken/deeper"])
def test_out_that_cannot_be_a_folder(name, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path / name)])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.startswith("pointwise: ")
    assert str(tmp_path / name) in err
    assert err.count("\n") == 1
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("seed", ["-1", "4294967296", "x"])
def test_seeds_that_cannot_be_used(seed, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--seed", seed])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.startswith("pointwise: Invalid value for '--seed': ")
    assert err.count("\n") == 1
