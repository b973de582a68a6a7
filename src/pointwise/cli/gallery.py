"""What pointwise retrieve is to find: images and texts of a table, of stored tokens, or read as a model takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pointwise.arrays import Column
from pointwise.cli.bars import Bars
from pointwise.cli.sources import warn
from pointwise.data.formats import load
from pointwise.data.images import is_images
from pointwise.encoders.load import load_encoder
from pointwise.errors import InputError
from pointwise.similarity.checkpoint import MODEL
from pointwise.similarity.inputs import Inputs, PointSet
from pointwise.similarity.model import DualEncoder, FrozenTokens
from pointwise.similarity.sources import open_pictures
from pointwise.similarity.token_file import is_tokens, load_tokens
from pointwise.similarity.tokens import image_inputs, stack, text_inputs
from pointwise.summaries.pairs import pairs_in_one_space

_AT_ONCE = 256  # items whose points are made in one step

Block = Callable[[slice], torch.Tensor]


class Gallery(NamedTuple):
    """Images [n] and texts [b], and what is known of them.

    image_of: [b], the image of each text.
    ids: [n], of the images, or None.
    captions: [b], or None.
    meta: "image_encoder" and "text_encoder" by name, where known.
    """

    images: Inputs
    texts: Inputs
    image_of: Column
    ids: Column | None
    captions: Column | None
    meta: Mapping[str, Any]


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
        pairs_in_one_space(table)
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
    images = gallery.images.rows(torch.from_numpy(first))
    again = images.x[torch.from_numpy(image_of)]
    other = (again != gallery.images.x).flatten(1).any(dim=1).nonzero().flatten().tolist()
    if other:
        raise InputError(
            f"rows {first[image_of[other[0]]]} and {other[0]} of {source} have the same id {ids[other[0]].item()!r} "
            "and different features; an id is of one image: give each image its own, or no ids."
        )
    return gallery._replace(images=images, image_of=image_of, ids=names)


def for_model(model: DualEncoder, source: str, captions: str | None, bars: Bars) -> Gallery:
    """Stored tokens, a table, or images with captions, as the model takes them."""
    stored = is_tokens(source)
    if not stored and is_images(source):
        items = open_pictures(source, captions, say=warn)
        name, n = model.meta.get("image_encoder"), len(items)
        encoder = load_encoder(name, device=model.log_scale.device) if name is not None else None
        parts = []
        for some in _slices(n):
            pictures = [items.picture(i) for i in range(some.start, some.stop)]
            parts.append(image_inputs(model, pictures, encoder=encoder))
            bars("images", some.stop, n)
        texts = list(items.captions or ())
        return Gallery(stack(parts), text_inputs(model, texts), np.arange(n), items.ids, np.array(texts), model.meta)
    if captions is not None:
        raise InputError(f"{source} holds features of texts already; leave --captions out.")
    if stored:
        tokens = load_tokens(source)
        ids, words = np.array(list(tokens.ids)), np.array(list(tokens.captions))
        gallery = _by_id(Gallery(*tokens.pairs, np.arange(len(ids)), ids, words, tokens.meta), source)
    else:
        gallery = of_table(source, one_space=False)
    for side, tower, inputs in (("image", model.image, gallery.images), ("text", model.text, gallery.texts)):
        _require_fitting(model, side, tower, inputs, source, gallery.meta.get(f"{side}_encoder"))
    return gallery


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
    sides = []
    for name, inputs in (("image", gallery.images), ("text", gallery.texts)):
        rows = inputs.x[:, 0].double()
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        if unit and bool((lengths == 0).any()):
            raise InputError(
                f"the {name} features of row {int((lengths == 0).flatten().nonzero()[0])} are all zeros: they have no "
                "direction, and no cosine."
            )
        sides.append(rows / lengths if unit else rows)
    x, y = sides
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
    images = _points(
        model.image_points, gallery.images, model.log_scale.device, lambda *done: bars("points of images", *done)
    )
    texts = _points(
        model.text_points, gallery.texts, model.log_scale.device, lambda *done: bars("points of texts", *done)
    )

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
    x, log_w, w = zip(*parts, strict=True)
    return PointSet(torch.cat(x), torch.cat(log_w), None if w[0] is None else torch.cat(w))


def _slices(n: int) -> list[slice]:
    return [slice(i, min(i + _AT_ONCE, n)) for i in range(0, n, _AT_ONCE)]
