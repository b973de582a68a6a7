"""Tables as .pt, which torch.save writes: read only, and nothing of it is run."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

from pointwise.errors import InputError, first_line
from pointwise.tables.columns import Columns, find_columns, refuse_images

_DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError)


def read(path: Path) -> Columns:
    """Return the columns of a file that torch.save wrote: a tensor of features, or a dict of columns."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            "it holds Python objects other than tensors, numbers, strings, lists and dicts; these can run code, "
            "so it is not read. Save the tensor alone, or a dict of tensors and lists."
        ) from None
    except _DAMAGE as error:
        raise InputError(f"it is cut short or no file of torch.save ({first_line(error)}); write it again.") from None
    if isinstance(held, torch.Tensor):
        held = {"features": held}
    if not isinstance(held, Mapping):
        raise InputError(
            f"it holds a {type(held).__name__}; it must hold a tensor [n, d], or a dict with features and, "
            "as far as known, text, ids, modes, captions and meta."
        )
    named = {str(key): value for key, value in held.items()}
    one = {name: [len(column)] for name, column in named.items() if isinstance(column, list | tuple)}
    shapes = {name: tuple(getattr(column, "shape", one.get(name, []))) for name, column in named.items()}
    keys = find_columns(shapes)
    columns = {column: named[key] for column, key in keys.items()}
    refuse_images(shapes[keys["features"]], getattr(columns["features"], "dtype", None))
    if not isinstance(columns.get("meta", {}), Mapping):
        raise InputError(f"its meta is a {type(columns['meta']).__name__}; it must be a dict.")
    return columns
