"""The judgments of MID's authors: 2,000 generated images and how well people found that they fit their prompts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments import coco
from pointwise.judgments.pickles import read_plain
from pointwise.judgments.protocol import Annotations, Published, Ratings
from pointwise.judgments.tree import Paths

_RATINGS, _SAMPLES = "amt_result_tot.pkl", "sample_info.pkl"


def _read(paths: Paths, _: np.random.Generator, *, fitted: int = 30_000) -> Annotations:
    """The datum of a generated image is the median of the workers' ratings of its alignment.

    Where it is not above 0, none was collected. MID is fitted on COCO's real images with one caption each, those of the
    prompts first, at most as many as in the published protocol.

    Reference: Kim et al. (2022), https://arxiv.org/abs/2205.13445, section 4.
    """
    annotations = coco.read_annotations(paths[coco.CAPTIONS], coco.CAPTION_FIELDS)
    captions = {row["id"]: row["caption"] for row in annotations}
    rated = list(_ratings(paths[_RATINGS]))
    unknown = [caption for _, caption, *_ in rated if caption not in captions]
    if unknown:
        raise InputError(
            f"{paths[_RATINGS]}: {len(unknown)} of {len(rated)} rated images have a caption that is not in "
            f"{coco.CAPTIONS}, the first has id {unknown[0]}; take the captions of COCO 2014."
        )
    fit = dict.fromkeys((image, caption) for image, caption, *_ in rated)
    prompted = {image for image, _ in fit}
    for image, caption in _samples(paths[_SAMPLES]):
        if len(fit) < fitted and image not in prompted and caption in captions:
            prompted.add(image)
            fit[image, caption] = None
    return Annotations(
        [(f"{image}_{caption}_{model}.png", captions[caption]) for image, caption, model, _ in rated],
        Ratings(np.arange(len(rated)), np.asarray([rating for *_, rating in rated]), ("kendall_c", "kendall_b")),
        references={},
        fit=[(coco.image_name(image), captions[caption]) for image, caption in fit],
    )


def _ratings(path: Path) -> Iterator[tuple[int, int, str, float]]:
    """Image, caption, model and the median of the ratings of alignment; those without one are left out."""
    content = read_plain(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; it must be a dict of ratings by generated image.")
    for key, answers in content.items():
        parts = str(key).split("_")
        if len(parts) < 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            raise InputError(f"{path} has the key {key!r}; keys are IMAGE_CAPTION_MODEL, as 42_7_lafite.")
        if not isinstance(answers, Mapping) or "alignment" not in answers:
            raise InputError(f"{path}: {key} has no ratings 'alignment'.")
        try:
            ratings = np.ravel(np.asarray(answers["alignment"], dtype=np.float64))
        except (TypeError, ValueError, OverflowError):
            ratings = np.asarray([np.nan])
        if not np.isfinite(ratings).all():
            shown = str(answers["alignment"])[:80]
            raise InputError(f"{path}: {key} has the ratings {shown}; they must be numbers, one of each worker.")
        if len(ratings) and np.median(ratings) > 0:
            yield int(parts[0]), int(parts[1]), parts[2], float(np.median(ratings))


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


MID_AMT = Published(
    "mid-amt", files=(_RATINGS, _SAMPLES, coco.CAPTIONS), images=f"fakeim/ and {coco.IMAGES}", read=_read
)
