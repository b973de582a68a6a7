"""pointwise retrieve: how early each text comes among all texts for its image, and the other way round."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import click
import torch
from rich.table import Table

from pointwise._files import atomic_write, require_writable
from pointwise._retrieval.blocks import Similarity
from pointwise._retrieval.retrieval import Direction, Retrieval, retrieval
from pointwise.cli.bars import Bars
from pointwise.cli.gallery import (
    Block,
    Gallery,
    for_model,
    load_model,
    of_table,
    products,
    similarities,
    warn_repeated,
    with_distractors,
)
from pointwise.cli.tables import console
from pointwise.errors import InputError
from pointwise.pmi.calibration import Calibration, pmi_calibration
from pointwise.score import Score

_KS = (1, 5, 10)
_AT_ONCE = 256
_LARGEST_HELD = 1 << 26  # entries of a similarity that are made once and held, rather than made at each pass


@click.command()
@click.argument("source")
@click.option("--model", "folder", metavar="FOLDER", help="Of pointwise train: take its similarity, and check it.")
@click.option("--captions", help="With --model, of images: a table or text file, else the texts beside the images.")
@click.option("--distractors", metavar="SOURCE", help="Images that no text belongs to, as further candidates.")
@click.option("--similarity", type=click.Choice(["cosine", "dot"]), help="Of a table's rows; cosine if left out.")
@click.option("--json", "json_path", help="Write all results here; - for stdout instead of the table.")
@click.option("--device", help="With --model: cpu or cuda.")
def retrieve(
    *,
    source: str,
    folder: str | None,
    captions: str | None,
    distractors: str | None,
    similarity: str | None,
    json_path: str | None,
    device: str | None,
) -> None:
    """Find each text of SOURCE by its image and each image by its text: recall at 1, 5 and 10, median rank.

    SOURCE: a table with text features in the space of the images, as pointwise encode --captions makes it with a model
    such as CLIP. With --model, a table or the tokens of the encoders that the model was trained on, or images with
    captions. Rows of one id are one image with several texts. Distractors are given in the same ways, without texts.
    """
    if json_path not in (None, "-"):
        require_writable(str(json_path))
    if not os.path.exists(source):
        raise InputError(f"{source} does not exist; give a table with text features{', or images' * bool(folder)}.")
    if folder is None:
        for option, value in (("--captions", captions), ("--device", device)):
            if value is not None:
                raise InputError(f"{option} is for a model of pairs; give --model FOLDER with it, or leave it out.")
        gallery = of_table(source, one_space=True)
        if distractors is not None:
            with Bars("") as bars:
                gallery = with_distractors(gallery, distractors, None, bars)
        name = similarity or "cosine"
        found, calibration = _measure(gallery, products(gallery, unit=name == "cosine"), calibrate=False)
    else:
        if similarity is not None:
            raise InputError("--similarity is for tables, and a model has its own; leave it out beside --model.")
        model = load_model(folder, device)
        name = f"the {model.kind} model {folder}"
        with Bars(f"{source}: ") as bars:
            gallery = for_model(model, source, captions, bars)
            if distractors is not None:
                gallery = with_distractors(gallery, distractors, model, bars)
            found, calibration = _measure(gallery, similarities(model, gallery, bars), calibrate=True)
    warn_repeated(gallery)
    n, b = len(gallery.images.x), len(gallery.image_of)
    counts = {"images": n, "texts": b, "distractors": gallery.candidates - n}
    report = {"source": source, "similarity": name, **counts, **_report(found, gallery, calibration)}
    content = json.dumps(report, indent=1, allow_nan=False)
    if json_path == "-":
        click.echo(content)
        return
    if json_path:
        with atomic_write(json_path) as file:
            file.write(content.encode())
    more = f" among {gallery.candidates - n} more images without a text" if distractors is not None else ""
    _print(found, calibration, f"{n} images and {b} texts{more}, by {name}.")
    if json_path:
        click.echo(f"Everything, down to the rank of each item, is in {json_path}.")


def _measure(gallery: Gallery, block: Block, *, calibrate: bool) -> tuple[Retrieval, Calibration | None]:
    """Retrieval, and calibration where there is one text for each image; made once where the whole can be held."""
    n, b, rows = len(gallery.images.x), len(gallery.image_of), gallery.candidates
    similarity: Similarity = block
    if rows * b <= _LARGEST_HELD:
        similarity = torch.cat([block(slice(i, min(i + _AT_ONCE, rows))) for i in range(0, rows, _AT_ONCE)])
    found = retrieval(similarity, groups_y=gallery.image_of, ks=_KS, n=rows)
    if not calibrate or not n == b > 2:
        return found, None
    of_pairs = similarity[:n] if isinstance(similarity, torch.Tensor) else similarity
    return found, pmi_calibration(of_pairs, n=n)


def _report(found: Retrieval, gallery: Gallery, calibration: Calibration | None) -> dict[str, Any]:
    """All that was found, for JSON."""
    report: dict[str, Any] = {
        "image_to_text": _way(found.image_to_text),
        "text_to_image": {**_way(found.text_to_image), "image_of": gallery.image_of.tolist()},
        "ids": None if gallery.ids is None else gallery.ids.tolist(),
        "captions": None if gallery.captions is None else gallery.captions.tolist(),
    }
    if calibration is not None:
        pmi = calibration.mutual_information.per_sample
        report["calibration"] = {
            **calibration.to_dict(),
            "mutual_information": _score(calibration.mutual_information),
            "pmi": None if pmi is None else pmi.tolist(),
        }
    return report


def _way(way: Direction) -> dict[str, Any]:
    low, high = way.median_rank_interval()
    return {
        **{f"recall@{k}": _score(score) for k, score in way.recall.items()},
        "reciprocal_rank": _score(way.reciprocal_rank),
        "median_rank": {"value": way.median_rank, "low": low, "high": high},
        "ranks": way.ranks.tolist(),
    }


def _score(score: Score) -> dict[str, float | None]:
    """A value with its 95 % interval; null where that is not known."""
    low, high = (None if math.isnan(end) else end for end in score.interval())
    return {"value": score.value, "low": low, "high": high}


def _print(found: Retrieval, calibration: Calibration | None, about: str) -> None:
    out = console()
    table = Table()
    table.add_column("")
    for column in ("image → text", "95% interval", "text → image", "95% interval"):
        table.add_column(column, justify="right", no_wrap=True)
    ways = found.image_to_text, found.text_to_image
    for k in _KS:
        table.add_row(f"R@{k}", *[cell for way in ways for cell in _share(way.recall[k])])
    table.add_row("MRR", *[cell for way in ways for cell in _share(way.reciprocal_rank)])
    ranks = [(way.median_rank, *way.median_rank_interval()) for way in ways]
    table.add_row("median rank", *[cell for own, low, high in ranks for cell in (f"{own:g}", f"{low:g} to {high:g}")])
    out.print(table)
    out.print(f"{about} MRR: mean reciprocal rank. Lower is better for the rank, higher for all else.", soft_wrap=True)
    if calibration is not None:
        out.print(_calibrated(calibration), soft_wrap=True)


def _share(score: Score) -> tuple[str, str]:
    low, high = score.interval()
    return f"{score.value:.3f}", "-" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def _calibrated(calibration: Calibration) -> str:
    information = calibration.mutual_information
    low, high = information.interval()
    return (
        f"Mutual information {information.value:.3f} nats ({low:.3f} to {high:.3f}), the mean of similarity less its "
        f"constant {calibration.constant:.3f}; InfoNCE shows {calibration.info_nce_bound:.3f} of at most "
        f"{calibration.limit:.3f}. The mean of e^PMI, 1 for each item if the similarity is PMI, spreads by "
        f"{calibration.row_spread:.2f} over images and {calibration.column_spread:.2f} over texts; by chance alone "
        f"{calibration.row_noise:.2f} and {calibration.column_noise:.2f}."
    )
