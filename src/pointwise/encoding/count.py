"""What is known of a run besides the features, and from it the meta of the table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from pointwise.encoding.items import Items
from pointwise.encoding.key import key_of, settings_of
from pointwise.encoding.parts import Digests, Encoders, Part
from pointwise.errors import InputError

_NAMED = 10  # skipped files that are named in the table's meta


@dataclass
class Count:
    """What is known of a run besides the features: what was skipped, cut, and what the items are."""

    items: Items
    encoders: Encoders
    _: KW_ONLY
    batch: int
    bad: dict[int, str] = field(default_factory=dict)
    truncated: int = 0
    done: int = 0
    settings: dict[str, Any] = field(init=False)
    digests: Digests = field(init=False)

    def __post_init__(self) -> None:
        self.settings = settings_of(*self.encoders)
        self.digests = np.zeros((len(self.items), 32), dtype=np.uint8)

    def look(self, places: Sequence[int], *, skip_bad: bool) -> None:
        """Note the SHA-256 of the items at these places as they are now."""
        for place in places:
            self.digests[place] = np.frombuffer(self.items.digest(place, skip_bad=skip_bad), dtype=np.uint8)

    def key(self, places: Sequence[int]) -> str:
        """Return the key of the part with the items at these places, as they were when they were looked at or read."""
        return key_of(self.settings, hashlib.sha256(self.digests[list(places)].tobytes()).hexdigest())

    def add(self, places: Sequence[int], part: Part) -> None:
        """Note what became of the items at these places."""
        self.bad |= {places[i]: message for i, message in part.bad.items()}
        self.truncated += part.truncated
        self.done += len(places)

    def steps(self, progress: Callable[[int, int], object]) -> Callable[[int], object]:
        """Return what is to be called with the number of items done of the next part."""
        start, total = self.done, len(self.items)
        return lambda done: progress(start + done, total)

    def require_some(self) -> None:
        """Raise an InputError where none of the items could be read."""
        if len(self.bad) == len(self.items):
            raise InputError(
                f"none of the {len(self.items)} images of {self.items.source} can be read; the first: "
                f"{self.bad[min(self.bad)]}"
            )

    def meta(self) -> dict[str, Any]:
        """Return the meta of the table, once all items are counted."""
        items, text = self.items, self.encoders.text
        identity = self.identity()
        meta = {**self.settings, "source": items.source}
        if items.images is not None:
            meta["images"] = len(items)
        if items.images is not None and items.captions_source is not None:
            meta["captions_source"] = items.captions_source
        meta |= {"skipped": len(self.bad), "skipped_first": [self.bad[i] for i in sorted(self.bad)[:_NAMED]]}
        if text is not None:
            meta |= {"captions_truncated": self.truncated, "max_tokens": int(text.max_tokens)}
        return meta | {"batch_size": self.batch, "items_sha256": identity, "key": key_of(self.settings, identity)}

    def identity(self) -> str:
        """Return the SHA-256 of all items, in the order of their rows."""
        return hashlib.sha256(self.digests.tobytes()).hexdigest()

    def say_truncated(self, say: Callable[[str], object]) -> None:
        """Say how many captions were cut, if any."""
        if self.truncated and self.encoders.text is not None:
            say(
                f"{self.truncated} of {len(self.items) - len(self.bad)} captions are longer than the "
                f"{self.encoders.text.max_tokens} tokens that {self.encoders.text.name} reads, and were cut to these."
            )
