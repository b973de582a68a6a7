"""From the outputs of a network of transformers to one row of features for each item."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointwise.encoders.network import Inputs, loading
from pointwise.errors import InputError

Features = Callable[[Inputs], dict[str, Tensor]]  # features [b, d] by the way they are pooled, the best first

_MEAN, _FIRST = "mean over tokens", "first token"
_SENTENCE_POOLINGS = {  # the words of sentence-transformers, since its release 5 and before
    "mean": _MEAN,
    "pooling_mode_mean_tokens": _MEAN,
    "cls": _FIRST,
    "pooling_mode_cls_token": _FIRST,
}


def projected(network: nn.Module, of: str) -> Features:
    """The features of a model of pictures and texts, ``of`` "image" or "text", in the space that both share."""
    method: Callable[..., Any] = getattr(network, f"get_{of}_features")

    def features(inputs: Inputs) -> dict[str, Tensor]:
        output = method(**inputs)
        return {"projection": output if isinstance(output, Tensor) else output.pooler_output}  # since transformers 5

    return features


def of_vision(network: Any) -> Features:
    """The features of a vision model: what it has of its pooled output, its class token, the mean of its patches."""
    patch = getattr(network.config, "patch_size", None)

    def features(inputs: Inputs) -> dict[str, Tensor]:
        output = network(**inputs)
        tokens: Tensor = output.last_hidden_state  # [b, tokens, d] or [b, d, height, width]
        pooled: Tensor | None = getattr(output, "pooler_output", None)
        made = {} if pooled is None else {"pooled output": pooled.flatten(1)}
        height, width = inputs["pixel_values"].shape[2:]
        if tokens.ndim == 3 and isinstance(patch, int) and tokens.shape[1] > (height // patch) * (width // patch):
            made["class token"] = tokens[:, 0]
        return {**made, "mean over patches": tokens.mean(1) if tokens.ndim == 3 else tokens.mean((2, 3))}

    return features


def of_text(network: nn.Module, pooling: str) -> Features:
    """The features of a text model by the name of a pooling that `sentence_steps` returns."""

    def features(inputs: Inputs) -> dict[str, Tensor]:
        states: Tensor = network(**inputs).last_hidden_state
        if pooling == _FIRST:
            return {pooling: states[:, 0]}
        weight = inputs["attention_mask"][:, :, None].float()
        return {pooling: (states.float() * weight).sum(1) / weight.sum(1).clamp(min=1)}

    return features


def trained(features: Features, untrained: Mapping[str, Tensor], example: Inputs, *, name: str, failure: str) -> str:
    """Return the name of the first features that no weight reaches which the model's files lack, by autograd."""
    needed: list[str] = []
    with loading(failure), torch.set_grad_enabled(bool(untrained)):
        example = {key: x.clone() for key, x in example.items()}  # may have come out of inference mode
        for pooling, made in features(example).items():
            if untrained:
                weights = list(untrained.values())
                gradients = torch.autograd.grad(made.sum(), weights, allow_unused=True, retain_graph=True)
                needed = [weight for weight, gradient in zip(untrained, gradients, strict=True) if gradient is not None]
            if not needed:
                return pooling
    raise InputError(
        f"the weight files of {name} lack {len(needed)} weights that the features need, {', '.join(needed[:1])} the "
        "first; fetch the model again, or give the folder that it was trained to."
    )


def sentence_steps(folder: Path) -> tuple[str, bool, int | None]:
    """The pooling, whether to scale, and the limit of tokens, as a folder of sentence-transformers has them."""
    if not (folder / "modules.json").is_file():
        return _MEAN, False, None
    pooling, unit_length = _MEAN, False
    for module in _json(folder / "modules.json", list):
        if not isinstance(module, dict) or not {"type", "path"} <= module.keys():
            raise InputError(f"{folder / 'modules.json'} must list steps of type and path; fetch the model again.")
        kind = str(module["type"]).rpartition(".")[2]
        if kind == "Pooling":
            config = _json(folder / str(module["path"]) / "config.json", dict)
            chosen = config.get(
                "pooling_mode", [key for key, on in config.items() if key.startswith("pooling_") and on]
            )
            chosen = [chosen] if isinstance(chosen, str) else chosen
            if len(chosen) != 1 or chosen[0] not in _SENTENCE_POOLINGS:
                raise InputError(
                    f"{folder / module['path'] / 'config.json'} asks for the pooling {', '.join(chosen) or 'none'}; "
                    "pointwise has mean and cls. Choose another model."
                )
            pooling = _SENTENCE_POOLINGS[chosen[0]]
        elif kind == "Normalize":
            unit_length = True
        elif kind != "Transformer":
            raise InputError(
                f"{folder / 'modules.json'} lists a step {kind!r}, which pointwise does not compute; choose a model "
                "of the steps Transformer, Pooling, Normalize."
            )
    limits = folder / "sentence_bert_config.json"
    return pooling, unit_length, _json(limits, dict).get("max_seq_length") if limits.is_file() else None


def _json(file: Path, kind: type) -> Any:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON ({error}); fetch the model again.") from None
    if not isinstance(content, kind):
        raise InputError(f"{file} must hold a JSON {kind.__name__}, not {content!r:.40}; fetch the model again.")
    return content
