"""Encoders of timm: image models with pretrained weights."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pointwise.encoders.network import Tower, loading
from pointwise.encoders.packages import import_package, listed, sha256_of_weights
from pointwise.encoders.preprocessing import Preprocessing
from pointwise.encoders.protocol import Pixels
from pointwise.errors import InputError


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
        config = network.pretrained_cfg
        full = f"{config['architecture']}.{config['tag']}" if config.get("tag") else str(config["architecture"])
        self.name = f"timm:{full}@{file}" if file else f"timm:{full}"
        self._preprocess = _preprocessing(timm, network, self.name)
        self.meta: Mapping[str, Any] = {
            "weights": f"timm {full} {Path(file).name}" if file else f"timm {full}",
            "weights_sha256": sha256_of_weights(network.state_dict()),
            **self._preprocess.meta,
            "unit_length": False,
            "dtype": "float32",
        }
        self._tower = Tower(
            network,
            lambda inputs: network(inputs["pixel_values"]),
            self._preprocess.example,
            name=self.name,
            package=f"timm {timm.__version__}",
            device=device,
            prune=False,  # there is no other tower, and networks of timm use parts that they do not call
        )
        self.dim = self._tower.dim

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, d], on the CPU."""
        return self._tower.encode(self._preprocess.batches(images, self._tower.items_at_once))


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
    offer = f"timm knows {listed(known)}" if known else f"timm has none for {architecture}"
    raise InputError(
        f"there are no weights {model!r}; {offer}. "
        f"Give one of those that timm.list_pretrained() lists, or the path of a file: timm:{architecture}@PATH."
    )


def _fetch(timm: Any, model: str) -> Any:
    """The network with the weights of this tag."""
    with loading(
        f"timm's {model} cannot be loaded",
        f"check the connection to the model hub, or give the path of a file with the weights: timm:{model}@PATH.",
    ):
        return timm.create_model(model, pretrained=True, num_classes=0)


def _load(timm: Any, model: str, file: str) -> Any:
    """The network with the weights of this file, its classifier left out."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"{file!r} is no file; write the path of the weights of timm:{model} behind the @.")
    with loading(
        f"timm's {model} with the weights {file!r} cannot be loaded",
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


def _preprocessing(timm: Any, network: Any, name: str) -> Preprocessing:
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    centre = config["crop_mode"] not in ("squash", "border")
    return Preprocessing(lambda image: transform(Image.fromarray(image)), config, name=name, centre=centre)
