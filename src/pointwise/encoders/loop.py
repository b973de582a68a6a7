"""encode: the loop that reads items, encodes them in batches and keeps count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from pointwise.data.images import Images, open_images
from pointwise.data.table import FeatureTable
from pointwise.encoders import pixels
from pointwise.encoders.load import load_encoder
from pointwise.encoders.protocol import Encoder, Pixels
from pointwise.errors import InputError

_BATCH = 64  # pictures read before they are encoded,
_BATCH_BYTES = 1 << 28  # or fewer, where they are large
_NAMED = 10  # skipped files that are named in the table's meta


def encode(
    source: str | Path | Pixels | Images,
    *,
    encoder: str | Encoder = "bundled",
    skip_bad: bool = False,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> FeatureTable:
    """Return the features of all pictures of a source, one row each, with their ids and, if in folders, their modes.

    The table's meta says how it was made: "encoder", what that depends on ("resize", "weights_sha256" ...), "source",
    "images" found, and "skipped": how many could not be read, of which "skipped_first" has the first messages.

    Args:
        source: a folder, a .zip or .tar, an .npy or an array of pictures, as ``open_images`` takes them.
        encoder: a name that ``load_encoder`` knows, or an encoder. By the name "pixels" pictures that all have one
            size of at most 32 x 32 keep it.
        skip_bad: go on without files that cannot be read as images.
        batch_size: pictures that are encoded together; features do not depend on it, up to float rounding.
        device: of torch; None takes the GPU where there is one.
        progress: called with the numbers of pictures done and in all, after each batch.

    Raises:
        InputError: the source holds no images or one that cannot be read, or none of them can be.

    >>> table = encode(np.zeros((5, 8, 8), dtype=np.uint8), encoder="pixels")
    >>> table.features.shape, table.meta["encoder"]
    (torch.Size([5, 192]), 'pixels:8')
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
    images = source if isinstance(source, Images) else open_images(source)
    if encoder == "pixels":
        encoder = f"pixels:{pixels.size_for(images)}"
    if isinstance(encoder, str):
        encoder = load_encoder(encoder, device=device)

    features = torch.empty(len(images), encoder.dim)
    bad: dict[int, str] = {}
    done = 0
    for rows, batch in _batches(images, batch_size or _BATCH, bad if skip_bad else None):
        features[rows] = encoder.encode(batch).to(features)
        done += len(rows)
        if progress is not None:
            progress(done + len(bad), len(images))
    if progress is not None and bad:  # those after the last batch
        progress(len(images), len(images))
    if done == 0:
        raise InputError(f"none of the {len(images)} images of {images.source} can be read; the first: {bad[min(bad)]}")
    good = np.setdiff1d(np.arange(len(images)), list(bad))
    return FeatureTable(
        features[torch.from_numpy(good)] if bad else features,
        ids=images.ids[good],
        modes=None if images.modes is None else images.modes[good],
        meta={
            "encoder": encoder.name,
            **encoder.meta,
            "source": images.source,
            "images": len(images),
            "skipped": len(bad),
            "skipped_first": [bad[i] for i in sorted(bad)[:_NAMED]],
        },
    )


def _batches(images: Images, size: int, bad: dict[int, str] | None) -> Iterator[tuple[list[int], list[Pixels]]]:
    """Rows and their pictures, a batch at a time; what cannot be read goes into ``bad``, or raises if that is None."""
    rows: list[int] = []
    batch: list[Pixels] = []
    waiting = 0
    for i in images.reading_order:
        try:
            image = images[i]
        except InputError as error:
            if bad is None:
                raise
            bad[i] = str(error)
            continue
        rows.append(i)
        batch.append(image)
        waiting += image.nbytes
        if len(rows) == size or waiting >= _BATCH_BYTES:
            yield rows, batch
            rows, batch, waiting = [], [], 0
    if rows:
        yield rows, batch
