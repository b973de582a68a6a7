"""Evaluations as tables for a person: one column per generator, the best marked by the metric's own direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import METRICS, Better
from pointwise.score import Score

_ARROWS: Mapping[Better, str] = {"lower": "↓", "higher": "↑", "zero": "→0"}
_DIVERGENCES = ("rce", "kl_real_fake", "kl_fake_real")
_SPREADS = ("entropy_real", "entropy_fake")  # of one table alone: wide is not yet right
NOTE = (
    "± is half the 95% interval, of chance but not of bias, where it is known; * marks the best by the metric's own "
    "direction, for divergences (rce, kl) the nearest to 0. What each means: pointwise metrics."
)
_LOST = {
    "kl_real_fake": "nats lost on its samples, of which rce is the mean (0: covered)",
    "rce": "nats above the mean entropy of all real samples (wide modes have more)",
}
_MODES_SHOWN = 12
_PAIRS_SHOWN = 5
_LETTERS_SHOWN = 80
_UNLIMITED = 10_000  # columns: wider than any table


def console() -> Console:
    """A console on stdout that shows names as they are, and never cuts a table off in a file or a pipe."""
    out = _plain(width=None)
    return out if out.is_terminal else _plain(width=_UNLIMITED)


def _plain(*, width: int | None) -> Console:
    return Console(highlight=False, markup=False, emoji=False, width=width)


def scores_table(evaluations: Mapping[str, Evaluation], *, width: int) -> Group:
    """All metrics, one column per generator; with half of each 95% interval where the screen is wide enough.

    Generators that do not fit beside the others go into further tables below.
    """
    return _fitting(partial(_scores_table, evaluations), list(evaluations), width)


def modes_tables(evaluations: Mapping[str, Evaluation], *, width: int) -> Iterator[tuple[str, Group]]:
    """What became of each real mode, a title and a table for each metric; nothing without modes."""
    first = next(iter(evaluations.values()))
    lost = "kl_real_fake" if "kl_real_fake" in first else "rce"
    for metric, meaning, sign in (
        (lost, f"{lost} by real mode: {_LOST[lost]}", -1),
        ("recall_cover", "recall cover by real mode (share of it that is generated often enough)", 1),
    ):
        keys = [key for key in first.scores if key[0] == metric]
        scores = {name: evaluation.scores[keys[-1]] for name, evaluation in evaluations.items() if keys}
        if scores and all(score.modes is not None for score in scores.values()):
            by_mode = {name: score.by_mode() for name, score in scores.items()}
            at = f", k = {keys[-1][1]}" if len(keys) > 1 else ""
            yield meaning + at, _fitting(partial(_modes_table, by_mode, sign), list(by_mode), width)


def _fitting(make: Callable[..., Table], names: Sequence[str], width: int) -> Group:
    """One table if it fits, without intervals if need be; else as few as possible, of some of the names each."""
    tables = [make(names, intervals=True)]
    for count in range(1, len(names) + 1):
        if all(_plain(width=_UNLIMITED).measure(table).maximum <= width for table in tables):
            break
        columns = math.ceil(len(names) / count)
        tables = [make(names[i : i + columns], intervals=False) for i in range(0, len(names), columns)]
    return Group(*tables)


def _scores_table(evaluations: Mapping[str, Evaluation], names: Sequence[str], *, intervals: bool) -> Table:
    table = Table()
    table.add_column("metric")
    table.add_column("better", justify="center")
    if intervals:  # on a narrow screen the numbers matter more
        table.add_column("unit")
    for name in names:
        table.add_column(name, justify="right")
    labels = {key: evaluation.label(key) for evaluation in evaluations.values() for key in evaluation}
    for key, label in labels.items():
        row = METRICS[key[0]]
        scores = {name: evaluation.scores.get(key) for name, evaluation in evaluations.items()}
        best = _best({name: score.value for name, score in scores.items() if score is not None}, key[0])
        cells = [_cell(scores[name], marked=name == best, interval=intervals) for name in names]
        table.add_row(label, _ARROWS[row.better], *([row.unit] if intervals else []), *cells)
    return table


def _modes_table(
    by_mode: Mapping[str, Mapping[Any, Score]], sign: int, names: Sequence[str], *, intervals: bool
) -> Table:
    """The modes with the worst value of any generator first; sign is -1 where large is bad."""
    modes = sorted(
        next(iter(by_mode.values())), key=lambda mode: min(sign * scores[mode].value for scores in by_mode.values())
    )
    table = Table()
    table.add_column("mode")
    table.add_column("samples", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    for mode in modes[:_MODES_SHOWN]:
        scores = [by_mode[name][mode] for name in names]
        count = 0 if scores[0].per_sample is None else len(scores[0].per_sample)
        table.add_row(str(mode), str(count), *[_cell(score, marked=False, interval=intervals) for score in scores])
    if len(modes) > _MODES_SHOWN:
        table.caption = f"the {_MODES_SHOWN} worst of {len(modes)} modes"
    return table


def pairs_table(evaluations: Mapping[str, Evaluation]) -> Table | None:
    """The pairs of each generator with the lowest mid; None where there is no mid or nothing to name them by."""
    table = Table()
    for column in ("generator", "id", "caption"):
        table.add_column(column, overflow="fold")
    table.add_column("mid", justify="right")
    for name, evaluation in evaluations.items():
        score = evaluation["mid"] if "mid" in evaluation else None
        if score is None or score.per_sample is None or (score.ids is None and score.captions is None):
            continue
        for row in score.per_sample.argsort(kind="stable")[:_PAIRS_SHOWN]:
            named = ["" if column is None else _cut(str(column[row])) for column in (score.ids, score.captions)]
            table.add_row(name, *named, number(float(score.per_sample[row])))
    return table if table.row_count else None


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS_SHOWN else f"{text[: _LETTERS_SHOWN - 3]}..."


def metrics_table() -> Table:
    """The table of all metrics."""
    table = Table()
    for column in ("metric", "better", "unit", "one value per", "meaning", "reference"):
        table.add_column(column, no_wrap=column == "metric", overflow="fold")
    for row in METRICS.values():
        per = {None: "comparison", "pair": "generated pair"}.get(row.of, f"{row.of} sample")
        table.add_row(row.name, row.better, row.unit, per, row.meaning, row.reference)
    return table


def metrics_markdown() -> str:
    """The table of all metrics as Markdown, for the documents."""
    lines = ["| metric | better | unit | one value per | meaning | reference |", "|---|---|---|---|---|---|"]
    for row in METRICS.values():
        per = {None: "comparison", "pair": "generated pair"}.get(row.of, f"{row.of} sample")
        meaning = row.meaning.replace("|", "\\|")
        lines.append(f"| `{row.name}` | {row.better} | {row.unit} | {per} | {meaning} | {row.reference} |")
    return "\n".join(lines)


def number(value: float, *, error: float = math.nan) -> str:
    """A value with two digits of its error, or about four digits of its own where the error is not known."""
    if not math.isfinite(value):
        return str(value)
    if 0 < error < math.inf and abs(value) < 1e6:
        return f"{value:.{min(max(1 - math.floor(math.log10(error)), 0), 5)}f}"
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}" if 0.01 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def _cell(score: Score | None, *, marked: bool, interval: bool) -> Text:
    if score is None:
        return Text("-")
    low, high = score.interval()
    half = (high - low) / 2
    text = number(score.value, error=half)
    if interval and math.isfinite(half):
        text += f" ±{number(half, error=half)}"
    return Text(f"{text} *" if marked else f"{text}  ", style="bold" if marked else "")


def _best(values: Mapping[str, float], metric: str) -> str | None:
    """Name of the best value; None for a single generator, for ties, and where no value is finite or none is best."""
    if metric in _SPREADS:
        return None
    losses = {name: _loss(value, metric) for name, value in values.items() if math.isfinite(value)}
    best = [name for name, loss in losses.items() if loss == min(losses.values())]
    return best[0] if len(values) > 1 and len(best) == 1 else None


def _loss(value: float, metric: str) -> float:
    if metric in _DIVERGENCES:  # below 0 they are off by bias alone, so nearest to 0 is best
        return abs(value)
    return {"lower": value, "higher": -value, "zero": abs(value)}[METRICS[metric].better]
