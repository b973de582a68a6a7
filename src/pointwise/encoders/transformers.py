"""Encoders of Hugging Face transformers: the image or text tower of CLIP and its kin, and vision or text models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointwise.encoders.folder import model_folder, sha256, tokenizer_files, weight_files
from pointwise.encoders.network import Tower, load_network, quiet, refusing
from pointwise.encoders.poolings import projected, sentence_steps, text_pooling, vision_poolings
from pointwise.encoders.preprocessing import read_preprocessing
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError, MissingExtra

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_EXAMPLE_TOKENS = 64
_DEFAULT_MAX_TOKENS = 512
_NO_LIMIT = 1 << 20  # tokenizers without a limit of their own say a number beyond this


class TransformersEncoder:
    """The image features of a model: where it has a text tower too the projected ones, scaled to unit length.

    Of a vision model alone they are its pooled output or, where it has none that was trained, the class token, or the
    mean over the patches if there is no such token. Only the parts that the features need stay in memory.

    Args:
        place: a folder in the hub's format or an id on the hub. "@float16" or "@bfloat16" behind it computes in half
            precision; the features are float32 in any case, and are scaled in float32.
        device: of torch.

    Raises:
        InputError: there is no such model, it has no image tower, or its files cannot be used.
    """

    def __init__(self, place: str, *, device: torch.device) -> None:
        place, self.name, dtype = _parsed(place)
        folder = _folder(place)
        network, untrained = load_network(folder, place)
        dual = hasattr(network, "get_image_features") and hasattr(network, "get_text_features")
        if not dual and getattr(network, "main_input_name", "") != "pixel_values":
            raise InputError(
                f"{place} has no image tower ({type(network).__name__}); give a vision model such as DINOv2, or a "
                "model of pictures and texts such as CLIP."
            )
        self._preprocess = read_preprocessing(folder)
        poolings = {"projection": projected(network, "image")} if dual else vision_poolings(network)
        noise = torch.Generator().manual_seed(0)
        example = {"pixel_values": torch.randn(1, 3, *self._preprocess.size, generator=noise, dtype=torch.float32)}
        self._tower = Tower(
            network, untrained, poolings, example, place=place, unit_length=dual, dtype=dtype, device=device
        )
        self.dim = self._tower.dim
        self.meta: Mapping[str, Any] = {**_meta(folder, self._tower), **self._preprocess.meta}

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, d], on the CPU."""
        count = self._tower.items_at_once
        passes = [images[start : start + count] for start in range(0, len(images), count)]
        return torch.cat([self._tower({"pixel_values": self._preprocess(some)}) for some in passes])

    def encode_tokens(self, images: Sequence[Pixels]) -> tuple[Tensor, None]:
        """Return the last hidden states of b pictures, before any projection: float32 [b, t, h]; no mask."""
        count = self._tower.items_at_once
        passes = [images[start : start + count] for start in range(0, len(images), count)]
        return torch.cat([self._tower.tokens({"pixel_values": self._preprocess(some)}) for some in passes]), None


