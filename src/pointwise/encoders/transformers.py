"""Encoders of Hugging Face transformers: the image or text tower of CLIP and its kin, and vision or text models.

The place of a model is a folder in the hub's format or an id on the hub. "@float16" or "@bfloat16" behind it computes
in half precision; the features are float32 in any case, and are scaled in float32. Only the parts of a network that the
features need stay in memory.
"""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointwise._types import Pixels
from pointwise.encoders.folder import model_folder, sha256, tokenizer_files, weight_files
from pointwise.encoders.network import Inputs, Tower, loading, quiet, refusing
from pointwise.encoders.poolings import Features, of_text, of_vision, projected, sentence_steps, trained
from pointwise.encoders.preprocessing import ImageEncoder, Preprocessing
from pointwise.errors import InputError, MissingExtra

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_HERE = {"local_files_only": True, "trust_remote_code": False}  # what is in the folder, and no code from it
_EXAMPLE_TOKENS = 64
_DEFAULT_MAX_TOKENS = 512
_NO_LIMIT = 1 << 20  # tokenizers without a limit of their own say a number beyond this


class TransformersEncoder(ImageEncoder):
    """The image features of a model: where it has a text tower too the projected ones, scaled to unit length.

    Of a vision model alone they are its pooled output or, where it has none that was trained, the class token, or the
    mean over the patches if there is no such token.
    """

    def __init__(self, place: str, *, device: torch.device) -> None:
        model = _Model(place)
        dual = hasattr(model.network, "get_image_features") and hasattr(model.network, "get_text_features")
        if not dual and getattr(model.network, "main_input_name", "") != "pixel_values":
            raise InputError(
                f"{model.place} has no image tower ({type(model.network).__name__}); give a vision model such as "
                "DINOv2, or a model of pictures and texts such as CLIP."
            )
        preprocess = preprocessing(model.folder, model.place, model.package)
        features = projected(model.network, "image") if dual else of_vision(model.network)
        tower, meta = model.tower(features, preprocess.example, unit_length=dual, device=device)
        super().__init__(model.name, tower, preprocess, meta)

    def encode_tokens(self, images: Sequence[Pixels]) -> tuple[Tensor, None]:
        """Return the last hidden states of b pictures, before any projection: float32 [b, t, h]; no mask."""
        return self.tower.tokens(self._batches(images)), None


