"""encode: the features of all items of a source, in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointwise._types import Column, Pixels, Say, Steps
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.items import open_source
from pointwise.encoding.run import Batch, Places, Run
from pointwise.errors import InputError
from pointwise.items.images import Images
from pointwise.tables.table import FeatureTable

SHARD_ROWS = 1024  # items of a part: what a killed run loses at most

Columns = Mapping[str, Column]  # by name, float32 [n, d]


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
    opened = open_source(source, encoder, text_encoder, captions, only_matching=only_matching, device=device, say=say)
    run = Run(*opened, batch_size=batch_size, skip_bad=skip_bad, say=say, progress=progress)

    def parts() -> Iterator[tuple[Places, Columns]]:
        for places in run.parts(SHARD_ROWS):
            columns, meta = run.encode(places, partial(columns_of, run))
            run.add(places, meta)
            yield places, columns
        run.finish()

    return table_of(run, parts())


def columns_of(run: Run, batches: Iterable[Batch]) -> Columns:
    """Return the columns of the table that the encoders make of items."""
    columns = {name: [np.empty((0, encoder.dim), np.float32)] for name, encoder in run.encoders.items()}
    for batch in batches:
        ids = [run.items.ids[place] for place in batch.places]
        inputs: list[Any] = [some for some in (batch.pictures, batch.captions) if some]
        for (name, encoder), some in zip(run.encoders.items(), inputs, strict=True):
            columns[name].append(_checked(encoder.encode(some), encoder, ids))
    return {name: np.concatenate(rows) for name, rows in columns.items()}


def _checked(encoded: torch.Tensor, encoder: Encoder | TextEncoder, ids: Sequence[object]) -> Column:
    """The rows as float32 on the CPU, once they are as many, as wide and as finite as an encoder's must be."""
    if tuple(encoded.shape) != (len(ids), encoder.dim):
        raise InputError(
            f"encoder {encoder.name!r} returned an array of shape {tuple(encoded.shape)} for {len(ids)} items; "
            f"it must be ({len(ids)}, {encoder.dim}), a row of {encoder.dim} features for each."
        )
    rows = encoded.detach().to("cpu", torch.float32, copy=True).numpy()
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InputError(
            f"encoder {encoder.name!r} returned NaN or inf for {int((~finite).sum())} of {len(ids)} items, the first "
            f"is {ids[int(finite.argmin())]}; leave these out, or take another encoder or precision."
        )
    return rows


def table_of(run: Run, parts: Iterable[tuple[Places, Columns]]) -> FeatureTable:
    """Return the table of all parts, its rows in the order of the items."""
    n = len(run.items)
    whole = {name: np.empty((n, encoder.dim), np.float32) for name, encoder in run.encoders.items()}
    for places, columns in parts:
        for name, rows in columns.items():
            whole[name][run.readable(places)] = rows
    good = run.readable(range(n))
    if run.bad:
        whole = {name: rows[good] for name, rows in whole.items()}
    return run.items.table(good, whole, run.meta())
