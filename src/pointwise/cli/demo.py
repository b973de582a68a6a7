"""pointwise demo: the main job on real data that comes with scikit-learn, with failures whose cause is known."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from pointwise._evaluate import evaluate
from pointwise._files import atomic_write
from pointwise.cli import digits
from pointwise.cli.bars import Bars
from pointwise.cli.sources import named
from pointwise.cli.tables import NOTE, console, modes_tables, number, scores_table
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation, evaluations_to_json
from pointwise.neighbors import knn
from pointwise.summaries.neighborhoods import within_depth
from pointwise.summaries.self_neighbors import self_neighbors

_K, _COVER = 5, 3
_SHOWN = (
    "pce",
    "rce",
    "re",
    "kl_real_fake",
    "precision",
    "recall",
    "density",
    "coverage",
    "precision_cover",
    "recall_cover",
    "frechet",
)


@dataclass(frozen=True)
class Failure:
    """What was done to the model, and the metrics that the theory says must show it: (name, "rises" or "falls")."""

    generator: str
    done: str
    expected: tuple[tuple[str, str], ...]


_FAILURES = (
    Failure(
        "dropped",
        f"the digits {' and '.join(map(str, digits.DROPPED))} are never generated",
        (("rce", "rises"), ("recall_cover", "falls")),
    ),
    Failure("shrunk", "every sample sits at a third of its distance from the mean of its class", (("re", "falls"),)),
    Failure("invented", f"{digits.INVENTED:.0%} of samples are halfway between two classes", (("pce", "rises"),)),
    Failure("copied", f"{digits.COPIED:.0%} of samples are copies of training digits", ()),
)


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write the tables and the results here.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32 - 1),
    default=0,
    show_default=True,
    help="Of the split, the model and its failures.",
)
def demo(*, out: Path | None, seed: int) -> None:
    """Measure a model of handwritten digits, and the same model failing in four known ways.

    The data come with scikit-learn; nothing is downloaded.
    """
    if out is not None:
        _make_folder(out)
    made = digits.digits(seed=seed)
    half = self_neighbors(made.training, within_depth(len(made.training), [_K], _COVER))
    evaluations = {}
    with Bars() as bars:
        for done, (name, fake) in enumerate(made.generators.items()):
            evaluations[name] = evaluate(made.training, fake, metrics=_SHOWN, k=_K, cover=_COVER, within_real=half)
            bars("generators", done + 1, len(made.generators))
    screen = console()
    screen.print(f"{len(made.training)} real training digits (8 x 8 pixels) against generators of about as many:\n")
    screen.print(scores_table(evaluations, width=screen.width))
    for title, table in modes_tables(evaluations, width=screen.width):
        screen.print(title)
        screen.print(table)
    screen.print(NOTE + "\n")
    screen.print("What the numbers say, each failure against the unharmed model:\n", style="bold")
    copies = {
        name: int((knn(table.features, made.training.features, 1).distances == 0).sum())
        for name, table in made.generators.items()
    }
    for sentence in sentences(evaluations, copies):
        screen.print(f"- {sentence}", soft_wrap=True)
    if out is not None:
        made.training.save(out / "real.parquet")
        for name, generated in made.generators.items():
            generated.save(out / f"{name}.parquet")
        with atomic_write(out / "results.json") as file:
            found = [named(evaluation, generator=name) for name, evaluation in evaluations.items()]
            file.write(evaluations_to_json(found).encode())
        click.echo(f"\nThe tables and results.json are in {out}/. Measure them yourself:")
        paths = [shlex.quote(str(out / f"{name}.parquet")) for name in ("real", "model", "dropped")]
        click.echo(f"  pointwise compare {' '.join(paths)}")


def sentences(evaluations: Mapping[str, Evaluation], copies: Mapping[str, int]) -> Iterator[str]:
    """What each column shows, read from the numbers: a metric that does not do what it should is said not to."""
    perfect, model = evaluations["held-out"], evaluations["model"]
    near_zero = ", ".join(f"{name} {number(perfect[name].value)}" for name in ("pce", "rce", "re"))
    yield f"held-out: real digits that were set aside, so a perfect generator: {near_zero}: what chance leaves of 0."
    for failure in _FAILURES:
        ev = evaluations[failure.generator]
        shown = "; ".join(_movement(name, expected, model, ev) for name, expected in failure.expected)
        sentence = f"{failure.generator}: {failure.done}{'; ' * bool(shown)}{shown}."
        if failure.generator == "dropped":
            sentence += " " + _worst_modes(ev)
        if copies[failure.generator]:
            sentence += (
                f" {copies[failure.generator]} samples are at distance zero from a training digit"
                f" ({copies['held-out']} of the held-out digits are): by pce per sample at k = 1 they come first."
            )
        elif failure.generator == "copied":
            sentence += " None is at distance zero from a training digit, though they should be."
        yield sentence


def _movement(name: str, expected: str, before: Evaluation, after: Evaluation) -> str:
    """How a metric moved, called a rise or a fall only where it left the joint 95% interval."""
    change = after[name].value - before[name].value
    halves = [(score.interval()[1] - score.interval()[0]) / 2 for score in (before[name], after[name])]
    reach = float((halves[0] ** 2 + halves[1] ** 2) ** 0.5)
    seen = "does not move" if abs(change) <= reach else "rises" if change > 0 else "falls"
    verdict = "" if seen == expected else f", though it should have {'risen' if expected == 'rises' else 'fallen'}"
    return f"{name} {seen} from {number(before[name].value)} to {number(after[name].value)}{verdict}"


def _worst_modes(evaluation: Evaluation) -> str:
    by_loss = evaluation["kl_real_fake"].by_mode()
    by_cover = evaluation["recall_cover"].by_mode()
    count = len(digits.DROPPED)
    worst_loss = sorted(by_loss, key=lambda mode: -by_loss[mode].value)[:count]
    worst_cover = sorted(by_cover, key=lambda mode: by_cover[mode].value)[:count]
    return (
        f"By mode, kl_real_fake is highest for {' and '.join(map(str, sorted(worst_loss)))}, "
        f"recall cover lowest for {' and '.join(map(str, sorted(worst_cover)))}."
    )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {out} cannot be made ({error.strerror}); choose another with --out.") from None
