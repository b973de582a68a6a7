"""pointwise train: pairs of images and texts to a similarity that is pointwise mutual information."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import click
import torch
from click.core import ParameterSource

from pointwise.cli.bars import Bars
from pointwise.cli.sources import warn
from pointwise.cli.training_pairs import given_pairs, open_pairs, share_of
from pointwise.cli.training_run import run
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.encoding.items import Items
from pointwise.errors import InputError
from pointwise.tokens.sources import Source, pixel_pairs, token_pairs
from pointwise.tokens.tokenizer import TOKENIZERS, Tokenizer
from pointwise.training.checkpoint import make_folder, require_folder
from pointwise.training.distributed import first_alone, processes, rank_and_world
from pointwise.training.heads import SIMILARITIES
from pointwise.training.model import DualEncoder, FrozenTokens, Tower
from pointwise.training.split import room_for
from pointwise.training.text import TextTransformer
from pointwise.training.train import LARGEST_RATE, require_batch
from pointwise.training.vision import VisionTransformer

_CROP = 0.9  # smallest share of the area of a picture, from scratch
_SHARE = click.FloatRange(min=0, min_open=True, max=1)
_RATE = click.FloatRange(min=0, min_open=True, max=LARGEST_RATE)
_OF_ENCODERS = ("encoder", "text_encoder")
_OF_SCRATCH = ("image_size", "patch", "width", "depth", "tokenizer", "context", "crop")
_OF_HELD_OUT = ("held_out_captions", "held_out_every")


@click.command()
@click.argument("source")
@click.option("-o", "--output", "folder", required=True, metavar="FOLDER", help="Of model, checkpoint and log.")
@click.option("--captions", help="Of the images: a table or text file, else the texts beside the images.")
@click.option("--similarity", type=click.Choice(SIMILARITIES), default="kme", show_default=True)
@click.option("--points", default="8", show_default=True, metavar="M|all", help="Of an item; all: one for each token.")
@click.option("--dim", type=click.IntRange(min=1), default=256, show_default=True, help="Of a point.")
@click.option("--encoder", default="bundled", show_default=True, help="Of images, frozen.")
@click.option("--text-encoder", default="minilm", show_default=True, help="Of captions, frozen.")
@click.option("--from-scratch", is_flag=True, help="Train a ViT and a text transformer in place of frozen encoders.")
@click.option("--image-size", type=int, default=64, show_default=True, help="From scratch: side of the pictures.")
@click.option("--patch", type=int, default=8, show_default=True, help="From scratch: side of a patch.")
@click.option("--width", type=int, default=192, show_default=True, help="From scratch: of both transformers.")
@click.option("--depth", type=int, default=4, show_default=True, help="From scratch: blocks of both transformers.")
@click.option("--tokenizer", type=click.Choice(TOKENIZERS), default="clip", show_default=True, help="From scratch.")
@click.option("--context", type=int, default=77, show_default=True, help="From scratch: most tokens of a caption.")
@click.option("--crop", type=_SHARE, help="From scratch: smallest share of a picture's area to see; 1: whole.  [0.9]")
@click.option("--held-out", metavar="SHARE|PATH", help="Not trained on: a share of the pairs, or other pairs.")
@click.option("--held-out-captions", help="Of the images at PATH: as --captions.")
@click.option("--held-out-every", type=click.IntRange(min=1), default=100, show_default=True, help="Steps.")
@click.option("--steps", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=2), default=256, show_default=True)
@click.option("--micro-batch", type=click.IntRange(min=1), help="Pairs in memory at once; the loss stays the same.")
@click.option("--lr", "learning_rate", type=_RATE, default=5e-4, show_default=True)
@click.option("--weight-decay", type=click.FloatRange(min=0), default=0.5, show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=100, show_default=True, help="Steps.")
@click.option("--bfloat16", is_flag=True, help="Towers in bfloat16; heads and similarity stay in float32.")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in FOLDER.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", help="cpu or cuda; the GPU where there is one if left out.")
def train(
    *,
    source: str,
    folder: str,
    captions: str | None,
    similarity: str,
    points: str,
    dim: int,
    encoder: str,
    text_encoder: str,
    from_scratch: bool,
    image_size: int,
    patch: int,
    width: int,
    depth: int,
    tokenizer: str,
    context: int,
    crop: float | None,
    held_out: str | None,
    held_out_captions: str | None,
    seed: int,
    device: str | None,
    resume: bool,
    **options: Any,
) -> int:
    """Train a similarity of images and texts whose value is pointwise mutual information, in nats up to a constant.

    SOURCE: images with captions, as for `pointwise encode`; a table with text features; or the tokens folder of an
    earlier training. Without --from-scratch heads are trained on the tokens of frozen encoders, which are kept in
    FOLDER/tokens. With --held-out the model is that of the step with the lowest loss on pairs that are not trained on.
    Under torchrun several processes share each batch.
    """
    _refuse_mixed("--from-scratch is given" if from_scratch else "encoders are frozen", from_scratch=from_scratch)
    share = share_of(held_out)
    _refuse_of_held_out(held_out, share)
    shape: dict[str, Any] = {"similarity": similarity, "points": _points(points), "dim": dim, "seed": seed}
    words: Tokenizer | None = None
    towers: tuple[Tower, Tower] | None = None
    if from_scratch:  # made before the data are read, so that what cannot be is said at once
        words = Tokenizer(tokenizer, context=context)
        towers = (
            VisionTransformer(image_size=image_size, patch=patch, width=width, depth=depth, seed=seed),
            TextTransformer(vocabulary=words.vocabulary, context=context, width=width, depth=depth, seed=seed),
        )
        options["crop"] = _CROP if crop is None else crop
    require_folder(folder, resume=resume)
    with processes(_device(device)) as place:
        rank, world = rank_and_world()
        say = warn if rank == 0 else _nothing
        encoders = cache(lambda: (load_encoder(encoder, device=place), load_text_encoder(text_encoder, device=place)))
        with first_alone(), Bars(f"{source}: ") as bars:

            def make(items: Items, name: str) -> Source:
                if words is not None:
                    return pixel_pairs(items, image_size=image_size, tokenizer=words, say=say, progress=bars)
                loaded = encoders()
                make_folder(folder)
                return token_pairs(items, Path(folder) / name, *loaded, resume=resume, say=say, progress=bars)

            opened = open_pairs(source, captions, say=say)
            if isinstance(opened.found, Source):
                _refuse_for_features(source)
            others = (
                open_pairs(held_out, held_out_captions, say=say) if held_out is not None and share is None else share
            )
            room = room_for(share, opened.n) if share is not None else 0
            require_batch(options["batch_size"], opened.n - room, processes=world)
            given = given_pairs(opened, others, make, seed=seed, say=say)
        if towers is None:
            first = given.training.rows(torch.tensor([0]))
            towers = FrozenTokens(width=first.images.x.shape[2]), FrozenTokens(width=first.texts.x.shape[2])
        model = DualEncoder(*towers, **shape, meta=given.meta).to(place)
        return run(model, given, folder, resume=resume, seed=seed, shown=rank == 0, **options)


def _refuse_mixed(why: str, *, from_scratch: bool) -> None:
    wrong = [name for name in (_OF_ENCODERS if from_scratch else _OF_SCRATCH) if _given(name)]
    if wrong:
        advice = "" if from_scratch else " or give --from-scratch"
        raise InputError(
            f"{', '.join(map(_flag, wrong))} {'has' if len(wrong) == 1 else 'have'} no meaning where {why}; leave "
            f"{'it' if len(wrong) == 1 else 'them'} out{advice}."
        )


def _refuse_of_held_out(held_out: str | None, share: float | None) -> None:
    wrong = [name for name in _OF_HELD_OUT if _given(name)] if held_out is None else []
    if wrong:
        raise InputError(f"{_flag(wrong[0])} has no meaning without --held-out; give that too, or leave it out.")
    if share is not None and _given("held_out_captions"):
        raise InputError(
            "--held-out-captions are of the images at a path, but --held-out is a share of SOURCE; leave it out."
        )


def _refuse_for_features(source: str) -> None:
    wrong = [name for name in ("captions", "held_out_captions", "from_scratch", *_OF_ENCODERS) if _given(name)]
    if wrong:
        raise InputError(f"{source} holds features of pairs already; leave out {', '.join(map(_flag, wrong))}.")


def _given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) == ParameterSource.COMMANDLINE


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _points(points: str) -> int | str:
    if points != "all" and not (points.isascii() and points.isdigit() and int(points)):
        raise InputError(f"--points is {points!r}; it must be a number of at least 1, or 'all' for one per token.")
    return points if points == "all" else int(points)


def _device(device: str | None) -> torch.device:
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"the device {device!r} cannot be used ({reason}); give 'cpu'.") from None
    return chosen


def _nothing(*_: object) -> None:
    """What the processes after the first say."""
