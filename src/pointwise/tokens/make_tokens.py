"""make_tokens: token features of pairs to a folder, by a run that can be stopped at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.count import Count
from pointwise.encoding.items import Items
from pointwise.encoding.lock import LOCK
from pointwise.encoding.parts import Digests, Encoders, batches, shards_of, with_room
from pointwise.encoding.work import MANIFEST, PART, UNFINISHED, Work, held
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of
from pointwise.tokens.token_file import INDEX, load_tokens, save_index, save_tokens
from pointwise.tokens.tokens import AT_ONCE, encode_tokens, has_tokens, stack
from pointwise.training.inputs import Pairs

PART_ROWS = 512  # pairs of a file: what memory holds at once, and what a killed run loses at most

Say = Callable[[str], object]
Progress = Callable[[str, int, int], object]


def make_tokens(
    folder: Path, items: Items, image: Encoder, text: TextEncoder, *, resume: bool, say: Say, progress: Progress
) -> None:
    """Encode pictures and their captions to a folder of tokens, if it does not hold these already.

    The parts, ``KEY.part.safetensors``, appear whole one after the other, and an index at the end says that all are
    there. The key of a part is the SHA-256 of its items' content and of name and meta of the encoders: what is there
    under it is used again, whatever stopped the run that made it, and what has changed since is encoded again.
    Parts that are none of these items' are removed at the end.

    Args:
        folder: holds nothing else.
        items: pictures with captions.
        image: of the pictures.
        text: of the captions.
        resume: refuse the tokens of other items or encoders, if all are there, rather than replace them.
        say: a warning.
        progress: what is under way, how many are done, of how many.

    Raises:
        InputError: a picture cannot be read, the folder holds something else, or another process is writing to it.
    """
    _require_no_others(folder)
    count = Count(items, Encoders(image, text), batch=AT_ONCE)
    count.settings["tokens"] = [has_tokens(image), has_tokens(text)]
    shards = list(shards_of(items, PART_ROWS))
    if _are_there(folder, count, shards, resume=resume, progress=progress):
        return
    for one in (image, text):
        if not has_tokens(one):
            say(f"encoder {one.name} gives one feature vector for an item and no tokens: each item has one token.")
    with held(folder, path=folder):
        work = Work(folder, count.settings, batch=AT_ONCE)
        encoded = partial(_encoded, items, image, text, count.digests)
        keys, cut = _make_missing(work, count, shards, encoded, say=say, progress=progress)
        if cut:
            said = f"are longer than the {text.max_tokens} tokens that {text.name} reads, and were cut."
            say(f"{cut} of {len(items)} captions {said}")
        save_index(
            folder,
            [work.path(key).name for key in keys],
            {
                "image_encoder": image.name,
                "image_encoder_meta": dict(image.meta),
                "text_encoder": text.name,
                "text_encoder_meta": dict(text.meta),
                "captions_truncated": cut,
                "key": sha256_of(keys),
            },
        )
        for key in work.keys() - set(keys):
            work.path(key).unlink()


def _require_no_others(folder: Path) -> None:
    """Raise an InputError where there is what no run like this one has made, as it would be lost."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, and tokens are kept in a folder of this name; move it away.")
    for name in sorted(os.listdir(folder)):
        if name not in (INDEX, LOCK, MANIFEST) and not name.endswith(PART) and not name.startswith(UNFINISHED):
            raise InputError(
                f"{folder} is where tokens are kept, and nothing else can be, but {name} is in it; move that away, or "
                "give the training another folder."
            )


def _are_there(
    folder: Path, count: Count, shards: Sequence[Sequence[int]], *, resume: bool, progress: Progress
) -> bool:
    """Whether the folder holds the tokens of these items and encoders, all of which can be opened."""
    if not folder.exists():
        return False
    try:
        meta = load_tokens(folder).meta
    except InputError:
        return False
    keys: list[str] = []
    done = 0
    for places in shards:
        count.look(places, skip_bad=False)
        keys.append(count.key(places))
        done += len(places)
        progress("pairs looked at", done, len(count.items))
    there = bool(meta.get("key") == sha256_of(keys))
    if resume and not there:
        raise InputError(
            f"the tokens in {folder} are of other pictures, captions or encoders than these; a training is resumed "
            "with those that it was begun with: give the same, or another folder."
        )
    return there


def _make_missing(
    work: Work,
    count: Count,
    shards: Sequence[Sequence[int]],
    encoded: Callable[..., tuple[Pairs, int]],
    *,
    say: Say,
    progress: Progress,
) -> tuple[list[str], int]:
    """See that every part is in the folder; return their keys, and how many captions were cut."""
    left = work.keys()
    keys: list[str] = []
    cut = done = 0
    for places in shards:
        kept = None
        if left:  # so that items are not read for nothing
            count.look(places, skip_bad=False)
            kept = _cut_of(work.path(count.key(places)))
        if kept is None:
            part = partial(encoded, places, _steps(progress, done, len(count.items)))
            (pairs, kept), batch = with_room(part, batch=work.batch, say=say)
            work.remember(batch)  # before the part, so that no later one is encoded in batches of another size
            save_tokens(
                work.path(count.key(places)),
                pairs,
                ids=[str(count.items.ids[place]) for place in places],
                captions=count.items.captions_at(places),
                meta={"captions_truncated": kept},
                places=places,
            )
        keys.append(count.key(places))
        cut += kept
        done += len(places)
        progress("pairs encoded", done, len(count.items))
    return keys, cut


def _encoded(
    items: Items,
    image: Encoder,
    text: TextEncoder,
    digests: Digests,
    places: Sequence[int],
    step: Callable[[int], object],
    batch: int,
) -> tuple[Pairs, int]:
    """The tokens of the items at these places, and how many captions were cut."""
    images, texts, cut, done = [], [], 0, 0
    for some, pictures in batches(items, places, batch, digests, None):
        captions = items.captions_at(some)
        images.append(encode_tokens(image, pictures))
        texts.append(encode_tokens(text, captions))
        cut += sum(int(n) > text.max_tokens for n in text.count_tokens(captions))
        done += len(some)
        step(done)
    return Pairs(stack(images), stack(texts)), cut


def _steps(progress: Progress, done: int, total: int) -> Callable[[int], object]:
    return lambda more: progress("pairs encoded", done + more, total)


def _cut_of(path: Path) -> int | None:
    """How many captions of a part were cut; None where the part is not there, or damaged."""
    try:
        return int(load_tokens(path).meta["captions_truncated"])
    except InputError:
        return None
