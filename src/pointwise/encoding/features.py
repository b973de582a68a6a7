"""encode: the features of all items of a source, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointwise._options import whole_number
from pointwise._types import Say, Steps
from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.items import Encoders, Items, open_source
from pointwise.encoding.run import Notes, Run
from pointwise.errors import InputError
from pointwise.items.images import Images
from pointwise.tables.table import FeatureTable

SHARD_ROWS = 1024  # items of a part: what a killed run loses at most
_BATCH = 64  # items that are encoded together
_COLUMNS = ("features", "text")  # of a table, in the order of the encoders that make them

Columns = Mapping[str, torch.Tensor]  # "features" and, where there is a second encoder, "text", float32 [n, d] each


def encode(
    source: str | Path | Pixels | Images,
    *,
    encoder: str | Encoder = "bundled",
    text_encoder: str | TextEncoder | None = None,
    captions: str | Path | None = None,
    only_matching: bool = False,
    skip_bad: bool = False,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    say: Say | None = None,
    progress: Steps | None = None,
) -> FeatureTable:
    """Return the features of all pictures of a source, or of all captions of a file, one row each, with their ids.

    Pictures in folders get these as modes. With captions, a file that ``read_captions`` reads, each picture has the
    features of its caption as text, and the caption; a file of captions as the source gives features of texts alone.
    A text encoder without captions takes the .txt files beside the pictures, as in webdataset.

    The table's meta says how it was made: "encoder", what that depends on ("resize", "weights_sha256" ...), the same of
    the text encoder ("text_encoder", "text_pooling" ...), "source" and "captions_source", "images" found, and
    "skipped": how many could not be read, of which "skipped_first" has the first messages; "captions_truncated": how
    many captions are longer than the "max_tokens" that the text encoder reads; "batch_size"; and "key", the SHA-256 of
    the content of all items and of what is known of the encoders: tables of one key are equal up to float rounding.

    Args:
        source: a folder, a .zip or .tar, an .npy or an array of pictures, as ``open_images`` takes them; or captions.
        encoder: a name that ``load_encoder`` knows, or an encoder. By the name "pixels" pictures that all have one
            size of at most 32 x 32 keep it.
        text_encoder: a name that ``load_text_encoder`` knows, or a text encoder; None takes the text tower of
            ``encoder`` where it has one, else "minilm".
        captions: a file of captions, or a folder or archive with captions beside images.
        only_matching: leave out images without a caption, and captions without an image.
        skip_bad: go on without files that cannot be read as images.
        batch_size: items that are read and encoded together, 64 if left out; halved where the device runs out of
            memory. Features do not depend on it, up to float rounding.
        device: of torch; None takes the GPU where there is one.
        say: called with a sentence for each thing to know: captions cut, memory run out, how captions were matched.
        progress: called with the numbers of items done and in all, after each batch.

    Raises:
        InputError: the source holds no images or one that cannot be read, none of them can be, or the captions do not
            match them.
        MissingExtra: the package with an encoder is not installed.

    >>> table = encode(np.zeros((5, 8, 8), dtype=np.uint8), encoder="pixels")
    >>> table.features.shape, table.meta["encoder"]
    (torch.Size([5, 192]), 'pixels:8')
    """
    run = open_run(
        source,
        encoder=encoder,
        text_encoder=text_encoder,
        captions=captions,
        only_matching=only_matching,
        skip_bad=skip_bad,
        batch_size=batch_size,
        device=device,
        say=say,
        progress=progress,
    )

    def encoded() -> Iterable[tuple[Sequence[int], Columns, Notes]]:
        for places in run.parts(SHARD_ROWS):
            columns, notes = encode_part(run, places)
            run.add(places, notes)
            yield places, columns, notes

    table = table_of(run, encoded())
    run.say_truncated()
    return table


def open_run(
    source: str | Path | Pixels | Images,
    *,
    skip_bad: bool,
    batch_size: int | None,
    say: Say | None,
    progress: Steps | None,
    **options: Any,
) -> Run:
    """Open the source, load the encoders and check the options; see ``encode`` for what they mean."""
    batch = _BATCH if batch_size is None else whole_number(batch_size, "batch_size")
    items, encoders = open_source(source, say=say or _nothing, **options)
    return Run(items, encoders, batch=batch, skip_bad=skip_bad, say=say or _nothing, progress=progress or _nothing)


def widths(encoders: Encoders) -> dict[str, int]:
    """Return the columns of the table that these encoders make, and how many numbers each has."""
    return {name: encoder.dim for name, encoder in zip(_COLUMNS, encoders.used, strict=False)}


def encode_part(run: Run, places: Sequence[int]) -> tuple[Columns, Notes]:
    """Return the features of those items at these places that can be read."""
    made, notes = run.encode(places, partial(_encode_batch, run.items, run.encoders))
    columns = {
        name: torch.cat([torch.empty(0, width), *(batch[i] for batch in made)])
        for i, (name, width) in enumerate(widths(run.encoders).items())
    }
    return columns, notes


def table_of(run: Run, parts: Iterable[tuple[Sequence[int], Columns, Notes]]) -> FeatureTable:
    """Return the table of all parts, its rows in the order of the items."""
    whole = {name: torch.empty(len(run.items), width) for name, width in widths(run.encoders).items()}
    for places, columns, notes in parts:
        bad = dict(notes.bad)
        good = torch.tensor([place for i, place in enumerate(places) if i not in bad], dtype=torch.int64)
        for name, rows in columns.items():
            whole[name][good] = rows
    run.require_some()
    places = [place for place in range(len(run.items)) if place not in run.bad]
    if run.bad:
        whole = {name: rows[places] for name, rows in whole.items()}
    return with_items(run.items, places, whole, run.meta())


def with_items(items: Items, places: Sequence[int], columns: Columns, meta: Mapping[str, Any]) -> FeatureTable:
    """Return the table with these columns and the ids, modes and captions of the items at these places."""
    chosen = np.asarray(places, dtype=np.int64)
    return FeatureTable(
        **columns,
        ids=items.ids[chosen],
        modes=None if items.modes is None else items.modes[chosen],
        captions=None if items.captions is None else np.array(items.captions_at(places), dtype=str),
        meta=meta,
    )


def _encode_batch(
    items: Items, encoders: Encoders, pictures: list[Pixels], captions: list[str], places: list[int]
) -> list[torch.Tensor]:
    """The rows of each encoder as float32 on the CPU, once they are as many, as wide and as finite as they must be."""
    made = []
    for encoder, inputs in ((encoders.image, pictures), (encoders.text, captions)):
        if encoder is None:
            continue
        encoded: torch.Tensor = encoder.encode(inputs)  # type: ignore[arg-type]
        if tuple(encoded.shape) != (len(places), encoder.dim):
            raise InputError(
                f"encoder {encoder.name!r} returned an array of shape {tuple(encoded.shape)} for {len(places)} items; "
                f"it must be ({len(places)}, {encoder.dim}), a row of {encoder.dim} features for each."
            )
        rows = torch.empty(encoded.shape)
        rows.copy_(encoded.detach())
        finite = rows.isfinite().all(dim=1)
        if not finite.all():
            first = items.ids[places[int(np.flatnonzero(~finite.numpy())[0])]]
            raise InputError(
                f"encoder {encoder.name!r} returned NaN or inf for {int((~finite).sum())} of {len(places)} items, the "
                f"first is {first}; leave these out, or take another encoder or precision."
            )
        made.append(rows)
    return made


def _nothing(*_: object) -> None:
    """Where nobody listens."""
