"""The pairs that a model is trained on: pictures with captions, a table with text features, or stored tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pointwise._types import Progress, Say
from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.items import Items, is_captions, open_items
from pointwise.errors import InputError
from pointwise.items.images import is_images
from pointwise.tables.table import FeatureTable, load
from pointwise.tokens.make_tokens import make_tokens
from pointwise.tokens.token_file import Tokens, is_tokens, load_tokens
from pointwise.tokens.tokenizer import Tokenizer
from pointwise.tokens.tokens import pixels
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.split import keys_of


class Source(NamedTuple):
    """Pairs to train on, and what they were made of, which knows their ids and captions.

    meta: for the model: "image_encoder" and "text_encoder" by name, with all their meta; or "tokenizer".
    """

    path: str
    pairs: Pairs
    made_of: Items | Tokens | FeatureTable
    meta: dict[str, Any]

    @property
    def ids(self) -> list[str] | None:
        """The id of each pair, where known."""
        return None if self.made_of.ids is None else list(map(str, self.made_of.ids))

    def keys(self) -> dict[str, Sequence[str]]:
        """Return by what copies are known: pictures as a model gets them, the bytes of their files, and captions."""
        keys, items = keys_of(self.pairs, captions=self.made_of.captions), self.made_of
        if isinstance(items, Items) and items.images is not None:
            files = {i: items.images.digest(items.rows[i]) for i in items.order}
            keys["file"] = [files[i] for i in range(len(items))]
        return keys


def open_pairs(path: str, captions: str | None, *, say: Say) -> Items | Source:
    """Open pictures with captions, of which none is read yet, a table with text features, or stored tokens."""
    stored = stored_pairs(path)
    return open_pictures(path, captions, say=say) if stored is None else stored


def stored_pairs(path: str) -> Source | None:
    """Return the pairs of stored tokens, or of a table with text features; None if the path is of pictures."""
    if not os.path.exists(path):
        raise InputError(
            f"{path} does not exist; give images with captions, a table with text features, or tokens of a training."
        )
    if is_tokens(path):
        tokens = load_tokens(path)
        return Source(path, tokens.pairs, tokens, dict(tokens.meta))
    if is_captions(path) and not path.lower().endswith(".parquet"):
        raise InputError(f"{path} holds captions alone; give the images, and these captions by --captions.")
    if is_images(path):
        return None
    table = load(path)
    if table.text is None:
        raise InputError(
            f"the table {path} has no text features; make one of pairs by pointwise encode --captions, or give images."
        )
    pairs = Pairs(Inputs(table.features[:, None]), Inputs(table.text[:, None]))
    meta = {"image_encoder": table.meta.get("encoder"), "text_encoder": table.meta.get("text_encoder")}
    return Source(path, pairs, table, {name: value for name, value in meta.items() if value is not None})


def open_pictures(source: str, captions: str | None, *, say: Say) -> Items:
    """Return pictures with their captions, which are those beside them where no file is given."""
    items = open_items(source, captions=captions, beside=True, only_matching=False)
    if items.captions is None or items.images is None:
        raise InputError(f"{items.source} has no captions; give a file of them: --captions FILE.")
    for note in items.notes:
        say(note)
    return items


def pixel_pairs(items: Items, *, image_size: int, tokenizer: Tokenizer, say: Say, progress: Progress) -> Source:
    """Return the pairs for towers that are trained from scratch."""
    texts, n = items.captions or (), len(items)
    cut = sum(count > tokenizer.context for count in tokenizer.count_tokens(texts))
    if cut:
        say(f"{cut} of {n} captions are longer than the context of {tokenizer.context}, and were cut to it.")

    def pictures() -> Iterator[Pixels]:
        for i in range(n):
            yield items.picture(i)
            progress("images", i + 1, n)

    pairs = Pairs(pixels(pictures(), image_size=image_size), tokenizer(texts))
    return Source(items.source, pairs, items, {"tokenizer": tokenizer.name, "captions_truncated": cut})


def token_pairs(
    items: Items, path: Path, image: Encoder, text: TextEncoder, *, resume: bool = False, say: Say, progress: Progress
) -> Source:
    """Return the token features of frozen encoders; they are kept in a folder, and read from it as they are needed.

    A run that is stopped goes on where it was: see `make_tokens`.
    """
    make_tokens(path, items, image, text, resume=resume, say=say, progress=progress)
    tokens = load_tokens(path)
    return Source(items.source, tokens.pairs, items, dict(tokens.meta))
