"""How networks are loaded and run, whichever package they are from: quietly, in full precision, in passes that fit."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from textwrap import shorten
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointwise._products import full_precision
from pointwise.errors import InputError

T = TypeVar("T")
Inputs = Mapping[str, Tensor]  # what a network takes for b items, each of length b
Pooling = Callable[[Inputs], Tensor]  # their features [b, d]

_CPU = torch.device("cpu")
_PASS_BYTES = {"cpu": 64 << 20, "cuda": 2 << 30}  # on a processor a pass that stays near the cache is the quickest
_LIVE_AT_ONCE = 4  # inputs and outputs as large as the largest that exist together: residuals, attention's three inputs
_ADVICE = "check that the folder is a whole model, of a kind that this version knows without code of its own."


class Tower:
    """The part of a network that makes the features of pictures, or of texts: on one device, in one precision.

    The network is given on the CPU, in float32; `pool` takes what it takes, the `example` for one item say, and returns
    features [b, d]. Parts that the example does not call, the other tower say, are let go of where it may be pruned.
    """

    def __init__(
        self,
        network: nn.Module,
        pool: Pooling,
        example: Inputs,
        *,
        name: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        unit_length: bool = False,
        prune: bool = True,
    ) -> None:
        self.network, self.name, self.device, self.dtype, self.unit_length = network, name, device, dtype, unit_length
        package = sys.modules[type(network).__module__.partition(".")[0]]
        version = getattr(package, "__version__", "of no version")
        self._pool, self._failure = pool, f"{name} cannot be used by {package.__name__} {version}"
        with quiet(), loading(self._failure):
            with inference(_CPU):
                features, called, largest = watched(network, lambda: pool(example))
                for part, module in list(network.named_children()) if prune else ():
                    if called.isdisjoint(module.modules()):
                        delattr(network, part)
                again = pool(example)
            network.requires_grad_(requires_grad=False)
            network.to(device=device, dtype=dtype)
        if features.ndim != 2 or len(features) != 1:
            raise InputError(
                f"{name} gives features of shape {list(features.shape)} for one item, where a row is needed."
            )
        # Those of damaged weights are no numbers, which is said where they are met.
        if not torch.allclose(features, again, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise InputError(
                f"{name} gives other features each time for the same item, as models do that mask at random; choose "
                "one that does not."
            )
        self.dim = features.shape[1]
        live = _LIVE_AT_ONCE * largest * dtype.itemsize // 4  # bytes; the example ran in float32
        self.items_at_once = max(1, _PASS_BYTES.get(device.type, 1 << 30) // live)

    def encode(self, batches: Iterable[Inputs]) -> Tensor:
        """Return the features of all items of batches: float32 [n, d], finite, on the CPU, fit for autograd."""
        with quiet(), refusing(self._failure):
            features = in_passes(lambda inputs: self._pool(self._moved(inputs)), batches, self.device)
        finite = features.isfinite().all(1)
        if not bool(finite.all()):
            dtype = str(self.dtype).removeprefix("torch.")
            advice = "its weights are damaged" if self.dtype == torch.float32 else "compute in float32 or bfloat16"
            raise InputError(
                f"{self.name} gives features that are not finite in {dtype} for {int((~finite).sum())} of "
                f"{len(finite)} items; {advice}."
            )
        return F.normalize(features, dim=1) if self.unit_length else features

    def tokens(self, batches: Iterable[Inputs]) -> Tensor:
        """Return the last hidden states that the features are pooled from: float32 [n, t, h], on the CPU."""
        states: list[Tensor] = []

        def keep(module: nn.Module, given: object, output: Any) -> None:
            if isinstance(hidden := getattr(output, "last_hidden_state", None), Tensor):
                states.append(hidden)

        def last(inputs: Inputs) -> Tensor:
            states.clear()
            self._pool(self._moved(inputs))
            if not states or states[-1].ndim not in (3, 4):
                raise InputError(f"{self.name} has no hidden states of tokens; take another model, or its features.")
            hidden = states[-1]  # of the outermost part, which ends last
            return hidden if hidden.ndim == 3 else hidden.flatten(2).transpose(1, 2)  # maps [b, h, height, width]

        with _hooked(self.network, keep), quiet(), refusing(self._failure):
            return in_passes(last, batches, self.device)

    def _moved(self, inputs: Inputs) -> Inputs:
        return {name: x.to(self.device, self.dtype if x.is_floating_point() else x.dtype) for name, x in inputs.items()}


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return the items in order, ``size`` at a time.

    >>> list(in_batches("abcde", 2))
    ['ab', 'cd', 'e']
    """
    return (items[start : start + size] for start in range(0, len(items), size))


