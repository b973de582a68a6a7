"""Emoji, clip art and stamps as token features of frozen encoders, and splits with no concept on both sides."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch.nn import functional as F

from pointwise._files import atomic_write
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.errors import InputError
from pointwise.items.images import open_images
from pointwise.tokens.tokens import encode_tokens
from pointwise.training.inputs import Inputs
from real_data import clip_art, emoji, stamps

SOURCES = {"emoji": emoji, "clip art": clip_art, "stamps": stamps}
SIDE = 3  # of the grid of image tokens: the 7 x 7 of the encoder, averaged where 3 x 3 cells overlap them
WORDS = 16  # text tokens kept: all of nine captions in ten
ALIKE = 0.92  # pictures whose centred features have a larger cosine are of one concept


class Items(NamedTuple):
    """n pictures with captions.

    source, ids, captions: [n] strings.
    images: float16 tokens [n, 9, 1280].
    texts: float16 tokens [u, 16, 384] of all wordings, with mask.
    whole, part: [n], the wording that is the caption, and that of its name with half of its keywords in random order.
    """

    source: np.ndarray
    ids: np.ndarray
    captions: np.ndarray
    images: Inputs
    texts: Inputs
    whole: np.ndarray
    part: np.ndarray


class Split(NamedTuple):
    """training, validation: rows, of which no concept is in both. held: source -> rows, one for each concept."""

    training: np.ndarray
    validation: np.ndarray
    held: dict[str, np.ndarray]


def load_items(cache: Path) -> Items:
    """All three sources; fetched and encoded by the first call."""
    source, ids, captions, images = [], [], [], []
    for name in SOURCES:
        found, tokens = _pictures(name, cache)
        source += [name] * len(found)
        ids += [id_ for id_, _ in found]
        captions += [caption for _, caption in found]
        images.append(tokens)
    rng = np.random.default_rng(0)
    parts = {caption: _part(caption, rng) for caption in dict.fromkeys(captions)}
    wordings = list(dict.fromkeys([*parts, *parts.values()]))
    place = {wording: i for i, wording in enumerate(wordings)}
    return Items(
        np.array(source),
        np.array(ids),
        np.array(captions),
        Inputs(torch.cat(images)),
        _texts(wordings, cache),
        np.array([place[caption] for caption in captions]),
        np.array([place[parts[caption]] for caption in captions]),
    )


def _pictures(name: str, cache: Path) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """Ids and captions of a source, and the image tokens."""
    path = cache / "tokens" / f"{name.replace(' ', '-')}.safetensors"
    if not path.exists():
        folder = SOURCES[name](cache / name.replace(" ", "-"), cache=cache)
        with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
            captions = dict(list(csv.reader(file))[1:])
        pictures, encoder = open_images(folder), load_encoder("bundled")
        rows, tokens = [], []
        for i, id_ in enumerate(pictures.ids.tolist()):
            try:
                side = encode_tokens(encoder, [pictures[i]]).x
            except InputError as error:  # ten drawings of clip art unpack to more than a picture may
                print(f"left out: {error}")
                continue
            maps = side.float().transpose(1, 2).unflatten(2, (7, 7))
            tokens.append(F.adaptive_avg_pool2d(maps, SIDE).flatten(2).transpose(1, 2).half())
            rows.append((id_, captions[id_]))
        _keep(path, {"x": torch.cat(tokens)}, rows)
    with safe_open(path, framework="pt") as file:
        return [tuple(row) for row in json.loads(file.metadata()["rows"])], file.get_tensor("x")


def _texts(wordings: list[str], cache: Path) -> Inputs:
    path = cache / "tokens" / "texts.safetensors"
    if path.exists():
        with safe_open(path, framework="pt") as file:
            if json.loads(file.metadata()["rows"]) == wordings:
                return Inputs(file.get_tensor("x"), file.get_tensor("mask"))
    tokens = encode_tokens(load_text_encoder("minilm"), wordings)
    kept = Inputs(tokens.x[:, :WORDS].contiguous(), tokens.mask[:, :WORDS].contiguous())
    _keep(path, {"x": kept.x, "mask": kept.mask}, wordings)
    return kept


def _keep(path: Path, tensors: dict[str, torch.Tensor], rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(save(tensors, metadata={"rows": json.dumps(rows)}))


def _part(caption: str, rng: np.random.Generator) -> str:
    """The name with half of the keywords, in random order."""
    name, _, words = caption.partition(": ")
    if not words:
        return caption
    words = words.split(", ")
    return f"{name}: {', '.join(rng.permutation(words)[: (len(words) + 1) // 2])}"


def concept(source: str, id_: str, caption: str) -> str:
    """What a picture shows, without its style, gender, direction, hour or number in a series; all flags are one."""
    if id_.startswith("flags/") or "/flags/" in id_:
        return "flag"
    if id_.startswith("component/"):
        return "skin tone"
    name = (caption if source == "stamps" else caption.split(": ")[0]).lower()
    if source == "emoji":
        name = re.sub(r"\b(wo)?m[ae]n\b|\b(person|people)\b", " ", name.split(":")[0])
        name = re.sub(r"\b\w+ o’clock|\w+-thirty", "clock", name.replace(" facing right", ""))
    if source == "stamps":
        name = re.sub(r"^(an?|the|some|this is( an?)?) ", "", name)
    name = " ".join(re.sub(r"[\W_]", " ", name).split())
    stem = re.sub(r"( (no|nr|v|n)?\s*\d+| [a-z]| [ivx]+)+$", "", name)
    return re.sub(r"\d+$", "", stem).strip() or name or "person"


def alike(items: Items) -> torch.Tensor:
    """The cosines of the pictures' features [n, n], the mean of all pictures taken away."""
    x = items.images.x.float().mean(1)
    x = F.normalize(x - x.mean(0), dim=1)
    return x @ x.t()


