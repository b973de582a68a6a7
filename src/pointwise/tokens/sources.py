"""The pairs that a model is trained on, and those held out: pictures with captions, rows of a table, or tokens."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pointwise._types import Pixels, Progress, Say
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.items import Items, is_captions, open_items
from pointwise.errors import InputError
from pointwise.items.images import is_images
from pointwise.tables.table import FeatureTable, load
from pointwise.tokens.make_tokens import make_tokens
from pointwise.tokens.token_file import Tokens, is_tokens, load_tokens
from pointwise.tokens.tokenizer import Tokenizer
from pointwise.tokens.tokens import pixels
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.split import count_copies, groups_of, keys_of, split


class Source(NamedTuple):
    """Pairs to train on, and what they were made of, which knows their ids and captions.

    meta: for the model: "image_encoder" and "text_encoder" by name, with all their meta; or "tokenizer".
    """

    path: str
    pairs: Pairs
    made_of: Items | Tokens | FeatureTable
    meta: dict[str, Any]

    def keys(self) -> dict[str, Sequence[str]]:
        """Return by what copies are known: pictures as a model gets them, the bytes of their files, and captions."""
        keys, items = keys_of(self.pairs, captions=self.made_of.captions), self.made_of
        if isinstance(items, Items) and items.images is not None:
            files = {i: items.images.digest(items.rows[i]) for i in items.order}
            keys["file"] = [files[i] for i in range(len(items))]
        return keys


class Parts(NamedTuple):
    """The pairs that are trained on, those that are held out, and what is known of these.

    meta: for the model.
    message: what was held out, in a sentence.
    report: the same, writable as JSON, with row and id of each.
    """

    training: Pairs
    meta: dict[str, Any]
    held_out: Pairs | None = None
    message: str = ""
    report: dict[str, Any] | None = None


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


def parts_of(
    opened: Items | Source,
    held_out: Items | Source | float | None,
    make: Callable[[Items, str], Source],
    *,
    seed: int,
    say: Say,
) -> Parts:
    """Return the pairs of what was opened, less a share of them that is held out; or all, and those of something else.

    make makes the pairs of pictures, of which none is read yet; what it keeps of them has a name in the folder of the
    training. seed is that of the share.
    """
    if isinstance(held_out, Items | Source) and isinstance(opened, Items) != isinstance(held_out, Items):
        kinds = [
            f"{one.source} holds pictures" if isinstance(one, Items) else f"{one.path} holds features"
            for one in (opened, held_out)
        ]
        raise InputError(f"{' and '.join(kinds)}; what --held-out names must be of the kind that is trained on.")
    whole = make(opened, "tokens") if isinstance(opened, Items) else opened
    if held_out is None:
        return Parts(whole.pairs, whole.meta)
    if isinstance(held_out, float):
        return _share_held_out(whole, held_out, seed=seed)
    others = make(held_out, "held_out_tokens") if isinstance(held_out, Items) else held_out
    return _others_held_out(whole, others, say=say)


def _share_held_out(source: Source, share: float, *, seed: int) -> Parts:
    """A share of the pairs is held out by whole groups of copies."""
    ids = None if source.made_of.ids is None else list(map(str, source.made_of.ids))
    groups = groups_of([*source.keys().values(), *([] if ids is None else [ids])])
    training, held_out = split(groups, share, seed=seed)
    rows, count = held_out.tolist(), int(groups.max()) + 1
    message = (
        f"Held out: {len(rows)} of the {source.pairs.n} pairs of {source.path}; none shares a picture or a caption "
        f"with those trained on (pairs that share one were kept together, in {count} groups)."
    )
    report = {"source": source.path, "share": share, "seed": seed, "pairs": len(rows), "groups": count}
    report |= {"rows": rows, "ids": None if ids is None else [ids[row] for row in rows]}
    return Parts(source.pairs.some(training), source.meta, source.pairs.some(held_out), message, report)


def _others_held_out(source: Source, others: Source, *, say: Say) -> Parts:
    """All pairs of one source are trained on, and those of another, by the same encoders, are held out."""
    for side in ("image_encoder", "text_encoder"):
        names = [one.meta.get(side) for one in (source, others)]
        weights = [one.meta.get(f"{side}_meta", {}).get("weights_sha256") for one in (source, others)]
        for known, what in ((names, "by"), (weights, "by weights")):
            if None not in known and known[0] != known[1]:
                raise InputError(
                    f"the {side.split('_')[0]} features of {source.path} were made {what} {known[0]}, those of "
                    f"{others.path} {what} {known[1]}; hold out pairs of the same encoders."
                )
    n, copies = others.pairs.n, count_copies(others.keys(), source.keys())
    if copies:
        say(
            f"{copies} of the {n} held-out pairs share a picture or a caption with pairs that are trained on, so that "
            "their loss is lower than that of new pairs."
        )
    message = f"Held out: the {n} pairs of {others.path}; {copies} share a picture or a caption with those trained on."
    report = {"source": others.path, "pairs": n, "copies": copies}
    return Parts(source.pairs, source.meta, others.pairs, message, report)
