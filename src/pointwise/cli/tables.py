"""Evaluations as tables for a person: one column per generator, the best marked by the metric's own direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import METRICS, Better
from pointwise.score import Score

_ARROWS: Mapping[Better, str] = {"lower": "↓", "higher": "↑", "zero": "→0"}
_MODES_SHOWN = 12


def console() -> Console:
    """A console on stdout that never cuts a table off when the output is a file or a pipe."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=200)


def scores_table(evaluations: Mapping[str, Evaluation], *, width: int) -> Table:
    """All metrics, one column per generator; with half of each 95% interval where the screen is wide enough."""
    return _fitting(partial(_scores_table, evaluations), width)


def modes_tables(evaluations: Mapping[str, Evaluation], *, width: int) -> Iterator[tuple[str, Table]]:
    """What became of each real mode, a title and a table for each metric; nothing without modes."""
    for metric, meaning, sign in (
        (
            "kl_real_fake",
            "kl_real_fake by real mode: nats lost on its samples, of which rce is the mean (0: covered)",
            -1,
        ),
        ("recall_cover", "recall cover by real mode (share of it that is generated often enough)", 1),
    ):
        keys = [key for key in next(iter(evaluations.values())).scores if key[0] == metric]
        scores = {name: evaluation.scores[keys[-1]] for name, evaluation in evaluations.items() if keys}
        if scores and all(score.modes is not None for score in scores.values()):
            by_mode = {name: score.by_mode() for name, score in scores.items()}
            yield meaning, _fitting(partial(_modes_table, by_mode, sign), width)


def _fitting(make: Callable[..., Table], width: int) -> Table:
    with_intervals = make(intervals=True)
    fits = Console(width=10_000).measure(with_intervals).maximum <= width
    return with_intervals if fits else make(intervals=False)


def _scores_table(evaluations: Mapping[str, Evaluation], *, intervals: bool) -> Table:
    table = Table(pad_edge=False)
    table.add_column("metric")
    table.add_column("better", justify="center")
    table.add_column("unit")
    for name in evaluations:
        table.add_column(name, justify="right")
    first = next(iter(evaluations.values()))
    for key in first.scores:
        row = METRICS[key[0]]
        scores = [evaluation.scores.get(key) for evaluation in evaluations.values()]
        best = _best([None if score is None else score.value for score in scores], row.better)
        cells = [_cell(score, marked=i == best, interval=intervals) for i, score in enumerate(scores)]
        table.add_row(first.label(key), _ARROWS[row.better], row.unit, *cells)
    return table


def _modes_table(by_mode: Mapping[str, Mapping[Any, Score]], sign: int, *, intervals: bool) -> Table:
    """The modes with the worst value of any generator first; sign is -1 where large is bad."""
    modes = sorted(
        next(iter(by_mode.values())), key=lambda mode: min(sign * scores[mode].value for scores in by_mode.values())
    )
    table = Table(pad_edge=False)
    table.add_column("mode")
    table.add_column("samples", justify="right")
    for name in by_mode:
        table.add_column(name, justify="right")
    for mode in modes[:_MODES_SHOWN]:
        scores = [scores[mode] for scores in by_mode.values()]
        count = 0 if scores[0].per_sample is None else len(scores[0].per_sample)
        table.add_row(str(mode), str(count), *[_cell(score, marked=False, interval=intervals) for score in scores])
    if len(modes) > _MODES_SHOWN:
        table.caption = f"the {_MODES_SHOWN} worst of {len(modes)} modes"
    return table


def metrics_table() -> Table:
    """The table of all metrics."""
    table = Table(pad_edge=False)
    for column in ("metric", "better", "unit", "one value per", "meaning", "reference"):
        table.add_column(column)
    for row in METRICS.values():
        per = f"{row.of} sample" if row.of else "comparison"
        table.add_row(row.name, row.better, row.unit, per, row.meaning, row.reference)
    return table


def metrics_markdown() -> str:
    """The table of all metrics as Markdown, for the documents."""
    lines = ["| metric | better | unit | one value per | meaning | reference |", "|---|---|---|---|---|---|"]
    for row in METRICS.values():
        per = f"{row.of} sample" if row.of else "comparison"
        meaning = row.meaning.replace("|", "\\|")
        lines.append(f"| `{row.name}` | {row.better} | {row.unit} | {per} | {meaning} | {row.reference} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """A value with about four digits, never in a form that hides its size."""
    if not math.isfinite(value):
        return str(value)
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}" if 0.01 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def _cell(score: Score | None, *, marked: bool, interval: bool) -> Text:
    if score is None:
        return Text("-")
    low, high = score.interval()
    text = number(score.value)
    if interval and math.isfinite(low) and math.isfinite(high):
        text += f" ±{number((high - low) / 2)}"
    return Text(f"{text} *" if marked else f"{text}  ", style="bold" if marked else "")


def _best(values: list[float | None], better: Better) -> int | None:
    """Position of the best value; None for a single generator, for ties, and where nothing can be said."""
    losses = [math.inf if value is None else _loss(value, better) for value in values]
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(losses) < 2 or not finite or losses.count(min(finite)) > 1:
        return None
    return losses.index(min(finite))


def _loss(value: float, better: Better) -> float:
    if math.isnan(value):
        return math.inf
    return {"lower": value, "higher": -value, "zero": abs(value)}[better]