class TransformersTextEncoder:
    """The text features of a model: where it has an image tower too the projected ones, scaled to unit length.

    Of a text model alone they are the mean over its tokens, padding left out; a folder of sentence-transformers says
    itself whether the mean or the first token, and whether scaled. Only the parts that the features need stay in
    memory.

    Args:
        place: a folder in the hub's format or an id on the hub. "@float16" or "@bfloat16" behind it computes in half
            precision; the features are float32 in any case, and are scaled in float32.
        device: of torch.
        name: what the encoder is called instead of "transformers:" and its place.

    Raises:
        InputError: there is no such model, it has no text tower, or its files cannot be used.
    """

    def __init__(self, place: str, *, device: torch.device, name: str = "") -> None:
        place, own_name, dtype = _parsed(place)
        self.name = name or own_name
        folder = _folder(place)
        network, untrained = load_network(folder, place)
        dual = hasattr(network, "get_text_features")
        if not dual and getattr(network, "main_input_name", "") != "input_ids":
            raise InputError(
                f"{place} has no text tower ({type(network).__name__}); give a text model such as MiniLM, or a model "
                "of pictures and texts such as CLIP."
            )
        words = tokenizer_files(folder)
        config: Any = network.config
        self._siglip = str(config.model_type).startswith("siglip")
        self._inputs = {"input_ids"} if self._siglip else {"input_ids", "attention_mask"}
        if getattr(_text_config(config), "type_vocab_size", 0):
            self._inputs.add("token_type_ids")
        self._place = place
        self._tokenizer = _tokenizer(folder, place, keep_side=self._siglip)
        pooling, unit_length, longest = ("projection", True, None) if dual else sentence_steps(folder)
        self.max_tokens = _max_tokens(self._tokenizer, network, longest)
        pool = {pooling: projected(network, "text") if dual else text_pooling(network, pooling)}
        example = self._tokens(["a " * _EXAMPLE_TOKENS], at_most=_EXAMPLE_TOKENS)
        self._tower = Tower(
            network, untrained, pool, example, place=place, unit_length=unit_length, dtype=dtype, device=device
        )
        self._tokens_at_once = self._tower.items_at_once * example["input_ids"].shape[1]
        self.dim = self._tower.dim
        self.meta: Mapping[str, Any] = {
            **_meta(folder, self._tower),
            "weights": name or place,
            "tokenizer_sha256": sha256(words),
            "max_tokens": self.max_tokens,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        with quiet(), refusing(self._place, "cannot be used"):
            tokens = self._tokenizer(self._written(texts), truncation=False)["input_ids"] if texts else []
            return [len(ids) for ids in tokens]

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the features of b texts: float32 [b, e], on the CPU; 0 where a text has no token."""
        lengths = [self.max_tokens if self._siglip else min(n, self.max_tokens) for n in self.count_tokens(texts)]
        order = sorted((i for i, n in enumerate(lengths) if n), key=lengths.__getitem__, reverse=True)  # little padding
        out = torch.zeros(len(texts), self.dim, dtype=torch.float32)
        while order:
            count = max(1, self._tokens_at_once // lengths[order[0]])
            rows, order = order[:count], order[count:]
            out[rows] = self._tower(self._tokens([texts[i] for i in rows], at_most=self.max_tokens))
        return out

    def encode_tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the last hidden states of b texts, float32 [b, t, h], and which are not padding, bool [b, t]."""
        inputs = self._tokens(texts, at_most=self.max_tokens)
        states = self._tower.tokens(inputs)
        mask = inputs.get("attention_mask")  # SigLIP attends to its padding
        return states, torch.ones(states.shape[:2], dtype=torch.bool) if mask is None else mask.bool()

    def _tokens(self, texts: Sequence[str], *, at_most: int) -> dict[str, Tensor]:
        with quiet(), refusing(self._place, "cannot be used"):
            tokens = self._tokenizer(
                self._written(texts),
                padding="max_length" if self._siglip else "longest",
                truncation=True,
                max_length=self.max_tokens if self._siglip else min(at_most, self.max_tokens),
                return_attention_mask=True,
                return_tensors="pt",
            )
        return {name: x for name, x in tokens.items() if name in self._inputs}

    def _written(self, texts: Sequence[str]) -> list[str]:
        """The texts as the model was trained to read them: SigLIP in lower case, which not all its tokenizers see to.

        SigLIP was also trained on texts padded to one length, with the padding attended to.
        """
        return [text.lower() for text in texts] if self._siglip else list(texts)


def load_image(place: str, device: torch.device) -> TransformersEncoder:
    """Return the image encoder of a model: a folder or an id on the hub, with "@float16" or "@bfloat16" behind it."""
    return TransformersEncoder(place, device=device)


def load_text(place: str, device: torch.device) -> TransformersTextEncoder:
    """Return the text encoder of a model: a folder or an id on the hub, with "@float16" or "@bfloat16" behind it."""
    return TransformersTextEncoder(place, device=device)


def _parsed(place: str) -> tuple[str, str, torch.dtype]:
    """The folder or id without the precision, the name of the encoder, and the precision."""
    base, at, suffix = place.rpartition("@")
    if not at or os.path.isdir(os.path.expanduser(place)):
        base, suffix = place, "float32"
    if suffix not in _DTYPES:
        raise InputError(f"the precision in 'transformers:{place}' is {suffix!r}; it must be {', '.join(_DTYPES)}.")
    if not base:
        raise InputError("transformers: names no model; put a folder or an id on the model hub behind it.")
    return base, f"transformers:{base}" + (f"@{suffix}" if suffix != "float32" else ""), _DTYPES[suffix]


def _folder(place: str) -> Path:
    if find_spec("transformers") is None:
        raise MissingExtra("transformers", extra="transformers")
    with quiet():
        return model_folder(place)


def _meta(folder: Path, tower: Tower) -> dict[str, Any]:
    return {
        "weights": tower.place,
        "weights_sha256": sha256(weight_files(folder)),
        "config_sha256": sha256([folder / "config.json"]),
        "pooling": tower.pooling,
        "unit_length": tower.unit_length,
        "dtype": str(tower.dtype).removeprefix("torch."),
    }


def _tokenizer(folder: Path, place: str, *, keep_side: bool) -> Any:
    with quiet(), refusing(place, "has a tokenizer that cannot be loaded"):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token is None:  # any will do: what is padded is not looked at
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    if not keep_side:
        tokenizer.padding_side = "right"  # where padding shifts no position, so that it cannot reach the features
    return tokenizer


def _max_tokens(tokenizer: Any, network: Any, longest: int | None) -> int:
    positions = getattr(_text_config(network.config), "max_position_embeddings", None)
    for name, part in network.named_modules():
        padding = getattr(part, "padding_idx", None)
        if positions is not None and padding is not None and name.endswith("position_embeddings"):
            positions -= padding + 1  # RoBERTa and its kin count positions from behind that of padding
    said = [limit for limit in (longest, positions, tokenizer.model_max_length) if isinstance(limit, int) and limit > 0]
    return min([limit for limit in said if limit < _NO_LIMIT], default=_DEFAULT_MAX_TOKENS)


def _text_config(config: Any) -> Any:
    return getattr(config, "text_config", config)
