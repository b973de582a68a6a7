"""Progress bars on stderr, with the time left, for work that turns out to be long."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_PATIENCE = 2.0  # seconds of work before a bar is worth showing


class Bars:
    """Called with (what is under way, steps done, steps in all); draws one bar per kind of work after two seconds."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._started = time.monotonic()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> Bars:
        return self

    def __call__(self, what: str, done: int, total: int, news: str = "") -> None:
        """Note one step, and show what is new beside the bar."""
        if not self._progress.console.is_terminal:
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task("", total=total)
        description = f"{self._prefix}{what}{news}"
        visible = done < total  # what is done leaves the screen
        self._progress.update(self._tasks[what], completed=done, visible=visible, description=description)
        if not self._progress.live.is_started and time.monotonic() - self._started > _PATIENCE:
            self._progress.start()

    def __exit__(self, *_: object) -> None:
        if self._progress.live.is_started:
            self._progress.stop()
