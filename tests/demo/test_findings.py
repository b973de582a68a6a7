"""findings: the sentences tell what the numbers say, not what was meant to happen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pointwise._compare import compare
from pointwise.comparison import Comparison
from pointwise.demo.digits import digits
from pointwise.demo.findings import findings
from pointwise.evaluation import Evaluation
from pointwise.reference.reference import Reference
from pointwise.score import WHOLE, Score

GENERATORS = ["held-out", "model", "dropped", "shrunk", "invented", "copied"]
COPIES = {"held-out": 0, "model": 0, "dropped": 0, "shrunk": 0, "invented": 0, "copied": 270}
METRICS = ["pce", "rce", "re", "recall_cover", "kl_real_fake"]


@pytest.fixture(scope="module")
def made():
    return digits()


@pytest.fixture(scope="module")
def reference(made):
    return Reference(made.training)


@pytest.fixture(scope="module")
def comparison(made, reference):
    return compare(reference, made.generators, metrics=METRICS)


def sentences(evaluations, copies=COPIES) -> dict[str, str]:
    """The sentence about each generator."""
    return dict(sentence.split(": ", 1) for sentence in findings(Comparison(evaluations), copies))


# ---- of measured generators


def test_each_failure_shows_where_the_theory_says(comparison):
    text = sentences(comparison)
    assert list(text) == ["held-out", "dropped", "shrunk", "invented", "copied"]
    assert re.search(r"rce rises from [\d.]+ to [\d.]+; recall_cover falls from", text["dropped"])
    assert "re falls from" in text["shrunk"]
    assert "pce rises from" in text["invented"]
    assert "270 samples are at distance zero from a training digit (0 of the held-out digits are)" in text["copied"]
    assert not any("should" in sentence for sentence in text.values())


def test_a_failure_that_does_not_show_is_said_not_to(comparison):
    unharmed = {**comparison, **dict.fromkeys(["dropped", "shrunk", "invented", "copied"], comparison["model"])}
    text = sentences(unharmed, dict.fromkeys(GENERATORS, 0))
    assert re.search(r"rce does not move from (\S+) to \1, though it should have risen; ", text["dropped"])
    assert re.search(r"recall_cover does not move from (\S+) to \1, though it should have fallen\.", text["dropped"])
    assert re.search(r"; re does not move from (\S+) to \1, though it should have fallen\.", text["shrunk"])
    assert re.search(r"; pce does not move from (\S+) to \1, though it should have risen\.", text["invented"])
    assert text["copied"].endswith("None is at distance zero from a training digit, though they should be.")


def test_a_metric_that_moves_the_wrong_way_is_said_to(comparison):
    text = sentences({**comparison, "model": comparison["dropped"], "dropped": comparison["model"]})
    assert re.search(r"rce falls from 5\S+ to 1\S+, though it should have risen; ", text["dropped"])
    assert re.search(r"recall_cover rises from \S+ to \S+, though it should have fallen\.", text["dropped"])


def test_the_worst_modes_are_read_from_the_numbers(comparison, made, reference):
    model = made.generators["model"]
    others = {"dropped": model[(model.modes != 0) & (model.modes != 5)]}
    text = sentences({**comparison, **compare(reference, others, metrics=METRICS)})
    assert "By mode, kl_real_fake is highest for 3 and 7" in sentences(comparison)["dropped"]
    assert "By mode, kl_real_fake is highest for 0 and 5, recall cover lowest for 0 and 5." in text["dropped"]


def test_a_small_change_is_not_called_a_rise(comparison, made, reference):
    """Two halves of one model differ by chance alone."""
    model = made.generators["model"]
    halves = compare(reference, {"model": model[0::2], "invented": model[1::2]}, metrics=METRICS)
    assert halves["model"]["pce"].value != halves["invented"]["pce"].value
    text = sentences({**comparison, **halves})
    assert re.search(r"; pce does not move from \S+ to \S+, though it should have risen\.", text["invented"])


# ---- of scores made by hand


def by_hand(*, model: dict[str, float], failed: dict[str, float], printed: float, paired: float) -> Comparison:
    """Generators whose printed standard errors are one, and whose differences from the model have another."""

    def evaluation(values: dict[str, float]) -> Evaluation:
        scores = {}
        for name in METRICS:
            value = values.get(name, 0.0)
            columns = {"per_sample": np.full(20, value), "modes": np.arange(20) % 10, "of": "real"}
            scores[name, 5] = Score(value, errors={WHOLE: printed}, **columns)
        return Evaluation(scores, {})

    differences = {
        (name, "model"): {
            (metric, 5): Score(failed[metric] - model[metric], errors={WHOLE: paired}) for metric in failed
        }
        for name in GENERATORS
    }
    evaluations = {name: evaluation(model if name in ("held-out", "model") else failed) for name in GENERATORS}
    return Comparison(evaluations, stored=differences)


def movement(metric: str, sentence: str) -> str:
    """What a sentence says that a metric does."""
    return re.search(rf"(?:^|; ){metric} (rises|falls|does not move) from ", sentence)[1]


MODEL = {"pce": 1.0, "rce": 1.0, "re": -1.0, "recall_cover": 0.9}
# 95 %: 1.96 standard errors
CASES = [
    (1.0, 0.50, "rises"),
    (1.0, 0.52, "does not move"),
    (-1.0, 0.50, "falls"),
    (-1.0, 0.52, "does not move"),
    (0.0, 0.0, "does not move"),
    (1e-9, 0.0, "rises"),
]


@pytest.mark.parametrize(("change", "paired", "expected"), CASES)
@pytest.mark.parametrize("printed", [0.0, 1e-6, 10.0])
def test_a_movement_is_one_that_its_paired_interval_tells_from_none(change, paired, expected, printed):
    """Whatever the printed errors of the two: a rise where they overlap, and none where they are apart."""
    failed = {name: value + change for name, value in MODEL.items()}
    comparison = by_hand(model=MODEL, failed=failed, printed=printed, paired=paired)
    text = dict(sentence.split(": ", 1) for sentence in findings(comparison, COPIES))
    for generator, metric, wanted in (
        ("dropped", "rce", "rises"),
        ("dropped", "recall_cover", "falls"),
        ("shrunk", "re", "falls"),
        ("invented", "pce", "rises"),
    ):
        assert movement(metric, text[generator]) == expected
        verdict = {"rises": "though it should have risen", "falls": "though it should have fallen"}[wanted]
        said = re.search(rf"{metric} {expected} from \S+ to \S+?(, {verdict})?[.;]( |$)", text[generator])
        assert (said[1] is None) == (expected == wanted)


def test_intervals_that_overlap_hide_no_rise_that_pairing_shows():
    """1 ± 1 and 2 ± 1 overlap, and in quadrature their difference is 1 ± 1.4; paired it is 1 ± 0.2."""
    failed = {name: value + 1 for name, value in MODEL.items()}
    comparison = by_hand(model=MODEL, failed=failed, printed=0.51, paired=0.1)
    low, high = comparison["model"]["rce"].interval()[1], comparison["dropped"]["rce"].interval()[0]
    assert low > high
    text = dict(sentence.split(": ", 1) for sentence in findings(comparison, COPIES))
    assert text["dropped"].startswith("the digits 3 and 7 are never generated; rce rises from 1.000 to 2.000; ")
    assert "pce rises from 1.000 to 2.000." in text["invented"]