def groups(items: Items, cosines: torch.Tensor) -> np.ndarray:
    """The group of each item: same concept, whatever the source, same caption, or nearly the same picture."""
    names = [concept(*item) for item in zip(items.source, items.ids, items.captions, strict=True)]
    ends = [torch.nonzero(cosines > ALIKE).t().numpy()]
    for column in (names, [caption.lower() for caption in items.captions.tolist()]):
        _, first, code = np.unique(column, return_index=True, return_inverse=True)
        ends.append(np.stack([np.arange(len(code)), first[code]]))
    rows, columns = np.concatenate(ends, axis=1)
    n = len(names)
    return connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)), directed=False)[1]


def split(
    items: Items,
    group: np.ndarray,
    seed: int,
    *,
    trained_on: list[str],
    held: dict[str, int],
    validation: bool,
) -> Split:
    """Hold out so many concepts of each source, and if wanted a seventh of the others for validation.

    A source that is not trained on is held out with all its pictures, and its concepts stay in what is trained on.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(group.max() + 1).tolist()
    pick = rng.random(len(group))  # which of a concept's pictures stands for it
    used = np.isin(items.source, trained_on)
    rows: dict[str, np.ndarray] = {}
    out: list[int] = []
    for name, count in held.items():
        here = items.source == name
        if name not in trained_on:
            rows[name] = np.flatnonzero(here)
            continue
        has = set(group[here].tolist())
        chosen = [g for g in [*out, *(g for g in order if g not in set(out))] if g in has][:count]
        rows[name] = _one_of_each(chosen, group, here, pick)
        out = list(dict.fromkeys([*out, *chosen]))
    has = set(group[used].tolist()) - set(out)
    left = [g for g in order if g in has]
    out_too = left[: len(left) // 7] if validation else []
    return Split(
        np.flatnonzero(used & ~np.isin(group, [*out, *out_too])),
        _one_of_each(out_too, group, used, pick),
        rows,
    )


def _one_of_each(chosen: list[int], group: np.ndarray, here: np.ndarray, pick: np.ndarray) -> np.ndarray:
    found = [np.flatnonzero(here & (group == g)) for g in chosen]
    return np.array([some[np.argmin(pick[some])] for some in found], dtype=np.int64)
