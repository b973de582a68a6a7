"""A run of pointwise train as a person sees it: the bar on the way, and what is said at the end."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pointwise._files import atomic_write
from pointwise.cli.training_pairs import Given
from pointwise.training.checkpoint import MODEL
from pointwise.training.model import DualEncoder
from pointwise.training.train import Diverged, train

HELD_OUT = "held_out.json"
_LAST = 50  # steps whose mean is said at the end


def run(
    model: DualEncoder, given: Given, folder: str, *, shown: bool, steps: int, batch_size: int, **options: Any
) -> int:
    """Train a model, say how it went where this is shown, and return the exit status."""
    started = time.monotonic()
    losses: deque[float] = deque(maxlen=_LAST)
    try:
        with _bar(steps, shown=shown) as draw:

            def progress(line: Mapping[str, float]) -> None:
                losses.append(line["loss"])
                draw(line)

            train(
                model,
                given.training,
                folder,
                steps=steps,
                batch_size=batch_size,
                held_out=given.held_out,
                progress=progress,
                **options,
            )
    except Diverged as error:
        click.echo(f"pointwise: {error}", err=True)
        return 1
    if shown:
        click.echo(_result(model, given.training.n, folder, losses, math.log(batch_size)))
        if given.held_out is not None:
            with atomic_write(Path(folder) / HELD_OUT) as file:
                file.write(json.dumps(given.report, indent=1).encode())
            click.echo(f"{given.told} {_best(model.meta['held_out'])}")
        click.echo(f"{steps} steps in {time.monotonic() - started:.1f} s.")
    return 0


def _result(model: DualEncoder, n: int, folder: str, losses: deque[float], most: float) -> str:
    count = sum(p.numel() for p in model.parameters())
    points = "one point for each token" if model.points == "all" else f"{model.points} points"
    made = f"{Path(folder) / MODEL}: {model.kind}, {points} of {model.dim} dimensions, {count:,} parameters, {n} pairs."
    if not losses:
        return f"{made} Its training was over already."
    loss = sum(losses) / len(losses)
    return (
        f"{made} Mean loss of the last {len(losses)} steps {loss:.3f} nats: mutual information of the pairs trained on "
        f"about {most - loss:.3f} nats (log B, {most:.3f}, is the most that batches of this size can show)."
    )


def _best(held_out: Mapping[str, float]) -> str:
    """Which step the model is of, and what is known of it from the held-out pairs."""
    step, size = int(held_out["step"]), int(held_out["batch"])
    weights = (
        f"The model has the weights of step {step}, where it was lowest."
        if step
        else "It was lowest before the first step: the model has the weights that it started with, and is of no use."
    )
    among = "" if size == held_out["pairs"] else f" in batches of {size}"
    loss, information = held_out["loss"], held_out["mutual_information"]
    return (
        f"Their loss{among} is {loss:.3f} nats: mutual information about {information:.3f} nats (log {size}, "
        f"{math.log(size):.3f}, is the most it can show). {weights}"
    )


@contextmanager
def _bar(steps: int, *, shown: bool) -> Iterator[Callable[[Mapping[str, float]], object]]:
    """A bar on a terminal: the loss, that of held-out pairs or else the estimate of information, and the throughput."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("", total=steps)
        held_out = ""

        def draw(line: Mapping[str, float]) -> None:
            nonlocal held_out
            if "held_out_loss" in line:
                held_out = f"held out {line['held_out_loss']:.3f} (best at step {line['best_step']})"
            told = held_out or f"mutual information {line['mutual_information']:.3f} nats"
            said = f"loss {line['loss']:.3f}  {told}  {line['pairs_per_second']:,.0f} pairs/s"
            bar.update(task, completed=line["step"], description=said)

        yield draw
