"""Encoders of open_clip: the image and text towers of CLIP, SigLIP, CoCa and their kin."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pointwise.encoders.framing import Framing
from pointwise.encoders.inference import inference, items_at_once
from pointwise.encoders.packages import import_package, in_passes, loading, sha256_of_weights
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of

_NAMED = 12  # tags that are listed in a message


class OpenClipImageEncoder:
    """The projected image features of a model of open_clip, scaled to unit length; float32 throughout, no TF32.

    Args:
        name: "MODEL/TAG" as ``open_clip.list_pretrained()`` lists them; "MODEL/PATH" of a file with weights that were
            trained with open_clip's defaults; "MODEL/TAG@PATH" where they were trained with what the tag says of
            pictures and activation.
        device: of torch.

    Raises:
        MissingExtra: open_clip is not installed.
        InputError: there is no such model or tag, or its weights cannot be loaded.
    """

    def __init__(self, name: str, *, device: torch.device) -> None:
        open_clip = import_package("open_clip")
        model, tag, file = _parse(open_clip, name)
        network, meta = _load(open_clip, model, tag, file)
        self.name = f"open_clip:{name}"
        self.dim = int(open_clip.get_model_config(model)["embed_dim"])
        self._framing = _framing(open_clip.get_model_preprocess_cfg(network))
        self.meta: Mapping[str, Any] = {**meta, **self._framing.meta, "unit_length": True, "dtype": "float32"}
        for child in [child for child, _ in network.named_children() if child != "visual"]:
            delattr(network, child)  # the text tower
        self._network, self._device = network.to(device), device
        example = torch.zeros(1, 3, *self._framing.crop, dtype=torch.float32, device=device)
        with inference(device):
            self._at_once = items_at_once(network, lambda: network.encode_image(example), device=device)

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, d], on the CPU, each row of length 1."""
        return in_passes(self._features, images, size=self._at_once, device=self._device, name=self.name)

    def _features(self, images: Sequence[Pixels]) -> Tensor:
        return _unit(self._network.encode_image(self._framing(images).to(self._device), normalize=False))


