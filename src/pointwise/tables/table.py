"""FeatureTable: the rows that are measured, and what is known of each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from pointwise._arrays import as_column, as_features
from pointwise._files import reading
from pointwise._types import Array, Column, Integers
from pointwise.errors import InputError
from pointwise.tables import formats
from pointwise.tables.columns import Columns
from pointwise.tables.digest import sha256_of_array

_COLUMNS = ("features", "text", "ids", "modes", "captions")


@dataclass(frozen=True, eq=False, repr=False)
class FeatureTable:
    """One row per sample: its features, and optionally its condition, id, mode and caption.

    Args:
        features: [n, d], the embedding of each sample. NumPy, torch or anything with ``__dlpack__``;
            float16, float32 and float64 are kept as they are. Not copied: do not write to the array afterwards.
        text: [n, e], the embedding of the condition (a prompt, say) that each row was made from or belongs to.
        ids: n integers or strings that name the rows.
        modes: n integers or strings: the class, cluster or group of each row.
        captions: n strings.
        meta: what is known of the whole table (encoder, preprocessing, source); must be writable as JSON.

    Raises:
        InputError: a column has another length, features are not a finite numeric 2-D array.

    >>> import numpy as np
    >>> table = FeatureTable(np.eye(3), modes=["a", "b", "b"])
    >>> len(table), table.dim, len(table[table.modes == "b"])
    (3, 3, 2)
    """

    features: torch.Tensor
    _: KW_ONLY
    text: torch.Tensor | None = None
    ids: Column | None = None
    modes: Column | None = None
    captions: Column | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        features = as_features(self.features)
        n = len(features)
        fill: dict[str, Any] = {"features": features, "meta": _as_meta(self.meta)}
        if self.text is not None:
            text = fill["text"] = as_features(self.text, name="text")
            if len(text) != n:
                raise InputError(f"text has {len(text)} rows but features has {n}; give one text row per sample.")
        for name in ("ids", "modes", "captions"):
            column = getattr(self, name)
            if column is not None:
                fill[name] = as_column(column, name=name, length=n)
                fill[name].flags.writeable = False
        if "captions" in fill and fill["captions"].dtype.kind != "U":
            raise InputError(f"captions holds integers ({fill['captions'][0]} in row 0); it must hold strings.")
        for name, value in fill.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def dim(self) -> int:
        """Number of feature columns, d."""
        return self.features.shape[1]

    def __getitem__(self, rows: Array | slice | Sequence[int]) -> FeatureTable:
        """Return the rows chosen by a boolean mask of length n, by indices, or by a slice, in that order."""
        chosen = self._positions(rows)
        index = torch.from_numpy(chosen).to(self.features.device)
        columns = self._columns()
        for name, column in columns.items():
            columns[name] = column[index if isinstance(column, torch.Tensor) else chosen]
        return _of_checked(columns, self.meta)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the features (type, shape, bytes), equal for equal features from anywhere."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return sha256_of_array(self.features)

    @cached_property
    def text_fingerprint(self) -> str | None:
        """The SHA-256 of the text features, None where there are none."""
        return None if self.text is None else sha256_of_array(self.text)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table to a .npy, .npz, .safetensors or .parquet file, whole or not at all (see `load`).

        Raises:
            InputError: the suffix is not one of these, the format cannot hold a column, or the path cannot be written.
        """
        arrays = {
            name: column.cpu().numpy() if isinstance(column, torch.Tensor) else column
            for name, column in self._columns().items()
        }
        formats.write(arrays | ({"meta": dict(self.meta)} if self.meta else {}), path)

    def __reduce__(self) -> tuple[Any, ...]:
        columns = self._columns()
        features = columns.pop("features")
        return partial(FeatureTable, meta=dict(self.meta), **columns), (features,)  # a mapping proxy is not pickled

    def __repr__(self) -> str:
        parts = [f"{len(self)} x {self.dim} {str(self.features.dtype).removeprefix('torch.')}"]
        if self.modes is not None:
            parts.append(f"{len(np.unique(self.modes))} modes")
        if self.text is not None:
            parts.append(f"text {self.text.shape[1]}")
        parts += [name for name in ("ids", "captions") if getattr(self, name) is not None]
        return f"FeatureTable({', '.join(parts)})"

    def _columns(self) -> Columns:
        """The columns that are there, meta aside."""
        return {name: column for name in _COLUMNS if (column := getattr(self, name)) is not None}

    def _positions(self, rows: Array | slice | Sequence[int]) -> Integers:
        n = len(self)
        if isinstance(rows, slice):
            return np.arange(n)[rows].copy()  # torch takes no negative strides
        chosen = np.asarray(rows.cpu() if isinstance(rows, torch.Tensor) else rows)
        if chosen.ndim != 1:
            raise InputError(
                f"rows are chosen by a 1-D mask, indices or a slice; got shape {chosen.shape}. "
                "For a single row i write table[i : i + 1]."
            )
        if chosen.dtype == bool:
            if len(chosen) != n:
                raise InputError(f"the mask has {len(chosen)} entries but the table has {n} rows.")
            return np.flatnonzero(chosen)
        if len(chosen) and chosen.dtype.kind not in "iu":
            raise InputError(f"rows are chosen by booleans or integers; got {chosen.dtype}.")
        outside = chosen[(chosen < -n) | (chosen >= n)]
        if len(outside):
            raise InputError(f"row {outside[0]} does not exist: the table has {n} rows.")
        return np.arange(n)[chosen.astype(np.int64)]


