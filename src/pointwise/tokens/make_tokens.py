"""make_tokens: token features of pairs to a folder, by a run that can be stopped at any moment."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from pointwise._types import Column, Progress, Say
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding.items import Items
from pointwise.encoding.run import Batch, Run
from pointwise.errors import InputError
from pointwise.resumable.parts import held
from pointwise.tokens.token_file import INDEX, KIND, load_tokens, save_index, token_arrays
from pointwise.tokens.tokens import AT_ONCE, encode_tokens, has_tokens, stack
from pointwise.training.inputs import Pairs

PART_ROWS = 512  # pairs of a file: what memory holds at once, and what a killed run loses at most


def make_tokens(
    folder: Path,
    items: Items,
    image: Encoder,
    text: TextEncoder,
    *,
    resume: bool,
    say: Say,
    progress: Progress,
    part_rows: int = PART_ROWS,
) -> None:
    """Encode pictures and their captions to a folder of tokens, if it does not hold these already.

    The parts appear whole one after the other, and an index at the end says that all are there. The key of a part is
    the SHA-256 of its items' content and of name and meta of the encoders: what is there under it is used again,
    whatever stopped the run that made it. Parts that are none of these items' are removed at the end; with ``resume``
    the tokens of other items or encoders, if all are there, are refused rather than replaced.
    """
    run = Run(items, image, text, batch_size=AT_ONCE, say=say, progress=partial(progress, "pairs"))
    run.settings["tokens"] = [has_tokens(image), has_tokens(text)]
    if folder.is_dir() and _are_there(folder, run, resume=resume):
        return
    for one in (image, text):
        if not has_tokens(one):
            say(f"encoder {one.name} gives one feature vector for an item and no tokens: each item has one token.")

    def make(batches: Iterable[Batch]) -> dict[str, Column]:
        images, texts, some = [], [], []
        for batch in batches:
            images.append(encode_tokens(image, batch.pictures))
            texts.append(encode_tokens(text, batch.captions))
            some += batch.places
        ids, captions = [str(items.ids[place]) for place in some], items.captions_at(some)
        return token_arrays(Pairs(stack(images), stack(texts)), ids=ids, captions=captions, places=some)

    with held(folder, kind=KIND, purpose="tokens are", path=folder, also=[INDEX]) as parts:
        keys, _ = run.complete(parts, run.parts(part_rows), make)
        run.finish()
        meta = {
            "image_encoder": image.name,
            "image_encoder_meta": dict(image.meta),
            "text_encoder": text.name,
            "text_encoder_meta": dict(text.meta),
            "captions_truncated": run.truncated,
            "key": run.key(),
        }
        save_index(folder, [parts.path(key).name for key in keys], meta)
        parts.remove(keep=keys)


def _are_there(folder: Path, run: Run, *, resume: bool) -> bool:
    """Whether the folder holds the tokens of these items and encoders, all of which can be opened."""
    try:
        meta = load_tokens(folder).meta
    except InputError:
        return False
    there = bool(meta.get("key") == run.look_at_all())
    if resume and not there:
        raise InputError(
            f"the tokens in {folder} are of other pictures, captions or encoders than these; a training is resumed "
            "with those that it was begun with: give the same, or another folder."
        )
    return there
