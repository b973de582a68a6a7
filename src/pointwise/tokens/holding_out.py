"""What is trained on and what is held out: a share of the pairs of a source, or the pairs of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pointwise._types import Say
from pointwise.encoding.items import Items
from pointwise.errors import InputError
from pointwise.tokens.sources import Source
from pointwise.training.inputs import Pairs
from pointwise.training.split import count_copies, groups_of, split


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
        raise InputError(
            f"{_kind(opened)} and {_kind(held_out)}; what --held-out names must be of the kind that is trained on."
        )
    whole = make(opened, "tokens") if isinstance(opened, Items) else opened
    if held_out is None:
        return Parts(whole.pairs, whole.meta)
    if isinstance(held_out, float):
        return _share_held_out(whole, held_out, seed=seed)
    others = make(held_out, "held_out_tokens") if isinstance(held_out, Items) else held_out
    return _others_held_out(whole, others, say=say)


def _kind(opened: Items | Source) -> str:
    return f"{opened.source} holds pictures" if isinstance(opened, Items) else f"{opened.path} holds features"


def _share_held_out(source: Source, share: float, *, seed: int) -> Parts:
    """A share of the pairs is held out by whole groups of copies."""
    ids = source.ids
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
