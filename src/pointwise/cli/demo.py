"""pointwise demo: the main job on real data that comes with scikit-learn, with failures whose cause is known."""

import shlex
from pathlib import Path

import click

from pointwise._compare import compare
from pointwise.cli.bars import Bars
from pointwise.cli.tables import NOTE, console, modes_tables, scores_table
from pointwise.demo import digits
from pointwise.demo.findings import findings
from pointwise.errors import InputError
from pointwise.neighbors import knn
from pointwise.reference.reference import Reference

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
    with Bars() as bars:
        comparison = compare(Reference(made.training, progress=bars), made.generators, metrics=_SHOWN)
    screen = console()
    screen.print(f"{len(made.training)} real training digits (8 x 8 pixels) against generators of about as many:\n")
    screen.print(scores_table(comparison, width=screen.width))
    for title, table in modes_tables(comparison, width=screen.width):
        screen.print(title)
        screen.print(table)
    screen.print(NOTE + "\n")
    screen.print("What the numbers say, each failure against the unharmed model:\n", style="bold")
    copies = {
        name: int((knn(table.features, made.training.features, 1).distances == 0).sum())
        for name, table in made.generators.items()
    }
    for sentence in findings(comparison, copies):
        screen.print(f"- {sentence}", soft_wrap=True)
    if out is not None:
        made.training.save(out / "real.parquet")
        for name, generated in made.generators.items():
            generated.save(out / f"{name}.parquet")
        comparison.to_json(out / "results.json")
        click.echo(f"\nThe tables and results.json are in {out}/. Measure them yourself:")
        paths = [shlex.quote(str(out / f"{name}.parquet")) for name in ("real", "model", "dropped")]
        click.echo(f"  pointwise compare {' '.join(paths)}")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {out} cannot be made ({error.strerror}); choose another with --out.") from None
