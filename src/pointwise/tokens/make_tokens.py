"""make_tokens: token features of pairs to a folder, by a run that can be stopped at any moment."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pointwise._types import Progress, Say
from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.items import Encoders, Items
from pointwise.encoding.run import Notes, Run
from pointwise.errors import InputError
from pointwise.resumable.part_file import open_part
from pointwise.resumable.parts import held
from pointwise.tables.digest import sha256_of
from pointwise.tokens.token_file import INDEX, KIND, load_tokens, save_index, save_tokens
from pointwise.tokens.tokens import AT_ONCE, encode_tokens, has_tokens, stack
from pointwise.training.inputs import Inputs, Pairs

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
        part_rows: pairs of a file.

    Raises:
        InputError: a picture cannot be read, the folder holds something else, or another process is writing to it.
    """
    run = Run(
        items,
        Encoders(image, text),
        batch=AT_ONCE,
        skip_bad=False,
        say=say,
        progress=partial(progress, "pairs encoded"),
    )
    run.settings["tokens"] = [has_tokens(image), has_tokens(text)]
    parts_places = run.parts(part_rows)
    if (there := _meta_there(folder)) is not None:
        keys = []
        for number, places in enumerate(parts_places, 1):
            keys.append(run.look(places))
            progress("pairs looked at", min(number * part_rows, len(items)), len(items))
        if there.get("key") == sha256_of(keys):
            return
        if resume:
            raise InputError(
                f"the tokens in {folder} are of other pictures, captions or encoders than these; a training is resumed "
                "with those that it was begun with: give the same, or another folder."
            )
    for one in (image, text):
        if not has_tokens(one):
            say(f"encoder {one.name} gives one feature vector for an item and no tokens: each item has one token.")

    def encode(pictures: list[Pixels], captions: list[str], _: list[int]) -> tuple[Inputs, Inputs]:
        return encode_tokens(image, pictures), encode_tokens(text, captions)

    with held(folder, kind=KIND, purpose="tokens are", path=folder, also=[INDEX]) as parts:

        def use(number: int, key: str) -> bool:
            try:
                notes = open_part(parts.path(key), kind=KIND, called="tokens")[1]["notes"]
            except InputError:
                return False
            run.add(parts_places[number], Notes(**notes))
            return True

        def make(number: int) -> str:
            places = parts_places[number]
            made, notes = run.encode(places, encode)
            key = run.key(places)
            save_tokens(
                parts.path(key),
                Pairs(*map(stack, zip(*made, strict=True))),
                ids=[str(items.ids[place]) for place in places],
                captions=items.captions_at(places),
                meta={"notes": notes._asdict()},
                places=places,
            )
            run.add(places, notes)
            return key

        found, _ = parts.find(len(parts_places), key=lambda number: run.look(parts_places[number]), use=use)
        keys = [found.get(number) or make(number) for number in range(len(parts_places))]
        run.say_truncated()
        save_index(
            folder,
            [parts.path(key).name for key in keys],
            {
                "image_encoder": image.name,
                "image_encoder_meta": dict(image.meta),
                "text_encoder": text.name,
                "text_encoder_meta": dict(text.meta),
                "captions_truncated": run.truncated,
                "key": sha256_of(keys),
            },
        )
        parts.remove(keep=keys)


def _meta_there(folder: Path) -> dict[str, object] | None:
    """The meta of tokens that are all there, and can be opened."""
    try:
        return dict(load_tokens(folder).meta) if folder.is_dir() else None
    except InputError:
        return None
