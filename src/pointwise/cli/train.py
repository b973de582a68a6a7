"""pointwise train: pairs of images and texts to a similarity that is pointwise mutual information."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pointwise.cli.bars import Bars
from pointwise.cli.sources import warn
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.errors import InputError
from pointwise.similarity.checkpoint import MODEL, make_folder, require_folder
from pointwise.similarity.distributed import first_alone, processes, rank_and_world
from pointwise.similarity.heads import SIMILARITIES
from pointwise.similarity.model import DualEncoder, FrozenTokens, Tower
from pointwise.similarity.sources import Source, open_pictures, pixel_pairs, stored_pairs, token_pairs
from pointwise.similarity.text import TextTransformer
from pointwise.similarity.tokenizer import TOKENIZERS, Tokenizer
from pointwise.similarity.train import LARGEST_RATE, Diverged, require_batch
from pointwise.similarity.train import train as fit
from pointwise.similarity.vision import VisionTransformer

_TOKENS = "tokens.safetensors"
_LAST = 50  # steps whose mean is said at the end
_RATE = click.FloatRange(min=0, min_open=True, max=LARGEST_RATE)
_OF_ENCODERS = ("encoder", "text_encoder")
_OF_SCRATCH = ("image_size", "patch", "width", "depth", "tokenizer", "context")


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
    seed: int,
    device: str | None,
    resume: bool,
    **options: Any,
) -> int:
    """Train a similarity of images and texts whose value is pointwise mutual information, in nats up to a constant.

    SOURCE: images with captions, as for `pointwise encode`; a table with text features; or the tokens.safetensors of an
    earlier training. Without --from-scratch heads are trained on the tokens of frozen encoders, which are kept in
    FOLDER/tokens.safetensors. Under torchrun several processes share each batch.
    """
    _refuse_mixed("--from-scratch is given" if from_scratch else "encoders are frozen", from_scratch=from_scratch)
    shape: dict[str, Any] = {"similarity": similarity, "points": _points(points), "dim": dim, "seed": seed}
    words: Tokenizer | None = None
    towers: tuple[Tower, Tower] | None = None
    if from_scratch:  # made before the data are read, so that what cannot be is said at once
        words = Tokenizer(tokenizer, context=context)
        towers = (
            VisionTransformer(image_size=image_size, patch=patch, width=width, depth=depth, seed=seed),
            TextTransformer(vocabulary=words.vocabulary, context=context, width=width, depth=depth, seed=seed),
        )
    require_folder(folder, resume=resume)
    with processes(_device(device)) as place:
        rank, world = rank_and_world()
        say = warn if rank == 0 else _nothing
        with first_alone(), Bars(f"{source}: ") as bars:
            found = stored_pairs(source)
            if found is not None:
                refused = {name: _given(name) for name in ("captions", "from_scratch", *_OF_ENCODERS)}
                if any(refused.values()):
                    raise InputError(
                        f"{source} holds features of pairs already; leave out "
                        f"{', '.join(_flag(name) for name, given in refused.items() if given)}."
                    )
            else:
                items = open_pictures(source, captions, say=say)
                require_batch(options["batch_size"], len(items), processes=world)
                if words is not None:
                    make_folder(folder)
                    found = pixel_pairs(items, image_size=image_size, tokenizer=words, say=say, progress=bars)
                else:
                    encoders = load_encoder(encoder, device=place), load_text_encoder(text_encoder, device=place)
                    make_folder(folder)
                    found = token_pairs(items, Path(folder) / _TOKENS, *encoders, say=say, progress=bars)
        if towers is None:
            images, texts = (FrozenTokens(width=inputs.x.shape[2]) for inputs in found.pairs)
            towers = images, texts
        model = DualEncoder(*towers, **shape, meta=found.meta).to(place)
        return _fit(model, found, folder, resume=resume, seed=seed, shown=rank == 0, **options)


def _fit(
    model: DualEncoder, found: Source, folder: str, *, shown: bool, steps: int, batch_size: int, **options: Any
) -> int:
    started = time.monotonic()
    losses: deque[float] = deque(maxlen=_LAST)
    try:
        with _bar(steps, shown=shown) as draw:

            def progress(line: Mapping[str, float]) -> None:
                losses.append(line["loss"])
                draw(line)

            fit(model, found.pairs, folder, steps=steps, batch_size=batch_size, progress=progress, **options)
    except Diverged as error:
        click.echo(f"pointwise: {error}", err=True)
        return 1
    if shown:
        click.echo(_result(model, len(found.pairs.images.x), folder, losses, math.log(batch_size)))
        click.echo(f"{steps} steps in {time.monotonic() - started:.1f} s.")
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


@contextmanager
def _bar(steps: int, *, shown: bool) -> Iterator[Callable[[Mapping[str, float]], object]]:
    """A bar on a terminal, with the loss, the estimate of mutual information and the throughput."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("", total=steps)

        def draw(line: Mapping[str, float]) -> None:
            said = (
                f"loss {line['loss']:.3f}  mutual information {line['mutual_information']:.3f} nats  "
                f"{line['pairs_per_second']:,.0f} pairs/s"
            )
            bar.update(task, completed=line["step"], description=said)

        yield draw


def _refuse_mixed(why: str, *, from_scratch: bool) -> None:
    wrong = [name for name in (_OF_ENCODERS if from_scratch else _OF_SCRATCH) if _given(name)]
    if wrong:
        advice = "" if from_scratch else " or give --from-scratch"
        raise InputError(
            f"{', '.join(map(_flag, wrong))} {'has' if len(wrong) == 1 else 'have'} no meaning where {why}; leave "
            f"{'it' if len(wrong) == 1 else 'them'} out{advice}."
        )


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
