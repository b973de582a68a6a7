"""Encoders of timm: image models with pretrained weights."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointwise.encoders.framing import Framing
from pointwise.encoders.inference import inference, items_at_once
from pointwise.encoders.packages import import_package, in_passes, loading, sha256_of_weights
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError

_NAMED = 12  # models that are listed in a message
_FITS = {"center": "shortest", "squash": "squash", "border": "longest"}


class TimmEncoder:
    """The pooled features of a model of timm, those before its classifier; float32 throughout, no TF32.

    Args:
        name: "MODEL.TAG" as ``timm.list_pretrained()`` lists them, or "MODEL" for timm's first tag of it; "@" and a
            path behind it takes the weights from that file, and everything else from the tag.
        device: of torch.

    Raises:
        MissingExtra: timm is not installed.
        InputError: there is no such model or tag, or its weights cannot be loaded.
    """

    def __init__(self, name: str, *, device: torch.device) -> None:
        timm = import_package("timm")
        model, at, file = name.partition("@")
        _check(timm, model, has_file=bool(at))
        network = _load(timm, model, file) if at else _fetch(timm, model)
        network.float().eval()  # whatever type the program around takes for its own
        said = network.pretrained_cfg
        full = f"{said['architecture']}.{said['tag']}" if said.get("tag") else str(said["architecture"])
        self.name = f"timm:{full}@{file}" if file else f"timm:{full}"
        self._framing = _framing(timm.data.resolve_model_data_config(network))
        self.meta: Mapping[str, Any] = {
            "weights": f"timm {full} {Path(file).name}" if file else f"timm {full}",
            "weights_sha256": sha256_of_weights(network.state_dict()),
            **self._framing.meta,
            "unit_length": False,
            "dtype": "float32",
        }
        self._network, self._device = network.to(device), device
        example = torch.zeros(1, 3, *self._framing.crop, dtype=torch.float32, device=device)
        with inference(device):
            self.dim = int(network(example).shape[1])
            self._at_once = items_at_once(network, lambda: network(example), device=device)

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, d], on the CPU."""
        return in_passes(self._features, images, size=self._at_once, device=self._device, name=self.name)

    def _features(self, images: Sequence[Pixels]) -> Tensor:
        features: Tensor = self._network(self._framing(images).to(self._device))
        return features


def load_image(name: str, device: torch.device) -> TimmEncoder:
    """Return the encoder of a name written "resnet50.a1_in1k", "resnet50", or "resnet50.a1_in1k@" and a path."""
    return TimmEncoder(name, device=device)


def _check(timm: Any, model: str, *, has_file: bool) -> None:
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture.split("/")[-1], timm.list_models(), n=3)
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        raise InputError(
            f"timm has no model {architecture!r}; timm.list_pretrained() lists those that have weights, and a name is "
            f"written timm:MODEL.TAG.{guess}"
        )
    known = timm.list_pretrained(f"{architecture}.*")
    if model in known or (not tag and (known or has_file)):
        return
    listed = ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
    offer = f"timm knows {listed}" if known else f"timm has none for {architecture}"
    raise InputError(
        f"there are no weights {model!r}; {offer}. "
        f"Give one of those that timm.list_pretrained() lists, or the path of a file: timm:{architecture}@PATH."
    )


def _fetch(timm: Any, model: str) -> Any:
    """The network with the weights of this tag."""
    with loading(
        f"timm's {model}",
        f"check the connection to the model hub, or give the path of a file with the weights: timm:{model}@PATH.",
    ):
        return timm.create_model(model, pretrained=True, num_classes=0)


def _load(timm: Any, model: str, file: str) -> Any:
    """The network with the weights of this file, its classifier left out."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"{file!r} is no file; write the path of the weights of timm:{model} behind the @.")
    with loading(
        f"timm's {model} with the weights {file!r}",
        f"the file must hold the weights of {model} as timm saves them (.pth or .safetensors), nothing else.",
    ):
        network = timm.create_model(model, pretrained=False, num_classes=0)
        state = timm.models.load_state_dict(str(path), weights_only=True)
        classifiers = network.pretrained_cfg.get("classifier") or ()
        for layer in [classifiers] if isinstance(classifiers, str) else classifiers:
            for part in ("weight", "bias"):
                state.pop(f"{layer}.{part}", None)
        network.load_state_dict(state)
    return network


def _framing(said: Mapping[str, Any]) -> Framing:
    _, height, width = said["input_size"]
    fit = _FITS.get(said["crop_mode"], "shortest")
    share = said["crop_pct"]
    mean = tuple(map(float, said["mean"]))
    return Framing(
        fit=fit,
        resize=(math.floor(height / share), math.floor(width / share)),
        crop=(height, width),
        interpolation=said["interpolation"],
        mean=mean,
        std=tuple(map(float, said["std"])),
        fill=tuple(round(255 * value) for value in mean) if fit == "longest" else (0, 0, 0),
    )
