"""One number for the content of plain values, and of arrays."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pointwise._types import Column


def sha256_of(*values: Any) -> str:
    """Return the SHA-256 of values that can be written as JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def sha256_of_array(array: Column) -> str:
    """Return the SHA-256 of the type, the shape and the bytes of an array."""
    digest = hashlib.sha256(f"torch.{array.dtype} {array.shape}".encode())  # the prefix is part of what was published
    digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()
