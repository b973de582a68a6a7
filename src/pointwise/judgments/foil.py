"""FOIL: of 32 thousand images each, a true caption and the same with one noun exchanged."""

from pathlib import Path

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments import coco
from pointwise.judgments.protocol import Annotations, Choices, Published
from pointwise.judgments.tree import Paths

_ANNOTATIONS = "foilv1.0_test_2017.json"
_FIELDS = {"image_id": int, "id": int, "caption": str, "foil": bool}
_MOST_REFERENCES = 4
_VARIANTS = {"1 reference": 1, f"{_MOST_REFERENCES} references": _MOST_REFERENCES}


def _read(paths: Paths, rng: np.random.Generator) -> Annotations:
    """Of each image one pair of a true caption and one of its foils is drawn. Equal scores count as a mistake.

    References are up to four of the image's other captions in COCO, drawn too, and the first of these alone.

    Reference: Shekhar et al. (2017), https://arxiv.org/abs/1705.01359; one pair per image: Hessel et al. (2021).
    """
    captions: dict[int, list[str]] = {}
    for row in coco.read_annotations(paths[coco.CAPTIONS], coco.CAPTION_FIELDS):
        captions.setdefault(row["image_id"], []).append(row["caption"])
    pairs: list[tuple[str, str]] = []
    references: list[list[str]] = []
    fit: list[tuple[str, str]] = []
    for image, choices in _by_image(paths[_ANNOTATIONS]).items():
        name = coco.image_name(image)
        true, foil = choices[int(rng.integers(len(choices)))]
        others = [text for text in captions.get(image, ()) if text.split() != true.split()]
        fit += [(name, text) for text in others]
        chosen = rng.permutation(len(others))[:_MOST_REFERENCES]
        pairs += [(name, true), (name, foil)]
        references += [[others[i] for i in chosen]] * 2
    variants = {variant: [[shown[:most] for shown in references]] for variant, most in _VARIANTS.items()}
    return Annotations(pairs, Choices(np.ones(len(pairs) // 2), tie=0.0), variants, fit)


def _by_image(path: Path) -> dict[int, list[tuple[str, str]]]:
    """Image -> its pairs of a true caption and a foil of it, which share the id of COCO's caption."""
    rows = coco.read_annotations(path, _FIELDS)
    true = {row["id"]: row["caption"] for row in rows if not row["foil"]}
    by_image: dict[int, list[tuple[str, str]]] = {}
    orphans = []
    for row in rows:
        if row["foil"] and row["id"] in true:
            by_image.setdefault(row["image_id"], []).append((true[row["id"]], row["caption"]))
        elif row["foil"]:
            orphans.append(row["id"])
    if orphans:
        raise InputError(
            f"{path}: {len(orphans)} foils have no true caption of the same id, the first has id {orphans[0]}; "
            "fetch the file again."
        )
    return by_image


FOIL = Published(
    "foil",
    files=(_ANNOTATIONS, coco.CAPTIONS),
    images=coco.IMAGES,
    read=_read,
    prefix="A photo depicts ",
    statistics=[f"accuracy, {variant}" for variant in _VARIANTS],
    numbers={"mid": (90.5, 90.5), "clip_score": (87.2, 87.2), "ref_clip_score": (91.0, 92.6)},
)
