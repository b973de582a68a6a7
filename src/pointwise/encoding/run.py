"""A run over items reads and encodes them part by part, knows the key of each, and counts what became of them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from pointwise._options import whole_number
from pointwise._types import Column, Pixels, Say, Steps
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.items import Items
from pointwise.errors import InputError
from pointwise.resumable.parts import Content, Parts
from pointwise.tables.digest import sha256_of

Places = Sequence[int]  # of items among all

_FORM = "pointwise.encode/1"  # another number where the same encoder and items would make another table
_BATCH = 64  # items that are encoded together,
_BATCH_BYTES = 1 << 28  # or fewer, where their pictures are large
_NO_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")  # Metal, cuBLAS, CPU
_NAMED = 10  # skipped files that are named in the table's meta


class Batch(NamedTuple):
    """Items that are encoded together: their pictures, and captions, if there are any, and their places."""

    pictures: list[Pixels]
    captions: list[str]
    places: list[int]


Make = Callable[[Iterable[Batch]], Mapping[str, Column]]  # encodes the items of a part to the arrays that are kept


class Run:
    """What is encoded, by which encoders, and what is known of it so far besides the features.

    ``encoders`` has that of each column of the table: the first there is makes features, the second, if any, text.
    Batches are smaller where their pictures have more than ``batch_bytes``. With ``skip_bad``, ``bad`` says which
    pictures could not be read, and why.
    """

    def __init__(
        self,
        items: Items,
        image: Encoder | None,
        text: TextEncoder | None,
        *,
        batch_size: int | None = None,
        skip_bad: bool = False,
        say: Say | None = None,
        progress: Steps | None = None,
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        self.items, self.text = items, text
        used = [encoder for encoder in (image, text) if encoder is not None]
        self.encoders = dict(zip(("features", "text"), used, strict=False))
        self.settings = _settings_of(used)
        self.bad: dict[int, str] = {}
        self.truncated = self._done = 0
        self._batch = self._asked = _BATCH if batch_size is None else whole_number(batch_size, "batch_size")
        self._batch_bytes, self._skip_bad = batch_bytes, skip_bad
        self._say, self._progress = say or _nothing, progress or _nothing
        self._digests = np.zeros((len(items), 32), dtype=np.uint8)

    def parts(self, rows: int) -> list[Places]:
        """Return the places of the items of each part, in an order in which they are quick to read."""
        return [self.items.order[start : start + rows] for start in range(0, len(self.items), rows)]

    def look_at_all(self) -> str:
        """Return the key of the table of all items, as they are now."""
        for done, place in enumerate(self.items.order, 1):
            self._look(place)
            self._progress(done, len(self.items))
        return self.key()

    def key(self) -> str:
        """Return the key of the table of all items, once all are looked at or read."""
        return sha256_of(_FORM, self.settings, _sha256(self._digests))

    def encode(self, places: Places, make: Make) -> Content:
        """Return what is made of the items at these places, and what became of them.

        All batches have one size, halved until the memory of the device suffices, so that a part is the same to the
        last bit when it is encoded again.
        """
        while True:
            meta = {"bad": [], "truncated": 0, "batch": self._batch, "asked": self._asked}
            try:
                return make(self._batches(places, meta)), meta
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
            self._say(f"the device ran out of memory with {self._batch} items at a time; going on with {half}.")
            self._batch = half
            if torch.cuda.is_available():  # here, where the error no longer holds what did not fit
                torch.cuda.empty_cache()

    def complete(self, parts: Parts, places: Sequence[Places], make: Make) -> tuple[list[str], int]:
        """See that the parts with the items at these places are in a folder; return their keys, and how many were.

        What earlier runs have left is found first, and items are looked at only while there is any of it.
        """
        keys: dict[int, str] = {}
        unknown = parts.keys()
        for i, some in enumerate(places):
            if not unknown:
                break
            for place in some:
                self._look(place)
            unknown.discard(key := self._key_of_part(some))
            if (content := parts.load(key)) is not None:
                self.add(some, content[1])
                keys[i] = key
        already = len(keys)
        if unknown:
            self._say(
                f"{len(unknown)} of the shards that an earlier run left in {parts.folder} are of another encoder, "
                "other items or another number of rows: they are not used, and removed once all is done."
            )
        for i, some in enumerate(places):
            if i not in keys:
                content = self.encode(some, make)
                keys[i] = self._key_of_part(some)
                parts.save(keys[i], content)
                self.add(some, content[1])
        return [keys[i] for i in range(len(places))], already

    def add(self, places: Places, meta: Mapping[str, Any]) -> None:
        """Count the part with the items at these places, which this run or an earlier one has encoded."""
        if meta["bad"] and not self._skip_bad:
            raise InputError(meta["bad"][0][1])
        self.bad |= {places[i]: message for i, message in meta["bad"]}
        self.truncated += meta["truncated"]
        if meta["asked"] == self._asked:  # no later part is encoded in larger batches
            self._batch = min(self._batch, meta["batch"])
        self._done += len(places)
        self._progress(self._done, len(self.items))

    def readable(self, places: Places) -> list[int]:
        """Return those of these places whose items could be read."""
        return [place for place in places if place not in self.bad]

    def finish(self) -> None:
        """Say how many captions were cut, if any; raise an InputError where none of the items could be read."""
        n, text = len(self.items), self.text
        if len(self.bad) == n:
            raise InputError(
                f"none of the {n} images of {self.items.source} can be read; the first: {self.bad[min(self.bad)]}"
            )
        if self.truncated and text is not None:
            self._say(
                f"{self.truncated} of {n - len(self.bad)} captions are longer than the {text.max_tokens} tokens that "
                f"{text.name} reads, and were cut to these."
            )

    def meta(self) -> dict[str, Any]:
        """Return the meta of the table, once all items are counted."""
        items, text = self.items, self.text
        meta = {**self.settings, "source": items.source}
        if items.images is not None:
            meta["images"] = len(items)
        if items.images is not None and items.captions_source is not None:
            meta["captions_source"] = items.captions_source
        meta |= {"skipped": len(self.bad), "skipped_first": [self.bad[i] for i in sorted(self.bad)[:_NAMED]]}
        if text is not None:
            meta |= {"captions_truncated": self.truncated, "max_tokens": int(text.max_tokens)}
        return meta | {"batch_size": self._batch, "items_sha256": _sha256(self._digests), "key": self.key()}

    def differences(self, meta: Mapping[str, Any]) -> list[str]:
        """Say in what the table with this meta differs from the one of these encoders and items, a phrase for each."""
        if "items_sha256" not in meta:
            return ["it does not say what it was made from"]
        here = self.settings
        common = [name for name in here if name in meta and meta[name] != here[name]]
        differing = [f"{name} is {meta[name]!r} there and {here[name]!r} here" for name in common]
        differing += [f"it has no {name}, which is {here[name]!r} here" for name in here if name not in meta]
        if "text_encoder" in meta and "text_encoder" not in here:
            differing.append(f"text_encoder is {meta['text_encoder']!r} there and there is none here")
        if meta["items_sha256"] != _sha256(self._digests):
            differing.append("the items (their content, names, modes, captions or order) are others")
        return differing or ["it was made by another version of pointwise"]

    def _key_of_part(self, places: Places) -> str:
        """The key of the part with these items, as they were when they were last looked at or read."""
        widths = [encoder.dim for encoder in self.encoders.values()]
        return sha256_of(_FORM, self.settings, _sha256(self._digests[list(places)]), widths)

    def _look(self, place: int) -> None:
        self._digests[place] = np.frombuffer(self.items.digest(place, skip_bad=self._skip_bad), dtype=np.uint8)

    def _batches(self, places: Places, meta: dict[str, Any]) -> Iterator[Batch]:
        """Yield the items at these places by batches, and note in their meta what became of them."""
        pictures: list[Pixels] = []
        some: list[int] = []
        for done, place in enumerate(places, 1):
            self._look(place)
            try:
                if self.items.images is not None:
                    pictures.append(self.items.picture(place))
                some.append(place)
            except InputError as error:
                if not self._skip_bad:
                    raise
                meta["bad"].append((done - 1, str(error)))
            full = len(some) == self._batch or sum(picture.nbytes for picture in pictures) >= self._batch_bytes
            if full or (some and done == len(places)):
                batch = Batch(pictures, self.items.captions_at(some), some)
                pictures, some = [], []
                yield batch
                if (text := self.text) is not None:
                    meta["truncated"] += sum(int(n) > text.max_tokens for n in text.count_tokens(batch.captions))
                self._progress(self._done + done, len(self.items))


def _sha256(digests: Column) -> str:
    return hashlib.sha256(digests.tobytes()).hexdigest()


def _settings_of(encoders: Iterable[Encoder | TextEncoder]) -> dict[str, Any]:
    """Name and meta of the encoder of the features, and after ``text_`` those of the encoder of their texts."""
    settings: dict[str, Any] = {}
    for prefix, encoder in zip(("", "text_"), encoders, strict=False):
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
