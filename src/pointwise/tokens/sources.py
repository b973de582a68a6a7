"""The pairs that a model is trained on: pictures with captions, a table with text features, or stored tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.items import Items, is_captions, open_items
from pointwise.errors import InputError
from pointwise.items.images import is_images
from pointwise.tables.table import load
from pointwise.tokens.make_tokens import make_tokens
from pointwise.tokens.token_file import is_tokens, load_tokens
from pointwise.tokens.tokenizer import Tokenizer
from pointwise.tokens.tokens import pixels
from pointwise.training.inputs import Inputs, Pairs

Say = Callable[[str], object]
Progress = Callable[[str, int, int], object]


class Source(NamedTuple):
    """Pairs to train on, and what the model that is trained on them has to know.

    pairs: n.
    meta: for the model: "image_encoder" and "text_encoder" by name, with all their meta; or "tokenizer".
    """

    pairs: Pairs
    meta: dict[str, Any]


def stored_pairs(path: str) -> Source | None:
    """Return the pairs of stored tokens, or of a table with text features; None if the path is of pictures.

    Raises:
        InputError: there is no such path, it cannot be read, the tokens are not all made, or the table has no text
            features.
    """
    if not os.path.exists(path):
        raise InputError(
            f"{path} does not exist; give images with captions, a table with text features, or tokens of a training."
        )
    if is_tokens(path):
        tokens = load_tokens(path)
        return Source(tokens.pairs, dict(tokens.meta))
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
    return Source(pairs, {name: value for name, value in meta.items() if value is not None})


def open_pictures(source: str, captions: str | None, *, say: Say) -> Items:
    """Return pictures with their captions, which are those beside them where no file is given.

    Raises:
        InputError: there are no pictures or captions, or they do not match.
    """
    items = open_items(source, captions=captions, beside=True, only_matching=False)
    for note in items.notes:
        say(note)
    return items


def pixel_pairs(items: Items, *, image_size: int, tokenizer: Tokenizer, say: Say, progress: Progress) -> Source:
    """Return the pairs for towers that are trained from scratch."""
    texts = _captions(items)
    cut = sum(count > tokenizer.context for count in tokenizer.count_tokens(texts))
    if cut:
        say(f"{cut} of {len(texts)} captions are longer than the context of {tokenizer.context}, and were cut to it.")
    n = len(items)
    pictures = (items.picture(i) for i in _counted(n, lambda done: progress("images", done, n)))
    return Source(
        Pairs(pixels(pictures, image_size=image_size), tokenizer(texts)),
        {"tokenizer": tokenizer.name, "captions_truncated": cut},
    )


def token_pairs(
    items: Items,
    path: Path,
    image: Encoder,
    text: TextEncoder,
    *,
    resume: bool = False,
    say: Say,
    progress: Progress,
) -> Source:
    """Return the token features of frozen encoders; they are kept in a folder, and read from it as they are needed.

    A run that is stopped goes on where it was: see `make_tokens`.

    Raises:
        InputError: a picture cannot be read, there are no captions, or the folder holds something else.
    """
    _captions(items)
    make_tokens(path, items, image, text, resume=resume, say=say, progress=progress)
    tokens = load_tokens(path)
    return Source(tokens.pairs, dict(tokens.meta))


def _captions(items: Items) -> Sequence[str]:
    if items.captions is None or items.images is None:
        raise InputError(f"{items.source} has no captions; give a file of them: --captions FILE.")
    return items.captions


def _counted(n: int, progress: Callable[[int], object]) -> Any:
    for i in range(n):
        yield i
        progress(i + 1)
