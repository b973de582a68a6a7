"""pointwise compare: one real set against one or several generators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import click

from pointwise._arrays import on_device
from pointwise._evaluate import chosen_metrics, evaluate
from pointwise._files import atomic_write, require_writable
from pointwise.cli.bars import Bars
from pointwise.cli.sources import named, names, read, warn
from pointwise.cli.tables import NOTE, console, modes_tables, pairs_table, scores_table, shown
from pointwise.encoders import load_encoder
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation, evaluations_to_json
from pointwise.items.images import is_images
from pointwise.pmi.pmi import KmePmi
from pointwise.summaries.gaussian import GaussianPair
from pointwise.summaries.neighborhoods import Duplicates, require_neighbors, within_depth
from pointwise.summaries.self_neighbors import SelfNeighbors, self_neighbors
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
    type=click.Choice(get_args(Duplicates)),
    default="floor",
    show_default=True,
    help="What a k-th neighbour at distance zero does to a log.",
)
@click.option("--json", "json_path", help="Write all results here; - for stdout instead of the table.")
@click.option("--device", help="cpu or cuda.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the rows that kid and cmmd choose from large tables, of the texts that r_precision draws, and of what "
    "kme_pmi learns.",
)
@click.option("--ridge", type=float, default=0.0, help="For mid: added to the diagonal of the covariances.")
@click.option("--reduce", type=click.IntRange(min=1), help="For mid: principal axes that each side is reduced to.")
@click.option("--debias", is_flag=True, help="For mid: without the mean error of the fit on few pairs.")
@click.option(
    "--reference-pairs", "pairs_path", help="For mid: a Gaussian kept by GaussianPair.save, not that of REAL."
)
@click.option("--learned", "learned_path", help="For kme_pmi: a similarity kept by KmePmi.save, not that of REAL.")
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read, and count them.")
@click.option(
    "--real-neighbors",
    "neighbors_path",
    help="Keep the real half here (.safetensors), or take it from here if it is of this very table.",
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
    ridge: float,
    reduce: int | None,
    debias: bool,
    pairs_path: str | None,
    learned_path: str | None,
    skip_bad: bool,
    neighbors_path: str | None,
) -> None:
    """Measure generated samples FAKE against REAL ones: how faithful, how diverse, where they fail.

    REAL and FAKE are table files (.npy .npz .safetensors .parquet .pt), folders of images (class sub-folders become
    modes), a .zip or .tar of images, or an .npy of images [n, h, w, 3] uint8. Tables with text features of both, as
    pointwise encode --captions makes them, are measured for alignment too.
    """
    ks = _ks(k_text)
    span = _dimension(dimension)
    chosen = None if metrics_text is None else [name.strip() for name in metrics_text.split(",") if name.strip()]
    fitted = pairs_path is not None
    if fitted and (ridge or reduce is not None):
        raise InputError("--reference-pairs has its own ridge and reduce; leave --ridge and --reduce out beside it.")
    pairs = GaussianPair(ridge=ridge, reduce=reduce) if pairs_path is None else GaussianPair.load(pairs_path)
    pairs.require_plain(debias=debias)
    learned = None if learned_path is None else KmePmi.load(learned_path)
    summaries = {row.summary for row in chosen_metrics(chosen, learned=learned is not None)}
    needs_neighbors = "neighborhoods" in summaries
    if encoder is not None:
        load_encoder(encoder, device=device)  # a wrong name is said before anything is read
    generators = dict(zip(names(fake), fake, strict=True))
    for path in (json_path if json_path != "-" else None, neighbors_path):
        if path is not None:
            require_writable(path)
    real_table = read(real, encoder=encoder or "bundled", skip_bad=skip_bad, device=device)
    # By its own name, "pixels:28x28" say, an encoder is the same for every source.
    fake_encoder = real_table.meta.get("encoder") if is_images(real) or encoder is None else encoder
    if not fitted and real_table.text is not None and "gaussian_pair" in summaries:  # once for all generators
        pairs.update(real_table.features, real_table.text)
        fitted = True
    half = None
    evaluations: dict[str, Evaluation] = {}
    for name, source in generators.items():
        fake_table = read(source, encoder=fake_encoder or "bundled", skip_bad=skip_bad, device=device)
        with Bars(f"{name}: " if len(fake) > 1 else "") as bars:
            if half is None and needs_neighbors and (len(fake) > 1 or neighbors_path):
                half = _real_half(real_table, ks, cover, neighbors_path, device, bars)
            try:
                if learned is None and "learned_pair" in summaries:  # once for all generators
                    learned = _learned(real_table, fake_table, device=device, seed=seed, bars=bars)
                evaluation = evaluate(
                    real_table,
                    fake_table,
                    metrics=chosen,
                    k=ks,
                    cover=cover,
                    dimension=span,
                    duplicates=duplicates,
                    device=device,
                    seed=seed,
                    within_real=half,
                    debias=debias,
                    reference_pairs=pairs if fitted else None,
                    learned=learned,
                    progress=bars,
                )
            except InputError as error:
                raise InputError(f"{name}: {error}" if len(fake) > 1 else str(error)) from None
        for sentence in evaluation.warnings:
            warn(shown(f"{name}: {sentence}"))
        evaluations[name] = named(evaluation, generator=name, real_source=real, generated_source=source)
    if json_path == "-":
        click.echo(evaluations_to_json(list(evaluations.values())))
        return
    if json_path:  # before the table, whose reader may go away
        with atomic_write(json_path) as file:
            file.write(evaluations_to_json(list(evaluations.values())).encode())
    _print(evaluations)
    if json_path:
        click.echo(f"Everything, down to the sample, is in {json_path}.")


def _print(evaluations: dict[str, Evaluation]) -> None:
    out = console()
    out.print(scores_table(evaluations, width=out.width))
    for title, table in modes_tables(evaluations, width=out.width):
        out.print(title)
        out.print(table)
    abouts = [evaluation.provenance.get("reference_pairs") for evaluation in evaluations.values()]
    about = next(filter(None, abouts), None)
    if about is not None and about["reduce"] is not None:  # the same for all
        widths = [min(width, about["reduce"]) for width in about["columns"]]
        kept = [f"{share:.1%}" for share in about["kept_variance"]]
        out.print(
            f"mid is of {widths[0]} + {widths[1]} principal axes of {about['pairs']} reference pairs; they keep "
            f"{kept[0]} of the samples' and {kept[1]} of the texts' variance."
        )
    if learned := next((e.provenance["learned"] for e in evaluations.values() if "learned" in e.provenance), None):
        said = learned["calibration"]
        out.print(
            f"kme_pmi of {said['pairs']} real pairs that were not learned from is {said['mutual_information']:.3g} "
            f"nats; its constant has the standard error {said['constant_error']:.2g}, which moves all generators alike."
        )
    by = "mid" if any("mid" in evaluation for evaluation in evaluations.values()) else "kme_pmi"
    if (table_of_pairs := pairs_table(evaluations, by)) is not None:
        out.print(f"Pairs that fit least by {by} (log of how much likelier than by chance)")
        out.print(table_of_pairs)
    out.print(NOTE)


def _ks(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--k is {text!r}; give a whole number of at least 1, or several with commas, as 3,5,10.")
    return tuple(map(int, parts))


def _dimension(text: str) -> float | Literal["ambient", "intrinsic"]:
    if text in ("ambient", "intrinsic"):
        return "ambient" if text == "ambient" else "intrinsic"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f"--dimension is {text!r}; give ambient, intrinsic or a positive number.")
    return number


def _learned(real: FeatureTable, fake: FeatureTable, *, device: str | None, seed: int, bars: Bars) -> KmePmi | None:
    """What kme_pmi learns from the real pairs; None where texts are missing, which evaluate says."""
    if real.text is None or fake.text is None:
        return None
    return KmePmi.fit(*on_device(real.features, real.text, device=device), seed=seed, progress=bars)


def _real_half(
    real: FeatureTable, ks: Sequence[int], cover: int, path: str | None, device: str | None, bars: Bars
) -> SelfNeighbors:
    require_neighbors(real, ks, cover, name="the real table")
    depth = within_depth(len(real), ks, cover)
    if path is not None and Path(path).exists():
        half = SelfNeighbors.load(path)
        try:
            half.require_match(real, depth)
        except InputError as error:
            raise InputError(f"--real-neighbors {path}: {error} Or remove the file: then it is written anew.") from None
        return half
    half = self_neighbors(real, depth, device=device, progress=lambda done, total: bars("real neighbours", done, total))
    if path is not None:
        half.save(path)
    return half
