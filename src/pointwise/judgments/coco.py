"""What the sets on COCO share: its captions of 2014 and the names of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointwise.errors import InputError
from pointwise.judgments.tree import Paths, read_json

CAPTIONS = "captions_val2014.json"
IMAGES = "val2014/"


@dataclass(frozen=True)
class Captions:
    """The captions of COCO.

    Attributes:
        by_id: id of a caption -> the caption.
        of_image: id of an image -> its captions.
    """

    by_id: Mapping[int, str]
    of_image: Mapping[int, Sequence[str]]


def read_captions(paths: Paths) -> Captions:
    """Read captions_val2014.json.

    Raises:
        InputError: it is not of COCO's form.
    """
    by_id: dict[int, str] = {}
    of_image: dict[int, list[str]] = {}
    for row in read_annotations(paths, CAPTIONS, fields={"image_id": int, "id": int, "caption": str}):
        by_id[row["id"]] = row["caption"]
        of_image.setdefault(row["image_id"], []).append(row["caption"])
    return Captions(by_id, of_image)


def read_annotations(paths: Paths, file: str, *, fields: Mapping[str, type]) -> list[Mapping[str, Any]]:
    """Return the list "annotations" of a JSON file of COCO's form.

    Raises:
        InputError: there is no such list, or an annotation lacks one of these fields or has it of another type.
    """
    path = paths[file]
    content = read_json(path)
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{path} has no list 'annotations' as files of COCO's form have; take the published file.")
    for i, row in enumerate(rows):
        wrong = [
            name for name, kind in fields.items() if not isinstance(row, dict) or not isinstance(row.get(name), kind)
        ]
        if wrong:
            raise InputError(
                f"{path}: annotation {i} lacks {', '.join(wrong)}, or has it of another type; "
                f"it must have {', '.join(f'{name} ({kind.__name__})' for name, kind in fields.items())}."
            )
    return rows


def image_name(image: int) -> str:
    """The file of an image of the validation set of 2014."""
    return f"COCO_val2014_{image:012d}.jpg"
