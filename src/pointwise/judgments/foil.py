"""FOIL: of 32 thousand images each, a true caption and the same with one noun exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments import coco
from pointwise.judgments.protocol import Choices, Judgments, judgments
from pointwise.judgments.tree import find, pictures

NAME = "foil"
_ANNOTATIONS = "foilv1.0_test_2017.json"
_FIELDS = {"image_id": int, "id": int, "caption": str, "foil": bool}
_MOST_REFERENCES = 4
_VARIANTS = {"1 reference": 1, f"{_MOST_REFERENCES} references": _MOST_REFERENCES}
_NUMBERS = {"mid": (90.5, 90.5), "clip_score": (87.2, 87.2), "ref_clip_score": (91.0, 92.6)}
_PUBLISHED = {
    (metric, f"accuracy, {variant}"): number
    for metric, numbers in _NUMBERS.items()
    for variant, number in zip(_VARIANTS, numbers, strict=True)
}


def load(folder: str | Path, *, seed: int = 0) -> Judgments:
    """Read foilv1.0_test_2017.json, COCO's captions_val2014.json and the images.

    Of each image one pair of a true caption and one of its foils is drawn. References are up to four of the image's
    other captions in COCO, drawn too, and the first of these alone. Equal scores count as a mistake.

    Args:
        folder: that holds the files, at any depth.
        seed: of what is drawn.

    Raises:
        InputError: files are missing or not of this form, a foil has no true caption.

    Reference: Shekhar et al. (2017), https://arxiv.org/abs/1705.01359; one pair per image: Hessel et al. (2021).
    """
    paths = find(folder, needed=(_ANNOTATIONS, coco.CAPTIONS), name=NAME)
    captions = coco.read_captions(paths)
    rng = np.random.default_rng(seed)
    pairs: list[tuple[str, str]] = []
    references: list[list[str]] = []
    fit: list[tuple[str, str]] = []
    for image, choices in _by_image(
        coco.read_annotations(paths, _ANNOTATIONS, fields=_FIELDS), paths[_ANNOTATIONS]
    ).items():
        name = coco.image_name(image)
        true, foil = choices[int(rng.integers(len(choices)))]
        others = [text for text in captions.of_image.get(image, ()) if text.split() != true.split()]
        fit += [(name, text) for text in others]
        chosen = rng.permutation(len(others))[:_MOST_REFERENCES]
        pairs += [(name, true), (name, foil)]
        references += [[others[i] for i in chosen]] * 2
    return judgments(
        NAME,
        pairs=pairs,
        references={variant: [[shown[:most] for shown in references]] for variant, most in _VARIANTS.items()},
        fit=fit,
        verdict=Choices(
            first=np.arange(0, len(pairs), 2),
            second=np.arange(1, len(pairs), 2),
            first_chosen=np.ones(len(pairs) // 2),
            tie=0.0,
        ),
        open_named=partial(pictures, paths, source=str(folder), within=coco.IMAGES),
        prefix="A photo depicts ",
        published=_PUBLISHED,
    )


def _by_image(rows: Sequence[Mapping[str, Any]], path: Path) -> dict[int, list[tuple[str, str]]]:
    """Image -> its pairs of a true caption and a foil of it, which share the id of COCO's caption."""
    true = {row["id"]: row["caption"] for row in rows if not row["foil"]}
    found: dict[int, list[tuple[str, str]]] = {}
    orphans = []
    for row in rows:
        if row["foil"] and row["id"] in true:
            found.setdefault(row["image_id"], []).append((true[row["id"]], row["caption"]))
        elif row["foil"]:
            orphans.append(row["id"])
    if orphans:
        raise InputError(
            f"{path}: {len(orphans)} foils have no true caption of the same id, the first has id {orphans[0]}; "
            "fetch the file again."
        )
    return found
