"""Agreement with people as tables for a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from pointwise.cli.tables import console
from pointwise.judgments import Result, differences
from pointwise.score import Score

_LABELS = {
    "kendall_b": "Kendall τ-b",
    "kendall_c": "Kendall τ-c",
    "spearman": "Spearman ρ",
    "pearson": "Pearson r",
    "pairwise_accuracy": "pairwise accuracy",
}


def print_results(rows: Sequence[Result], note: str) -> None:
    """Print each statistic of each metric, beside the published number, and the differences between metrics."""
    out = console()
    published = any(row.published is not None for row in rows)
    table = _table("statistic", "metric", numbers=("ours" if published else "value", "95% interval"))
    for column in (*(["published"] if published else []), "n"):
        table.add_column(column, justify="right", no_wrap=True)
    statistics = list(dict.fromkeys(row.statistic for row in rows))
    for row in sorted(rows, key=lambda row: statistics.index(row.statistic)):
        number = [] if not published else ["-" if row.published is None else f"{row.published:.1f}"]
        table.add_row(_label(row.statistic), row.metric, *_cells(row.estimate), *number, str(row.n))
    out.print(table)
    between = differences(rows)
    if between:
        out.print("Differences between metrics, on the same resamples:")
        table = _table("statistic", "first - second", numbers=("difference", "95% interval", "p"))
        for statistic, one, other, difference in sorted(between, key=lambda found: statistics.index(found[0])):
            table.add_row(_label(statistic), f"{one} - {other}", *_cells(difference), f"{difference.p_value:.2g}")
        out.print(table)
    out.print(f"All numbers are 100 times the statistic. {note}", soft_wrap=True)


def _table(*texts: str, numbers: Sequence[str]) -> Table:
    """On a narrow screen texts go on in the next line; numbers are never cut."""
    table = Table()
    for column in texts:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _label(statistic: str) -> str:
    return _LABELS.get(statistic, statistic)


def _cells(estimate: Score) -> tuple[str, str]:
    low, high = estimate.interval()
    return f"{estimate.value:.2f}", f"{low:.2f} to {high:.2f}"
