"""What the sets on COCO share: its captions of 2014 and the names of its images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointwise.errors import InputError
from pointwise.judgments.tree import read_text
from pointwise.tables.text import parse_json

CAPTIONS = "captions_val2014.json"
CAPTION_FIELDS = {"image_id": int, "id": int, "caption": str}
IMAGES = "val2014/"


def read_annotations(path: Path, fields: Mapping[str, type]) -> list[Mapping[str, Any]]:
    """Return the list "annotations" of a JSON file of COCO's form, each with these fields of these types."""
    content = read_text(path, parse_json)
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{path} has no list 'annotations' as files of COCO's form have; take the published file.")
    for i, row in enumerate(rows):
        known = row if isinstance(row, dict) else {}
        wrong = [name for name, kind in fields.items() if not isinstance(known.get(name), kind)]
        if wrong:
            raise InputError(
                f"{path}: annotation {i} lacks {', '.join(wrong)}, or has it of another type; "
                f"it must have {', '.join(f'{name} ({kind.__name__})' for name, kind in fields.items())}."
            )
    return rows


def image_name(image: int) -> str:
    """The file of an image of the validation set of 2014."""
    return f"COCO_val2014_{image:012d}.jpg"
