"""What is encoded, pictures, captions, or pictures with a caption each; and by which encoders."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch

from pointwise._types import Column, Pixels, Say
from pointwise.encoders import pixels
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.errors import InputError
from pointwise.items.captions import read_captions
from pointwise.items.images import Images, open_images
from pointwise.items.matching import match_captions
from pointwise.tables.digest import sha256_of
from pointwise.tables.table import FeatureTable

_TEXT_ENCODER = "minilm"  # where none is named
_DUAL = ("transformers", "open_clip")
_WIDE = 1 << 30  # bytes of captions in memory that are worth a word
_CAPTIONS = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True, eq=False)
class Items:
    """The n rows of a table to be, read when asked for."""

    source: str  # where the pictures come from, or the captions if there are no pictures
    _: KW_ONLY
    ids: Column  # [n]
    modes: Column | None = None  # [n]
    images: Images | None = None  # the pictures; None for captions alone
    rows: Sequence[int] = ()  # [n], of the pictures that are the items
    captions: Sequence[str] | None = None  # [n]
    captions_source: str | None = None
    order: Sequence[int]  # the places 0..n-1 in the order in which reading all of them is quick
    notes: tuple[str, ...] = ()  # what was decided about the captions, and what to know of them, in sentences

    def __len__(self) -> int:
        return len(self.ids)

    def picture(self, i: int) -> Pixels:
        """Return the picture of item i, uint8 [h, w, 3]."""
        if self.images is None:
            raise InputError(f"{self.source} holds captions alone, and no pictures.")
        return self.images[self.rows[i]]

    def captions_at(self, places: Sequence[int]) -> list[str]:
        """Return the captions of the items at these places."""
        return [] if self.captions is None else [self.captions[i] for i in places]

    def digest(self, i: int, *, skip_bad: bool) -> bytes:
        """Return the SHA-256 of all that is known of item i: id, mode, caption and the bytes of its picture.

        Where the picture of item i is read next, it is that of these bytes.
        """
        try:
            picture = None if self.images is None else self.images.digest(self.rows[i])
        except InputError:
            if not skip_bad:
                raise
            picture = "unreadable"
        mode = None if self.modes is None else self.modes[i].item()
        caption = None if self.captions is None else self.captions[i]
        return bytes.fromhex(sha256_of(self.ids[i].item(), mode, picture, caption))

    def table(self, places: Sequence[int], columns: Mapping[str, Column], meta: Mapping[str, Any]) -> FeatureTable:
        """Return the table of the items at these places, with features, and text if any, of theirs."""
        chosen = np.asarray(places, dtype=np.int64)
        features: dict[str, Any] = {name: torch.from_numpy(rows) for name, rows in columns.items()}
        return FeatureTable(
            **features,
            ids=self.ids[chosen],
            modes=None if self.modes is None else self.modes[chosen],
            captions=None if self.captions is None else np.array(self.captions_at(places), dtype=str),
            meta=meta,
        )


def is_captions(source: object) -> TypeGuard[str | Path]:
    """Say whether a source is a file of captions, by its suffix."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in _CAPTIONS and os.path.isfile(source)


def open_source(
    source: str | Path | Pixels | Images,
    encoder: str | Encoder,
    text_encoder: str | TextEncoder | None,
    captions: str | Path | None,
    *,
    only_matching: bool,
    device: str | torch.device | None,
    say: Say | None,
) -> tuple[Items, Encoder | None, TextEncoder | None]:
    """Open the source with its captions and load the encoders, so that what can be refused is so before any work.

    See ``encode`` for what each option means. There is no encoder of images for captions alone, nor one of texts
    without captions.
    """
    for path, what in ((source, "images or captions"), (captions, "captions")):
        if isinstance(path, str | Path) and not os.path.exists(path):  # False also for a name that is too long
            raise InputError(f"{path} does not exist; give a file, folder or archive of {what}.")
    text = load_text_encoder(text_encoder, device=device) if isinstance(text_encoder, str) else text_encoder
    items = open_items(source, captions=captions, beside=text is not None, only_matching=only_matching)
    if say is not None:
        for note in items.notes:
            say(note)
    image = None
    if items.images is not None:
        chosen = f"pixels:{pixels.size_for(items.images)}" if encoder == "pixels" else encoder
        image = load_encoder(chosen, device=device) if isinstance(chosen, str) else chosen
    if text is None and items.captions is not None:
        name = _TEXT_ENCODER
        if image is None:
            name = encoder if isinstance(encoder, str) else encoder.name
        elif image.name.partition(":")[0] in _DUAL and image.meta.get("unit_length"):
            name = image.name  # its text tower, of which features are of the space of these images
        text = load_text_encoder(_TEXT_ENCODER if name == "bundled" else name, device=device)
    return items, image, text


def open_items(
    source: str | Path | Pixels | Images, *, captions: str | Path | None, beside: bool, only_matching: bool
) -> Items:
    """Open a source of pictures, with captions in a file or, where ``beside``, those beside them; or of captions."""
    if is_captions(source):
        if captions is not None:
            raise InputError(
                f"{source} is a file of captions, and {captions} are captions too; give images as the source, "
                "or leave the second file out."
            )
        read = read_captions(source)
        ids = np.arange(len(read)) if read.ids is None else read.ids
        return Items(
            read.source,
            ids=ids,
            captions=read.texts,
            captions_source=read.source,
            order=range(len(read)),
            notes=_width_notes(ids, read.texts),
        )
    if only_matching and captions is None and not beside:
        raise InputError(
            "only_matching (--only-matching) keeps the images that have a caption, but there are no captions; "
            "give a file of them: captions=... (--captions FILE)."
        )
    images = source if isinstance(source, Images) else open_images(source)
    if captions is None and beside:
        if images.source.lower().endswith(".npy") or not os.path.exists(images.source):
            raise InputError(
                f"a text encoder is given, but {images.source} has no captions; give a file of them: captions=... "
                "(--captions FILE)."
            )
        captions = images.source
    ids, modes, order = images.ids, images.modes, images.reading_order
    if captions is None:
        return Items(images.source, ids=ids, modes=modes, images=images, rows=range(len(images)), order=order)
    read = read_captions(captions)
    matched = match_captions(ids, read, source=images.source, only_matching=only_matching)
    place_of = {row: place for place, row in enumerate(matched.rows.tolist())}
    return Items(
        images.source,
        ids=ids[matched.rows],
        modes=None if modes is None else modes[matched.rows],
        images=images,
        rows=matched.rows.tolist(),
        captions=matched.texts,
        captions_source=read.source,
        order=[place_of[row] for row in order if row in place_of],
        notes=(*matched.notes, *_width_notes(ids[matched.rows], matched.texts)),
    )


def _width_notes(ids: Column, captions: Sequence[str]) -> tuple[str, ...]:
    """What to say where one long caption makes a large table, as NumPy keeps all strings of a column equally wide."""
    lengths = [len(caption) for caption in captions]
    size = np.dtype("U1").itemsize * len(lengths) * max(lengths)
    if size < _WIDE:
        return ()
    return (
        f"the caption of {ids[lengths.index(max(lengths))]} has {max(lengths)} characters, and in memory each caption "
        f"of a table takes the room of the longest: {size / 1e9:.1f} GB for {len(lengths)}; shorten it.",
    )
