"""Captions from tables: .csv, .tsv and .parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointwise.errors import InputError
from pointwise.items.caption_rows import Rows, decoded, find_columns, lines_of, nth
from pointwise.tables.columns import first_line

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
            try:
                columns = find_columns(names, text_column=text_column, id_column=id_column)
            except InputError as error:
                others = [f"{field.name!r} ({str(field.type)[:40]})" for field in schema if field.name not in names]
                raise InputError(
                    f"{error}{' Columns of other types are not looked at: ' * bool(others)}{', '.join(others)}"
                ) from None
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
        lines_of(text), delimiter=separator, quoting=csv.QUOTE_NONE if bars else csv.QUOTE_MINIMAL, strict=True
    )
    rows = _filled(reader, strip=bars)
    _, names = next(rows, (1, None))
    if names is None:
        raise InputError("it is empty; its first line must name the columns, such as: file_name,caption")
    columns = find_columns(names, text_column=text_column, id_column=id_column)
    text_at = names.index(columns.text)
    id_at = None if columns.id is None else names.index(columns.id)
    lines: list[int] = []  # that each row begins in
    texts: list[str] = []
    ids: list[str] = []
    bad: list[tuple[int, int]] = []  # line and number of cells
    for line, row in rows:
        if len(row) != len(names):
            bad.append((line, len(row)))
            continue
        lines.append(line)
        texts.append(row[text_at])
        if id_at is not None:
            ids.append(row[id_at])
    if bad:
        advice = "" if bars else f"put cells that hold {separator!r} in quotes, and "
        raise InputError(
            f"{len(bad)} of {len(lines) + len(bad)} rows have more or fewer cells than the header, which has "
            f"{len(names)} (first: line {bad[0][0]}, with {bad[0][1]}); {advice}write what is missing."
        )
    return Rows(None if id_at is None else ids, texts, lambda i: f"line {lines[i]}")


def _filled(reader: Any, *, strip: bool) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins in, and the row; blank lines at the end are left out."""
    blank: list[int] = []
    line = 1
    try:
        for row in reader:
            if row:
                yield from ((at, []) for at in blank)
                blank.clear()
                yield line, [cell.strip() for cell in row] if strip else row
            else:
                blank.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"line {line} cannot be read: {error}. A cell that holds a separator, a quote or a line end stands in "
            'quotes, with quotes in it doubled: "a ""big"" cat".'
        ) from None


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
    return bool(kinds.is_string(plain) or kinds.is_large_string(plain) or kinds.is_string_view(plain))
