"""pointwise encode: images, captions or both to a table, which goes on where it was stopped."""

import time
from typing import Any

import click

from pointwise.cli.bars import Bars
from pointwise.cli.sources import warn, warn_skipped
from pointwise.encoding.features import SHARD_ROWS
from pointwise.encoding.target import Target
from pointwise.encoding.to_file import Encoded, encode_to


@click.command()
@click.argument("source")
@click.option(
    "-o",
    "--output",
    "table",
    required=True,
    metavar="TABLE",
    help="A .parquet, .npz or .safetensors file; without suffix, or with / at the end, a folder of .parquet shards, "
    "for tables larger than the memory.",
)
@click.option(
    "--encoder",
    default="bundled",
    show_default=True,
    help="Of images: bundled[:SIZE], pixels[:SIZE], transformers:ID_OR_FOLDER, open_clip:MODEL/PRETRAINED, timm:MODEL.",
)
@click.option(
    "--text-encoder",
    help="Of captions: minilm, transformers:ID_OR_FOLDER, open_clip:MODEL/PRETRAINED; the text tower of --encoder, "
    "else minilm, if left out.",
)
@click.option(
    "--captions",
    help="A .csv, .tsv, .jsonl, .json (also COCO's), .parquet or .txt file, or a folder or archive with a .txt beside "
    "each image.",
)
@click.option("--only-matching", is_flag=True, help="Leave out images without a caption and captions without an image.")
@click.option("--skip-bad", is_flag=True, help="Go on without images that cannot be read, and count them.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Items encoded together; by itself if left out.")
@click.option("--device", help="cpu or cuda.")
@click.option("--overwrite", is_flag=True, help="Replace TABLE if it is there and another.")
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    default=SHARD_ROWS,
    show_default=True,
    help="Items after which the work is kept, and rows of a shard where TABLE is a folder.",
)
def encode(source: str, table: str, **options: Any) -> None:
    """Turn SOURCE into a table of features; stopped at any moment, the same command goes on where it was.

    SOURCE: a folder of images (class sub-folders become modes), a .zip or .tar of images, an .npy of images
    [n, h, w, 3] uint8, or a file of captions. With --captions, or --text-encoder where a .txt lies beside each image,
    the table has both: features of the images, text of their captions.
    """
    started = time.monotonic()
    try:
        with Bars(f"{source}: ") as bars:
            done = encode_to(table, source, **options, say=warn, progress=lambda *steps: bars("encoded", *steps))
    except KeyboardInterrupt:
        if (work := Target(table).work).exists():
            click.echo(f"\nwhat is encoded is kept in {work}; the same command goes on from there.", err=True)
        raise click.Abort from None
    warn_skipped(source, done.meta)
    click.echo(_result(table, done, time.monotonic() - started))


def _result(table: str, done: Encoded, seconds: float) -> str:
    size = f"{done.rows} rows of {done.columns} features by {done.meta['encoder']}"
    if "text_encoder" in done.meta:
        size += f" and text by {done.meta['text_encoder']}"
    if done.was_there:
        return f"{table} is already there, made of these very items: {size}; nothing was encoded."
    resumed = f"; resumed: {done.found} of {done.shards} shards were already there" if done.found else ""
    return f"{table}: {size}, in {seconds:.1f} s{resumed}."
