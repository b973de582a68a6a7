"""Encoders of open_clip: the image and text towers of CLIP, SigLIP, CoCa and their kin.

A name is "MODEL/TAG" as ``open_clip.list_pretrained()`` lists them; "MODEL/PATH" of a file with weights that were
trained with open_clip's defaults; or "MODEL/TAG@PATH" where they were trained with what the tag says of pictures and
activation.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointwise.encoders.network import Inputs, Pooling, Tower, in_batches, loading
from pointwise.encoders.packages import import_package, listed, perhaps, sha256_of_weights
from pointwise.encoders.preprocessing import ImageEncoder, Preprocessing, of_pillow
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of


class OpenClipImageEncoder(ImageEncoder):
    """The projected image features of a model, scaled to unit length; float32 throughout, no TF32."""

    def __init__(self, name: str, *, device: torch.device) -> None:
        model = _Model(name)
        config = model.open_clip.transform.PreprocessCfg(**model.open_clip.get_model_preprocess_cfg(model.network))
        preprocess = preprocessing(model.open_clip, config, model.name)
        tower = model.tower(
            lambda inputs: model.network.encode_image(inputs["pixel_values"], normalize=False),
            preprocess.example,
            device,
        )
        super().__init__(model.name, tower, preprocess, model.meta)


class OpenClipTextEncoder:
    """The projected text features of a model, scaled to unit length; float32 throughout, no TF32."""

    def __init__(self, name: str, *, device: torch.device) -> None:
        model = _Model(name)
        with loading(
            f"the tokenizer of {model.name} cannot be loaded", "check the connection to the model hub, or its cache."
        ):
            self._tokenizer = model.open_clip.get_tokenizer(model.architecture)
        self.max_tokens = int(self._tokenizer.context_length)
        pooling = f"{_pooling(model.network)}, projected"
        self.tower = model.tower(
            lambda inputs: model.network.encode_text(inputs["text"], normalize=False), self._tokens(["a"]), device
        )
        self.name, self.dim = model.name, self.tower.dim
        self.meta: Mapping[str, Any] = {**model.meta, "pooling": pooling, "max_tokens": self.max_tokens}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        inner = getattr(self._tokenizer, "tokenizer", None)  # of transformers, around which open_clip cleans the text
        if inner is None:
            return [len(self._tokenizer.encode(text)) + 2 for text in texts]  # and start and end
        cleaned = [self._tokenizer.clean_fn(text) for text in texts]
        return [len(ids) for ids in inner(cleaned, verbose=False)["input_ids"]]  # else it warns of long ones

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the features of b texts: float32 [b, e], on the CPU, each row of length 1."""
        return self.tower.encode(map(self._tokens, in_batches(texts, self.tower.items_at_once)))

    def _tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return {"text": self._tokenizer(list(texts))}


def preprocessing(open_clip: Any, config: Any, name: str) -> Preprocessing:
    """Return what open_clip does to pictures by a configuration of its own."""
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    centre = config.resize_mode == "shortest"
    return Preprocessing(of_pillow(transform), dataclasses.asdict(config), name=name, centre=centre)


class _Model:
    """A network with its weights, on the CPU, both its towers still there."""

    def __init__(self, name: str) -> None:
        self.open_clip = import_package("open_clip")
        self.name = f"open_clip:{name}"
        self.architecture, tag, file = _parse(self.open_clip, name)
        known = self.open_clip.get_pretrained_cfg(self.architecture, tag) if tag else {}
        # What the weights were trained with; by itself open_clip only warns that the features are wrong.
        quick_gelu = bool(known.get("quick_gelu"))
        with loading(
            f"open_clip's {self.architecture} with the weights {file or tag!r} cannot be loaded",
            f"the file must hold the weights of {self.architecture} as open_clip saves them (.pt or .safetensors), "
            "nothing else."
            if file
            else "check the connection to the model hub, or give the path of a file with the weights: "
            f"open_clip:{self.architecture}/{tag}@PATH.",
        ):
            self.network = self.open_clip.create_model(
                self.architecture,
                pretrained=str(_path(file).absolute()) if file else tag,
                force_quick_gelu=quick_gelu,
                force_preprocess_cfg=known,
                require_pretrained=True,
            )
        self.network.float().eval()  # whatever type the program around takes for its own
        self.meta = {
            "weights": f"open_clip {' '.join(filter(None, [self.architecture, tag, _path(file).name]))}",
            "weights_sha256": sha256_of_weights(self.network.state_dict()),
            "config_sha256": sha256_of(self.open_clip.get_model_config(self.architecture), quick_gelu),
            "unit_length": True,
            "dtype": "float32",
        }

    def tower(self, pool: Pooling, example: Inputs, device: torch.device) -> Tower:
        return Tower(self.network, pool, example, name=self.name, device=device, unit_length=True)


def _parse(open_clip: Any, name: str) -> tuple[str, str, str]:
    """The model, the tag and the path of the weights; one of the latter two may be empty."""
    model, _, weights = name.partition("/")
    models = open_clip.list_models()
    if model not in models:
        raise InputError(
            f"open_clip has no model {model!r}; open_clip.list_models() lists its {len(models)} models, and a name is "
            f"written open_clip:MODEL/TAG.{perhaps(model, models)}"
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


def _path(file: str) -> Path:
    return Path(file).expanduser()


def _pooling(network: Any) -> str:
    tower = getattr(network, "text", network)
    if getattr(tower, "cls_emb", None) is not None:  # of CoCa; it goes before the kind that is named
        return "class token"
    kind = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if kind is None:  # a model of transformers
        return type(getattr(tower, "pooler", tower)).__name__
    return {"argmax": "end-of-text token", "eos": "end-of-text token"}.get(kind, f"{kind} token")