class OpenClipTextEncoder:
    """The projected text features of a model of open_clip, scaled to unit length; float32 throughout, no TF32.

    Args:
        name: "MODEL/TAG" as ``open_clip.list_pretrained()`` lists them; "MODEL/PATH" of a file with weights that were
            trained with open_clip's defaults; "MODEL/TAG@PATH" where they were trained with what the tag says of
            the activation.
        device: of torch.

    Raises:
        MissingExtra: open_clip is not installed.
        InputError: there is no such model or tag, or its weights or its tokenizer cannot be loaded.
    """

    def __init__(self, name: str, *, device: torch.device) -> None:
        open_clip = import_package("open_clip")
        model, tag, file = _parse(open_clip, name)
        network, meta = _load(open_clip, model, tag, file)
        with loading(f"the tokenizer of open_clip's {model}", "check the connection to the model hub, or its cache."):
            self._tokenizer = open_clip.get_tokenizer(model)
        self.name = f"open_clip:{name}"
        self.dim = int(open_clip.get_model_config(model)["embed_dim"])
        self.max_tokens = int(self._tokenizer.context_length)
        self.meta: Mapping[str, Any] = {
            **meta,
            "pooling": f"{_pooling(network)}, projected",
            "max_tokens": self.max_tokens,
            "unit_length": True,
            "dtype": "float32",
        }
        del network.visual
        self._network, self._device = network.to(device), device
        with inference(device):
            self._at_once = items_at_once(network, lambda: self._features(["a"]), device=device)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        inner = getattr(self._tokenizer, "tokenizer", None)  # of transformers, around which open_clip cleans the text
        if inner is None:
            return [len(self._tokenizer.encode(text)) + 2 for text in texts]  # and start and end
        cleaned = [self._tokenizer.clean_fn(text) for text in texts]
        return [len(ids) for ids in inner(cleaned, verbose=False)["input_ids"]]  # else it warns of long ones

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the features of b texts: float32 [b, e], on the CPU, each row of length 1."""
        return in_passes(self._features, texts, size=self._at_once, device=self._device, name=self.name)

    def _features(self, texts: Sequence[str]) -> Tensor:
        return _unit(self._network.encode_text(self._tokenizer(list(texts)).to(self._device), normalize=False))


def load_image(name: str, device: torch.device) -> OpenClipImageEncoder:
    """Return the image encoder of a name written "MODEL/TAG", "MODEL/PATH" or "MODEL/TAG@PATH"."""
    return OpenClipImageEncoder(name, device=device)


def load_text(name: str, device: torch.device) -> OpenClipTextEncoder:
    """Return the text encoder of a name written "MODEL/TAG", "MODEL/PATH" or "MODEL/TAG@PATH"."""
    return OpenClipTextEncoder(name, device=device)


def _parse(open_clip: Any, name: str) -> tuple[str, str, str]:
    """The model, the tag and the path of the weights; one of the latter two may be empty."""
    model, _, weights = name.partition("/")
    models = open_clip.list_models()
    if model not in models:
        close = difflib.get_close_matches(model, models, n=3)
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        raise InputError(
            f"open_clip has no model {model!r}; open_clip.list_models() lists its {len(models)} models, and a name is "
            f"written open_clip:MODEL/TAG.{guess}"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    tag, at, file = weights.partition("@")
    if tag not in tags:
        tag, file = "", weights
    if (tag and not at) or _path(file).is_file():
        return model, tag, file
    listed = ", ".join(tags[:_NAMED]) + (f" and {len(tags) - _NAMED} more" if len(tags) > _NAMED else "")
    known = f"open_clip knows these of {model}: {listed}" if tags else f"open_clip knows none of {model}"
    missing = f"{file!r} is neither a tag of weights nor a file" if file else f"there are no weights in {name!r}"
    raise InputError(f"{missing}; {known}. Give open_clip:{model}/TAG, or open_clip:{model}/ and the path of a file.")


def _load(open_clip: Any, model: str, tag: str, file: str) -> tuple[Any, dict[str, Any]]:
    """The network with these weights, on the CPU, and what ``meta`` says of them."""
    known = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    # What the weights were trained with; by itself open_clip only warns that the features are wrong.
    quick_gelu = bool(known.get("quick_gelu"))
    with loading(
        f"open_clip's {model} with the weights {file or tag!r}",
        f"the file must hold the weights of {model} as open_clip saves them (.pt or .safetensors), nothing else."
        if file
        else "check the connection to the model hub, or give the path of a file with the weights: "
        f"open_clip:{model}/{tag}@PATH.",
    ):
        network = open_clip.create_model(
            model,
            pretrained=str(_path(file).absolute()) if file else tag,
            force_quick_gelu=quick_gelu,
            force_preprocess_cfg=known,
            require_pretrained=True,
        )
    network.float().eval()  # whatever type the program around takes for its own
    return network, {
        "weights": f"open_clip {' '.join(filter(None, [model, tag, _path(file).name]))}",
        "weights_sha256": sha256_of_weights(network.state_dict()),
        "config_sha256": sha256_of(open_clip.get_model_config(model), quick_gelu),
    }


def _path(file: str) -> Path:
    return Path(file).expanduser()


def _framing(said: Mapping[str, Any]) -> Framing:
    size = said.get("size", 224)
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    fit = said.get("resize_mode") or "shortest"
    interpolation = said.get("interpolation") or "bicubic"
    if interpolation == "random" or (fit == "shortest" and height != width):
        interpolation = "bicubic"  # as open_clip itself does
    return Framing(
        fit=fit,
        resize=(height, width),
        crop=(height, width),
        interpolation=interpolation,
        mean=tuple(map(float, said["mean"])),
        std=tuple(map(float, said["std"])),
        fill=(said.get("fill_color", 0),) * 3 if fit == "longest" else (0, 0, 0),
    )


def _pooling(network: Any) -> str:
    tower = getattr(network, "text", network)
    if getattr(tower, "cls_emb", None) is not None:  # of CoCa; it goes before the kind that is named
        return "class token"
    kind = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if kind is None:  # a model of transformers
        return type(getattr(tower, "pooler", tower)).__name__
    return {"argmax": "end-of-text token", "eos": "end-of-text token"}.get(kind, f"{kind} token")


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=-1)
