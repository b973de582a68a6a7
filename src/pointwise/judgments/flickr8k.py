"""Flickr8k's two sets: 5,664 pairs of an image and a caption rated by experts, and 48 thousand asked to a crowd."""

import math
from collections.abc import Sequence

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments.protocol import Annotations, Published, Ratings
from pointwise.judgments.tree import Paths, read_rows

_CAPTIONS, _EXPERT, _CROWD = "Flickr8k.token.txt", "ExpertAnnotations.txt", "CrowdFlowerAnnotations.txt"
_EXPERT_COLUMNS = ("image", "caption id", "first rating", "second rating", "third rating")
_CROWD_COLUMNS = ("image", "caption id", "share of yes", "number of yes", "number of no")
_ROUNDING = 1e-4  # of the share of yes as it is printed


def _expert(paths: Paths, _: np.random.Generator) -> Annotations:
    """Each of the three ratings of a pair is a datum.

    Pairs whose caption is one of the image's own five are left out, as Hessel et al. and those before them do;
    references are those five.

    Reference: Hodosh, Young & Hockenmaier (2013), https://doi.org/10.1613/jair.3994.
    """
    pairs: list[tuple[str, str]] = []
    values: list[int] = []
    references: list[Sequence[str]] = []
    for image, caption, own, ratings, where in _read_judged(paths, _EXPERT, _EXPERT_COLUMNS):
        wrong = [rating for rating in ratings if rating not in ("1", "2", "3", "4")]
        if wrong:
            raise InputError(f"{where} has the rating {wrong[0]!r}; ratings are 1, 2, 3 or 4.")
        if caption not in own:
            pairs.append((image, caption))
            values += map(int, ratings)
            references.append(own)
    of_pair, ratings_of_all = np.repeat(np.arange(len(pairs)), 3), np.asarray(values, dtype=np.float64)
    return _annotations(pairs, Ratings(of_pair, ratings_of_all, ("kendall_c",)), references)


def _crowd(paths: Paths, _: np.random.Generator) -> Annotations:
    """The datum of a pair is the share of people who said that it fits.

    References are the image's own five captions without those that are judged for this image, as Hessel et al. do.

    Reference: Hodosh, Young & Hockenmaier (2013), https://doi.org/10.1613/jair.3994.
    """
    rows = _read_judged(paths, _CROWD, _CROWD_COLUMNS)
    pairs = [(image, caption) for image, caption, *_ in rows]
    shares = np.asarray([_share(counts, where) for *_, counts, where in rows])
    asked = set(pairs)
    references = [[text for text in own if (image, text) not in asked] for image, _, own, *_ in rows]
    return _annotations(pairs, Ratings(np.arange(len(pairs)), shares, ("kendall_b",)), references)


def _annotations(
    pairs: Sequence[tuple[str, str]], verdict: Ratings, references: Sequence[Sequence[str]]
) -> Annotations:
    fit = ((image, text) for (image, _), shown in zip(pairs, references, strict=True) for text in shown)
    return Annotations(pairs, verdict, {"": [references]}, fit)


def _read_judged(
    paths: Paths, name: str, columns: Sequence[str]
) -> list[tuple[str, str, Sequence[str], list[str], str]]:
    """Of each line the image, the caption, all captions of the image, the further cells, and where it is."""
    captions: dict[str, str] = {}  # by id, "image.jpg#0"
    of_image: dict[str, list[str]] = {}
    for _, (caption_id, caption) in read_rows(paths[_CAPTIONS], ("caption id", "caption")):
        captions[caption_id] = caption
        of_image.setdefault(_stem(caption_id), []).append(caption)
    rows = list(read_rows(paths[name], columns))
    unknown = [caption for _, (_, caption, *_) in rows if caption not in captions]
    if unknown:
        raise InputError(
            f"{paths[name]}: {len(unknown)} of its {len(rows)} caption ids are not in {_CAPTIONS}, the first is "
            f"{unknown[0]!r}; take both files from one release."
        )
    return [
        (image, captions[caption], of_image.get(_stem(image), ()), more, f"{paths[name]}, line {line},")
        for line, (image, caption, *more) in rows
    ]


def _stem(name: str) -> str:
    """The image of a name or caption id, up to its first dot: one id of the published file says ".jpg.1"."""
    return name.split("#")[0].split(".")[0]


def _share(cells: Sequence[str], where: str) -> float:
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


EXPERT = Published(
    "flickr8k-expert",
    files=(_EXPERT, _CAPTIONS),
    images="Flicker8k_Dataset/",  # so spelt where it is published
    read=_expert,
    prefix="A photo depicts ",
    statistics=["kendall_c"],
    numbers={"mid": [54.9], "clip_score": [51.2], "ref_clip_score": [53.0]},
)
CROWD = EXPERT._replace(
    name="flickr8k-cf",
    files=(_CROWD, _CAPTIONS),
    read=_crowd,
    statistics=["kendall_b"],
    numbers={"mid": [37.3], "clip_score": [34.4], "ref_clip_score": [36.4]},
)
