"""Captions from tables: .csv, .tsv and .parquet."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointwise.data.caption_rows import Rows, decoded, find_columns, nth
from pointwise.data.columns import first_line
from pointwise.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_OTHER_SEPARATORS = "|\t;"


def read_csv(path: Path, *, text_column: str | None, id_column: str | None) -> Rows:
    """Return the rows of a .csv: separated by commas, or by the one of ``|``, tab and ``;`` that its header has.

    Cells in quotes may hold separators and line ends, quotes being doubled. Where ``|`` separates, quotes mean
    nothing and the blanks around a cell go.
    """
    text = decoded(path.read_bytes())
    header = text[: min(filter(lambda at: at >= 0, (text.find("\n"), text.find("\r"))), default=len(text))]
    others = [separator for separator in _OTHER_SEPARATORS if separator in header]
    if "," in header or not others:
        return _read(text, ",", text_column=text_column, id_column=id_column)
    if len(others) > 1:
        raise InputError(
            f"its first line, {header[:80]!r}, has no comma but several other separators; separate its cells by commas."
        )
    return _read(text, others[0], text_column=text_column, id_column=id_column)


def read_tsv(path: Path, *, text_column: str | None, id_column: str | None) -> Rows:
    """Return the rows of a .tsv: a .csv that tabs separate."""
    return _read(decoded(path.read_bytes()), "\t", text_column=text_column, id_column=id_column)


def read_parquet(path: Path, *, text_column: str | None, id_column: str | None) -> Rows:
    """Return the rows of a .parquet file.

    Only columns of strings, lists of strings and integers are looked at; pictures beside them are not read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            names = [field.name for field in schema if _may_hold_captions(field.type) or _may_hold_ids(field.type)]
            columns = find_columns(names, text_column=text_column, id_column=id_column)
            for name, fits, kind in (
                (columns.text, _may_hold_captions, "strings or lists of strings"),
                (columns.id, _may_hold_ids, "strings or integers"),
            ):
                if name is not None and not fits(schema.field(name).type):
                    raise InputError(f"column {name!r} has type {schema.field(name).type}; it must hold {kind}.")
            table = file.read(columns=[name for name in columns if name is not None])
        ids = None if columns.id is None else _values(table[columns.id])
        return Rows(ids, _values(table[columns.text]), nth("row"))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"it is cut short or not a .parquet file ({first_line(error)}); write it again.") from None


def _read(text: str, separator: str, *, text_column: str | None, id_column: str | None) -> Rows:
    bars = separator == "|"
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if bars else csv.QUOTE_MINIMAL,
        strict=True,
    )
    lines: list[int] = []  # that each row begins in
    rows: list[list[str]] = []
    line = 1
    try:
        for row in reader:
            lines.append(line)
            rows.append([cell.strip() for cell in row] if bars else row)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"line {line} cannot be read: {error}. A cell that holds a separator, a quote or a line end stands in "
            'quotes, with quotes in it doubled: "a ""big"" cat".'
        ) from None
    while rows and not rows[-1]:  # blank lines at the end
        rows.pop()
    if not rows:
        raise InputError("it is empty; its first line must name the columns, such as: file_name,caption")
    names = rows.pop(0)
    del lines[0]
    columns = find_columns(names, text_column=text_column, id_column=id_column)
    bad = [i for i, row in enumerate(rows) if len(row) != len(names)]
    if bad:
        raise InputError(
            f"{len(bad)} of {len(rows)} rows have more or fewer cells than the header, which has {len(names)} "
            f"(first: line {lines[bad[0]]}, with {len(rows[bad[0]])}); put cells that hold {separator!r} in quotes, "
            "and write what is missing."
        )
    text_at = names.index(columns.text)
    id_at = None if columns.id is None else names.index(columns.id)
    ids = None if id_at is None else [row[id_at] for row in rows]
    return Rows(ids, [row[text_at] for row in rows], lambda i: f"line {lines[i]}")


def _values(column: pa.ChunkedArray) -> list[Any]:
    return [value for chunk in column.chunks for value in chunk.to_pylist()]


def _may_hold_captions(type_: pa.DataType) -> bool:
    import pyarrow.types as kinds

    lists = kinds.is_list(type_) or kinds.is_large_list(type_) or kinds.is_fixed_size_list(type_)
    return _is_string(type_.value_type if lists else type_)


def _may_hold_ids(type_: pa.DataType) -> bool:
    import pyarrow.types as kinds

    return _is_string(type_) or kinds.is_integer(type_)


def _is_string(type_: pa.DataType) -> bool:
    import pyarrow.types as kinds

    plain = type_.value_type if kinds.is_dictionary(type_) else type_
    return bool(kinds.is_string(plain) or kinds.is_large_string(plain))