def in_passes(compute: Callable[[T], Tensor], batches: Iterable[T], device: torch.device) -> Tensor:
    """Return what is computed of all batches, one below the other: float32, on the CPU."""
    with inference(device):
        rows = [compute(batch).float().cpu() for batch in batches]
    return torch.cat(rows)  # outside of inference mode, so that autograd may use the features


@contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """Inference mode without TF32, bfloat16 products or autocast, whatever the program around has allowed for its own.

    What is computed inside leaves inference mode, and may be used by autograd, once it is copied outside.
    """
    convolutions = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), full_precision(device), convolutions:
        yield


def watched(network: nn.Module, run: Callable[[], Tensor]) -> tuple[Tensor, set[nn.Module], int]:
    """Return what a run of a network returns, the modules it calls, and the most bytes that go in and out of one."""
    called: set[nn.Module] = set()
    largest = 1

    def watch(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        called.add(module)
        largest = max(largest, _bytes(inputs) + _bytes(output))

    with _hooked(network, watch):
        return run(), called, largest


@contextmanager
def refusing(failure: str, advice: str = _ADVICE) -> Iterator[None]:
    """Turn whatever a package raises into one sentence, "failure (the reason); advice".

    Memory that runs out stays what it is: it is no fault of the model.
    """
    try:
        yield
    except (InputError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # damaged and unknown files have a package raise whatever comes
        if "can't allocate memory" in str(error):  # for which torch has no kind of error on a processor
            raise
        advice = "install what it asks for." if isinstance(error, ImportError) else advice
        raise InputError(f"{failure} ({reason_of(error)}); {advice}") from error


@contextmanager
def loading(failure: str, advice: str = _ADVICE) -> Iterator[None]:
    """Make a network, `refusing`: its first random weights move no global generator, and it may have gradients."""
    silent = logging.NullHandler()  # without a handler the log of open_clip would set up one, for the whole program
    logging.getLogger().addHandler(silent)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False), refusing(failure, advice):
            yield
    finally:
        logging.getLogger().removeHandler(silent)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, log lines and progress bars of transformers and the hub; what was set before holds again after."""
    transformers: Any = sys.modules.get("transformers.utils.logging")
    hub: Any = sys.modules.get("huggingface_hub.utils")
    with ExitStack() as after:
        after.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for log in filter(None, (transformers, hub and hub.logging)):
            after.callback(log.set_verbosity, log.get_verbosity())
            log.set_verbosity(logging.CRITICAL)
        if hub and not hub.are_progress_bars_disabled():
            after.callback(hub.enable_progress_bars)
            hub.disable_progress_bars()
        if transformers and transformers.is_progress_bar_enabled():
            after.callback(transformers.enable_progress_bar)
            transformers.disable_progress_bar()
        yield


def reason_of(error: BaseException) -> str:
    """Return the first sentence of an error, or its type where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines()]
    # torch says in its first line which class of network it is, and in the second what does not fit
    text = " ".join(lines[:2]) if lines and lines[0].endswith(":") else lines[0] if lines else ""
    return shorten(text.split(". ")[0], 200, placeholder=" ...").rstrip(" .:") or type(error).__name__


@contextmanager
def _hooked(network: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    with ExitStack() as hooks:
        for module in network.modules():
            hooks.enter_context(module.register_forward_hook(hook))
        yield


def _bytes(x: Any) -> int:
    if isinstance(x, Tensor):
        return x.numel() * x.element_size()
    parts = x.values() if hasattr(x, "values") else x if isinstance(x, tuple | list) else ()
    return sum(map(_bytes, parts))
