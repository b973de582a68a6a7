"""Tables as .parquet, one file or a folder of shards: the form that pandas, polars and DuckDB read too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from pointwise._types import Column
from pointwise.errors import InputError, first_line
from pointwise.tables.columns import FOR_IMAGES, Columns, meta_from_json

if TYPE_CHECKING:
    import pyarrow as pa

_NAMES = {"ids": "id", "modes": "mode", "captions": "caption", "features": "features", "text": "text"}
_MATRICES = ("features", "text")
_META = b"pointwise.meta"
_ROW_GROUP_BYTES = 1 << 27  # large enough to read fast, small enough to hold a few
_ROW_GROUP_ROWS = 1 << 17
_BATCH_ROWS = 1 << 14


class _Shard(NamedTuple):
    path: Path
    place: str  # with which messages begin
    rows: int
    types: dict[str, str]  # of the columns that a table has
    meta: dict[str, Any]


def read(path: Path) -> Columns:
    """Return the columns of a .parquet file, or of all in a folder in the order of their names."""
    if not path.is_dir():
        return _read([_open(path, "")])
    shards = [each for each in sorted(path.iterdir()) if each.suffix.lower() == ".parquet" and each.name[0] not in "._"]
    if not shards:
        raise InputError(f"the folder holds no .parquet files. {FOR_IMAGES}")
    return _read([_open(shard, f"in {shard.name}, ") for shard in shards])


def write(columns: Columns, file: BinaryIO) -> None:
    """Write every column as .parquet: id, mode, caption, features and text (fixed-size lists); meta with the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays: dict[str, Column] = {name: columns[name] for name in _NAMES if name in columns}
    plain = [_NAMES[name] for name in arrays if name not in _MATRICES]
    bytes_a_row = sum(array.itemsize * array.shape[1] for array in arrays.values() if array.ndim == 2)
    step = max(1, min(_ROW_GROUP_ROWS, _ROW_GROUP_BYTES // bytes_a_row))
    schema = pa.schema(
        [(_NAMES[name], _to_arrow(name, array[:0]).type) for name, array in arrays.items()],
        metadata={_META: json.dumps(columns["meta"])} if "meta" in columns else None,
    )
    with pq.ParquetWriter(file, schema, use_dictionary=plain, write_statistics=plain) as writer:
        for start in range(0, max(1, len(arrays["features"])), step):
            parts = [_to_arrow(name, array[start : start + step]) for name, array in arrays.items()]
            writer.write_table(pa.table(parts, schema=schema), row_group_size=step)


def _to_arrow(name: str, array: Column) -> pa.Array:
    import pyarrow as pa

    if array.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    try:
        return pa.array(array.tolist(), type=pa.string() if array.dtype.kind == "U" else pa.int64())
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} holds {error.object!r}, which is not valid Unicode and cannot be kept in .parquet; write .npz."
        ) from None


def _read(shards: list[_Shard]) -> Columns:
    import pyarrow.parquet as pq

    first = shards[0]
    for shard in shards[1:]:
        if shard.types != first.types:
            raise InputError(
                f"its shards differ: {first.path.name} has {_listed(first.types)}, but {shard.path.name} has "
                f"{_listed(shard.types)}; all must have the same columns, types and dimensions."
            )
    rows = sum(shard.rows for shard in shards)
    columns: Columns = {}  # filled batch by batch, so that the table is not there twice
    begin = 0
    for shard in shards:
        at = 0
        with naming_damage(shard.place), pq.ParquetFile(shard.path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[_NAMES[name] for name in first.types]):
                for name in first.types if 0 < len(batch) <= shard.rows - at else ():
                    column = batch.column(_NAMES[name])
                    _refuse_nulls(column, name, at, 1)
                    if name in _MATRICES:
                        _put(column, name, columns, row=at, begin=begin, rows=rows)
                    else:
                        columns.setdefault(name, []).extend(column.to_pylist())
                at += len(batch)
            if at != shard.rows:
                raise InputError(f"it is damaged: it announces {shard.rows} rows and holds others.")
        begin += at
    shared = {key: value for key, value in first.meta.items() if all(shard.meta.get(key) == value for shard in shards)}
    if rows == 0:
        columns = {name: _nothing(name, kind) for name, kind in first.types.items()}
    return columns | {"meta": shared}


