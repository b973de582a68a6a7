"""encode_to: encoding to a file or a folder of shards that goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.count import Count
from pointwise.encoding.key import differences, key_of
from pointwise.encoding.loop import SHARD_ROWS, table_of, with_columns
from pointwise.encoding.opening import open_source
from pointwise.encoding.parts import Part, checked_batch, encode_part, shards_of
from pointwise.encoding.target import Target
from pointwise.encoding.work import Work, clear, held
from pointwise.errors import InputError
from pointwise.items.images import Images
from pointwise.tables.table import FeatureTable


class Encoded(NamedTuple):
    """What ``encode_to`` found and did.

    rows, columns: of the table.
    meta: of the table.
    shards: parts that the items make up.
    found: of these, how many earlier runs had left; all of them where the table itself was there.
    """

    path: Path
    rows: int
    columns: int
    meta: Mapping[str, Any]
    shards: int
    found: int
    was_there: bool


def encode_to(
    path: str | Path,
    source: str | Path | Pixels | Images,
    *,
    encoder: str | Encoder = "bundled",
    text_encoder: str | TextEncoder | None = None,
    captions: str | Path | None = None,
    only_matching: bool = False,
    skip_bad: bool = False,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    overwrite: bool = False,
    shard_rows: int = SHARD_ROWS,
    say: Callable[[str], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Encoded:
    """Encode to a file, or a folder of shards, so that a run that was stopped goes on where it was.

    Whatever stopped it, the table is the same to the last byte as that of a run that nothing stopped, as long as the
    machine is the same. Every ``shard_rows`` items are kept in the folder ``NAME.partial`` beside the table as soon as
    they are encoded; it is removed at the end. What is there is used again only for items of the same content (SHA-256
    of the bytes of each picture, caption, id, mode) and the same encoders (name, and all that their meta says), so a
    shard in which anything has changed since is encoded again; with an item more or less all shards from there on. An
    encoder of one's own is known by its name and meta: change these when it changes.

    Where the table is there already and has the same key, nothing is encoded.

    Args:
        path: ends in .npz, .safetensors or .parquet; or in nothing, for a folder of .parquet shards, which ``load``
            reads like one. Of the folder only one shard at a time is in memory; its rows come in the order in which the
            source is quick to read: that of its paths, except in a .tar.
        source: of images or captions; this and what follows as for ``encode``.
        encoder: of images.
        text_encoder: of captions.
        captions: of the images.
        only_matching: leave out images without a caption, and captions without an image.
        skip_bad: go on without files that cannot be read as images; a run that was stopped may go on with it.
        batch_size: items that are read and encoded together.
        device: of torch.
        overwrite: encode even if the table is there, and replace it.
        shard_rows: items of a shard.
        say: called with a sentence for each thing to know.
        progress: called with the numbers of items done and in all.

    Raises:
        InputError: as ``encode``; or the path cannot be written, is that of the source, another process is writing it,
            or a table of another key is there.
        MissingExtra: the package with an encoder is not installed.

    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "black.npz"
    >>> done = encode_to(path, np.zeros((5, 8, 8), dtype=np.uint8), encoder="pixels")
    >>> done.rows, done.columns, done.was_there
    (5, 192, False)
    >>> encode_to(path, np.zeros((5, 8, 8), dtype=np.uint8), encoder="pixels").was_there
    True
    """
    say, progress = say or _nothing, progress or _nothing
    batch = checked_batch(batch_size)
    if shard_rows < 1:
        raise InputError(f"shard_rows is {shard_rows}; it must be at least 1.")
    target = Target(path)
    target.require_other_than(source, captions)
    items, encoders = open_source(
        source,
        encoder=encoder,
        text_encoder=text_encoder,
        captions=captions,
        only_matching=only_matching,
        device=device,
        say=say,
    )
    count = Count(items, encoders, batch=batch)
    shards = list(shards_of(items, shard_rows))
    with held(target.work, path=target.path):
        was_there = target.is_there() and not overwrite
        if was_there:
            found = len(shards)
            meta = _meta_there(target, count, shards, skip_bad=skip_bad, progress=progress)
        else:
            work = Work(target.work, count.settings, batch=batch)
            keys, found = _encode_missing(work, count, shards, skip_bad=skip_bad, say=say, progress=progress)
            if len(count.bad) == len(items):
                clear(target.work)  # nothing in it is worth keeping
            count.require_some()
            meta = _put(target, work, count, list(zip(keys, shards, strict=True)))
            count.say_truncated(say)
        clear(target.work)
    return Encoded(target.path, len(items) - meta["skipped"], encoders.dim, meta, len(shards), found, was_there)


def _meta_there(
    target: Target,
    count: Count,
    shards: Sequence[Sequence[int]],
    *,
    skip_bad: bool,
    progress: Callable[[int, int], object],
) -> Mapping[str, Any]:
    """The meta of the table that is there, if it is of these items and encoders."""
    meta = target.meta()
    for places in shards:
        count.look(places, skip_bad=skip_bad)
        count.done += len(places)
        progress(count.done, len(count.items))
    identity = count.identity()
    if meta.get("key") != key_of(count.settings, identity):
        target.refuse(differences(meta, count.settings, identity))
    return meta


def _parts_left(
    work: Work,
    count: Count,
    shards: Sequence[Sequence[int]],
    *,
    skip_bad: bool,
    say: Callable[[str], object],
    progress: Callable[[int, int], object],
) -> dict[int, str]:
    """The keys of the parts that earlier runs have left in the work folder, by the numbers of their shards."""
    found: dict[int, str] = {}
    unknown = work.keys()
    for number, places in enumerate(shards):
        if not unknown:  # so that items are not read for nothing, twice from a compressed archive that goes back for it
            break
        count.look(places, skip_bad=skip_bad)
        key = count.key(places)
        part = work.load(key, dim=count.encoders.dim, text_dim=count.encoders.text_dim)
        unknown.discard(key)
        if part is None:
            continue
        if part.bad and not skip_bad:
            raise InputError(part.bad[min(part.bad)])
        found[number] = key
        count.add(places, part)
        progress(count.done, len(count.items))
    if unknown:
        say(
            f"{len(unknown)} of the shards that an earlier run left in {work.folder} are of another encoder, other "
            "items or another number of rows: they are not used, and removed once this table is done."
        )
    return found


def _encode_missing(
    work: Work,
    count: Count,
    shards: Sequence[Sequence[int]],
    *,
    skip_bad: bool,
    say: Callable[[str], object],
    progress: Callable[[int, int], object],
) -> tuple[list[str], int]:
    """See that every part is in the work folder; return their keys, and how many were there already."""
    keys = _parts_left(work, count, shards, skip_bad=skip_bad, say=say, progress=progress)
    found = len(keys)
    for number, places in enumerate(shards):
        if number in keys:
            continue
        part, batch = encode_part(
            count.items,
            places,
            count.encoders,
            digests=count.digests,
            batch=work.batch,
            skip_bad=skip_bad,
            say=say,
            step=count.steps(progress),
        )
        work.remember(batch)  # before the part, so that no later one is encoded in batches of another size
        keys[number] = count.key(places)
        work.save(keys[number], part)
        count.add(places, part)
    count.batch = work.batch
    return [keys[number] for number in range(len(shards))], found


def _put(target: Target, work: Work, count: Count, shards: Sequence[tuple[str, Sequence[int]]]) -> Mapping[str, Any]:
    """Put the parts together where they belong; return the meta of the table."""
    items, encoders = count.items, count.encoders

    def load_part(key: str) -> Part:
        part = work.load(key, dim=encoders.dim, text_dim=encoders.text_dim)
        if part is None:
            raise InputError(f"{work.folder} was changed while {target.path} was made from it; run the same again.")
        return part

    if not target.is_folder:
        table = table_of(items, encoders, ((places, load_part(key)) for key, places in shards), count)
        target.put(table)
        return table.meta
    good = [(key, [place for place in places if place not in count.bad]) for key, places in shards]
    good = [(key, places) for key, places in good if places]
    meta = {**count.meta(), "shards": len(good)}

    def table_of_part(key: str, places: Sequence[int]) -> FeatureTable:
        part = load_part(key)
        return with_columns(items, places, part.features, part.text, meta)

    target.put_shards((table_of_part(key, places) for key, places in good), count=len(good))
    return meta


def _nothing(*_: object) -> None:
    """Where nobody listens."""
