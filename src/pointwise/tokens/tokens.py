"""From pictures and texts to what a model of pairs takes: token features of frozen encoders, or pixels and ids."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from pointwise._types import Pixels
from pointwise.encoders.load import load_encoder, load_text_encoder
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.errors import InputError
from pointwise.items.images import resize
from pointwise.tokens.tokenizer import Tokenizer
from pointwise.training.inputs import Inputs
from pointwise.training.model import DualEncoder
from pointwise.training.towers import TextTransformer, VisionTransformer

AT_ONCE = 32
_LARGEST_HALF = 65504.0


def has_tokens(encoder: Encoder | TextEncoder) -> bool:
    """Say whether an encoder gives a feature for each token, by ``encode_tokens``, rather than one for each item."""
    return hasattr(encoder, "encode_tokens")


def encode_tokens(encoder: Encoder | TextEncoder, items: Iterable[Any]) -> Inputs:
    """Return the tokens of pictures or texts: float16 [n, t, h], float32 where one does not fit; and their mask.

    An encoder with the method ``encode_tokens(items) -> (tokens [b, t, h], mask [b, t])`` gives these; of any other the
    features of an item are its one token.
    """
    rest = iter(items)
    return stack([_checked(encoder, some) for some in iter(lambda: list(islice(rest, AT_ONCE)), [])])


def stack(parts: Sequence[Inputs]) -> Inputs:
    """Return all items of several parts, padded to the longest.

    >>> stack([Inputs(torch.ones(1, 2, 4)), Inputs(torch.ones(1, 3, 4))]).mask
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    longest = max((part.x.shape[1] for part in parts), default=0)
    masks = [torch.ones(part.x.shape[:2], dtype=torch.bool) if part.mask is None else part.mask for part in parts]
    padded = [F.pad(mask, (0, longest - mask.shape[1])) for mask in masks]
    return Inputs(
        torch.cat([F.pad(part.x, (0, 0, 0, longest - part.x.shape[1])) for part in parts]),
        None if all(bool(mask.all()) for mask in padded) else torch.cat(padded),
    )


def pixels(pictures: Iterable[Pixels], *, image_size: int) -> Inputs:
    """Return pictures, resized whole, as a `VisionTransformer` takes them: uint8 [n, 3, image_size, image_size]."""
    resized = [resize(picture, height=image_size, width=image_size) for picture in pictures]
    return Inputs(torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous())


def image_inputs(model: DualEncoder, pictures: Iterable[Pixels], *, encoder: Encoder | None = None) -> Inputs:
    """Return pictures, uint8 [h, w, 3] each, as a model takes them.

    At the size that its tower sees, or as tokens of the encoder that is given or that ``model.meta["image_encoder"]``
    names, which must be the one that the model was trained with.
    """
    if isinstance(model.image, VisionTransformer):
        return pixels(pictures, image_size=model.image.image_size)
    return _as_trained(model, "image", encoder, pictures)


def text_inputs(model: DualEncoder, texts: Sequence[str], *, encoder: TextEncoder | None = None) -> Inputs:
    """Return texts as a model takes them; see `image_inputs`."""
    if isinstance(model.text, TextTransformer):
        return Tokenizer(model.meta["tokenizer"], context=model.text.context)(texts)
    return _as_trained(model, "text", encoder, texts)


def _as_trained(model: DualEncoder, side: str, encoder: Encoder | TextEncoder | None, items: Iterable[Any]) -> Inputs:
    """The tokens of items, by the encoder that the model was trained with."""
    name: str | None = model.meta.get(f"{side}_encoder")
    tower, load = (model.image, load_encoder) if side == "image" else (model.text, load_text_encoder)
    if encoder is None:
        if name is None:
            raise InputError(
                f"this model takes tokens of {side}s that it was given without the name of their encoder; give the "
                f"encoder they are made with, or the tokens themselves to model.{side}_points."
            )
        encoder = load(name, device=model.log_scale.device)
    tokens, width = encode_tokens(encoder, items), tower.width
    if tokens.x.shape[2] != width:
        raise InputError(
            f"encoder {encoder.name!r} gives tokens of {tokens.x.shape[2]} features for {side}s, but the model was "
            f"trained with tokens of {width}; give the encoder that it was trained with{f', {name!r}' if name else ''}."
        )
    then, now = model.meta.get(f"{side}_encoder_meta", {}).get("weights_sha256"), encoder.meta.get("weights_sha256")
    if None not in (then, now) and then != now:
        raise InputError(
            f"encoder {encoder.name!r} has other weights ({str(now)[:12]}...) than that which the model was trained "
            f"with ({str(then)[:12]}...); give the same, or train the model again."
        )
    return tokens


def _checked(encoder: Encoder | TextEncoder, items: Sequence[Any]) -> Inputs:
    made: Any = encoder
    tokens, mask = made.encode_tokens(items) if has_tokens(encoder) else (made.encode(items)[:, None], None)
    if tokens.ndim != 3 or len(tokens) != len(items) or (mask is not None and mask.shape != tokens.shape[:2]):
        raise InputError(
            f"encoder {encoder.name!r} returned tokens of shape {tuple(tokens.shape)} and a mask of shape "
            f"{None if mask is None else tuple(mask.shape)} for {len(items)} items; they must be [{len(items)}, t, h] "
            f"and [{len(items)}, t]."
        )
    mask = None if mask is None else mask.detach().cpu().bool()
    tokens = tokens.detach().cpu() if mask is None else tokens.detach().cpu().masked_fill(~mask[:, :, None], 0)
    if not bool(tokens.isfinite().all()) or not (mask is None or bool(mask.any(1).all())):
        raise InputError(
            f"encoder {encoder.name!r} returned tokens with NaN or inf, or an item without tokens; take another "
            "encoder or precision."
        )
    return Inputs(tokens.half() if float(tokens.abs().amax()) <= _LARGEST_HALF else tokens.float(), mask)
