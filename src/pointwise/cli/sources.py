"""REAL and FAKE of the command line: a table file, or images that are encoded on the way in."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pointwise.cli.bars import Bars
from pointwise.encoding import encode
from pointwise.errors import InputError
from pointwise.evaluation import Evaluation
from pointwise.items.images import is_images
from pointwise.tables.table import FeatureTable, load


def read(source: str, *, encoder: str, skip_bad: bool, device: str | None) -> FeatureTable:
    """The table in this file, or the features of the images in this folder, archive or array."""
    if not os.path.exists(source):  # False also for a name that is too long to be one
        raise InputError(f"{source} does not exist; give a table file, or a folder, archive or .npy of images.")
    if not is_images(source):
        return load(source)
    with Bars(f"{source}: ") as bars:
        table = encode(
            source,
            encoder=encoder,
            skip_bad=skip_bad,
            device=device,
            say=lambda sentence: warn(f"{source}: {sentence}"),
            progress=lambda *steps: bars("images", *steps),
        )
    warn_skipped(source, table.meta)
    return table


def warn(sentence: str) -> None:
    """One line on stderr."""
    click.echo(f"warning: {' '.join(sentence.split())}", err=True)


def warn_skipped(source: str, meta: Mapping[str, Any]) -> None:
    """Say how many images were left out, if any."""
    if meta.get("skipped"):
        warn(
            f"{source}: {meta['skipped']} of {meta['images']} images could not be read and were skipped; "
            f"the first: {meta['skipped_first'][0]}"
        )


def names(sources: Sequence[str]) -> list[str]:
    """A short name for each source: its stem, or the whole path where stems repeat."""
    for source in sources:
        if sources.count(source) > 1:
            raise InputError(f"{source} is given {sources.count(source)} times; give each generator once.")
    stems = [
        # A folder's name may hold dots; isdir is False also for a name that is too long to be one.
        os.path.basename(os.path.realpath(source)) if os.path.isdir(source) else Path(source).stem.removesuffix(".tar")
        for source in sources
    ]
    return [stem if stem and stems.count(stem) == 1 else source for source, stem in zip(sources, stems, strict=True)]


def named(evaluation: Evaluation, **names: str) -> Evaluation:
    """The same evaluation with these names in its provenance, by which it is found again in a file of several."""
    return replace(evaluation, provenance={**names, **evaluation.provenance})