class TransformersTextEncoder:
    """The text features of a model: where it has an image tower too the projected ones, scaled to unit length.

    Of a text model alone they are the mean over its tokens, padding left out; a folder of sentence-transformers says
    itself whether the mean or the first token, and whether scaled. ``name`` is what the encoder is called instead of
    "transformers:" and its place.
    """

    def __init__(self, place: str, *, device: torch.device, name: str = "") -> None:
        model = _Model(place)
        network, config = model.network, model.network.config
        dual = hasattr(network, "get_text_features")
        if not dual and getattr(network, "main_input_name", "") != "input_ids":
            raise InputError(
                f"{model.place} has no text tower ({type(network).__name__}); give a text model such as MiniLM, or a "
                "model of pictures and texts such as CLIP."
            )
        words = tokenizer_files(model.folder)
        # SigLIP was trained on texts in lower case, padded to one length, with the padding attended to.
        self._siglip = str(config.model_type).startswith("siglip")
        self._inputs = {"input_ids"} if self._siglip else {"input_ids", "attention_mask"}
        if getattr(_text_config(config), "type_vocab_size", 0):
            self._inputs.add("token_type_ids")
        self._failure = model.failure
        self._tokenizer = _tokenizer(model, keep_side=self._siglip)
        pooling, unit_length, longest = ("", True, None) if dual else sentence_steps(model.folder)
        self.max_tokens = _max_tokens(self._tokenizer, network, longest)
        features = projected(network, "text") if dual else of_text(network, pooling)
        example = self._tokens(["a " * _EXAMPLE_TOKENS], at_most=_EXAMPLE_TOKENS)
        self.tower, meta = model.tower(features, example, unit_length=unit_length, device=device)
        self._tokens_at_once = self.tower.items_at_once * example["input_ids"].shape[1]
        self.name, self.dim = name or model.name, self.tower.dim
        self.meta: Mapping[str, Any] = {
            **meta,
            "weights": name or model.place,
            "tokenizer_sha256": sha256(words),
            "max_tokens": self.max_tokens,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones counted, before it is cut to ``max_tokens``."""
        return [len(ids) for ids in self._tokenized(texts, truncation=False)["input_ids"]] if texts else []

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the features of b texts: float32 [b, e], on the CPU; 0 where a text has no token."""
        lengths = [self.max_tokens if self._siglip else min(n, self.max_tokens) for n in self.count_tokens(texts)]
        order = sorted((i for i, n in enumerate(lengths) if n), key=lengths.__getitem__, reverse=True)  # little padding
        out = torch.zeros(len(texts), self.dim, dtype=torch.float32)
        rows, start = [], 0
        while start < len(order):
            rows.append(order[start : start + max(1, self._tokens_at_once // lengths[order[start]])])
            start += len(rows[-1])
        if rows:
            out[order] = self.tower.encode(
                self._tokens([texts[i] for i in some], at_most=self.max_tokens) for some in rows
            )
        return out

    def encode_tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the last hidden states of b texts, float32 [b, t, h], and which are not padding, bool [b, t]."""
        inputs = self._tokens(texts, at_most=self.max_tokens)
        states = self.tower.tokens([inputs])
        mask = inputs.get("attention_mask")  # SigLIP attends to its padding
        return states, torch.ones(states.shape[:2], dtype=torch.bool) if mask is None else mask.bool()

    def _tokens(self, texts: Sequence[str], *, at_most: int) -> dict[str, Tensor]:
        tokens = self._tokenized(
            texts,
            padding="max_length" if self._siglip else "longest",
            truncation=True,
            max_length=self.max_tokens if self._siglip else min(at_most, self.max_tokens),
            return_attention_mask=True,
            return_tensors="pt",
        )
        return {name: x for name, x in tokens.items() if name in self._inputs}

    def _tokenized(self, texts: Sequence[str], **options: Any) -> Any:
        written = [text.lower() for text in texts] if self._siglip else list(texts)  # not all its tokenizers see to it
        with quiet(), refusing(self._failure):
            return self._tokenizer(written, **options)


def preprocessing(folder: Path, name: str, package: str) -> Preprocessing:
    """Return the preprocessing of a model folder of transformers, by its image processor that works with Pillow."""
    if not any((folder / file).is_file() for file in ("preprocessor_config.json", "processor_config.json")):
        raise InputError(
            f"{folder} has no preprocessor_config.json, so how pictures must be resized and normalised is not known; "
            "copy the file from where the model came from into the folder."
        )
    with quiet(), refusing(f"{name} has an image processor that cannot be used by {package}"):
        transformers: Any = import_module("transformers")
        # By Pillow, also where torchvision is installed: "backend" says so since transformers 5, "use_fast" before.
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", use_fast=False, **_HERE)
        settings, _ = transformers.ImageProcessingMixin.get_image_processor_dict(folder, **_HERE)
        size = processor.to_dict().get("size") or {}

        def steps(image: Pixels) -> Tensor:
            made = processor(images=[image], return_tensors="pt", input_data_format="channels_last")
            if set(made) != {"pixel_values"}:
                raise InputError(
                    f"{name} takes {', '.join(made)} of a picture, where pointwise gives its pixels alone; choose "
                    "another model."
                )
            pixels: Tensor = made["pixel_values"][0]
            return pixels

        return Preprocessing(steps, settings, name=name, centre="shortest_edge" in size)


class _Model:
    """A model in float32 on the CPU, both its towers still there; no code from its folder is run."""

    def __init__(self, place: str) -> None:
        base, at, precision = place.rpartition("@")
        if not at or os.path.isdir(os.path.expanduser(place)):
            base, precision = place, "float32"
        if precision not in _DTYPES:
            raise InputError(
                f"the precision in 'transformers:{place}' is {precision!r}; it must be {', '.join(_DTYPES)}."
            )
        if not base:
            raise InputError("transformers: names no model; put a folder or an id on the model hub behind it.")
        if find_spec("transformers") is None:
            raise MissingExtra("transformers", extra="transformers")
        transformers = import_module("transformers")
        self.place, self.package = base, f"transformers {transformers.__version__}"
        self.failure = f"{base} cannot be used by {self.package}"
        self.name = f"transformers:{base}" + (f"@{precision}" if precision != "float32" else "")
        self._dtype = _DTYPES[precision]
        with quiet():
            self.folder = model_folder(base)
        self._weights = weight_files(self.folder)
        with quiet(), loading(f"{base} cannot be loaded by {self.package}"):
            self.network, report = transformers.AutoModel.from_pretrained(
                self.folder,
                use_safetensors=self._weights[0].suffix == ".safetensors",
                output_loading_info=True,
                **_HERE,
            )
            self.network.float().eval()
            missing: set[str] = set(report["missing_keys"])
            self._untrained = {
                name: p for name, p in self.network.named_parameters() if any(_same(name, key) for key in missing)
            }
            saved = getattr(self.network.config, "architectures", None) or [""]
            if getattr(self.network.config, "is_encoder_decoder", False) or saved[0].endswith("EncoderModel"):
                self.network = self.network.get_encoder()

    def tower(
        self, features: Features, example: Inputs, *, unit_length: bool, device: torch.device
    ) -> tuple[Tower, dict[str, Any]]:
        """Return the part that makes the first features that were trained, and what ``meta`` says of them."""
        with quiet():
            pooling = trained(features, self._untrained, example, name=self.place, failure=self.failure)
        tower = Tower(
            self.network,
            lambda inputs: features(inputs)[pooling],
            example,
            name=self.place,
            device=device,
            dtype=self._dtype,
            unit_length=unit_length,
        )
        return tower, {
            "weights": self.place,
            "weights_sha256": sha256(self._weights),
            "config_sha256": sha256([self.folder / "config.json"]),
            "pooling": pooling,
            "unit_length": unit_length,
            "dtype": str(self._dtype).removeprefix("torch."),
        }


def _same(name: str, other: str) -> bool:
    return name == other or name.endswith(f".{other}") or other.endswith(f".{name}")


def _tokenizer(model: _Model, *, keep_side: bool) -> Any:
    with quiet(), refusing(f"{model.place} has a tokenizer that cannot be loaded by {model.package}"):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model.folder, **_HERE)
    if tokenizer.pad_token is None:  # any will do: what is padded is not looked at
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    if not keep_side:
        tokenizer.padding_side = "right"  # where padding shifts no position, so that it cannot reach the features
    return tokenizer


def _max_tokens(tokenizer: Any, network: Any, longest: int | None) -> int:
    """The smallest limit that the tokenizer, the network or the folder knows."""
    positions = getattr(_text_config(network.config), "max_position_embeddings", None)
    for name, part in network.named_modules():
        padding = getattr(part, "padding_idx", None)
        if positions is not None and padding is not None and name.endswith("position_embeddings"):
            positions -= padding + 1  # RoBERTa and its kin count positions from behind that of padding
    limits = [n for n in (longest, positions, tokenizer.model_max_length) if isinstance(n, int) and 0 < n < _NO_LIMIT]
    return min(limits, default=_DEFAULT_MAX_TOKENS)


def _text_config(config: Any) -> Any:
    return getattr(config, "text_config", config)
