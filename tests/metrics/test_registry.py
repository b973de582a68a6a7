"""The table of metrics: its rows agree with what the functions give, and a row is all that a new metric needs."""

import json
import math
import sys
from statistics import NormalDist

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import pointwise as pw
from pointwise.cli import commands
from pointwise.cli.tables import console, metrics_markdown, scores_table
from pointwise.metrics import registry
from pointwise.metrics.registry import METRICS, Metric, chosen_metrics
from pointwise.score import mean_score

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(60, 3)), 1.3 * RNG.normal(size=(50, 3)) + 0.2
finite = st.floats(-1e6, 1e6)


# ---- what a row says of itself


@pytest.mark.parametrize("row", METRICS.values(), ids=METRICS)
def test_direction_arrow_and_loss_follow_from_the_target(row):
    expected = {
        "lowest": ("lower", "↓", [1, 2, -3]),
        "highest": ("higher", "↑", [-1, -2, 3]),
        0.0: ("zero", "→0", [1, 2, 3]),
        None: ("none", "", [math.nan] * 3),
    }
    better, arrow, losses = expected[row.target]
    assert (row.better, row.arrow) == (better, arrow)
    np.testing.assert_equal([row.loss(value) for value in (1, 2, -3)], losses)


@given(finite, finite, finite)
def test_a_number_to_be_met_is_missed_on_either_side(target, one, other):
    row = Metric("x", lambda hoods: hoods, "moments", "nats", target, None, "", "")
    assert row.better == "zero"
    assert float(row.arrow.removeprefix("→")) == target
    assert (row.loss(one) < row.loss(other)) == (abs(one - target) < abs(other - target))
    assert row.loss(target) == 0


def test_the_sign_of_a_target_is_as_short_as_the_number():
    arrows = [Metric("x", print, "moments", "nats", target, None, "", "").arrow for target in (0.0, 1, 0.5, -2.0)]
    assert arrows == ["→0", "→1", "→0.5", "→-2"]


def test_every_row_is_whole():
    for name, row in METRICS.items():
        assert row.name == name
        assert row.meaning
        assert row.reference
        assert not (row.by_mode and row.of is None)
        assert row.by_mode_unless in ("", *METRICS)
        assert row.summary in ("neighborhoods", "moments", "polynomial_kernel", "gaussian_kernel") or row.of == "pair"
    only_default = [row.name for row in chosen_metrics(None)]
    assert [name for name in METRICS if name not in only_default] == ["kme_pmi"]
    assert [row.name for row in chosen_metrics(None, learned=True)] == list(METRICS)


# ---- what the functions give


@pytest.mark.parametrize("k", [1, 5])
def test_the_kind_of_a_score_comes_from_its_unit(k):
    """Values of a density that happen to be 0 and 1 are no shares, and shares are shares in every mode."""
    modes = np.arange(len(FAKE)) % 5
    evaluation = pw.evaluate(REAL, pw.FeatureTable(FAKE, modes=modes), k=k)
    for (name, _), score in evaluation.scores.items():
        kind = "share" if METRICS[name].unit == "share" else "mean"
        assert score.kind == kind, name
        if score.per_sample is not None and score.modes is not None:
            assert {part.kind for part in score.by_mode().values()} == {kind}, name


def test_a_mode_of_density_has_a_normal_interval_like_its_siblings():
    """At k = 1 a mode's densities can all be 0 or 1."""
    reach = NormalDist().inv_cdf(0.975)
    real, near, far = np.random.default_rng(1).normal(size=(3, 100, 2))
    fake, modes = np.concatenate([near, 0.3 * far + 2]), np.repeat(["near", "far"], 100)
    by_mode = pw.evaluate(real, pw.FeatureTable(fake, modes=modes), k=1, metrics=["density"])["density"].by_mode()
    values = {mode: set(part.per_sample) for mode, part in by_mode.items()}
    assert values["far"] == {0, 1}
    assert max(values["near"]) > 1
    for part in by_mode.values():
        expected = part.value - reach * part.standard_error, part.value + reach * part.standard_error
        assert part.interval() == pytest.approx(expected, rel=1e-12)
    assert pw.evaluate(real, fake, k=1, metrics=["precision"])["precision"].kind == "share"


