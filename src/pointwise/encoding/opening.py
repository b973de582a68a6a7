"""Which encoders a run takes, and what it encodes: all that can be refused before anything is encoded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from pointwise.encoders import pixels
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.encoders.protocol import Encoder, Pixels, TextEncoder
from pointwise.encoding.items import Items, is_captions, open_items
from pointwise.encoding.parts import Encoders
from pointwise.errors import InputError
from pointwise.items.images import Images

_DEFAULT = "minilm"
_DUAL = ("transformers", "open_clip")


def open_source(
    source: str | Path | Pixels | Images,
    *,
    encoder: str | Encoder,
    text_encoder: str | TextEncoder | None,
    captions: str | Path | None,
    only_matching: bool,
    device: str | torch.device | None,
    say: Callable[[str], object],
) -> tuple[Items, Encoders]:
    """Load the encoders, open the source, and match its captions; see ``encode`` for what each option means."""
    for path, what in ((source, "images or captions"), (captions, "captions")):
        if isinstance(path, str | Path) and not os.path.exists(path):  # False also for a name that is too long
            raise InputError(f"{path} does not exist; give a file, folder or archive of {what}.")
    alone = is_captions(source)
    image = None
    if not alone and encoder != "pixels":
        image = load_encoder(encoder, device=device) if isinstance(encoder, str) else encoder
    text = load_text_encoder(text_encoder, device=device) if isinstance(text_encoder, str) else text_encoder
    items = open_items(source, captions=captions, beside=text is not None, only_matching=only_matching)
    for note in items.notes:
        say(note)
    if text is None and items.captions is not None:
        name = _named_for_texts(encoder) if alone else _DEFAULT if image is None else _text_tower_of(image)
        text = load_text_encoder(name, device=device)
    if encoder == "pixels" and items.images is not None:
        image = load_encoder(f"pixels:{pixels.size_for(items.images)}", device=device)
    return items, Encoders(image, text)


def _text_tower_of(image: Encoder) -> str:
    """The text encoder whose features are of the space of these images, where there is one."""
    dual = image.name.partition(":")[0] in _DUAL and image.meta.get("unit_length")
    return image.name if dual else _DEFAULT


def _named_for_texts(encoder: str | Encoder) -> str:
    """The text encoder that ``encoder`` names where there are no images; the default where it is left out."""
    name = encoder if isinstance(encoder, str) else encoder.name
    return _DEFAULT if name == "bundled" else name