def load(path: str | os.PathLike[str]) -> FeatureTable:
    """Read a table from a .npy, .npz, .safetensors, .parquet or .pt file, or from a folder of .parquet shards.

    ====================  ==========================================================================================
    .npy                  the features alone
    .npz                  arrays features, text, ids, modes, captions, and meta as a JSON string
    .safetensors          tensors of these names; strings as UTF-8 bytes and ends; meta as JSON in the header
    .parquet              columns features and text (lists), id, mode and caption; meta as JSON with the schema
    .pt                   a tensor of features, or a dict with these names
    ====================  ==========================================================================================

    In .npz, .safetensors and .pt files of others, ``labels`` are taken as modes, and the only 2-D array as features,
    where those names are missing. Other arrays and columns are left alone. The shards of a folder are read in the order
    of their names. A .safetensors file that was written by ``save`` is compared with its digests. Nothing is unpickled.

    Raises:
        InputError: nothing is there, the suffix is not one of these or not what the file is, the file is cut short or
            damaged, or what it holds is no table.

    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "real.npz"
    >>> FeatureTable(np.eye(3), modes=["a", "b", "b"], meta={"encoder": "identity"}).save(path)
    >>> load(path)
    FeatureTable(3 x 3 float64, 2 modes)
    """
    with reading(f"cannot load {path}"):
        columns = formats.read(Path(path))
        fingerprint = columns.pop("fingerprint", None)
        table = FeatureTable(**columns)
    if fingerprint is not None:  # the features were just compared with it
        vars(table)["_fingerprint"] = fingerprint
    return table


def as_table(x: FeatureTable | Array, *, name: str = "features") -> FeatureTable:
    """Return x itself if it is a table, else the table with the array x as features."""
    return x if isinstance(x, FeatureTable) else _of_checked({"features": as_features(x, name=name)}, _as_meta(None))


def concat(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Return the rows of all tables, one after the other; meta is kept where all agree.

    Raises:
        InputError: no tables, different numbers of columns, or a column that only some of them carry.

    >>> import numpy as np
    >>> len(concat([FeatureTable(np.eye(3)), FeatureTable(np.ones((2, 3)))]))
    5
    """
    tables = list(tables)
    if not tables:
        raise InputError("concat got no tables; give it a list of at least one.")
    columns: Columns = {}
    for name in _COLUMNS:
        parts = [getattr(table, name) for table in tables]
        lacking = [i for i, part in enumerate(parts) if part is None]
        if len(lacking) == len(parts):
            continue
        if lacking:
            raise InputError(f"table {lacking[0]} has no {name} but others do; give {name} to all tables or to none.")
        if isinstance(parts[0], torch.Tensor):
            widths = [part.shape[1] for part in parts]
            if len(set(widths)) > 1:
                what = "feature" if name == "features" else name
                raise InputError(f"the tables have {widths} {what} columns; all must have the same number.")
            columns[name] = torch.cat(parts)
        else:
            if len({part.dtype.kind for part in parts}) > 1:
                raise InputError(f"{name} are integers in some tables and strings in others; use one of the two.")
            columns[name] = np.concatenate(parts)
    first = tables[0].meta
    shared = {key: value for key, value in first.items() if all(table.meta.get(key) == value for table in tables)}
    return _of_checked(columns, MappingProxyType(shared))


def _of_checked(columns: Columns, meta: Mapping[str, Any]) -> FeatureTable:
    """The table of what went through the checks before."""
    table = object.__new__(FeatureTable)
    for name, value in {**dict.fromkeys(_COLUMNS), **columns, "meta": meta}.items():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        object.__setattr__(table, name, value)
    return table


def _as_meta(meta: Mapping[str, Any] | None) -> Mapping[str, Any]:
    try:
        return MappingProxyType(json.loads(json.dumps(dict(meta or {}), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"meta must be writable as JSON ({error}); keep plain strings, numbers, lists and dicts in it."
        ) from None
