"""pointwise retrieve: how early each text comes among all texts for its image, and the other way round."""

import json
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from pointwise._options import usable_device
from pointwise._retrieval.candidates import held, open_candidates, products, similarities
from pointwise._retrieval.retrieval import Direction, Retrieval, retrieval
from pointwise.cli.bars import Bars
from pointwise.cli.results import json_option, show
from pointwise.cli.sources import warn
from pointwise.cli.tables import console, table_of
from pointwise.errors import InputError
from pointwise.pmi.calibration import Calibration, pmi_calibration
from pointwise.score import Score
from pointwise.training.folder import MODEL
from pointwise.training.model import DualEncoder

_KS = (1, 5, 10)


@click.command()
@click.argument("source")
@click.option("--model", "folder", metavar="FOLDER", help="Of pointwise train: take its similarity, and check it.")
@click.option("--captions", help="With --model, of images: a table or text file, else the texts beside the images.")
@click.option("--distractors", metavar="SOURCE", help="Images that no text belongs to, as further candidates.")
@click.option("--similarity", type=click.Choice(["cosine", "dot"]), help="Of a table's rows; cosine if left out.")
@json_option
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
    for option, value in (("--captions", captions), ("--device", device)):
        if folder is None and value is not None:
            raise InputError(f"{option} is for a model of pairs; give --model FOLDER with it, or leave it out.")
    if folder is not None and similarity is not None:
        raise InputError("--similarity is for tables, and a model has its own; leave it out beside --model.")
    model = None if folder is None else _load(folder, device)
    name = similarity or "cosine" if model is None else f"the {model.kind} model {folder}"
    with Bars(f"{source}: ") as bars:
        some = open_candidates(source, model, captions=captions, distractors=distractors, say=warn, progress=bars)
        n, b = len(some.images.x), len(some.image_of)
        block = products(some, unit=name == "cosine") if model is None else similarities(some, model, bars)
        block = held(block, some)
        ranks = retrieval(block, groups_y=some.image_of, ks=_KS, n=some.rows)
        calibration = pmi_calibration(block, n=n) if model is not None and n == b > 2 else None
    report = {"source": source, "similarity": name, "images": n, "texts": b, "distractors": some.rows - n}
    report["image_to_text"] = _way(ranks.image_to_text)
    report["text_to_image"] = {**_way(ranks.text_to_image), "image_of": some.image_of.tolist()}
    report["ids"] = None if some.ids is None else some.ids.tolist()
    report["captions"] = None if some.captions is None else some.captions.tolist()
    if calibration is not None:
        information, pmi = calibration.mutual_information, calibration.mutual_information.per_sample
        more = {"mutual_information": information.to_dict(), "pmi": None if pmi is None else pmi.tolist()}
        report["calibration"] = calibration.to_dict() | more
    beside = f" among {some.rows - n} more images without a text" if distractors is not None else ""
    table = partial(_print, ranks, calibration, f"{n} images and {b} texts{beside}, by {name}.")
    content = partial(json.dumps, report, indent=1, allow_nan=False)
    show(json_path, content, table, "Everything, down to the rank of each item,")


def _load(folder: str, device: str | None) -> DualEncoder:
    """The model in the folder that a training wrote, or in a file."""
    path = Path(folder) / MODEL if os.path.isdir(folder) else Path(folder)
    if not path.exists():
        raise InputError(f"{path} does not exist; give the folder that pointwise train wrote.")
    return DualEncoder.load(path, device=usable_device(device) or "cpu").eval()


def _way(way: Direction) -> dict[str, Any]:
    low, high = way.median_rank_interval()
    return {
        **{f"recall@{k}": score.to_dict() for k, score in way.recall.items()},
        "reciprocal_rank": way.reciprocal_rank.to_dict(),
        "median_rank": {"value": way.median_rank, "low": low, "high": high},
        "ranks": way.ranks.tolist(),
    }


def _print(retrieved: Retrieval, calibration: Calibration | None, about: str) -> None:
    out = console()
    table = table_of("", numbers=("image → text", "95% interval", "text → image", "95% interval"))
    ways = retrieved.image_to_text, retrieved.text_to_image
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
