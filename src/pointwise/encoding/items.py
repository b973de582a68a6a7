"""What is encoded: pictures, captions, or pictures with a caption each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np

from pointwise._arrays import Column
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError
from pointwise.items.captions import read_captions
from pointwise.items.images import Images, open_images
from pointwise.items.matching import match_captions
from pointwise.tables.digest import sha256_of

_WIDE = 1 << 30  # bytes of captions in memory that are worth a word
_CAPTIONS = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True, eq=False)
class Items:
    """The rows of a table to be, read when asked for.

    Args:
        source: where the pictures come from, or the captions if there are no pictures.
        images: the pictures, of which those at ``rows`` are the n items; None for captions alone.
        captions: n texts, or None.
        captions_source: where they come from.
        order: the places 0..n-1 in the order in which reading all of them is quick.
        notes: what was decided about the captions, and what to know of them, in sentences.
    """

    source: str
    _: KW_ONLY
    ids: Column
    modes: Column | None = None
    images: Images | None = None
    rows: Sequence[int] = ()
    captions: Sequence[str] | None = None
    captions_source: str | None = None
    order: Sequence[int]
    notes: tuple[str, ...] = ()

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


def is_captions(source: object) -> bool:
    """Say whether a source is a file of captions, by its suffix."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in _CAPTIONS and os.path.isfile(source)


def open_items(
    source: str | Path | Pixels | Images, *, captions: str | Path | None, beside: bool, only_matching: bool
) -> Items:
    """Open a source of pictures, with the captions in a file or, where ``beside``, those beside them; or of captions.

    Raises:
        InputError: the source or the captions cannot be read or do not match, or there is nothing to match.
    """
    if isinstance(source, str | Path) and is_captions(source):
        if captions is not None:
            raise InputError(
                f"{source} is a file of captions, and {captions} are captions too; give images as the source, "
                "or leave the second file out."
            )
        return _captions_alone(source)
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
    if captions is None:
        return Items(
            images.source,
            ids=images.ids,
            modes=images.modes,
            images=images,
            rows=range(len(images)),
            order=images.reading_order,
        )
    read = read_captions(captions)
    matched = match_captions(images.ids, read, source=images.source, only_matching=only_matching)
    place_of = {row: place for place, row in enumerate(matched.rows.tolist())}
    return Items(
        images.source,
        ids=images.ids[matched.rows],
        modes=None if images.modes is None else images.modes[matched.rows],
        images=images,
        rows=matched.rows.tolist(),
        captions=matched.texts,
        captions_source=read.source,
        order=[place_of[row] for row in images.reading_order if row in place_of],
        notes=(*matched.notes, *_width_notes(images.ids[matched.rows], matched.texts)),
    )


def _captions_alone(source: str | Path) -> Items:
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
