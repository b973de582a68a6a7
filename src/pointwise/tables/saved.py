"""Fitted things on disk: named arrays and a few words about them in one .safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pointwise._files import atomic_write
from pointwise.errors import InputError

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


def save_arrays(path: str | Path, arrays: Arrays, *, kind: str, words: Mapping[str, str]) -> None:
    """Write arrays and words to a .safetensors file that says what kind of thing it holds, whole or not at all.

    Raises:
        InputError: the path cannot be written.
    """
    from safetensors.numpy import save

    # It copies raw memory whatever the strides say, so views must be made whole first.
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(contiguous, metadata={"format": f"pointwise.{kind}/1", **words})
    with atomic_write(path) as file:
        file.write(content)


def load_arrays(path: str | Path, *, kind: str, called: str) -> tuple[Arrays, dict[str, str]]:
    """Read what `save_arrays` wrote for this kind of thing, which messages call so.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            words = dict(file.metadata() or {})
            if words.get("format") != f"pointwise.{kind}/1":
                raise InputError(f"{path} does not hold {called}: it was not saved as such by pointwise.")
            return {name: file.get_tensor(name) for name in file.keys()}, words
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as {called} ({error}); make and save it again.") from None
