"""Encoders of open_clip: the image and text towers of CLIP, SigLIP, CoCa and their kin."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pointwise.encoders.network import Inputs, Pooling, Tower, in_batches, loading
from pointwise.encoders.packages import import_package, listed, sha256_of_weights
from pointwise.encoders.preprocessing import Preprocessing
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of


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
        network, meta = _load(open_clip, *_parse(open_clip, name))
        self.name = f"open_clip:{name}"
        self._preprocess = _preprocessing(open_clip, network, self.name)
        self._tower = _tower(
            open_clip,
            network,
            lambda inputs: network.encode_image(inputs["pixel_values"], normalize=False),
            self._preprocess.example,
            name=self.name,
            device=device,
        )
        self.dim = self._tower.dim
        self.meta: Mapping[str, Any] = {**meta, **self._preprocess.meta}

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, d], on the CPU, each row of length 1."""
        return self._tower.encode(self._preprocess.batches(images, self._tower.items_at_once))


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
        with loading(
            f"the tokenizer of open_clip's {model} cannot be loaded",
            "check the connection to the model hub, or its cache.",
        ):
            self._tokenizer = open_clip.get_tokenizer(model)
        self.name, self.max_tokens = f"open_clip:{name}", int(self._tokenizer.context_length)
        self.meta: Mapping[str, Any] = {
            **meta,
            "pooling": f"{_pooling(network)}, projected",
            "max_tokens": self.max_tokens,
        }
        self._tower = _tower(
            open_clip,
            network,
            lambda inputs: network.encode_text(inputs["text"], normalize=False),
            self._tokens(["a"]),
            name=self.name,
            device=device,
        )
        self.dim = self._tower.dim

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        inner = getattr(self._tokenizer, "tokenizer", None)  # of transformers, around which open_clip cleans the text
        if inner is None:
            return [len(self._tokenizer.encode(text)) + 2 for text in texts]  # and start and end
        cleaned = [self._tokenizer.clean_fn(text) for text in texts]
        return [len(ids) for ids in inner(cleaned, verbose=False)["input_ids"]]  # else it warns of long ones

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the features of b texts: float32 [b, e], on the CPU, each row of length 1."""
        return self._tower.encode(map(self._tokens, in_batches(texts, self._tower.items_at_once)))

    def _tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return {"text": self._tokenizer(list(texts))}


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
    known = f"open_clip knows these of {model}: {listed(tags)}" if tags else f"open_clip knows none of {model}"
    missing = f"{file!r} is neither a tag of weights nor a file" if file else f"there are no weights in {name!r}"
    raise InputError(f"{missing}; {known}. Give open_clip:{model}/TAG, or open_clip:{model}/ and the path of a file.")


def _load(open_clip: Any, model: str, tag: str, file: str) -> tuple[Any, dict[str, Any]]:
    """The network with these weights, on the CPU, and what ``meta`` says of them."""
    known = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    # What the weights were trained with; by itself open_clip only warns that the features are wrong.
    quick_gelu = bool(known.get("quick_gelu"))
    with loading(
        f"open_clip's {model} with the weights {file or tag!r} cannot be loaded",
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
        "unit_length": True,
        "dtype": "float32",
    }


def _path(file: str) -> Path:
    return Path(file).expanduser()


def _preprocessing(open_clip: Any, network: Any, name: str) -> Preprocessing:
    config = open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(network))
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    return Preprocessing(
        lambda image: transform(Image.fromarray(image)),
        dataclasses.asdict(config),
        name=name,
        centre=config.resize_mode == "shortest",
    )


def _tower(open_clip: Any, network: Any, pool: Pooling, example: Inputs, *, name: str, device: torch.device) -> Tower:
    package = f"open_clip {open_clip.__version__}"
    return Tower(network, pool, example, name=name, package=package, device=device, unit_length=True)


def _pooling(network: Any) -> str:
    tower = getattr(network, "text", network)
    if getattr(tower, "cls_emb", None) is not None:  # of CoCa; it goes before the kind that is named
        return "class token"
    kind = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if kind is None:  # a model of transformers
        return type(getattr(tower, "pooler", tower)).__name__
    return {"argmax": "end-of-text token", "eos": "end-of-text token"}.get(kind, f"{kind} token")
