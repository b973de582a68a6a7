"""The judgments of MID's authors: 2,000 generated images and how well people found that they fit their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments import coco
from pointwise.judgments.pickles import read_plain
from pointwise.judgments.protocol import Judgments, Ratings, Values, judgments
from pointwise.judgments.tree import find, pictures

NAME = "mid-amt"
_RATINGS, _SAMPLES = "amt_result_tot.pkl", "sample_info.pkl"
_FITTED = 30_000  # reference pairs at most, as in the published protocol


def load(folder: str | Path, *, seed: int = 0) -> Judgments:
    """Read amt_result_tot.pkl, sample_info.pkl, COCO's captions_val2014.json, and generated and real images.

    The datum of a generated image is the median of the workers' ratings of its alignment; where it is not above 0, none
    was collected. MID is fitted on COCO's real
    images with one caption each, those of the prompts first, 30,000 at most.

    Args:
        folder: that holds the files, at any depth.
        seed: not used: nothing is drawn.

    Raises:
        InputError: files are missing or not of this form, a rating is no number.

    Reference: Kim et al. (2022), https://arxiv.org/abs/2205.13445, section 4.
    """
    paths = find(folder, needed=(_RATINGS, _SAMPLES, coco.CAPTIONS), name=NAME)
    captions = coco.read_captions(paths)
    rated = list(_ratings(paths[_RATINGS]))
    known = set(captions.by_id)
    unknown = [row.caption for row in rated if row.caption not in known]
    if unknown:
        raise InputError(
            f"{paths[_RATINGS]}: {len(unknown)} of {len(rated)} rated images have a caption that is not in "
            f"{coco.CAPTIONS}, the first has id {unknown[0]}; take the captions of COCO 2014."
        )
    fit = dict.fromkeys((row.image, row.caption) for row in rated)
    prompted = {image for image, _ in fit}
    for image, caption in _samples(paths[_SAMPLES]):
        if len(fit) < _FITTED and image not in prompted and caption in known:
            prompted.add(image)
            fit[image, caption] = None
    return judgments(
        NAME,
        pairs=[(f"{row.image}_{row.caption}_{row.model}.png", captions.by_id[row.caption]) for row in rated],
        references={},
        fit=[(coco.image_name(image), captions.by_id[caption]) for image, caption in fit],
        verdict=Ratings(
            pair=np.arange(len(rated)),
            value=np.asarray([row.rating for row in rated]),
            statistics=("kendall_c", "kendall_b"),
        ),
        open_named=partial(pictures, paths, source=str(folder), within=f"fakeim/ and {coco.IMAGES}"),
        prefix="",
        published={},
    )


class _Rated(NamedTuple):
    image: int
    caption: int
    model: str
    rating: float


def _ratings(path: Path) -> Iterator[_Rated]:
    """The rated images with the median of their ratings of alignment; those without one are left out."""
    content = read_plain(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; it must be a dict of ratings by generated image.")
    for key, answers in content.items():
        parts = str(key).split("_")
        if len(parts) < 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            raise InputError(f"{path} has the key {key!r}; keys are IMAGE_CAPTION_MODEL, as 42_7_lafite.")
        if not isinstance(answers, Mapping) or "alignment" not in answers:
            raise InputError(f"{path}: {key} has no ratings 'alignment'.")
        ratings = _numbers(answers["alignment"], f"{path}: {key}")
        if len(ratings) and np.median(ratings) > 0:
            yield _Rated(int(parts[0]), int(parts[1]), parts[2], float(np.median(ratings)))


def _numbers(ratings: Any, where: str) -> Values:
    try:
        numbers = np.ravel(np.asarray(ratings, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        numbers = np.asarray([np.nan])
    if not np.isfinite(numbers).all():
        raise InputError(f"{where} has the ratings {str(ratings)[:80]}; they must be numbers, one of each worker.")
    return numbers


def _samples(path: Path) -> Iterator[tuple[int, int]]:
    """Image and caption of each foil of FOIL, in order, as the published protocol lists its reference images."""
    content: Any = read_plain(path)
    for i, row in enumerate(content if isinstance(content, list) else [content]):
        fields = row if isinstance(row, Mapping) else {}
        image, caption = fields.get("image_id"), fields.get("id")
        if not (isinstance(image, int) and isinstance(caption, int) and isinstance(fields.get("foil"), int)):
            raise InputError(
                f"{path}: element {i} must be a dict with image_id, id (both int) and foil (true or false)."
            )
        if fields["foil"]:
            yield image, caption
