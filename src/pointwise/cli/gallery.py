"""What pointwise retrieve is to find: images and texts of a table, of stored tokens, or read as a model takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pointwise._arrays import Column
from pointwise.cli.bars import Bars
from pointwise.cli.sources import warn
from pointwise.encoders.load import load_encoder
from pointwise.encoding.items import Items, open_items
from pointwise.errors import InputError
from pointwise.items.images import is_images
from pointwise.summaries.pairs import require_one_space
from pointwise.tables.table import load
from pointwise.tokens.sources import open_pictures
from pointwise.tokens.token_file import is_tokens, load_tokens
from pointwise.tokens.tokens import image_inputs, stack, text_inputs
from pointwise.training.checkpoint import MODEL
from pointwise.training.inputs import Inputs, PointSet, joined
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.split import digests

_AT_ONCE = 256  # items whose points are made in one step

Block = Callable[[slice], torch.Tensor]


class Gallery(NamedTuple):
    """Images [n] and texts [b], and what is known of them.

    image_of: [b], the image of each text.
    ids: [n], of the images, or None.
    captions: [b], or None.
    meta: "image_encoder" and "text_encoder" by name, where known.
    distractors: images [m] that no text belongs to, as candidates beside the others; or None.
    """

    images: Inputs
    texts: Inputs
    image_of: Column
    ids: Column | None
    captions: Column | None
    meta: Mapping[str, Any]
    distractors: Inputs | None = None

    @property
    def candidates(self) -> int:
        """How many images a text is set against."""
        return len(self.images.x) + (0 if self.distractors is None else len(self.distractors.x))


def of_table(source: str, *, one_space: bool) -> Gallery:
    """The pairs of a table; in one space where similarity is to be a product of their features."""
    if is_images(source):
        raise InputError(
            f"{source} holds images. Make a table of them first: pointwise encode {source} -o TABLE --encoder NAME "
            "--captions FILE, with an encoder of images and texts; or give --model FOLDER."
        )
    table = load(source)
    if table.text is None:
        raise InputError(f"the table {source} has no text features; make one of pairs by pointwise encode --captions.")
    if len(table) == 0:
        raise InputError(f"the table {source} has no rows, and so nothing to find.")
    if one_space:
        require_one_space(table)
    names = {"image_encoder": table.meta.get("encoder"), "text_encoder": table.meta.get("text_encoder")}
    return _by_id(
        Gallery(
            Inputs(table.features[:, None]),
            Inputs(table.text[:, None]),
            np.arange(len(table)),
            table.ids,
            table.captions,
            names,
        ),
        source,
    )


def _by_id(gallery: Gallery, source: str) -> Gallery:
    """The same with rows of one id as one image, which must look the same in all of them."""
    ids = gallery.ids
    if ids is None:
        return gallery
    names, first, image_of = np.unique(ids, return_index=True, return_inverse=True)
    if len(names) == len(ids):
        return gallery
    repeated = np.flatnonzero(first[image_of] != np.arange(len(ids)))
    for row in repeated.tolist():  # one at a time, as features may be on disk
        if not torch.equal(gallery.images.x[row], gallery.images.x[first[image_of[row]]]):
            raise InputError(
                f"rows {first[image_of[row]]} and {row} of {source} have the same id {ids[row].item()!r} "
                "and different features; an id is of one image: give each image its own, or no ids."
            )
    images = gallery.images.rows(torch.from_numpy(first))
    return gallery._replace(images=images, image_of=image_of, ids=names)


def for_model(model: DualEncoder, source: str, captions: str | None, bars: Bars) -> Gallery:
    """Stored tokens, a table, or images with captions, as the model takes them."""
    stored = is_tokens(source)
    if not stored and is_images(source):
        items = open_pictures(source, captions, say=warn)
        texts = list(items.captions or ())
        images, of = _read(model, items, bars, "images"), np.arange(len(items))
        return Gallery(images, text_inputs(model, texts), of, items.ids, np.array(texts), model.meta)
    if captions is not None:
        raise InputError(f"{source} holds features of texts already; leave --captions out.")
    if stored:
        tokens = load_tokens(source)
        ids, words = np.array(tokens.ids), np.array(tokens.captions)
        gallery = _by_id(Gallery(*tokens.pairs, np.arange(len(ids)), ids, words, tokens.meta), source)
    else:
        gallery = of_table(source, one_space=False)
    for side, tower, inputs in (("image", model.image, gallery.images), ("text", model.text, gallery.texts)):
        _require_fitting(model, side, tower, inputs, source, gallery.meta.get(f"{side}_encoder"))
    return gallery


def with_distractors(gallery: Gallery, source: str, model: DualEncoder | None, bars: Bars) -> Gallery:
    """The same with the images of a source, of which texts are not looked at, as candidates that no text belongs to."""
    if not os.path.exists(source):
        raise InputError(f"{source} does not exist; give a table of images{' or images' * (model is not None)}.")
    if is_tokens(source):
        tokens = load_tokens(source)
        images, encoder = tokens.pairs.images, tokens.meta.get("image_encoder")
    elif is_images(source):
        if model is None:
            raise InputError(f"{source} holds images; make a table of them first: pointwise encode {source} -o TABLE.")
        items = open_items(source, captions=None, beside=False, only_matching=False)
        images, encoder = _read(model, items, bars, "distractors"), model.meta.get("image_encoder")
    else:
        table = load(source)
        images, encoder = Inputs(table.features[:, None]), table.meta.get("encoder")
    mine = gallery.meta.get("image_encoder")
    if images.x.shape[1:] != gallery.images.x.shape[1:] or (None not in (encoder, mine) and encoder != mine):
        raise InputError(
            f"the images of {source} are {_said(images)} of {encoder or 'an unnamed encoder'}, and those to be found "
            f"{_said(gallery.images)} of {mine or 'an unnamed encoder'}; encode both by the same."
        )
    _warn_copies(gallery.images, images, source)
    return gallery._replace(distractors=images)


def _said(images: Inputs) -> str:
    return f"arrays {list(images.x.shape[1:])}"


def _warn_copies(images: Inputs, distractors: Inputs, source: str) -> None:
    """Say how many distractors are images that texts belong to: a text finds either of two that are the same."""
    known = set(digests(images))
    copies = sum(digest in known for digest in digests(distractors))
    if copies:
        warn(
            f"{copies} of the {len(distractors.x)} distractors in {source} are the same as an image that texts belong "
            "to, and make it harder to find; leave them out."
        )


def _read(model: DualEncoder, items: Items, bars: Bars, what: str) -> Inputs:
    """Pictures as the model takes them."""
    name, n, parts = model.meta.get("image_encoder"), len(items), []
    encoder = load_encoder(name, device=model.log_scale.device) if name is not None else None
    for some in _slices(n):
        pictures = [items.picture(i) for i in range(some.start, some.stop)]
        parts.append(image_inputs(model, pictures, encoder=encoder))
        bars(what, some.stop, n)
    return stack(parts)


def _require_fitting(
    model: DualEncoder, side: str, tower: torch.nn.Module, inputs: Inputs, source: str, encoder: str | None
) -> None:
    trained = model.meta.get(f"{side}_encoder")
    if not isinstance(tower, FrozenTokens):
        raise InputError(f"the model makes its own features of {side}s; give images with captions, not {source}.")
    if inputs.x.shape[2] != tower.width or (None not in (encoder, trained) and encoder != trained):
        raise InputError(
            f"the {side} features of {source} are {inputs.x.shape[2]} columns of {encoder or 'an unnamed encoder'}; "
            f"the model was trained on {tower.width} of {trained or 'an unnamed encoder'}: encode by that."
        )


def warn_repeated(gallery: Gallery) -> None:
    """Say how many texts stand with several images: the right one cannot be told from them."""
    if gallery.captions is None:
        return
    images: dict[str, set[int]] = {}
    for caption, image in zip(gallery.captions.tolist(), gallery.image_of.tolist(), strict=True):
        images.setdefault(caption, set()).add(image)
    repeated = [caption for caption, of in images.items() if len(of) > 1]
    if repeated:
        warn(
            f"{len(repeated)} captions belong to several images each (the first: {repeated[0]!r}); only the image of "
            "the same row counts as right."
        )


def products(gallery: Gallery, *, unit: bool) -> Block:
    """Return the similarity that is the product of features, or their cosine."""
    sides = {}
    for name, inputs in (("image", gallery.images), ("distractor", gallery.distractors), ("text", gallery.texts)):
        if inputs is None:
            continue
        rows = inputs.x[:][:, 0].double()  # in memory first, where it is on disk
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        if unit and bool((lengths == 0).any()):
            raise InputError(
                f"the {name} features of row {int((lengths == 0).flatten().nonzero()[0])} are all zeros: they have no "
                "direction, and no cosine."
            )
        sides[name] = rows / lengths if unit else rows
    y = sides.pop("text")
    x = torch.cat(list(sides.values()))
    return lambda rows: x[rows] @ y.T


def load_model(folder: str, device: str | None) -> DualEncoder:
    """Return the model in the folder that a training wrote, or in a file."""
    path = Path(folder) / MODEL if os.path.isdir(folder) else Path(folder)
    if not path.exists():
        raise InputError(f"{path} does not exist; give the folder that pointwise train wrote.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise InputError(f"the device {device!r} cannot be used ({str(error).splitlines()[0]}); give cpu.") from None
    return DualEncoder.load(path, device=device or "cpu").eval()


def similarities(model: DualEncoder, gallery: Gallery, bars: Bars) -> Block:
    """Return the similarity of a model, whose points are made once."""
    device = model.log_scale.device
    images = _points(model.image_points, gallery.images, device, lambda *done: bars("points of images", *done))
    if gallery.distractors is not None:
        more = _points(
            model.image_points, gallery.distractors, device, lambda *done: bars("points of distractors", *done)
        )
        images = joined([images, more])
    texts = _points(model.text_points, gallery.texts, device, lambda *done: bars("points of texts", *done))

    @torch.no_grad()
    def block(rows: slice) -> torch.Tensor:
        bars("similarities", rows.stop, len(images.x))
        return model.similarity(images.rows(rows), texts)

    return block


@torch.no_grad()
def _points(
    make: Callable[[Inputs], PointSet], inputs: Inputs, device: torch.device, progress: Callable[[int, int], object]
) -> PointSet:
    parts = []
    for some in _slices(len(inputs.x)):
        parts.append(make(inputs.rows(some).to(device)))
        progress(some.stop, len(inputs.x))
    return joined(parts)


def _slices(n: int) -> list[slice]:
    return [slice(i, min(i + _AT_ONCE, n)) for i in range(0, n, _AT_ONCE)]
