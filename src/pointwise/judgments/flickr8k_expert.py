"""Flickr8k-Expert: three experts rate each of 5,664 pairs of an image and a caption from 1 to 4."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments.flickr8k import IMAGES, PREFIX, TOKENS, read_captions, require_known, stem
from pointwise.judgments.protocol import Judgments, Ratings, judgments
from pointwise.judgments.tree import find, pictures, read_rows

NAME = "flickr8k-expert"
_ANNOTATIONS = "ExpertAnnotations.txt"
_COLUMNS = ("image", "caption id", "first rating", "second rating", "third rating")
_PUBLISHED = {("mid", "kendall_c"): 54.9, ("clip_score", "kendall_c"): 51.2, ("ref_clip_score", "kendall_c"): 53.0}


def load(folder: str | Path, *, seed: int = 0) -> Judgments:
    """Read ExpertAnnotations.txt, Flickr8k.token.txt and the images.

    Each of the three ratings of a pair is a datum. Pairs whose caption is one of the image's own five are left out, as
    Hessel et al. and those before them do; references are those five.

    Args:
        folder: that holds the files, at any depth.
        seed: not used: nothing is drawn.

    Raises:
        InputError: files are missing or not of this form, a rating is not 1, 2, 3 or 4.

    Reference: Hodosh, Young & Hockenmaier (2013), https://doi.org/10.1613/jair.3994.
    """
    paths = find(folder, needed=(_ANNOTATIONS, TOKENS), name=NAME)
    captions = read_captions(paths)
    path = paths[_ANNOTATIONS]
    rated: list[tuple[str, str, list[int]]] = []
    for number, (image, caption, *ratings) in read_rows(path, _COLUMNS):
        wrong = [rating for rating in ratings if rating not in ("1", "2", "3", "4")]
        if wrong:
            raise InputError(f"{path}, line {number}, has the rating {wrong[0]!r}; ratings are 1, 2, 3 or 4.")
        rated.append((image, caption, [int(rating) for rating in ratings]))
    require_known(path, [caption for _, caption, _ in rated], captions)
    own = captions.of_image
    rated = [row for row in rated if captions.by_id[row[1]] not in own.get(stem(row[0]), ())]
    pairs = [(image, captions.by_id[caption]) for image, caption, _ in rated]
    references = [own.get(stem(image), ()) for image, _ in pairs]
    return judgments(
        NAME,
        pairs=pairs,
        references={"": [references]},
        fit=((image, text) for (image, _), shown in zip(pairs, references, strict=True) for text in shown),
        verdict=Ratings(
            pair=np.repeat(np.arange(len(rated)), 3),
            value=np.asarray([rating for *_, ratings in rated for rating in ratings], dtype=np.float64),
            statistics=("kendall_c",),
        ),
        open_named=partial(pictures, paths, source=str(folder), within=IMAGES),
        prefix=PREFIX,
        published=_PUBLISHED,
    )
