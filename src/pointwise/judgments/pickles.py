"""Plain containers out of a pickle, and nothing that could run: for the one set that is published as pickles."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from pointwise.errors import InputError

# All that may be looked up while unpickling: containers and NumPy's arrays of numbers, none of which runs code.
_ALLOWED = {
    ("builtins", "list"),
    ("builtins", "dict"),
    ("builtins", "set"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}
_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError)


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_plain(path: Path) -> Any:
    """Return the lists, dicts, strings and numbers of a pickle.

    Raises:
        InputError: it cannot be read, is no pickle, or asks for anything else.
    """
    try:
        return _Plain(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except _BROKEN as error:
        raise InputError(
            f"{path} is not read: {error}. Only pickles of plain lists, dicts, strings and numbers are, as others can "
            "run code; write it again as such, where you trust it."
        ) from None