def _put(lists: pa.Array, name: str, columns: Columns, *, row: int, begin: int, rows: int) -> None:
    """Put lists, which begin at a row of their shard, where they belong among all the rows of the table."""
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    width = columns[name].shape[1] if name in columns else int(lengths[0])
    odd = np.flatnonzero(lengths != width)
    if len(odd) and odd[0] == 0:
        raise InputError(
            f"column {name} has lists of {lengths[0]} values where those before have {width}; all must be equally long."
        )
    if len(odd):
        raise InputError(
            f"column {name} has a list of {lengths[odd[0]]} values in row {row + odd[0]}, and of {width} before; "
            "all must be equally long."
        )
    flat = lists.flatten()
    _refuse_nulls(flat, name, row, width)
    values = flat.to_numpy().reshape(len(lists), width)
    if name not in columns:
        columns[name] = np.empty((rows, width), dtype=values.dtype)
    columns[name][begin + row : begin + row + len(values)] = values


def _nothing(name: str, kind: str) -> Any:
    """A column of no rows."""
    dtype, _, width = kind.removesuffix("]").partition("[")
    if name not in _MATRICES:
        return np.empty(0, dtype=np.int64) if kind == "integers" else []
    if not width:
        raise InputError(f"it has no rows, and {name} are lists without a fixed size: their dimension is not known.")
    return np.empty((0, int(width)), dtype=dtype)


@contextmanager
def naming_damage(where: str = "") -> Iterator[None]:
    """Say what is wrong with a file in a sentence that begins with the place."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except InputError as error:
        raise InputError(f"{where}{error}") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = first_line(error)
        raise InputError(f"{where}it is cut short or not a .parquet file ({why}); write it again.") from None


def _open(path: Path, place: str) -> _Shard:
    """Read what the file says of itself: rows, types, meta."""
    import pyarrow.parquet as pq

    with naming_damage(place):
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            held = sum(file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups))
        names = schema.names
        twice = sorted({name for name in names if names.count(name) > 1 and name in _NAMES.values()})
        if twice:
            raise InputError(f"it has column {twice[0]} {names.count(twice[0])} times; keep one.")
        if "features" not in names:
            raise InputError(
                f"it has no column features; it has {', '.join(names) or 'none'}. "
                "Give it a column features of lists of numbers, all equally long."
            )
        types = {name: _kind(schema.field(column).type, column) for name, column in _NAMES.items() if column in names}
        if rows != held:
            raise InputError(f"it is damaged: it announces {rows} rows and its row groups hold {held}.")
        meta = (schema.metadata or {}).get(_META)
        return _Shard(path, place, rows, types, {} if meta is None else meta_from_json(meta))


def _kind(type_: pa.DataType, column: str) -> str:
    """The type of a column in words in which shards are compared: float[64], float[], integers, strings."""
    import pyarrow.types as kinds

    if column in _MATRICES:
        if is_list(type_) and (kinds.is_floating(type_.value_type) or kinds.is_integer(type_.value_type)):
            return f"{np.dtype(type_.value_type.to_pandas_dtype())}[{getattr(type_, 'list_size', '')}]"
        raise InputError(
            f"column {column} has type {type_}; it must hold lists of numbers; rename it if it is something else."
        )
    if (kind := plain_kind(type_)) is None:
        raise InputError(f"column {column} has type {type_}; it must hold integers or strings.")
    return kind


def is_list(type_: pa.DataType) -> bool:
    """Say whether a type is one of the kinds of lists that Arrow has."""
    import pyarrow as pa

    return isinstance(type_, pa.ListType | pa.LargeListType | pa.FixedSizeListType)


def plain_kind(type_: pa.DataType) -> Literal["strings", "integers"] | None:
    """Return whether a type, or what a dictionary stands for, is one of strings or of integers, None if of others."""
    import pyarrow as pa

    plain = type_.value_type if isinstance(type_, pa.DictionaryType) else type_
    if plain in (pa.string(), pa.large_string(), pa.string_view()):
        return "strings"
    return "integers" if pa.types.is_integer(plain) else None


def _refuse_nulls(values: pa.Array, name: str, start: int, per_row: int) -> None:
    if values.null_count:
        row = start + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]) // per_row
        raise InputError(
            f"column {_NAMES[name]} has no value (null) in row {row}; fill in or drop the rows without one."
        )


def _listed(types: dict[str, str]) -> str:
    return ", ".join(f"{_NAMES[name]} {kind}" for name, kind in types.items())
