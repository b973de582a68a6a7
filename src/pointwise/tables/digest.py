"""One number for the content of plain values."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def sha256_of(*values: Any) -> str:
    """Return the SHA-256 of values that can be written as JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
