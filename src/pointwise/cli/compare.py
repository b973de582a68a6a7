"""pointwise compare: one real set against one or several generators."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from pointwise import document
from pointwise._compare import compare as compared
from pointwise._files import require_writable
from pointwise.cli.bars import Bars
from pointwise.cli.results import json_option, show
from pointwise.cli.sources import named, names, read, warn
from pointwise.cli.tables import NOTE, console, modes_tables, pairs_table, scores_table, shown
from pointwise.comparison import Comparison
from pointwise.encoders import load_encoder
from pointwise.errors import InputError
from pointwise.items.images import is_images
from pointwise.metrics.registry import chosen_metrics
from pointwise.reference.options import Options
from pointwise.reference.reference import Reference
from pointwise.summaries.neighborhoods import DUPLICATES, Duplicates
from pointwise.tables.table import FeatureTable


@click.command()
@click.argument("real")
@click.argument("fake", nargs=-1, required=True)
@click.option(
    "--encoder",
    help="For images: bundled[:SIZE], pixels[:SIZE], transformers:MODEL, open_clip:MODEL, timm:MODEL; as REAL was "
    "encoded if left out.",
)
@click.option("--k", "k_text", default="5", show_default=True, help="Neighbours; several as 3,5,10.")
@click.option(
    "--cover",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Factor C of precision cover and recall cover.",
)
@click.option(
    "--metrics",
    "metrics_text",
    help="Names separated by commas; if left out all that apply but kme_pmi, which takes long: it learns a similarity "
    "from the pairs of REAL.",
)
@click.option("--dimension", default="ambient", show_default=True, help="ambient, intrinsic, or a number.")
@click.option(
    "--duplicates",
    type=click.Choice(DUPLICATES),
    default="floor",
    show_default=True,
    help="What a k-th neighbour at distance zero does to a log.",
)
@json_option
@click.option("--device", help="cpu or cuda.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the rows that kid and cmmd choose from large tables, of the texts that r_precision draws, and of what "
    "kme_pmi learns.",
)
@click.option(
    "--mid",
    "mid_text",
    metavar="OPTIONS",
    help="How the Gaussian of mid is fitted, by commas: reduce=32 (principal axes of each side), ridge=0.001 (added to "
    "the diagonal), debias (without the mean error of a fit on few pairs).",
)
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read, and count them.")
@click.option(
    "--reference",
    "kept",
    metavar="FILE",
    help="Keep what is worked out of REAL here (.safetensors), or take it from here if it is of this very table.",
)
def compare(
    *,
    real: str,
    fake: tuple[str, ...],
    encoder: str | None,
    k_text: str,
    cover: int,
    metrics_text: str | None,
    dimension: str,
    duplicates: Duplicates,
    json_path: str | None,
    device: str | None,
    seed: int,
    mid_text: str | None,
    skip_bad: bool,
    kept: str | None,
) -> None:
    """Measure generated samples FAKE against REAL ones: how faithful, how diverse, where they fail.

    REAL and FAKE are table files (.npy .npz .safetensors .parquet .pt), folders of images (class sub-folders become
    modes), a .zip or .tar of images, or an .npy of images [n, h, w, 3] uint8. Tables with text features of both, as
    pointwise encode --captions makes them, are measured for alignment too.
    """
    options: dict[str, Any] = {
        "k": _ks(k_text),
        "cover": cover,
        "dimension": _dimension(dimension),
        "duplicates": duplicates,
    }
    options |= {"device": device, "seed": seed}
    Options.checked(**options)  # all that can be refused is, before anything is read
    metrics = None if metrics_text is None else [name.strip() for name in metrics_text.split(",") if name.strip()]
    chosen_metrics(metrics)
    fit = _mid_options(mid_text)
    Reference([[0.0]], **fit)
    if encoder is not None:
        load_encoder(encoder, device=device)
    sources = dict(zip(names(fake), fake, strict=True))
    if kept is not None:
        require_writable(kept)
    table = read(real, encoder=encoder or "bundled", skip_bad=skip_bad, device=device)
    # By its own name, "pixels:28x28" say, an encoder is the same for every source.
    same = table.meta.get("encoder") if is_images(real) or encoder is None else encoder
    with Bars() as bars:
        taken = kept if kept is not None and os.path.exists(kept) else None
        reference = Reference(table, **fit, kept=taken, progress=bars)
        before = reference.made()
        generators = _Sources(sources, encoder=same or "bundled", skip_bad=skip_bad, device=device)
        comparison = compared(reference, generators, metrics=metrics, **options)
        if kept is not None and reference.made() != before:
            reference.save(kept)
    comparison = Comparison(
        {
            name: named(evaluation, generator=name, real_source=real, generated_source=sources[name])
            for name, evaluation in comparison.items()
        }
    )
    for name, evaluation in comparison.items():
        for sentence in evaluation.warnings:
            warn(shown(f"{name}: {sentence}"))
    show(
        json_path,
        lambda: document.to_json(comparison.document()),
        lambda: _print(comparison),
        "Everything, down to the sample,",
    )


class _Sources(Mapping[str, FeatureTable]):
    """The tables of the generators by name, each read when it is asked for."""

    def __init__(self, sources: Mapping[str, str], **options: Any) -> None:
        self._sources, self._options = sources, options

    def __getitem__(self, name: str) -> FeatureTable:
        return read(self._sources[name], **self._options)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def _print(comparison: Comparison) -> None:
    out = console()
    out.print(scores_table(comparison, width=out.width))
    for title, table in modes_tables(comparison, width=out.width):
        out.print(title)
        out.print(table)
    for sentence in comparison.notes():
        out.print(sentence)
    by = "mid" if any("mid" in evaluation for evaluation in comparison.values()) else "kme_pmi"
    if (table_of_pairs := pairs_table(comparison, by)) is not None:
        out.print(f"Pairs that fit least by {by} (log of how much likelier than by chance)")
        out.print(table_of_pairs)
    out.print(NOTE)


def _ks(text: str) -> Sequence[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--k is {text!r}; give a whole number of at least 1, or several with commas, as 3,5,10.")
    return tuple(map(int, parts))


def _dimension(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _mid_options(text: str | None) -> dict[str, Any]:
    """What --mid says, as arguments of a Reference."""
    options: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, value = part.partition("=")
        try:
            if part == "debias":
                options["debias"] = True
            elif name == "reduce":
                options["reduce"] = int(value)
            elif name == "ridge":
                options["ridge"] = float(value)
            else:
                raise ValueError
        except ValueError:
            raise InputError(
                f"--mid has {part!r}; give reduce=32, ridge=0.001 or debias, several with commas."
            ) from None
    return options
