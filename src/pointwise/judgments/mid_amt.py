"""The judgments of MID's authors: 2,000 generated images and how well people found that they fit their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments import coco
from pointwise.judgments.pickles import read_plain
from pointwise.judgments.protocol import Judgments, Ratings, judgments
from pointwise.judgments.tree import find, pictures

NAME = "mid-amt"
_RATINGS, _SAMPLES = "amt_result_tot.pkl", "sample_info.pkl"
_FITTED = 30_000  # reference pairs at most, as in the published protocol
_BEST = 5  # of the scale from 1 that workers answered on


def load(folder: str | Path, *, seed: int = 0) -> Judgments:
    """Read amt_result_tot.pkl, sample_info.pkl, COCO's captions_val2014.json, and generated and real images.

    The datum of a generated image is the median of the workers' ratings of its alignment. MID is fitted on COCO's real
    images with one caption each, those of the prompts first, 30,000 at most.

    Args:
        folder: that holds the files, at any depth.
        seed: not used: nothing is drawn.

    Raises:
        InputError: files are missing or not of this form, a rating is outside of 1 to 5.

    Reference: Kim et al. (2022), https://arxiv.org/abs/2205.13445, section 4.
    """
    paths = find(folder, needed=(_RATINGS, _SAMPLES, coco.CAPTIONS), name=NAME)
    captions = coco.read_captions(paths)
    rated = dict(_ratings(paths[_RATINGS]))
    known = set(captions.by_id)
    unknown = [key for key in rated if key[1] not in known]
    if unknown:
        raise InputError(
            f"{paths[_RATINGS]}: {len(unknown)} of {len(rated)} rated images have a caption that is not in "
            f"{coco.CAPTIONS}, the first has id {unknown[0][1]}; take the captions of COCO 2014."
        )
    fit = dict.fromkeys((image, caption) for image, caption, _ in rated)
    prompted = {image for image, _ in fit}
    for image, caption in _samples(paths[_SAMPLES]):
        if len(fit) < _FITTED and image not in prompted and caption in known:
            prompted.add(image)
            fit[image, caption] = None
    return judgments(
        NAME,
        pairs=[(f"{image}_{caption}_{model}.png", captions.by_id[caption]) for image, caption, model in rated],
        references={},
        fit=[(coco.image_name(image), captions.by_id[caption]) for image, caption in fit],
        verdict=Ratings(
            pair=np.arange(len(rated)),
            value=np.asarray(list(rated.values()), dtype=np.float64),
            statistics=("kendall_c", "kendall_b"),
        ),
        open_named=partial(pictures, paths, source=str(folder), within=f"fakeim/ and {coco.IMAGES}"),
        prefix="",
        published={},
    )


def _ratings(path: Path) -> Iterator[tuple[tuple[int, int, str], float]]:
    """(image, caption, model) and the median of its ratings; those without a rating of alignment are left out."""
    content = read_plain(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; it must be a dict of ratings by generated image.")
    for key, answers in content.items():
        parts = str(key).split("_")
        if len(parts) < 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            raise InputError(f"{path} has the key {key!r}; keys are IMAGE_CAPTION_MODEL, as 42_7_lafite.")
        if not isinstance(answers, Mapping) or "alignment" not in answers:
            raise InputError(f"{path}: {key} has no ratings 'alignment'.")
        ratings = np.ravel(np.asarray(answers["alignment"], dtype=np.float64))
        if not ((ratings >= 1) & (ratings <= _BEST)).all():
            raise InputError(f"{path}: {key} has the ratings {ratings.tolist()}; they must be from 1 to {_BEST}.")
        if len(ratings):
            yield (int(parts[0]), int(parts[1]), parts[2]), float(np.median(ratings))


def _samples(path: Path) -> Iterator[tuple[int, int]]:
    """Image and caption of each foil of FOIL, in order, as the published protocol lists its reference images."""
    content: Any = read_plain(path)
    for i, row in enumerate(content if isinstance(content, list) else [content]):
        if not isinstance(row, Mapping) or not {"image_id", "id", "foil"} <= set(row):
            raise InputError(f"{path}: element {i} must be a dict with image_id, id and foil.")
        if row["foil"]:
            yield int(row["image_id"]), int(row["id"])
