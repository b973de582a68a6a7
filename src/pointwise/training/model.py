"""DualEncoder: a model of pairs, whose similarity is pointwise mutual information in nats up to a constant."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pointwise._types import Column
from pointwise.errors import InputError
from pointwise.kernels.functions import clip_similarity, kme_similarity, wpse_similarity
from pointwise.tables.tensors import load_arrays, save_arrays
from pointwise.training.heads import PointSetHead
from pointwise.training.inputs import Inputs, PointSet
from pointwise.training.towers import TOWERS, Tower
from pointwise.training.towers import FrozenTokens as FrozenTokens

_KIND = "dual_encoder"
_INITIAL_SCALE = 1 / 0.07
_LARGEST_SCALE = 100.0


class DualEncoder(nn.Module):
    """Two towers with a head each, which make point sets of images and of texts, and the similarity of these.

    After training on pairs by InfoNCE the similarity is their pointwise mutual information plus a constant. It is
    "kme", "wpse" or "clip", which changes nothing else but that CLIP's heads have no weights. An item has so many
    points, or one for each token ("all"), each of dim numbers; a vector of CLIP has points times as many. The seed is
    that of the weights that heads start with. meta is what else is known of the model, writable as JSON: the encoders
    whose tokens it takes, or the tokenizer.

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

    def stored(
        self, *, more: Mapping[str, Tensor] | None = None, facts: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Column], dict[str, Any]]:
        """Return weights and settings, and with them other tensors and facts, as arrays and what JSON can hold."""
        tensors = {f"model.{name}": x for name, x in self.state_dict().items()} | dict(more or {})
        arrays = {name: x.detach().cpu().numpy() for name, x in tensors.items()}
        return arrays, {"config": self.config(), "facts": dict(facts or {})}

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        more: Mapping[str, Tensor] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write weights and settings, and with them other tensors and facts, to one .safetensors file, whole or not."""
        arrays, about = self.stored(more=more, facts=facts)
        save_arrays(path, arrays, kind=_KIND, words={"model": json.dumps(about)})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> DualEncoder:
        """Read what `save` wrote, or a checkpoint of training."""
        return load_model(path, device=device)[0]


def load_model(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu"
) -> tuple[DualEncoder, dict[str, Tensor], dict[str, Any]]:
    """Read a model, and what other tensors and facts were written with it."""
    arrays, words = load_arrays(path, kind=_KIND, called="a model of pairs")
    try:
        return restored_model(arrays, json.loads(words["model"]), device=device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} holds a model that this version cannot make ({reason}); train it again.") from None


def restored_model(
    arrays: Mapping[str, Column], about: Mapping[str, Any], *, device: str | torch.device = "cpu"
) -> tuple[DualEncoder, dict[str, Tensor], dict[str, Any]]:
    """Return the model, the other tensors and the facts that `DualEncoder.stored` gave."""
    tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    config = dict(about["config"])
    of_sides = [dict(config.pop(side)) for side in ("image", "text")]
    model = DualEncoder(*(TOWERS[settings.pop("kind")](**settings) for settings in of_sides), **config)
    model.load_state_dict({name[6:]: x for name, x in tensors.items() if name.startswith("model.")})
    more = {name: x for name, x in tensors.items() if not name.startswith("model.")}
    return model.to(device), more, dict(about["facts"])
