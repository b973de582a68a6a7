"""Evaluations as tables for a person: one column per generator, the best marked by the metric's own direction."""

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pointwise._text import readable
from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import METRICS, Metric
from pointwise.score import Score

NOTE = (
    "± is half the 95% interval, of chance but not of bias, where it is known; * marks the best by the metric's own "
    "direction, where it has a target the nearest to that. What each means: pointwise metrics."
)
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


def table_of(*texts: str, numbers: tuple[str, ...]) -> Table:
    """An empty table: on a narrow screen texts go on in the next line; numbers are never cut."""
    table = Table()
    for column in texts:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def scores_table(evaluations: Mapping[str, Evaluation], *, width: int) -> Group:
    """All metrics, one column per generator; with half of each 95% interval where the screen is wide enough.

    Generators that do not fit beside the others go into further tables below.
    """
    return _fitting(partial(_scores_table, evaluations), list(evaluations), width)


def modes_tables(evaluations: Mapping[str, Evaluation], *, width: int) -> Iterator[tuple[str, Group]]:
    """What became of each mode, a title and a table for each metric; nothing without modes."""
    keys = list(dict.fromkeys(key for evaluation in evaluations.values() for key in evaluation))
    computed = {name for name, _ in keys}
    for row in METRICS.values():
        if not row.by_mode or row.name not in computed or row.by_mode_unless in computed:
            continue
        ks = [k for name, k in keys if name == row.name and k is not None]
        key = (row.name, ks[-1] if ks else None)
        by_mode: dict[str, Mapping[Any, Score]] = {}
        for name, evaluation in evaluations.items():
            score = evaluation.scores.get(key)
            by_mode[name] = score.by_mode() if score is not None and score.modes is not None else {}
        if any(by_mode.values()):
            at = f", k = {ks[-1]}" if len(ks) > 1 else ""
            yield row.by_mode + at, _fitting(partial(_modes_table, by_mode, row), list(by_mode), width)


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
        best = _best({name: row.loss(score.value) for name, score in scores.items() if score is not None})
        cells = [_cell(scores[name], marked=name == best, interval=intervals) for name in names]
        table.add_row(label, row.arrow, *([row.unit] if intervals else []), *cells)
    return table


def _modes_table(
    by_mode: Mapping[str, Mapping[Any, Score]], row: Metric, names: Sequence[str], *, intervals: bool
) -> Table:
    """The modes with the worst value of any generator first; of nats that are lost, few are no loss."""
    every = dict.fromkeys(mode for scores in by_mode.values() for mode in scores)
    sign = -1 if row.target == "highest" else 1
    worst = {mode: max(sign * scores[mode].value for scores in by_mode.values() if mode in scores) for mode in every}
    modes = sorted(every, key=lambda mode: -worst[mode])
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
    table = table_of("generator", "id", "caption", numbers=(metric,))
    for name, evaluation in evaluations.items():
        score = evaluation[metric] if metric in evaluation else None
        if score is None or score.per_sample is None or (score.ids is None and score.captions is None):
            continue
        for row in score.per_sample.argsort(kind="stable")[:_PAIRS_SHOWN]:
            named = ["" if column is None else _cut(shown(column[row])) for column in (score.ids, score.captions)]
            table.add_row(shown(name), *named, readable(float(score.per_sample[row])))
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


def _cell(score: Score | None, *, marked: bool, interval: bool) -> Text:
    if score is None:
        return Text("-")
    low, high = score.interval()
    half = (high - low) / 2
    text = readable(score.value, error=half)
    if interval and math.isfinite(half):
        text += f" ±{readable(half, error=half)}"
    return Text(f"{text} *" if marked else f"{text}  ", style="bold" if marked else "")


def _best(losses: Mapping[str, float]) -> str | None:
    """Name of the least loss; None for a single generator, for ties, and where no loss is finite."""
    finite = {name: loss for name, loss in losses.items() if math.isfinite(loss)}
    best = [name for name, loss in finite.items() if loss == min(finite.values())]
    return best[0] if len(losses) > 1 and len(best) == 1 else None
