"""Evaluations as tables for a person: one column per generator, the best marked by the metric's own direction."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import METRICS, Better, Metric
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
_CELLS_SHOWN = 80  # of the terminal: a Chinese letter or an emoji takes two
_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
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
    """What became of each mode, a title and a table for each metric; nothing without modes."""
    metrics = {key[0] for evaluation in evaluations.values() for key in evaluation}
    lost = "kl_real_fake" if "kl_real_fake" in metrics else "rce"
    for metric, meaning, sign in (
        (lost, f"{lost} by real mode: {_LOST[lost]}", -1),
        ("recall_cover", "recall cover by real mode (share of it that is generated often enough)", 1),
        ("mid", "mid by mode of the generated pairs: nats that its samples share with their texts", 1),
        ("kme_pmi", "kme_pmi by mode of the generated pairs: nats that its samples share with their texts", 1),
    ):
        by_mode: dict[str, Mapping[Any, Score]] = {}
        ks: list[int | None] = []
        for name, evaluation in evaluations.items():
            ks = [k for other, k in evaluation if other == metric] or ks
            score = evaluation.scores[metric, ks[-1]] if metric in evaluation else None
            by_mode[name] = score.by_mode() if score is not None and score.modes is not None else {}
        if any(by_mode.values()):
            at = f", k = {ks[-1]}" if len(ks) > 1 else ""
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
        table.add_column(shown(name), justify="right")
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
    all_of_them = dict.fromkeys(mode for scores in by_mode.values() for mode in scores)
    modes = sorted(
        all_of_them, key=lambda mode: min(sign * scores[mode].value for scores in by_mode.values() if mode in scores)
    )
    table = Table()
    table.add_column("mode")
    table.add_column("samples", justify="right")
    for name in names:
        table.add_column(shown(name), justify="right")
    for mode in modes[:_MODES_SHOWN]:
        scores = [by_mode[name].get(mode) for name in names]
        counts = {len(score.per_sample) for score in scores if score is not None and score.per_sample is not None}
        samples = "-".join(str(count) for count in sorted({min(counts, default=0), max(counts, default=0)}))
        table.add_row(shown(mode), samples, *[_cell(score, marked=False, interval=intervals) for score in scores])
    if len(modes) > _MODES_SHOWN:
        table.caption = f"the {_MODES_SHOWN} worst of {len(modes)} modes"
    return table


def pairs_table(evaluations: Mapping[str, Evaluation], metric: str) -> Table | None:
    """The pairs of each generator with the lowest value; None where there is none or nothing to name them by."""
    table = Table()
    for column in ("generator", "id", "caption"):
        table.add_column(column, overflow="fold")
    table.add_column(metric, justify="right")
    for name, evaluation in evaluations.items():
        score = evaluation[metric] if metric in evaluation else None
        if score is None or score.per_sample is None or (score.ids is None and score.captions is None):
            continue
        for row in score.per_sample.argsort(kind="stable")[:_PAIRS_SHOWN]:
            named = ["" if column is None else _cut(shown(column[row])) for column in (score.ids, score.captions)]
            table.add_row(shown(name), *named, number(float(score.per_sample[row])))
    return table if table.row_count else None


def _cut(text: str) -> str:
    return text if cell_len(text) <= _CELLS_SHOWN else f"{set_cell_size(text, _CELLS_SHOWN - 3).rstrip()}..."


def shown(value: object) -> str:
    """A name or caption in one line that a terminal shows and does not obey.

    Line breaks become spaces; what would move the cursor, colour the screen, set its title or turn letters around
    becomes a sign for a character that cannot be shown.
    """
    line = " ".join(str(value).split())
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") or c in _REORDERING else c for c in line)


def metrics_table() -> Table:
    """The table of all metrics."""
    table = Table()
    for column in ("metric", "better", "unit", "one value per", "meaning", "reference"):
        table.add_column(column, no_wrap=column == "metric", overflow="fold")
    for row in METRICS.values():
        per = {None: "comparison", "pair": "generated pair"}.get(row.of, f"{row.of} sample")
        table.add_row(row.name, row.better, row.unit, per, _meaning(row), row.reference)
    return table


def metrics_markdown() -> str:
    """The table of all metrics as Markdown, for the documents."""
    lines = ["| metric | better | unit | one value per | meaning | reference |", "|---|---|---|---|---|---|"]
    for row in METRICS.values():
        per = {None: "comparison", "pair": "generated pair"}.get(row.of, f"{row.of} sample")
        meaning = _meaning(row).replace("|", "\\|")
        lines.append(f"| `{row.name}` | {row.better} | {row.unit} | {per} | {meaning} | {row.reference} |")
    return "\n".join(lines)


def _meaning(row: Metric) -> str:
    return row.meaning if row.by_default else f"{row.meaning}; takes long, so only where it is named"


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
