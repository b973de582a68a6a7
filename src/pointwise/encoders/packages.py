"""What the adapters of open_clip and timm share: the import, the loading of weights and their hash, the passes."""

from __future__ import annotations

import hashlib
import importlib
import logging
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from textwrap import shorten
from typing import Any, TypeVar

import torch
from torch import Tensor

from pointwise.encoders.inference import inference
from pointwise.errors import InputError, MissingExtra

T = TypeVar("T")

_BROKEN = (ImportError, RuntimeError, OSError, AttributeError)  # what a package raises that does not fit its neighbours
_UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(ImportError, StopIteration, pickle.UnpicklingError, zipfile.BadZipFile),
)


def import_package(name: str) -> Any:
    """Return the module of open_clip or timm.

    Raises:
        MissingExtra: it is not installed.
        InputError: it is, and it or torchvision, which it needs, cannot be imported.
    """
    if find_spec(name) is None:
        raise MissingExtra(name, extra=name)
    try:
        importlib.import_module("torchvision")
    except _BROKEN as error:
        raise InputError(
            f"{name} needs torchvision, which cannot be imported ({_reason(error)}); install the torchvision made for "
            f"torch {torch.__version__}, from the index that this torch is from (https://pytorch.org/get-started)."
        ) from error
    try:
        return importlib.import_module(name)
    except _BROKEN as error:
        raise InputError(
            f"{name} is installed but cannot be imported ({_reason(error)}); install it and what it needs anew: "
            f"pip install --upgrade --force-reinstall 'pointwise[{name}]'"
        ) from error


@contextmanager
def loading(what: str, advice: str) -> Iterator[None]:
    """Load a network: no global generator moves, the package's log stays out of sight, and failures are one sentence.

    Raises:
        InputError: "what cannot be loaded (the reason); advice", where anything fails that wrong files, or no
            network to fetch them by, can make fail.
    """
    from safetensors import SafetensorError

    quiet = logging.NullHandler()  # without a handler open_clip's log would set up one, for the whole program
    logging.getLogger().addHandler(quiet)
    try:
        with torch.random.fork_rng(devices=[]):  # networks are filled with random weights first
            yield
    except InputError:
        raise
    except (*_UNREADABLE, SafetensorError) as error:
        raise InputError(f"{what} cannot be loaded ({_reason(error)}); {advice}") from error
    finally:
        logging.getLogger().removeHandler(quiet)


def sha256_of_weights(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and values of all tensors, sorted by name.

    Weights that are fetched have other files from release to release, and the same numbers in them.

    >>> state = {"b": torch.zeros(2), "a": torch.ones(())}
    >>> sha256_of_weights(state) == sha256_of_weights(dict(sorted(state.items())))
    True
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def in_passes(
    compute: Callable[[Sequence[T]], Tensor], items: Sequence[T], *, size: int, device: torch.device, name: str
) -> Tensor:
    """Return the features of items, computed ``size`` at a time: float32 [b, d], on the CPU, fit for autograd.

    Raises:
        InputError: a feature is infinite or not a number.
    """
    with inference(device):
        rows = [compute(items[start : start + size]).float().cpu() for start in range(0, len(items), size)]
    features = torch.cat(rows)  # outside of inference mode
    finite = features.isfinite().all(1)
    if not bool(finite.all()):
        raise InputError(
            f"{name} gives features that are not finite for {int((~finite).sum())} of {len(items)} items; its weights "
            "are damaged."
        )
    return features


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    # torch says in its first line which class of network it is, and in the second what does not fit
    text = " ".join(lines[:2]) if lines and lines[0].endswith(":") else lines[0] if lines else ""
    return shorten(text.split(". ")[0], 200, placeholder=" ...").rstrip(".") or type(error).__name__
