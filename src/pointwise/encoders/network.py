"""One tower of a model of transformers: the part that makes features of pictures, or of texts, and no other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointwise.encoders.folder import weight_files
from pointwise.encoders.inference import inference, items_at_once
from pointwise.errors import InputError

Inputs = Mapping[str, Tensor]
Pooling = Callable[[Inputs], Tensor]


class NoSuchOutput(Exception):
    """The network has not the output that a pooling takes."""


class Tower:
    """Features of items by one tower of a network, whose other parts are let go; in one precision, on one device.

    Args:
        network: on the CPU, as `load_network` returns it.
        untrained: its weights that its files lack, by name.
        poolings: ways to features [b, d], by name; one raises NoSuchOutput where the network has no such output. The
            first that needs no untrained weights is taken.
        example: what the network takes for one item.
        place: where the model came from, for messages.
        unit_length: scale the features to Euclidean length 1, in float32.
        dtype: that is computed in.
        device: of torch.

    Raises:
        InputError: the network does not take the example, all features need weights that its files lack, or they are
            not one row per item, or other ones each time.
    """

    def __init__(
        self,
        network: nn.Module,
        untrained: Mapping[str, Tensor],
        poolings: Mapping[str, Pooling],
        example: Inputs,
        *,
        place: str,
        unit_length: bool,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.place, self.unit_length, self.dtype, self.device = place, unit_length, dtype, device
        self.network = network
        with _ready_to_load(place, "cannot be used"):
            example = {name: x.clone() for name, x in example.items()}  # may have come out of inference mode
            self.pooling, first = _trained(poolings, untrained, example, place)
            self._pool = poolings[self.pooling]
            self.dim = _checked(first, _drop_unused(network, lambda: self._pool(example)), place)
            network.requires_grad_(requires_grad=False)
            network.to(device=device, dtype=dtype)
            self.items_at_once = items_at_once(network, lambda: self._rows(example), device=device)

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the features of b items that are encoded together: float32 [b, d], on the CPU.

        Raises:
            InputError: the network fails on them, or a feature is infinite or not a number.
        """
        with quiet(), refusing(self.place, "cannot be used"):
            features = self._rows(inputs).clone()  # outside of inference mode, so that autograd may use them
        finite = features.isfinite().all(1)
        if not bool(finite.all()):
            name = str(self.dtype).removeprefix("torch.")
            advice = "its weights are damaged" if self.dtype == torch.float32 else "compute in float32 or bfloat16"
            raise InputError(
                f"{self.place} gives features that are not finite in {name} for {int((~finite).sum())} of "
                f"{len(finite)} items; {advice}."
            )
        return F.normalize(features, dim=1) if self.unit_length else features

    def tokens(self, inputs: Inputs) -> Tensor:
        """Return the last hidden states that the features are pooled from: float32 [b, t, h], on the CPU.

        Raises:
            InputError: the network has none, or not as [b, t, h].
        """
        states: list[Tensor] = []

        def keep(module: nn.Module, given: object, output: Any) -> None:
            if isinstance(hidden := getattr(output, "last_hidden_state", None), Tensor):
                states.append(hidden)

        hooks = [module.register_forward_hook(keep) for module in self.network.modules()]
        try:
            self._rows(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        if not states or states[-1].ndim not in (3, 4):
            raise InputError(f"{self.place} has no hidden states of tokens; take another model, or its features.")
        last = states[-1].float().cpu().clone()  # of the outermost part, which ends last; outside of inference mode
        return last if last.ndim == 3 else last.flatten(2).transpose(1, 2)  # feature maps [b, h, height, width]

    def _rows(self, inputs: Inputs) -> Tensor:
        with inference(self.device):
            moved = {
                name: x.to(self.device, self.dtype if x.is_floating_point() else x.dtype) for name, x in inputs.items()
            }
            return self._pool(moved).float().cpu()


def load_network(folder: Path, place: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return the model of a folder in float32 on the CPU, and those of its weights that the files lack, by name.

    No code from the folder is run, and weights are read as safetensors, or by PyTorch as tensors alone.
    """
    files = weight_files(folder)
    with _ready_to_load(place, "cannot be loaded"):
        from transformers import AutoModel

        network, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=files[0].suffix == ".safetensors",
            output_loading_info=True,
        )
        network.float().eval()
        untrained = {
            name: p for name, p in network.named_parameters() if any(_same(name, key) for key in report["missing_keys"])
        }
        saved = getattr(network.config, "architectures", None) or [""]
        if getattr(network.config, "is_encoder_decoder", False) or saved[0].endswith("EncoderModel"):
            network = network.get_encoder()
        return network, untrained


@contextmanager
def _ready_to_load(place: str, what: str) -> Iterator[None]:
    """Silence, no global generator moved, parameters that may have gradients, and failures in one sentence."""
    with quiet(), torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), refusing(place, what):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, log lines and progress bars of transformers and the hub; what was set before holds again after."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hub: Any = import_module("huggingface_hub.utils")
        logging: Any = import_module("transformers.utils.logging")
        levels = [(log, log.get_verbosity()) for log in (logging, hub.logging)]
        bars, hub_bars = logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
        for log, _ in levels:
            log.set_verbosity(log.CRITICAL)
        logging.disable_progress_bar()
        try:
            yield
        finally:
            for log, level in levels:
                log.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
            (hub.enable_progress_bars if hub_bars else hub.disable_progress_bars)()


@contextmanager
def refusing(place: str, what: str) -> Iterator[None]:
    """Turn what transformers raises into one sentence about the model; memory that runs out stays what it is."""
    try:
        yield
    except (InputError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # damaged and unknown files have it raise whatever comes
        if "can't allocate memory" in str(error):  # for which torch has no kind of error on a processor
            raise
        import transformers

        sentence = f"{' '.join(str(error).split())} ".partition(". ")[0].rstrip(" .:") or type(error).__name__
        advice = "Check that the folder is a whole model, of a kind that this version knows without code of its own."
        if isinstance(error, ImportError):
            advice = "Install what it asks for."
        raise InputError(f"{place} {what} by transformers {transformers.__version__}: {sentence}. {advice}") from error


def _trained(
    poolings: Mapping[str, Pooling], untrained: Mapping[str, Tensor], example: Inputs, place: str
) -> tuple[str, Tensor]:
    """The first pooling whose features no untrained weight reaches, by the graph that autograd keeps; and they."""
    needed: list[str] = []
    for name, pool in poolings.items():
        try:
            with torch.set_grad_enabled(bool(untrained)):
                features = pool(example)
                total = features.sum()
        except NoSuchOutput:
            continue
        if not untrained:
            return name, features
        gradients = torch.autograd.grad(total, list(untrained.values()), allow_unused=True)
        needed = [weight for weight, gradient in zip(untrained, gradients, strict=True) if gradient is not None]
        if not needed:
            return name, features.detach()
    raise InputError(
        f"the weight files of {place} lack {len(needed)} weights that the features need, {', '.join(needed[:1])} the "
        "first; fetch the model again, or give the folder that it was trained to."
    )


def _same(name: str, other: str) -> bool:
    return name == other or name.endswith(f".{other}") or other.endswith(f".{name}")


def _drop_unused(network: nn.Module, run: Callable[[], Tensor]) -> Tensor:
    """Let go of the parts of a network none of whose modules a run calls; return what the run returned."""
    called: set[nn.Module] = set()
    hooks = [module.register_forward_pre_hook(lambda module, _: called.add(module)) for module in network.modules()]
    try:
        with torch.no_grad():
            features = run()
    finally:
        for hook in hooks:
            hook.remove()
    for name, part in list(network.named_children()):
        if called.isdisjoint(part.modules()):
            delattr(network, name)
    return features


def _checked(first: Tensor, second: Tensor, place: str) -> int:
    """The number of features, if they are one row and the same twice."""
    if first.ndim != 2 or len(first) != 1:
        raise InputError(f"{place} gives features of shape {list(first.shape)} for one item, where a row is needed.")
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-5, equal_nan=True):  # damaged weights are told as such
        raise InputError(
            f"{place} gives other features each time for the same item, as models do that mask at random; choose one "
            "that does not."
        )
    return first.shape[1]
