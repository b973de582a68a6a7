"""A run over items reads and encodes them part by part, knows the key of each, and counts what became of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from pointwise._types import Say, Steps
from pointwise.encoders.protocol import Pixels
from pointwise.encoding.items import Encoders, Items
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of

T = TypeVar("T")

_FORM = "pointwise.encode/1"  # another number where the same encoder and items would make another table
_BATCH_BYTES = 1 << 28  # of pictures that are encoded together, where they are large
_NO_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")  # Metal, cuBLAS, CPU
_NAMED = 10  # skipped files that are named in the table's meta


class Notes(NamedTuple):
    """What is known of a part besides what its items were encoded to; its meta on disk.

    bad: those of its items that could not be read: place in the part, and why.
    truncated: captions that are longer than the text encoder reads.
    batch, asked: items encoded at once, and how many were asked for.
    """

    bad: Sequence[tuple[int, str]]
    truncated: int
    batch: int
    asked: int


class Run:
    """What is encoded, by which encoders, and what is known of it so far besides the features.

    Args:
        items: n of them.
        encoders: of the pictures and of the captions.
        batch: items that are encoded together, or fewer where they are large.
        skip_bad: go on without pictures that cannot be read.
        say: told of memory that does not suffice.
        progress: called with the numbers of items done and in all.
        batch_bytes: of pictures that are encoded together.

    Attributes:
        settings: names and meta of the encoders, on which a key depends besides the items.
        bad: places of the items that could not be read, and why.
    """

    def __init__(
        self,
        items: Items,
        encoders: Encoders,
        *,
        batch: int,
        skip_bad: bool,
        say: Say | None = None,
        progress: Steps | None = None,
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        self.items, self.encoders, self.settings = items, encoders, _settings_of(encoders)
        self.bad: dict[int, str] = {}
        self.truncated = self.done = 0
        self._batch = self._asked = batch
        self._batch_bytes, self._skip_bad = batch_bytes, skip_bad
        self.say, self._progress = say or _nothing, progress or _nothing
        self._digests = np.zeros((len(items), 32), dtype=np.uint8)

    def parts(self, rows: int) -> list[Sequence[int]]:
        """Return the places of the items of each part, in the order in which they are quick to read."""
        return [self.items.order[start : start + rows] for start in range(0, len(self.items), rows)]

    def look(self, places: Sequence[int]) -> str:
        """Return the key of the part with the items at these places, as they are now."""
        for place in places:
            self._look(place)
        return self.key(places)

    def key(self, places: Sequence[int]) -> str:
        """Return the key of the part with the items at these places, as they were when they were looked at or read."""
        return self._key(self._digests[list(places)].tobytes())

    def encode(
        self, places: Sequence[int], encode: Callable[[list[Pixels], list[str], list[int]], T]
    ) -> tuple[list[T], Notes]:
        """Read the items at these places; return what ``encode`` makes of pictures, captions and places of each batch.

        All batches have one size, halved until the memory of the device suffices, so that a part is the same to the
        last bit when it is encoded again.

        Raises:
            InputError: an item cannot be read, or the memory does not suffice for one.
        """
        while True:
            try:
                return self._encode(places, encode)
            except RuntimeError as error:
                if not isinstance(error, torch.cuda.OutOfMemoryError) and not any(w in str(error) for w in _NO_MEMORY):
                    raise
                reason = (str(error).splitlines() or ["no memory"])[0].rstrip(".")
            if self._batch == 1:
                raise InputError(
                    f"the device has too little memory to encode one item at a time ({reason}); "
                    "free some of it, take a smaller encoder or input size, or device='cpu' (--device cpu)."
                )
            half = self._batch // 2
            self.say(f"the device ran out of memory with {self._batch} items at a time; going on with {half}.")
            self._batch = half
            if torch.cuda.is_available():  # out of the except block, where the error still holds what did not fit
                torch.cuda.empty_cache()

    def add(self, places: Sequence[int], notes: Notes) -> None:
        """Count the items at these places, which this run or an earlier one has encoded."""
        if any(notes.bad) and not self._skip_bad:
            raise InputError(notes.bad[0][1])
        self.bad |= {places[i]: message for i, message in notes.bad}
        self.truncated += notes.truncated
        if notes.asked == self._asked:  # no later part is encoded in larger batches
            self._batch = min(self._batch, notes.batch)
        self.advance(len(places))

    def advance(self, count: int) -> None:
        """Count items as done."""
        self.done += count
        self._progress(self.done, len(self.items))

    def require_some(self) -> None:
        """Raise an InputError where none of the items could be read."""
        if len(self.bad) == len(self.items):
            raise InputError(
                f"none of the {len(self.items)} images of {self.items.source} can be read; the first: "
                f"{self.bad[min(self.bad)]}"
            )

    def say_truncated(self) -> None:
        """Say how many captions were cut, if any."""
        if self.truncated and self.encoders.text is not None:
            self.say(
                f"{self.truncated} of {len(self.items) - len(self.bad)} captions are longer than the "
                f"{self.encoders.text.max_tokens} tokens that {self.encoders.text.name} reads, and were cut to these."
            )

    def meta(self) -> dict[str, Any]:
        """Return the meta of the table, once all items are counted."""
        items, text = self.items, self.encoders.text
        meta = {**self.settings, "source": items.source}
        if items.images is not None:
            meta["images"] = len(items)
        if items.images is not None and items.captions_source is not None:
            meta["captions_source"] = items.captions_source
        meta |= {"skipped": len(self.bad), "skipped_first": [self.bad[i] for i in sorted(self.bad)[:_NAMED]]}
        if text is not None:
            meta |= {"captions_truncated": self.truncated, "max_tokens": int(text.max_tokens)}
        return meta | {"batch_size": self._batch, "items_sha256": self._identity(), "key": self.table_key()}

    def table_key(self) -> str:
        """Return the key of the table of all items, once all are looked at or read."""
        return self._key(self._digests.tobytes())

    def differences(self, meta: Mapping[str, Any]) -> list[str]:
        """Say in what the table with this meta differs from the one of these encoders and items, a phrase for each."""
        if "items_sha256" not in meta:
            return ["it does not say what it was made from"]
        found = [
            f"{name} is {meta[name]!r} there and {value!r} here"
            for name, value in self.settings.items()
            if name in meta and meta[name] != value
        ]
        found += [
            f"it has no {name}, which is {value!r} here" for name, value in self.settings.items() if name not in meta
        ]
        if "text_encoder" in meta and "text_encoder" not in self.settings:
            found.append(f"text_encoder is {meta['text_encoder']!r} there and there is none here")
        if meta["items_sha256"] != self._identity():
            found.append("the items (their content, names, modes, captions or order) are others")
        return found or ["it was made by another version of pointwise"]

    def _key(self, digests: bytes) -> str:
        return sha256_of(_FORM, self.settings, hashlib.sha256(digests).hexdigest())

    def _identity(self) -> str:
        return hashlib.sha256(self._digests.tobytes()).hexdigest()

    def _look(self, place: int) -> None:
        self._digests[place] = np.frombuffer(self.items.digest(place, skip_bad=self._skip_bad), dtype=np.uint8)

    def _encode(
        self, places: Sequence[int], encode: Callable[[list[Pixels], list[str], list[int]], T]
    ) -> tuple[list[T], Notes]:
        made: list[T] = []
        bad: list[tuple[int, str]] = []
        done = truncated = 0
        text = self.encoders.text
        for batch, pictures in self._batches(places, bad):
            captions = self.items.captions_at(batch)
            made.append(encode(pictures, captions, batch))
            if text is not None:
                truncated += sum(int(n) > text.max_tokens for n in text.count_tokens(captions))
            done += len(batch)
            self._progress(self.done + done + len(bad), len(self.items))
        return made, Notes(bad, truncated, self._batch, self._asked)

    def _batches(self, places: Sequence[int], bad: list[tuple[int, str]]) -> Iterator[tuple[list[int], list[Pixels]]]:
        """Yield places and their pictures, if any, by batches; what cannot be read goes into ``bad``."""
        batch: list[int] = []
        pictures: list[Pixels] = []
        waiting = 0
        for i, place in enumerate(places):
            self._look(place)
            if self.items.images is not None:
                try:
                    pictures.append(self.items.picture(place))
                except InputError as error:
                    if not self._skip_bad:
                        raise
                    bad.append((i, str(error)))
                    continue
                waiting += pictures[-1].nbytes
            batch.append(place)
            if len(batch) == self._batch or waiting >= self._batch_bytes:
                yield batch, pictures
                batch, pictures, waiting = [], [], 0
        if batch:
            yield batch, pictures


def _settings_of(encoders: Encoders) -> dict[str, Any]:
    """Name and meta of the encoder of the features, and after ``text_`` those of the encoder of their texts."""
    settings: dict[str, Any] = {}
    for prefix, encoder in zip(("", "text_"), encoders.used, strict=False):
        settings |= {f"{prefix}{name}": value for name, value in {"encoder": encoder.name, **encoder.meta}.items()}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the meta of encoder {settings['encoder']!r} must be writable as JSON ({error}); "
            "keep plain strings, numbers, lists and dicts in it."
        ) from None
    return plain


def _nothing(*_: object) -> None:
    """Where nobody listens."""
