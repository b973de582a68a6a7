"""A part of the items, encoded: what memory holds at once, and what a killed run loses at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.items import Items
from pointwise.errors import InputError

T = TypeVar("T")
Digests = np.ndarray[Any, np.dtype[np.uint8]]  # [n, 32], the SHA-256 of each item

_BATCH = 64  # items read before they are encoded,
_BATCH_BYTES = 1 << 28  # or fewer, where pictures are large
_NO_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")  # Metal, cuBLAS, CPU


class Encoders(NamedTuple):
    """The encoders of a run: of the pictures, or None for captions alone; of the captions, or None without any."""

    image: Encoder | None
    text: TextEncoder | None

    @property
    def dim(self) -> int:
        """Number of feature columns of the table."""
        first = self.text if self.image is None else self.image
        return 0 if first is None else first.dim

    @property
    def text_dim(self) -> int | None:
        """Number of text columns of the table, None where it has none."""
        return self.text.dim if self.image is not None and self.text is not None else None


class Part(NamedTuple):
    """Some of the items encoded, in the order in which they were given."""

    features: torch.Tensor  # float32 [g, d], of the g items that could be read
    text: torch.Tensor | None  # float32 [g, e]
    bad: Mapping[int, str]  # of the others: place among all that were given, and why
    truncated: int  # captions that are longer than the text encoder reads


def checked_batch(batch_size: int | None) -> int:
    """Return the size of a batch.

    Raises:
        InputError: it is less than 1.
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1.")
    return batch_size or _BATCH


def shards_of(items: Items, rows: int) -> Iterator[Sequence[int]]:
    """Yield the places of the items of each part, in the order in which they are quick to read."""
    return (items.order[start : start + rows] for start in range(0, len(items), rows))


def encode_part(
    items: Items,
    places: Sequence[int],
    encoders: Encoders,
    *,
    digests: Digests,
    batch: int,
    skip_bad: bool,
    say: Callable[[str], object],
    step: Callable[[int], object],
) -> tuple[Part, int]:
    """Encode the items at these places; return them and the size of the batches, halved until the memory sufficed.

    All batches of a part have one size, so that its features are the same to the last bit when it is encoded again.
    Into ``digests``, of all items, goes the SHA-256 of each item that is read. ``step`` is called with the number of
    items done, after each batch.
    """
    return with_room(
        lambda size: _encode(items, places, encoders, digests=digests, batch=size, skip_bad=skip_bad, step=step),
        batch=batch,
        say=say,
    )


def with_room(encode: Callable[[int], T], *, batch: int, say: Callable[[str], object]) -> tuple[T, int]:
    """Return what ``encode`` makes in batches of a size, and that size, halved until the memory sufficed.

    Raises:
        InputError: it does not suffice for one item.
    """
    while True:
        try:
            return encode(batch), batch
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            reason = (str(error).splitlines() or ["no memory"])[0].rstrip(".")
        if batch == 1:
            raise InputError(
                f"the device has too little memory to encode one item at a time ({reason}); "
                "free some of it, take a smaller encoder or input size, or device='cpu' (--device cpu)."
            )
        say(f"the device ran out of memory with {batch} items at a time; going on with {batch // 2}.")
        batch //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _encode(
    items: Items,
    places: Sequence[int],
    encoders: Encoders,
    *,
    digests: Digests,
    batch: int,
    skip_bad: bool,
    step: Callable[[int], object],
) -> Part:
    bad: dict[int, str] = {}
    features = [torch.empty(0, encoders.dim)]
    text = [torch.empty(0, encoders.text_dim or 0)]
    done = truncated = 0
    for some, pictures in batches(items, places, batch, digests, bad if skip_bad else None):
        ids = [items.ids[place] for place in some]
        if encoders.image is not None:
            features.append(_checked(encoders.image.encode(pictures), encoders.image, ids))
        if encoders.text is not None:
            captions = items.captions_at(some)
            encoded = _checked(encoders.text.encode(captions), encoders.text, ids)
            (features if encoders.image is None else text).append(encoded)
            truncated += sum(int(n) > encoders.text.max_tokens for n in encoders.text.count_tokens(captions))
        done += len(some)
        step(done + len(bad))
    step(len(places))
    return Part(torch.cat(features), None if encoders.text_dim is None else torch.cat(text), bad, truncated)


def batches(
    items: Items, places: Sequence[int], size: int, digests: Digests, bad: dict[int, str] | None
) -> Iterator[tuple[list[int], list[Pixels]]]:
    """Yield places and their pictures, if any, by batches; what cannot be read goes into ``bad``, or raises without it.

    Into ``digests`` goes the SHA-256 of each item that is read.
    """
    some: list[int] = []
    pictures: list[Pixels] = []
    waiting = 0
    for i, place in enumerate(places):
        digests[place] = np.frombuffer(items.digest(place, skip_bad=bad is not None), dtype=np.uint8)
        if items.images is not None:
            try:
                picture = items.picture(place)
            except InputError as error:
                if bad is None:
                    raise
                bad[i] = str(error)
                continue
            pictures.append(picture)
            waiting += picture.nbytes
        some.append(place)
        if len(some) == size or waiting >= _BATCH_BYTES:
            yield some, pictures
            some, pictures, waiting = [], [], 0
    if some:
        yield some, pictures


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _checked(encoded: torch.Tensor, encoder: Encoder | TextEncoder, ids: Sequence[object]) -> torch.Tensor:
    """The rows as float32 on the CPU, once they are as many, as wide and as finite as an encoder's must be."""
    if tuple(encoded.shape) != (len(ids), encoder.dim):
        raise InputError(
            f"encoder {encoder.name!r} returned an array of shape {tuple(encoded.shape)} for {len(ids)} items; "
            f"it must be ({len(ids)}, {encoder.dim}), a row of {encoder.dim} features for each."
        )
    rows = torch.empty(encoded.shape)
    rows.copy_(encoded.detach())
    finite = rows.isfinite().all(dim=1)
    if not finite.all():
        first = int(np.flatnonzero(~finite.numpy())[0])
        raise InputError(
            f"encoder {encoder.name!r} returned NaN or inf for {int((~finite).sum())} of {len(ids)} items, the first "
            f"is {ids[first]}; leave these out, or take another encoder or precision."
        )
    return rows
