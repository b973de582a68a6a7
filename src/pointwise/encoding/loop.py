"""encode: the loop that reads items, encodes them in batches and keeps count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.count import Count
from pointwise.encoding.items import Items
from pointwise.encoding.opening import open_source
from pointwise.encoding.parts import Encoders, Part, checked_batch, encode_part, shards_of
from pointwise.items.images import Images
from pointwise.tables.table import FeatureTable

SHARD_ROWS = 1024  # items of a part: what a killed run loses at most


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
    say: Callable[[str], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
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
    say, progress = say or _nothing, progress or _nothing
    batch = checked_batch(batch_size)
    items, encoders = open_source(
        source,
        encoder=encoder,
        text_encoder=text_encoder,
        captions=captions,
        only_matching=only_matching,
        device=device,
        say=say,
    )
    count = Count(items, encoders, batch=batch)

    def parts() -> Iterator[tuple[Sequence[int], Part]]:
        for places in shards_of(items, SHARD_ROWS):
            part, count.batch = encode_part(
                items,
                places,
                encoders,
                digests=count.digests,
                batch=count.batch,
                skip_bad=skip_bad,
                say=say,
                step=count.steps(progress),
            )
            count.add(places, part)
            yield places, part

    table = table_of(items, encoders, parts(), count)
    count.say_truncated(say)
    return table


def table_of(
    items: Items, encoders: Encoders, parts: Iterable[tuple[Sequence[int], Part]], count: Count
) -> FeatureTable:
    """Return the table of all parts, its rows in the order of the items."""
    features = torch.empty(len(items), encoders.dim)
    text = None if encoders.text_dim is None else torch.empty(len(items), encoders.text_dim)
    for places, part in parts:
        good = torch.tensor([place for i, place in enumerate(places) if i not in part.bad], dtype=torch.int64)
        features[good] = part.features
        if text is not None and part.text is not None:
            text[good] = part.text
    count.require_some()
    meta = count.meta()
    good_rows = np.setdiff1d(np.arange(len(items)), list(count.bad))
    if count.bad:
        index = torch.from_numpy(good_rows)
        features, text = features[index], None if text is None else text[index]
    return with_columns(items, good_rows.tolist(), features, text, meta)


def with_columns(
    items: Items, places: Sequence[int], features: torch.Tensor, text: torch.Tensor | None, meta: Mapping[str, Any]
) -> FeatureTable:
    """Return the table with these features and the ids, modes and captions of the items at these places."""
    chosen = np.asarray(places, dtype=np.int64)
    return FeatureTable(
        features,
        text=text,
        ids=items.ids[chosen],
        modes=None if items.modes is None else items.modes[chosen],
        captions=None if items.captions is None else np.array(items.captions_at(places), dtype=str),
        meta=meta,
    )


def _nothing(*_: object) -> None:
    """Where nobody listens."""
