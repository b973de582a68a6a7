"""What pointwise train is given: pairs to train on, and pairs that are held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pointwise.encoding.items import Items
from pointwise.errors import InputError
from pointwise.tables.table import load
from pointwise.tokens.sources import Source, open_pictures, stored_pairs
from pointwise.tokens.token_file import is_tokens, load_tokens
from pointwise.training.inputs import Pairs, SomePairs
from pointwise.training.split import count_copies, keys_of, split

Say = Callable[[str], object]
Make = Callable[[Items, str], Source]


class Opened(NamedTuple):
    """A path with pairs, and what was found there: pictures, of which none is read yet, or features."""

    path: str
    found: Items | Source

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return self.found.pairs.n if isinstance(self.found, Source) else len(self.found)


class Given(NamedTuple):
    """The pairs that are trained on, those that are not, and what is known of them.

    meta: for the model.
    told: what was held out, in a sentence.
    report: the same, writable as JSON, with row and id of each.
    """

    training: Pairs | SomePairs
    held_out: Pairs | SomePairs | None
    meta: dict[str, Any]
    told: str = ""
    report: dict[str, Any] | None = None


def share_of(held_out: str | None) -> float | None:
    """Return the share that --held-out says, None where it says a path or nothing.

    Raises:
        InputError: it is a number that is no share, or neither a number nor a path that exists.
    """
    if held_out is None:
        return None
    try:
        share = float(held_out)
    except ValueError:
        if Path(held_out).exists():
            return None
        raise InputError(
            f"--held-out is {held_out!r}, which is neither a path that exists nor a share of the pairs, such as 0.1."
        ) from None
    if not 0 < share < 1:
        raise InputError(f"--held-out is {held_out}; a share must be above 0 and below 1, such as 0.1.")
    return share


def open_pairs(path: str, captions: str | None, *, say: Say) -> Opened:
    """Open pictures with captions, a table with text features, or stored tokens."""
    stored = stored_pairs(path)
    return Opened(path, open_pictures(path, captions, say=say) if stored is None else stored)


def given_pairs(source: Opened, held_out: Opened | float | None, make: Make, *, seed: int, say: Say) -> Given:
    """Return the pairs of a source, less a share of them that is held out; or all, and those of another path.

    Args:
        source: the pairs.
        held_out: a share of them, or other pairs of the same kind.
        make: makes the pairs of pictures; what is kept of them has a name in the folder of the training.
        seed: of the share.
        say: a warning.

    Raises:
        InputError: pairs cannot be read, or cannot be held out.
    """
    if isinstance(held_out, Opened):
        _require_same_kind(source, held_out)
    made = source.found if isinstance(source.found, Source) else make(source.found, "tokens")
    if held_out is None:
        return Given(made.pairs, None, made.meta)
    keys = _keys(source, made)
    if not isinstance(held_out, Opened):
        return _split(source, made, keys, held_out, seed=seed)

    others = held_out.found if isinstance(held_out.found, Source) else make(held_out.found, "held_out_tokens")
    _require_same_encoders(source.path, made.meta, held_out.path, others.meta)
    n, copies = others.pairs.n, count_copies(_keys(held_out, others), keys)
    if copies:
        say(
            f"{copies} of the {n} held-out pairs share a picture or a caption with pairs that are trained on, so that "
            "their loss is lower than that of new pairs."
        )
    told = f"Held out: the {n} pairs of {held_out.path}; {copies} share a picture or a caption with those trained on."
    return Given(made.pairs, others.pairs, made.meta, told, {"source": held_out.path, "pairs": n, "copies": copies})


def _split(source: Opened, made: Source, keys: dict[str, Sequence[str]], share: float, *, seed: int) -> Given:
    n, ids = made.pairs.n, _words(source)[0]
    chosen = split([*keys.values(), *([] if ids is None else [ids])], share, seed=seed)
    rows = chosen.held_out.tolist()
    told = (
        f"Held out: {len(rows)} of the {n} pairs of {source.path}; none shares a picture or a caption with those "
        f"trained on (pairs that share one were kept together, in {chosen.groups} groups)."
    )
    report = {"source": source.path, "share": share, "seed": seed, "pairs": len(rows), "groups": chosen.groups}
    of_each = {"rows": rows, "ids": None if ids is None else [ids[row] for row in rows]}
    training, held_out = (SomePairs(made.pairs, places) for places in (chosen.training, chosen.held_out))
    return Given(training, held_out, made.meta, told, report | of_each)


def _keys(opened: Opened, made: Source) -> dict[str, Sequence[str]]:
    """By what copies are known: pictures as the model gets them, the bytes of their files, and captions."""
    keys = keys_of(made.pairs, captions=_words(opened)[1])
    if isinstance(opened.found, Source) or opened.found.images is None:
        return keys
    items, images = opened.found, opened.found.images
    files = {i: images.digest(items.rows[i]) for i in items.order}
    return keys | {"file": [files[i] for i in range(len(items))]}


def _words(opened: Opened) -> tuple[list[str] | None, list[str] | None]:
    """The ids and the captions, where they are known."""
    known: Any = opened.found
    if isinstance(opened.found, Source):
        known = load_tokens(opened.path) if is_tokens(opened.path) else load(opened.path)
    ids, captions = (
        None if column is None else [str(value) for value in column] for column in (known.ids, known.captions)
    )
    return ids, captions


def _require_same_kind(source: Opened, held_out: Opened) -> None:
    kinds = ["features" if isinstance(one.found, Source) else "pictures" for one in (source, held_out)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{source.path} holds {kinds[0]} and {held_out.path} holds {kinds[1]}; what --held-out names must be of "
            "the kind that is trained on."
        )


def _require_same_encoders(path: str, meta: dict[str, Any], other_path: str, other_meta: dict[str, Any]) -> None:
    for side in ("image_encoder", "text_encoder"):
        names = [one.get(side) for one in (meta, other_meta)]
        weights = [one.get(f"{side}_meta", {}).get("weights_sha256") for one in (meta, other_meta)]
        for known, what in ((names, "by"), (weights, "by weights")):
            if None not in known and known[0] != known[1]:
                raise InputError(
                    f"the {side.split('_')[0]} features of {path} were made {what} {known[0]}, those of {other_path} "
                    f"{what} {known[1]}; hold out pairs of the same encoders."
                )