# ---- a new metric


@pytest.fixture
def nearest_real(monkeypatch):
    """The mean distance to the nearest real sample: one function and one row."""

    def nearest(hoods):
        return mean_score(hoods.fake_to_real.distances[:, 0], of="generated")

    row = Metric(
        "nearest_real",
        nearest,
        "neighborhoods",
        "feature unit",
        "lowest",
        "generated",
        "mean distance to the nearest real sample",
        "nobody (2026)",
        by_mode="nearest_real by generated mode",
    )
    rows = {**METRICS, row.name: row}
    for module in modules_that_hold(METRICS):
        monkeypatch.setattr(module, "METRICS", rows)
    return row


def modules_that_hold(table):
    return [
        module
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "pointwise" and vars(module).get("METRICS") is table
    ]


def test_one_function_and_one_row_make_a_metric(nearest_real, tmp_path):
    assert registry.METRICS["nearest_real"] is nearest_real
    modes = np.arange(len(FAKE)) % 2
    fake = pw.FeatureTable(FAKE, modes=modes)
    expected = np.sqrt(((FAKE[:, None] - REAL) ** 2).sum(axis=2)).min(axis=1)
    alone = pw.evaluate(REAL, fake, metrics=["nearest_real"])["nearest_real"]
    np.testing.assert_allclose(alone.per_sample, expected, rtol=1e-12)
    assert alone.kind == "mean"
    evaluation = pw.evaluate(REAL, fake)  # by default, beside all others
    assert evaluation["nearest_real"].value == pytest.approx(expected.mean(), rel=1e-12)
    assert "nearest_real" in repr(evaluation)
    content = json.loads(json.dumps(evaluation.to_dict()))
    assert "nearest_real" in json.dumps(content)
    comparison = pw.compare(REAL, {"a": fake, "b": FAKE * 2}, metrics=["nearest_real", "pce"])
    comparison.to_json(tmp_path / "scores.json")
    again = pw.Comparison.from_json(tmp_path / "scores.json")
    for found in (comparison, again):
        assert found["a"]["nearest_real"].value == alone.value
        assert found["a"]["nearest_real"].standard_error == pytest.approx(alone.standard_error, rel=1e-12)
        assert found.difference("a", "b")["nearest_real"].p_value < 1e-6
        assert found["a"]["nearest_real"].by_mode()[1].value == alone.by_mode()[1].value
    assert "nearest_real" in set(comparison.to_dataframe()["metric"])


def test_its_row_alone_brings_it_to_the_command_line(nearest_real, tmp_path):
    evaluations = {"far": pw.evaluate(REAL, FAKE * 3), "near": pw.evaluate(REAL, REAL[:40] + 0.01)}
    out = console()
    with out.capture() as shown:
        out.print(scores_table(evaluations, width=200))
    (line,) = [line for line in shown.get().splitlines() if "nearest_real" in line]
    cells = [cell.strip() for cell in line.split("│")]
    assert cells[2:4] == ["↓", "feature unit"]
    assert "*" in cells[5]
    assert "*" not in cells[4]
    assert (
        "| `nearest_real` | lower | feature unit | generated sample | mean distance to the nearest"
        in metrics_markdown()
    )
    for name, rows in (("real", REAL), ("fake", FAKE)):
        np.save(tmp_path / f"{name}.npy", rows)
    result = CliRunner().invoke(
        commands, ["compare", str(tmp_path / "real.npy"), str(tmp_path / "fake.npy"), "--metrics", "nearest_real"]
    )
    assert result.exit_code == 0, result.output
    assert "nearest_real" in result.output
