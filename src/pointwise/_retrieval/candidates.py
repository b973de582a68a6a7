"""Images and texts that are to be found by each other: of a table, of stored tokens, or read as a model takes them."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from pointwise._types import Column, Pixels, Progress, Say
from pointwise.encoding.items import Items, open_items
from pointwise.errors import InputError
from pointwise.items.images import is_images
from pointwise.summaries.pairs import require_one_space
from pointwise.tables.table import FeatureTable, load
from pointwise.tokens.sources import Source, open_pictures, stored_pairs
from pointwise.tokens.token_file import is_tokens, load_tokens
from pointwise.tokens.tokens import image_inputs, text_inputs
from pointwise.training.inputs import Inputs, PointSet, joined
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.split import digests

_AT_ONCE = 256  # items whose points, or whose rows of similarities, are made in one step

Block: TypeAlias = "Callable[[slice], torch.Tensor]"  # of rows, images and then distractors, to their similarities


class Candidates(NamedTuple):
    """Images [n] and texts [b], and what is known of them."""

    images: Inputs
    texts: Inputs
    image_of: Column  # [b], the image of each text
    ids: Column | None  # [n], of the images
    captions: Column | None  # [b]
    meta: Mapping[str, Any]  # "image_encoder" and "text_encoder" by name, where known
    distractors: Inputs | None = None  # images [m] that no text belongs to, as candidates after the others

    @property
    def shown(self) -> dict[str, Inputs]:
        """All that is to be found by a text, the rows of a similarity: images, and then distractors."""
        return {"images": self.images} | ({} if self.distractors is None else {"distractors": self.distractors})

    @property
    def rows(self) -> int:
        """How many these are."""
        return sum(len(inputs.x) for inputs in self.shown.values())


def open_candidates(
    source: str,
    model: DualEncoder | None = None,
    *,
    captions: str | None = None,
    distractors: str | None = None,
    say: Say,
    progress: Progress,
) -> Candidates:
    """Return the pairs of a source, where rows of one id are one image, and the images of another as distractors.

    The source is a table with text features; for a model also stored tokens, or images with captions, in the file of
    that name or beside them. Without a model similarity is to be a product of features, which must be in one space.
    """
    if not os.path.exists(source):
        raise InputError(f"{source} does not exist; give a table with text features{', or images' * bool(model)}.")
    stored = stored_pairs(source)
    if stored is not None:
        if captions is not None:
            raise InputError(f"{source} holds features of texts already; leave --captions out.")
        candidates = _stored(stored, model)
    elif model is not None:
        items = open_pictures(source, captions, say=say)
        images, texts = _read(model, items, "images", progress), list(items.captions or ())
        one_each, words = np.arange(len(items)), np.array(texts)
        candidates = Candidates(images, text_inputs(model, texts), one_each, items.ids, words, model.meta)
    else:
        raise InputError(
            f"{source} holds images. Make a table of them first: pointwise encode {source} -o TABLE --encoder NAME "
            "--captions FILE, with an encoder of images and texts; or give --model FOLDER."
        )
    if distractors is not None:
        more = _distractors(distractors, candidates, model, say=say, progress=progress)
        candidates = candidates._replace(distractors=more)
    if candidates.captions is not None:
        pairs = dict.fromkeys(zip(candidates.captions.tolist(), candidates.image_of.tolist(), strict=True))
        repeated = [caption for caption, images in Counter(caption for caption, _ in pairs).items() if images > 1]
        if repeated:  # the right image cannot be told from the others
            say(
                f"{len(repeated)} captions belong to several images each (the first: {repeated[0]!r}); only the image "
                "of the same row counts as right."
            )
    return candidates


def products(candidates: Candidates, *, unit: bool) -> Block:
    """Return the similarity that is the product of features, or their cosine."""

    def vectors(name: str, inputs: Inputs) -> torch.Tensor:
        rows = inputs.x[:][:, 0].double()  # in memory first, where it is on disk
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        if unit and bool((lengths == 0).any()):
            raise InputError(
                f"the {name[:-1]} features of row {int((lengths == 0).flatten().nonzero()[0])} are all zeros: they "
                "have no direction, and no cosine."
            )
        return rows / lengths if unit else rows

    x = torch.cat([vectors(name, inputs) for name, inputs in candidates.shown.items()])
    y = vectors("texts", candidates.texts)
    return lambda rows: x[rows] @ y.T


@torch.no_grad()
def similarities(candidates: Candidates, model: DualEncoder, progress: Progress) -> Block:
    """Return the similarity of a model, whose points are made once."""

    def points(make: Callable[[Inputs], PointSet], name: str, inputs: Inputs) -> PointSet:
        parts, n = [], len(inputs.x)
        for some in _slices(n):
            parts.append(make(inputs.rows(some).to(model.log_scale.device)))
            progress(f"points of {name}", some.stop, n)
        return joined(parts)

    images = joined([points(model.image_points, name, inputs) for name, inputs in candidates.shown.items()])
    texts = points(model.text_points, "texts", candidates.texts)

    @torch.no_grad()
    def block(rows: slice) -> torch.Tensor:
        progress("similarities", rows.stop, len(images.x))
        return model.similarity(images.rows(rows), texts)

    return block


def held(block: Block, candidates: Candidates, *, most: int = 1 << 26) -> Block:
    """Return the same, made once and kept if it has few entries: ranks need each part twice."""
    if candidates.rows * len(candidates.image_of) > most:
        return block
    whole = torch.cat([block(some) for some in _slices(candidates.rows)])
    return lambda rows: whole[rows]


def _stored(source: Source, model: DualEncoder | None) -> Candidates:
    """The features of a table, or of stored tokens, whose similarity must have a meaning; rows of one id are one image.

    These must look the same in all of them.
    """
    (images, texts), made_of = source.pairs, source.made_of
    if source.pairs.n == 0:
        raise InputError(f"the table {source.path} has no rows, and so nothing to find.")
    if model is not None:
        _require_fitting(model, source)
    elif isinstance(made_of, FeatureTable):
        require_one_space(made_of)
    else:
        raise InputError(f"{source.path} holds tokens; give the model that was trained on such: --model FOLDER.")
    ids, captions = (None if column is None else np.asarray(column) for column in (made_of.ids, made_of.captions))
    image_of = np.arange(source.pairs.n)
    if ids is not None and len(np.unique(ids)) < len(ids):
        names, first, image_of = np.unique(ids, return_index=True, return_inverse=True)
        for row, same in enumerate(first[image_of].tolist()):  # one at a time, as features may be on disk
            if row != same and not torch.equal(images.x[row], images.x[same]):
                raise InputError(
                    f"rows {same} and {row} of {source.path} have the same id {ids[row].item()!r} "
                    "and different features; an id is of one image: give each image its own, or no ids."
                )
        images, ids = images.rows(torch.from_numpy(first)), names
    return Candidates(images, texts, image_of, ids, captions, source.meta)


def _require_fitting(model: DualEncoder, source: Source) -> None:
    for side, tower, inputs in zip(("image", "text"), (model.image, model.text), source.pairs, strict=True):
        encoder, trained = (meta.get(f"{side}_encoder") for meta in (source.meta, model.meta))
        if not isinstance(tower, FrozenTokens):
            raise InputError(
                f"the model makes its own features of {side}s; give images with captions, not {source.path}."
            )
        if inputs.x.shape[2] != tower.width or (None not in (encoder, trained) and encoder != trained):
            raise InputError(
                f"the {side} features of {source.path} are {inputs.x.shape[2]} columns of "
                f"{encoder or 'an unnamed encoder'}; the model was trained on {tower.width} of "
                f"{trained or 'an unnamed encoder'}: encode by that."
            )


def _distractors(
    source: str, candidates: Candidates, model: DualEncoder | None, *, say: Say, progress: Progress
) -> Inputs:
    if not os.path.exists(source):
        raise InputError(f"{source} does not exist; give a table of images{' or images' * bool(model)}.")
    if is_tokens(source):
        tokens = load_tokens(source)
        images, encoder = tokens.pairs.images, tokens.meta.get("image_encoder")
    elif not is_images(source):
        table = load(source)
        images, encoder = Inputs(table.features[:, None]), table.meta.get("encoder")
    elif model is not None:
        items = open_items(source, captions=None, beside=False, only_matching=False)
        images, encoder = _read(model, items, "distractors", progress), model.meta.get("image_encoder")
    else:
        raise InputError(f"{source} holds images; make a table of them first: pointwise encode {source} -o TABLE.")
    shape, wanted = images.x.shape[1:], candidates.images.x.shape[1:]
    mine = candidates.meta.get("image_encoder")
    if shape != wanted or (None not in (encoder, mine) and encoder != mine):
        raise InputError(
            f"the images of {source} are arrays {list(shape)} of {encoder or 'an unnamed encoder'}, and those to be "
            f"found arrays {list(wanted)} of {mine or 'an unnamed encoder'}; encode both by the same."
        )
    known = set(digests(candidates.images))
    copies = sum(digest in known for digest in digests(images))
    if copies:  # a text finds either of two that are the same
        say(
            f"{copies} of the {len(images.x)} distractors in {source} are the same as an image that texts belong to, "
            "and make it harder to find; leave them out."
        )
    return images


def _read(model: DualEncoder, items: Items, what: str, progress: Progress) -> Inputs:
    """Pictures as the model takes them, no more in memory than it takes at once."""

    def pictures() -> Iterator[Pixels]:
        for i in range(len(items)):
            yield items.picture(i)
            progress(what, i + 1, len(items))

    return image_inputs(model, pictures())


def _slices(n: int) -> list[slice]:
    return [slice(i, min(i + _AT_ONCE, n)) for i in range(0, n, _AT_ONCE)]
