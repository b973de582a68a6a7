"""pointwise demo: quick, says what the numbers say, and writes what it promises."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import time

import pytest

from pointwise.cli import main
from pointwise.comparison import Comparison
from pointwise.tables.table import load

GENERATORS = ["held-out", "model", "dropped", "shrunk", "invented", "copied"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The demo, run once: (folder that it wrote, what it printed, seconds of processor that it took)."""
    out, printed, started = tmp_path_factory.mktemp("demo") / "a b" / "demo", io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(out)])
    assert stop.value.code == 0
    return out, printed.getvalue(), time.process_time() - started


@pytest.fixture(scope="module")
def said(ran):
    """The sentence about each generator."""
    return dict(line[2:].split(": ", 1) for line in ran[1].splitlines() if line.startswith("- "))


@pytest.fixture(scope="module")
def evaluations(ran):
    comparison = Comparison.from_json(ran[0] / "results.json")
    assert list(comparison) == GENERATORS
    return comparison


def test_it_takes_less_than_a_minute_of_one_processor(ran):
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


def test_the_results_hold_the_differences_that_the_sentences_are_of(evaluations, said):
    for generator, name in (("dropped", "rce"), ("dropped", "recall_cover"), ("shrunk", "re"), ("invented", "pce")):
        low, high = evaluations.difference(generator, "model")[name].interval()
        assert (low > 0) == (f"{name} rises" in said[generator])
        assert (high < 0) == (f"{name} falls" in said[generator])


def test_the_command_that_it_ends_with_works(ran, capsys):
    command = ran[1].splitlines()[-1].strip()
    assert command.startswith("pointwise compare ")
    with pytest.raises(SystemExit) as stop:
        main([*shlex.split(command)[1:], "--metrics", "rce"])
    out, err = capsys.readouterr()
    assert (stop.value.code, err) == (0, "")
    assert re.search(r"rce .* 1\.\d+ .* 5\.\d+", out)


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
