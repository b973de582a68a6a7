"""pointwise train: pairs of images and texts to a similarity that is pointwise mutual information."""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import click
import torch
from click.core import ParameterSource

from pointwise._files import atomic_write
from pointwise._options import number, usable_device
from pointwise._types import Say
from pointwise.cli.bars import Bars
from pointwise.cli.sources import warn
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.encoding.items import Items
from pointwise.errors import InputError
from pointwise.tokens.sources import Parts, Source, open_pairs, parts_of, pixel_pairs, token_pairs
from pointwise.tokens.tokenizer import TOKENIZERS, Tokenizer
from pointwise.training.distributed import first_alone, processes, rank_and_world
from pointwise.training.folder import MODEL, make_folder, require_folder, run
from pointwise.training.heads import SIMILARITIES, require_points
from pointwise.training.loop import Diverged, Line, require_batch
from pointwise.training.model import DualEncoder
from pointwise.training.options import Options
from pointwise.training.split import room_for
from pointwise.training.towers import FrozenTokens, TextTransformer, Tower, VisionTransformer

HELD_OUT = "held_out.json"
_LAST = 50  # steps whose mean is shown at the end
_CROP = 0.9  # smallest share of the area of a picture, from scratch
_OF_ENCODERS = ("encoder", "text_encoder")
_TYPES = {"int": int, "float": float, "bool": bool}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each of `Options`, which checks them."""
    for one in reversed(fields(Options)):
        names = [_flag(one.name), *(["--lr"] if one.name == "learning_rate" else []), one.name]
        kind, crop = _TYPES[str(one.type).split(" ")[0]], one.name == "crop"  # crop: what is left out depends
        command = click.option(
            *names,
            type=kind,
            is_flag=kind is bool,
            default=None if crop else one.default,
            show_default=not crop and kind is not bool and one.default is not None,
            help=one.metadata["help"] + (f"  [{_CROP}]" if crop else ""),
        )(command)
    return command


@click.command("train")
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
@click.option("--held-out", metavar="SHARE|PATH", help="Not trained on: a share of the pairs, or other pairs.")
@click.option("--held-out-captions", help="Of the images at PATH: as --captions.")
@_training_options
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in FOLDER.")
@click.option("--device", help="cpu or cuda; the GPU where there is one if left out.")
def train_command(
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
    held_out: str | None,
    held_out_captions: str | None,
    device: str | None,
    resume: bool,
    crop: float | None,
    **steps: Any,
) -> int:
    """Train a similarity of images and texts whose value is pointwise mutual information, in nats up to a constant.

    SOURCE: images with captions, as for `pointwise encode`; a table with text features; or the tokens folder of an
    earlier training. Without --from-scratch heads are trained on the tokens of frozen encoders, which are kept in
    FOLDER/tokens. With --held-out the model is that of the step with the lowest loss on pairs that are not trained on.
    Under torchrun several processes share each batch.
    """
    if from_scratch:
        _refuse(_OF_ENCODERS, "where --from-scratch is given")
    else:
        of_scratch = ("image_size", "patch", "width", "depth", "tokenizer", "context", "crop")
        _refuse(of_scratch, "where encoders are frozen", " or give --from-scratch")
    share = None if held_out is None else _share_of(held_out)
    if held_out is None:
        _refuse(("held_out_captions", "held_out_every"), "without --held-out", " or give that too")
    elif share is not None:
        _refuse(("held_out_captions",), "where --held-out is a share of SOURCE")
    options = Options(**steps, crop=crop if crop is not None else _CROP if from_scratch else 1.0)
    of_item: int | str = int(points) if points.isascii() and points.isdigit() else points
    require_points(of_item)
    words: Tokenizer | None = None
    towers: tuple[Tower, Tower] | None = None
    if from_scratch:  # made before the data are read, so that what cannot be is refused at once
        words = Tokenizer(tokenizer, context=context)
        of_both = {"width": width, "depth": depth, "seed": options.seed}
        towers = (
            VisionTransformer(image_size=image_size, patch=patch, **of_both),
            TextTransformer(vocabulary=words.vocabulary, context=context, **of_both),
        )
    require_folder(folder, resume=resume)
    with processes(usable_device(device) or torch.device("cuda" if torch.cuda.is_available() else "cpu")) as place:
        rank, world = rank_and_world()
        say: Say = warn if rank == 0 else lambda sentence: None
        encoders = cache(lambda: (load_encoder(encoder, device=place), load_text_encoder(text_encoder, device=place)))
        with first_alone(), Bars(f"{source}: ") as bars:

            def make(items: Items, name: str) -> Source:
                if words is not None:
                    return pixel_pairs(items, image_size=image_size, tokenizer=words, say=say, progress=bars)
                loaded = encoders()
                make_folder(folder)
                return token_pairs(items, Path(folder) / name, *loaded, resume=resume, say=say, progress=bars)

            opened = open_pairs(source, captions, say=say)
            if isinstance(opened, Source):
                of_pictures = ("captions", "held_out_captions", "from_scratch", *_OF_ENCODERS)
                _refuse(of_pictures, f"where {source} holds features of pairs already")
            n = opened.pairs.n if isinstance(opened, Source) else len(opened)
            out: Items | Source | float | None = share
            if held_out is not None and share is None:
                out = open_pairs(held_out, held_out_captions, say=say)
            require_batch(options.batch_size, n - room_for(share or 0, n), processes=world)  # before long work
            parts = parts_of(opened, out, make, seed=options.seed, say=say)
        if towers is None:
            images, texts = (FrozenTokens(width=side.x.shape[2]) for side in parts.training)
            towers = images, texts
        shape: dict[str, Any] = {"similarity": similarity, "points": of_item, "dim": dim, "seed": options.seed}
        model = DualEncoder(*towers, **shape, meta=parts.meta).to(place)
        return _run(folder, model, parts, options, resume=resume, shown=rank == 0)


def _run(folder: str, model: DualEncoder, parts: Parts, options: Options, *, resume: bool, shown: bool) -> int:
    """Train a model, show how it goes on a bar and how it went at the end, and return the exit status."""
    started, losses, held_out = time.monotonic(), deque[float](maxlen=_LAST), ""
    bars = Bars()

    def progress(line: Line) -> None:
        nonlocal held_out
        losses.append(line["loss"])
        if "held_out_loss" in line:
            held_out = f"held out {line['held_out_loss']:.3f} (best at step {line['best_step']})"
        known = held_out or f"mutual information {line['mutual_information']:.3f} nats"
        news = f"loss {line['loss']:.3f}  {known}  {line['pairs_per_second']:,.0f} pairs/s"
        if shown:
            bars("", int(line["step"]), options.steps, news)

    try:
        with bars:
            run(folder, model, parts.training, options, held_out=parts.held_out, resume=resume, progress=progress)
    except Diverged as error:
        click.echo(f"pointwise: {error}", err=True)
        return 1
    if shown:
        click.echo(_result(model, parts.training.n, folder, losses, math.log(options.batch_size)))
        if parts.held_out is not None:
            with atomic_write(Path(folder) / HELD_OUT) as file:
                file.write(json.dumps(parts.report, indent=1).encode())
            click.echo(f"{parts.message} {_best(model.meta['held_out'])}")
        click.echo(f"{options.steps} steps in {time.monotonic() - started:.1f} s.")
    return 0


def _result(model: DualEncoder, n: int, folder: str, losses: deque[float], most: float) -> str:
    count = sum(p.numel() for p in model.parameters())
    points = "one point for each token" if model.points == "all" else f"{model.points} points"
    made = f"{Path(folder) / MODEL}: {model.kind}, {points} of {model.dim} dimensions, {count:,} parameters, {n} pairs."
    if not losses:
        return f"{made} Its training was over already."
    loss = sum(losses) / len(losses)
    return (
        f"{made} Mean loss of the last {len(losses)} steps {loss:.3f} nats: mutual information of the pairs trained on "
        f"about {most - loss:.3f} nats (log B, {most:.3f}, is the most that batches of this size can show)."
    )


def _best(held_out: Mapping[str, float]) -> str:
    """Which step the model is of, and what is known of it from the held-out pairs."""
    step, size = int(held_out["step"]), int(held_out["batch"])
    weights = (
        f"The model has the weights of step {step}, where it was lowest."
        if step
        else "It was lowest before the first step: the model has the weights that it started with, and is of no use."
    )
    among = "" if size == held_out["pairs"] else f" in batches of {size}"
    loss, information = held_out["loss"], held_out["mutual_information"]
    return (
        f"Their loss{among} is {loss:.3f} nats: mutual information about {information:.3f} nats (log {size}, "
        f"{math.log(size):.3f}, is the most it can show). {weights}"
    )


def _share_of(held_out: str) -> float | None:
    """The share that --held-out is; None where it is a path."""
    try:
        share = float(held_out)
    except ValueError:
        if Path(held_out).exists():
            return None
        raise InputError(
            f"--held-out is {held_out!r}, which is neither a path that exists nor a share of the pairs, such as 0.1."
        ) from None
    return number(share, "--held-out", above=0, below=1)


def _refuse(names: Sequence[str], where: str, advice: str = "") -> None:
    """Raise an InputError if any of these options is given."""
    context = click.get_current_context()
    wrong = [_flag(name) for name in names if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    if wrong:
        has, them = ("has", "it") if len(wrong) == 1 else ("have", "them")
        raise InputError(f"{', '.join(wrong)} {has} no meaning {where}; leave {them} out{advice}.")
