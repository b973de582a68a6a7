"""DualEncoder: a model of pairs, whose similarity is pointwise mutual information in nats up to a constant."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.kernels.functions import clip_similarity, kme_similarity, wpse_similarity
from pointwise.training.heads import PointSetHead
from pointwise.training.inputs import Inputs, PointSet
from pointwise.training.towers import TOWERS, Tower
from pointwise.training.towers import FrozenTokens as FrozenTokens

_FORMAT = "pointwise.dual_encoder/1"
_INITIAL_SCALE = 1 / 0.07
_LARGEST_SCALE = 100.0


class DualEncoder(nn.Module):
    """Two towers with a head each, which make point sets of images and of texts, and the similarity of these.

    After training on pairs by InfoNCE the similarity is their pointwise mutual information plus a constant.

    Args:
        image: the tower of images.
        text: the tower of texts.
        similarity: "kme", "wpse" or "clip"; it changes nothing else but that CLIP's heads have no weights.
        points: of each item, m; "all" makes one of each token.
        dim: of each point; a vector of CLIP has points times as many.
        meta: what else is known of the model, writable as JSON: the encoders whose tokens it takes, or the tokenizer.
        seed: of the weights that the heads start with.

    Reference: Yoshida et al. (2025), KME-CLIP. https://arxiv.org/abs/2510.15508

    >>> model = DualEncoder(FrozenTokens(width=6), FrozenTokens(width=4), points=2, dim=3, seed=0)
    >>> model(Inputs(torch.ones(5, 7, 6)), Inputs(torch.ones(2, 1, 4))).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        image: Tower,
        text: Tower,
        *,
        similarity: str = "kme",
        points: int | str = 8,
        dim: int = 256,
        meta: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.kind, self.points, self.dim, self.meta = similarity, points, dim, dict(meta or {})
        self.image, self.text = image, text
        self.image_head = PointSetHead(image.width, points=points, dim=dim, similarity=similarity, seed=2 * seed)
        self.text_head = PointSetHead(text.width, points=points, dim=dim, similarity=similarity, seed=2 * seed + 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_INITIAL_SCALE)))

    @property
    def scale(self) -> Tensor:
        """The scale s, learned: 1/.07 at first, within [1, 100]."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Bring the scale back into [1, 100], as is done after each step."""
        self.log_scale.clamp_(0.0, math.log(_LARGEST_SCALE))

    def image_points(self, images: Inputs) -> PointSet:
        """Return the point sets of n images."""
        points: PointSet = self.image_head(*self.image(images))
        return points

    def text_points(self, texts: Inputs) -> PointSet:
        """Return the point sets of b texts."""
        points: PointSet = self.text_head(*self.text(texts))
        return points

    def similarity(self, images: PointSet, texts: PointSet) -> Tensor:
        """Return S [n, b], in nats up to one constant: differentiable in points, weights and scale."""
        with torch.autocast(images.x.device.type, enabled=False):
            if self.kind == "kme":
                return kme_similarity(images.x, texts.x, log_wx=images.log_w, log_wy=texts.log_w, scale=self.scale)
            if self.kind == "wpse":
                return wpse_similarity(images.x, texts.x, wx=images.w, wy=texts.w, scale=self.scale)
            return clip_similarity(images.x[:, 0], texts.x[:, 0], scale=self.scale)

    def forward(self, images: Inputs, texts: Inputs) -> Tensor:
        """Return S [n, b] of n images and b texts."""
        return self.similarity(self.image_points(images), self.text_points(texts))

    def config(self) -> dict[str, Any]:
        """Return all that the model is made from but its weights, writable as JSON."""
        return {
            "similarity": self.kind,
            "points": self.points,
            "dim": self.dim,
            "image": {"kind": self.image.kind, **self.image.settings},
            "text": {"kind": self.text.kind, **self.text.settings},
            "meta": self.meta,
        }

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        more: Mapping[str, Tensor] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write weights and settings, and with them other tensors and facts, to one .safetensors file, whole or not."""
        from safetensors.torch import save

        tensors = {f"model.{name}": x for name, x in self.state_dict().items()} | dict(more or {})
        whole = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
        # one entry: several are written in an order that differs from file to file
        content = save(whole, metadata={_FORMAT: json.dumps({"config": self.config(), "words": dict(facts or {})})})
        with atomic_write(path) as file:
            file.write(content)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> DualEncoder:
        """Read what `save` wrote, or a checkpoint of training."""
        return load_model(path, device=device)[0]


def load_model(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu"
) -> tuple[DualEncoder, dict[str, Tensor], dict[str, Any]]:
    """Read a model, and what other tensors and facts were written with it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            if _FORMAT not in metadata:
                raise InputError(f"{path} does not hold a model of pairs: pointwise train did not write it.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as a model ({error}); train it again.") from None
    weights = {name.removeprefix("model."): x for name, x in tensors.items() if name.startswith("model.")}
    try:
        header: dict[str, dict[str, Any]] = json.loads(metadata[_FORMAT])
        config = header["config"]
        of_sides = [dict(config.pop(side)) for side in ("image", "text")]
        model = DualEncoder(*(TOWERS[settings.pop("kind")](**settings) for settings in of_sides), **config)
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} holds a model that this version cannot make ({reason}); train it again.") from None
    more = {name: x for name, x in tensors.items() if not name.startswith("model.")}
    return model.to(device), more, header["words"]
