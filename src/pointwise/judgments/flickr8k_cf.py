"""Flickr8k-CF: 48 thousand pairs of an image and a caption, each with the share of people who said it fits."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments.flickr8k import IMAGES, PREFIX, TOKENS, read_captions, require_known, stem
from pointwise.judgments.protocol import Judgments, Ratings, judgments
from pointwise.judgments.tree import find, pictures, read_rows

NAME = "flickr8k-cf"
_ANNOTATIONS = "CrowdFlowerAnnotations.txt"
_COLUMNS = ("image", "caption id", "share of yes", "number of yes", "number of no")
_PUBLISHED = {("mid", "kendall_b"): 37.3, ("clip_score", "kendall_b"): 34.4, ("ref_clip_score", "kendall_b"): 36.4}
_ROUNDING = 1e-4  # of the share as it is printed


def load(folder: str | Path, *, seed: int = 0) -> Judgments:
    """Read CrowdFlowerAnnotations.txt, Flickr8k.token.txt and the images.

    The datum of a pair is its share of yes. References are the image's own five captions without those that are judged
    for this image, as Hessel et al. do.

    Args:
        folder: that holds the files, at any depth.
        seed: not used: nothing is drawn.

    Raises:
        InputError: files are missing or not of this form, a share is not what the two counts say.

    Reference: Hodosh, Young & Hockenmaier (2013), https://doi.org/10.1613/jair.3994.
    """
    paths = find(folder, needed=(_ANNOTATIONS, TOKENS), name=NAME)
    captions = read_captions(paths)
    path = paths[_ANNOTATIONS]
    judged: list[tuple[str, str, float]] = []
    for number, (image, caption, *counts) in read_rows(path, _COLUMNS):
        judged.append((image, caption, _share(counts, f"{path}, line {number},")))
    require_known(path, [caption for _, caption, _ in judged], captions)
    pairs = [(image, captions.by_id[caption]) for image, caption, _ in judged]
    asked = set(pairs)
    references = [
        [text for text in captions.of_image.get(stem(image), ()) if (image, text) not in asked] for image, _ in pairs
    ]
    return judgments(
        NAME,
        pairs=pairs,
        references={"": [references]},
        fit=((image, text) for (image, _), shown in zip(pairs, references, strict=True) for text in shown),
        verdict=Ratings(
            pair=np.arange(len(pairs)),
            value=np.asarray([share for *_, share in judged]),
            statistics=("kendall_b",),
        ),
        open_named=partial(pictures, paths, source=str(folder), within=IMAGES),
        prefix=PREFIX,
        published=_PUBLISHED,
    )


def _share(cells: list[str], where: str) -> float:
    try:
        share, yes, no = float(cells[0]), int(cells[1]), int(cells[2])
    except ValueError:
        raise InputError(
            f"{where} has {', '.join(cells)}; it must have the share of yes, the number of yes and the number of no."
        ) from None
    if min(yes, no) < 0 or yes + no == 0 or not math.isclose(share, yes / (yes + no), abs_tol=_ROUNDING):
        raise InputError(
            f"{where} says that {yes} of {yes + no} answers are a share of {cells[0]}; "
            "the share must be yes / (yes + no)."
        )
    return share
