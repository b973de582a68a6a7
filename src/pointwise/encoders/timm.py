"""Encoders of timm: image models with pretrained weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pointwise.encoders.network import Tower, loading
from pointwise.encoders.packages import import_package, listed, perhaps, sha256_of_weights
from pointwise.encoders.preprocessing import ImageEncoder, Preprocessing, of_pillow
from pointwise.errors import InputError


class TimmEncoder(ImageEncoder):
    """The pooled features of a model of timm, those before its classifier; float32 throughout, no TF32.

    A name is "MODEL.TAG" as ``timm.list_pretrained()`` lists them, or "MODEL" for timm's first tag of it; "@" and a
    path behind it takes the weights from that file, and everything else from the tag.
    """

    def __init__(self, name: str, *, device: torch.device) -> None:
        timm = import_package("timm")
        model, at, file = name.partition("@")
        _check(timm, model, has_file=bool(at))
        network = _load(timm, model, file if at else None)
        network.float().eval()  # whatever type the program around takes for its own
        config = network.pretrained_cfg
        full = f"{config['architecture']}.{config['tag']}" if config.get("tag") else str(config["architecture"])
        name = f"timm:{full}@{file}" if file else f"timm:{full}"
        preprocess = preprocessing(timm, timm.data.resolve_model_data_config(network), name)
        meta = {
            "weights": f"timm {full} {Path(file).name}" if file else f"timm {full}",
            "weights_sha256": sha256_of_weights(network.state_dict()),
            "unit_length": False,
            "dtype": "float32",
        }
        tower = Tower(
            network,
            lambda inputs: network(inputs["pixel_values"]),
            preprocess.example,
            name=name,
            device=device,
            prune=False,  # there is no other tower, and networks of timm use parts that they do not call
        )
        super().__init__(name, tower, preprocess, meta)


def preprocessing(timm: Any, config: Mapping[str, Any], name: str) -> Preprocessing:
    """Return what timm does to pictures by a data configuration of its own."""
    transform = timm.data.create_transform(**config, is_training=False)
    centre = config["crop_mode"] not in ("squash", "border")
    return Preprocessing(of_pillow(transform), config, name=name, centre=centre)


def _check(timm: Any, model: str, *, has_file: bool) -> None:
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        raise InputError(
            f"timm has no model {architecture!r}; timm.list_pretrained() lists those that have weights, and a name is "
            f"written timm:MODEL.TAG.{perhaps(architecture.split('/')[-1], timm.list_models())}"
        )
    known = timm.list_pretrained(f"{architecture}.*")
    if model in known or (not tag and (known or has_file)):
        return
    offer = f"timm knows {listed(known)}" if known else f"timm has none for {architecture}"
    raise InputError(
        f"there are no weights {model!r}; {offer}. "
        f"Give one of those that timm.list_pretrained() lists, or the path of a file: timm:{architecture}@PATH."
    )


def _load(timm: Any, model: str, file: str | None) -> Any:
    """The network without its classifier, with the weights of this file or, for None, of its tag."""
    path = None if file is None else Path(file).expanduser()
    if path is not None and not path.is_file():
        raise InputError(f"{file!r} is no file; write the path of the weights of timm:{model} behind the @.")
    with loading(
        f"timm's {model}{f' with the weights {file!r}' if path else ''} cannot be loaded",
        f"the file must hold the weights of {model} as timm saves them (.pth or .safetensors), nothing else."
        if path
        else f"check the connection to the model hub, or give the path of a file with the weights: timm:{model}@PATH.",
    ):
        network = timm.create_model(model, pretrained=path is None, num_classes=0)
        if path is not None:
            state = timm.models.load_state_dict(str(path), weights_only=True)
            classifiers = network.pretrained_cfg.get("classifier") or ()
            layers = [classifiers] if isinstance(classifiers, str) else classifiers
            network.load_state_dict({name: x for name, x in state.items() if name.rpartition(".")[0] not in layers})
    return network
