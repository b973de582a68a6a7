"""pointwise metrics: every metric, for a person and as Markdown."""

from __future__ import annotations

import math

import pytest

from pointwise._text import readable
from pointwise.cli import main
from pointwise.metrics.registry import METRICS


@pytest.fixture
def metrics(capsys, monkeypatch):
    """Run the command and return what it prints."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["metrics", *arguments])
        out, err = capsys.readouterr()
        assert (stop.value.code, err) == (0, "")
        return out

    return run


def test_every_metric_is_listed_with_all_that_is_known_of_it(metrics):
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in metrics().splitlines() if line[0] == "│"]
    assert [line[0] for line in lines] == list(METRICS)
    for name, better, unit, per, meaning, reference in lines:
        row = METRICS[name]
        named = "" if row.by_default else "; takes long, so only where it is named"
        assert (better, unit, meaning, reference) == (row.better, row.unit, row.meaning + named, row.reference)
        assert per == {None: "comparison", "pair": "generated pair"}.get(row.of, f"{row.of} sample")


def test_nothing_is_cut_off_on_a_narrow_terminal(metrics, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    out = metrics()
    assert "…" not in out
    assert all(name in out for name in METRICS)


def test_markdown(metrics):
    head, rule, *lines = metrics("--markdown").splitlines()
    assert head == "| metric | better | unit | one value per | meaning | reference |"
    assert rule == "|---|---|---|---|---|---|"
    assert [line.split(" | ")[0] for line in lines] == [f"| `{name}`" for name in METRICS]
    assert all(line.replace("\\|", "").count("|") == 7 for line in lines)
    assert r"KL(R\|\|G)" in lines[3]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-0.4, 96.0, "0"),
        (-0.0004, 0.1, "0.00"),
        (-12.34, 1.5, "-12.3"),
        (0.12345, math.nan, "0.123"),
        (0.0, 0.5, "0.00"),
    ],
)
def test_numbers_have_two_digits_of_their_error_and_no_minus_before_a_zero(value, error, text):
    assert readable(value, error=error) == text
