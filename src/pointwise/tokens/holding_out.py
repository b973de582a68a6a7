"""What is trained on and what is held out: a share of the pairs of a source, or the pairs of another."""

from __future__ import annotations

from typing import Any, NamedTuple

from pointwise._types import Say
from pointwise.encoding.items import Items
from pointwise.errors import InputError
from pointwise.tokens.sources import Source
from pointwise.training.inputs import Pairs
from pointwise.training.split import count_copies, groups_of, split


class Parts(NamedTuple):
    """The pairs that are trained on, those that are held out, and what is known of these.

    message: what was held out, in a sentence.
    report: the same, writable as JSON, with row and id of each.
    """

    training: Pairs
    held_out: Pairs | None = None
    message: str = ""
    report: dict[str, Any] | None = None


def hold_out_share(source: Source, share: float, *, seed: int) -> Parts:
    """Return the pairs of a source without a share of them, which is held out by whole groups of copies."""
    groups = groups_of([*source.keys().values(), *([] if source.ids is None else [source.ids])])
    training, held_out = split(groups, share, seed=seed)
    rows, count = held_out.tolist(), int(groups.max()) + 1
    message = (
        f"Held out: {len(rows)} of the {source.pairs.n} pairs of {source.path}; none shares a picture or a caption "
        f"with those trained on (pairs that share one were kept together, in {count} groups)."
    )
    report = {"source": source.path, "share": share, "seed": seed, "pairs": len(rows), "groups": count}
    report |= {"rows": rows, "ids": None if source.ids is None else [source.ids[row] for row in rows]}
    return Parts(source.pairs.some(training), source.pairs.some(held_out), message, report)


def hold_out_others(source: Source, others: Source, *, say: Say) -> Parts:
    """Return the pairs of one source to train on, and those of another, by the same encoders, to hold out."""
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
    return Parts(source.pairs, others.pairs, message, {"source": others.path, "pairs": n, "copies": copies})


def require_same_kind(path: str, opened: Items | Source, other_path: str, other: Items | Source) -> None:
    """Raise an InputError unless what was opened is pictures in both cases, or features in both."""
    kinds = ["features" if isinstance(one, Source) else "pictures" for one in (opened, other)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{path} holds {kinds[0]} and {other_path} holds {kinds[1]}; what --held-out names must be of the kind "
            "that is trained on."
        )
