"""What the two judgment sets of Flickr8k share: its captions and its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointwise.errors import InputError
from pointwise.judgments.tree import Paths, read_rows

TOKENS = "Flickr8k.token.txt"
IMAGES = "Flicker8k_Dataset/"  # so spelt where it is published
PREFIX = "A photo depicts "


@dataclass(frozen=True)
class Captions:
    """The captions of Flickr8k.

    Attributes:
        by_id: "image.jpg#0" -> caption.
        of_image: image without its suffix -> its captions.
    """

    by_id: Mapping[str, str]
    of_image: Mapping[str, Sequence[str]]


def read_captions(paths: Paths) -> Captions:
    """Read Flickr8k.token.txt: lines of a caption's id and the caption.

    Raises:
        InputError: a line has other columns.
    """
    by_id: dict[str, str] = {}
    of_image: dict[str, list[str]] = {}
    for _, (name, caption) in read_rows(paths[TOKENS], ("caption id", "caption")):
        by_id[name] = caption
        of_image.setdefault(stem(name), []).append(caption)
    return Captions(by_id, of_image)


def stem(name: str) -> str:
    """The image of a name or caption id, up to its first dot: one id of the published file says ".jpg.1"."""
    return name.split("#")[0].split(".")[0]


def require_known(path: Path, ids: Sequence[str], captions: Captions) -> None:
    """Raise an InputError unless each caption id has a caption."""
    unknown = [name for name in ids if name not in captions.by_id]
    if unknown:
        raise InputError(
            f"{path}: {len(unknown)} of its {len(ids)} caption ids are not in {TOKENS}, the first is {unknown[0]!r}; "
            "take both files from one release."
        )
