"""One number for the content of plain values, and of arrays."""

import hashlib
import json
from typing import Any

import torch

from pointwise._types import Column
from pointwise.tables.columns import bytes_of


def sha256_of(*values: Any) -> str:
    """Return the SHA-256 of values that can be written as JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def sha256_of_array(array: Column | torch.Tensor) -> str:
    """Return the SHA-256 of the type, the shape and the bytes of an array, equal for NumPy and torch."""
    digest = hashlib.sha256(f"torch.{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}".encode())
    if isinstance(array, torch.Tensor):
        array = array.cpu().reshape(-1).view(torch.uint8).numpy()
    digest.update(bytes_of(array))
    return digest.hexdigest()
