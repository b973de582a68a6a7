"""Plain containers out of a pickle, and nothing that could run: for the one set that is published as pickles."""

import io
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pointwise.errors import InputError
from pointwise.items.archives import DAMAGED

_PLAIN_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class _Kind:
    """What stands in for numpy.dtype: that of plain numbers alone.

    NumPy's own believes what a pickle says of where objects lie in memory, and takes their addresses out of the file.
    """

    def __init__(self, code: str, *_: object) -> None:
        if code not in _PLAIN_NUMBERS:
            raise pickle.UnpicklingError(f"it holds NumPy values of type {code!r}")
        self.type = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.type = self.type.newbyteorder(state[1])


class _Numbers(list[Any]):
    """What stands in for a NumPy array: its numbers as a flat list."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_, kind, _, data = state
        self[:] = np.frombuffer(data, kind.type).tolist()


# All that may be looked up while unpickling, by what it is taken for.
_ALLOWED = {
    **{("builtins", kind.__name__): kind for kind in (list, dict, set)},
    **{("collections", kind.__name__): kind for kind in (OrderedDict, defaultdict)},
    ("numpy", "ndarray"): _Numbers,
    ("numpy", "dtype"): _Kind,
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Numbers(),
    ("numpy._core.multiarray", "scalar"): lambda kind, data: np.frombuffer(data, kind.type).item(),
}


class _Plain(pickle._Unpickler):  # not the one in C, which takes as much memory as a damaged file asks for
    stack: list[Any]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((module.replace("numpy.core", "numpy._core"), name))
        if allowed is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], _Kind | _Numbers):
            raise pickle.UnpicklingError(f"it sets attributes of a {type(self.stack[-2]).__name__}")
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build


def read_plain(path: Path) -> Any:
    """Return the lists, dicts, strings and numbers of a pickle, refusing anything else; arrays come as flat lists."""
    try:
        return _Plain(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except (*DAMAGED, pickle.UnpicklingError, AttributeError, ImportError, MemoryError) as error:
        reason = str(error) or "it is damaged or cut short"
        raise InputError(
            f"{path} is not read: {reason}. Only pickles of plain lists, dicts, strings and numbers are, as others can "
            "run code; write it again as such, where you trust it."
        ) from None
