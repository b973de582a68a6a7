"""encode_to: encoding to a file or a folder of shards that goes on where it was stopped."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pointwise._options import whole_number
from pointwise._types import Pixels, Say, Steps
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.features import SHARD_ROWS, Columns, columns_of, table_of
from pointwise.encoding.items import open_source
from pointwise.encoding.run import Places, Run
from pointwise.encoding.target import Target
from pointwise.errors import InputError
from pointwise.items.images import Images
from pointwise.resumable.parts import Parts, held


class Encoded(NamedTuple):
    """What ``encode_to`` found and did."""

    path: Path
    rows: int  # of the table
    columns: int
    meta: Mapping[str, Any]
    shards: int  # parts that the items make up
    found: int  # of these, how many earlier runs had left; all of them where the table itself was there
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
    say: Say | None = None,
    progress: Steps | None = None,
) -> Encoded:
    """Encode to a file, or a folder of shards, so that a run that was stopped goes on where it was.

    Whatever stopped it, the table is the same to the last byte as that of a run that nothing stopped, as long as the
    machine is the same. Every ``shard_rows`` items are kept in the folder ``NAME.partial`` beside the table as soon as
    they are encoded; it is removed at the end. What is there is used again only for items of the same content (SHA-256
    of the bytes of each picture, caption, id, mode) and the same encoders (name, and all that their meta says), so a
    shard in which anything has changed since is encoded again; with an item more or less all shards from there on. An
    encoder of one's own is known by its name and meta: change these when it changes.

    Where the table is there already and has the same key, nothing is encoded.

    ``path`` ends in .npz, .safetensors or .parquet; or in nothing, for a folder of .parquet shards, which ``load``
    reads like one. Of the folder only one shard of ``shard_rows`` items at a time is in memory; its rows come in the
    order in which the source is quick to read: that of its paths, except in a .tar. ``overwrite`` encodes even if
    the table is there, and replaces it. What else there is, is as for ``encode``; a run that was stopped may go on
    with ``skip_bad``.

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
    whole_number(shard_rows, "shard_rows")
    target = Target(path, made_from=(source, captions))
    opened = open_source(source, encoder, text_encoder, captions, only_matching=only_matching, device=device, say=say)
    run = Run(*opened, batch_size=batch_size, skip_bad=skip_bad, say=say, progress=progress)
    shards = run.parts(shard_rows)
    with held(
        target.work, kind="encoded", purpose=f"the work on {path} is", path=target.path, also=target.names
    ) as parts:
        was_there = target.is_there() and not overwrite
        if was_there:
            found, meta = len(shards), target.meta()
            if meta.get("key") != run.look_at_all():
                target.refuse(run.differences(meta))
        else:
            keys, found = run.complete(parts, shards, partial(columns_of, run))
            if len(run.bad) == len(run.items):
                parts.remove()  # nothing in it is worth keeping
            run.finish()
            meta = _put(target, parts, run, list(zip(keys, shards, strict=True)))
        parts.remove()
    rows = len(run.items) - meta["skipped"]
    return Encoded(target.path, rows, run.encoders["features"].dim, meta, len(shards), found, was_there)


def _put(target: Target, parts: Parts, run: Run, shards: Sequence[tuple[str, Places]]) -> Mapping[str, Any]:
    """Put the parts together where they belong; return the meta of the table."""

    def loaded(key: str) -> Columns:
        part = parts.load(key)
        if part is None:
            raise InputError(f"{parts.folder} was changed while {target.path} was made from it; run the same again.")
        return part[0]

    if not target.is_folder:
        table = table_of(run, ((places, loaded(key)) for key, places in shards))
        target.put([table])
        return table.meta
    good = [(key, rows) for key, places in shards if (rows := run.readable(places))]
    meta = {**run.meta(), "shards": len(good)}
    target.put((run.items.table(rows, loaded(key), meta) for key, rows in good), count=len(good))
    return meta
