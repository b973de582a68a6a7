"""Token features of pairs on disk, so that they are made once: one .safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from pointwise.data.columns import pack_strings, unpack_strings
from pointwise.data.files import atomic_write
from pointwise.errors import InputError
from pointwise.similarity.inputs import Inputs, Pairs

_FORMAT = "pointwise.tokens/1"


class TokenFile(NamedTuple):
    """What a file of tokens holds.

    pairs: tokens float16 or float32 [n, t, h] of images and texts, with masks.
    ids, captions: n strings each.
    meta: how the tokens were made.
    """

    pairs: Pairs
    ids: Sequence[str]
    captions: Sequence[str]
    meta: Mapping[str, Any]


def save_tokens(path: str | os.PathLike[str], tokens: TokenFile) -> None:
    """Write tokens of pairs to one .safetensors file, whole or not at all.

    ``image_tokens``, ``text_tokens`` and, where anything is padded, ``image_mask``, ``text_mask``; ids and captions
    as bytes and ends, as tables have them; meta as JSON in the header.

    Raises:
        InputError: the path cannot be written.
    """
    from safetensors.torch import save

    tensors = {}
    for side, inputs in (("image", tokens.pairs.images), ("text", tokens.pairs.texts)):
        tensors[f"{side}_tokens"] = inputs.x.contiguous()
        if inputs.mask is not None:
            tensors[f"{side}_mask"] = inputs.mask.contiguous()
    for name, column in (("ids", tokens.ids), ("captions", tokens.captions)):
        utf8, ends = pack_strings(np.array(list(column), dtype=str))
        tensors[f"{name}.utf8"], tensors[f"{name}.ends"] = torch.tensor(utf8), torch.tensor(ends)
    content = save(tensors, metadata={_FORMAT: json.dumps(dict(tokens.meta))})
    with atomic_write(path) as file:
        file.write(content)


def load_tokens(path: str | os.PathLike[str]) -> TokenFile:
    """Read what `save_tokens` wrote.

    Raises:
        InputError: the file is not there, damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if _FORMAT not in metadata:
                raise InputError(f"{path} does not hold tokens of pairs: pointwise train did not write it.")
            held = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as tokens of pairs ({error}); make it again.") from None
    images, texts = (Inputs(held[f"{side}_tokens"], held.get(f"{side}_mask")) for side in ("image", "text"))
    ids, captions = (
        unpack_strings(held[f"{name}.utf8"].numpy(), held[f"{name}.ends"].numpy()) for name in ("ids", "captions")
    )
    return TokenFile(Pairs(images, texts), ids, captions, json.loads(metadata[_FORMAT]))


def is_tokens(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is a file that `save_tokens` wrote."""
    from safetensors import SafetensorError, safe_open

    if not str(path).endswith(".safetensors") or not os.path.isfile(path):
        return False
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            return _FORMAT in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False
