"""Files of rows, .csv, .tsv, .jsonl, .json and .parquet: what columns they have, and the values of those asked for."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pointwise.errors import InputError, ordinal
from pointwise.tables.parquet import is_list, naming_damage, plain_kind
from pointwise.tables.text import decoded, lines_of, parse_json, shortened

if TYPE_CHECKING:
    import pyarrow as pa

Place: TypeAlias = Callable[[int], str]  # where row i is in the file, in words

# What a column may hold, as far as its file says; in files of text each may hold anything.
TEXT_KINDS = ("anything", "strings", "lists of strings", "integers")
KINDS = (*TEXT_KINDS, "other values")
_OTHER_SEPARATORS = "|\t;"


class Rows(NamedTuple):
    """The columns of a file of rows, none of which is read before it is asked for."""

    names: Sequence[str]  # of the columns in their order; some may be there twice
    kinds: Sequence[str]  # what each holds, one of `KINDS`; of pictures and the like their type in Parquet
    read: Callable[[Sequence[str]], tuple[list[list[Any]], Place]]  # values of columns, and places; the first of a name


def open_rows(path: Path) -> Rows:
    """Return the columns of a file of one of the suffixes in `READERS`; messages do not name the path."""
    return READERS[path.suffix.lower()](path)


def rows_of_objects(objects: Sequence[Any], place: Place) -> Rows:
    """Return the columns of objects as JSON has them, {column: value}; a value that is not there is None."""
    odd = next((i for i, item in enumerate(objects) if not isinstance(item, Mapping)), None)
    if odd is not None:
        raise InputError(
            f"{place(odd)} is {shortened(objects[odd])}; it must be an object such as "
            '{"file_name": "a.jpg", "caption": "a cat"}.'
        )
    names = list(dict.fromkeys(name for item in objects for name in item))

    def read(wanted: Sequence[str]) -> tuple[list[list[Any]], Place]:
        return [[item.get(name) for item in objects] for name in wanted], place

    return Rows(names, ["anything"] * len(names), read)


def nth(what: str) -> Place:
    """Return the place of row i in words: the 1st entry, the 2nd entry ..."""
    return lambda i: f"the {ordinal(i + 1)} {what}"


def _read_csv(path: Path) -> Rows:
    """A .csv: separated by commas, or by the one of ``|``, tab and ``;`` that its header has."""
    text = decoded(path.read_bytes())
    header = next((line for line in lines_of(text) if not line.isspace()), "")
    others = [separator for separator in _OTHER_SEPARATORS if separator in header]
    if "," in header or not others:
        return _rows_of_cells(text, ",")
    if len(others) > 1:
        header = header.rstrip("\r\n")
        raise InputError(
            f"its first line, {header[:80]!r}, has no comma but several other separators; separate its cells by commas."
        )
    return _rows_of_cells(text, others[0])


def _rows_of_cells(text: str, separator: str) -> Rows:
    _, header = next(_cells(text, separator), (1, []))
    if not header:
        raise InputError("it is empty; its first line must name the columns, such as: file_name,caption")
    names = [name.strip() for name in header]

    def read(wanted: Sequence[str]) -> tuple[list[list[Any]], Place]:
        lines: list[int] = []  # that each row begins in
        bad: list[tuple[int, int]] = []  # line and number of cells
        columns: list[list[Any]] = [[] for _ in wanted]  # of a row no other cell is kept
        places = [names.index(name) for name in wanted]
        for line, row in islice(_cells(text, separator), 1, None):
            if len(row) != len(names):
                bad.append((line, len(row)))
                continue
            lines.append(line)
            for column, i in zip(columns, places, strict=True):
                column.append(row[i])
        if bad:
            advice = "" if separator == "|" else f"put cells that hold {separator!r} in quotes, and "
            raise InputError(
                f"{len(bad)} of {len(lines) + len(bad)} rows have more or fewer cells than the header, which has "
                f"{len(names)} (first: line {bad[0][0]}, with {bad[0][1]}); {advice}write what is missing."
            )
        return columns, lambda i: f"line {lines[i]}"

    return Rows(names, ["anything"] * len(names), read)


def _cells(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins in, and the row; blank lines count where a single column may have empty cells."""
    bars = separator == "|"  # where quotes mean nothing, and the blanks around a cell go
    reader = csv.reader(
        lines_of(text), delimiter=separator, quoting=csv.QUOTE_NONE if bars else csv.QUOTE_MINIMAL, strict=True
    )
    blank: list[int] = []
    line, width = 1, 0
    try:
        for row in reader:
            if row:
                yield from ((at, []) for at in blank)
                blank.clear()
                width = width or len(row)
                yield line, [cell.strip() for cell in row] if bars else row
            elif width == 1:
                blank.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"line {line} cannot be read: {error}. A cell that holds a separator, a quote or a line end stands in "
            'quotes, with quotes in it doubled: "a ""big"" cat".'
        ) from None


def _read_jsonl(path: Path) -> Rows:
    """A .jsonl: one object a line, blank lines left out."""
    objects, lines = [], []
    for line, text in enumerate(lines_of(decoded(path.read_bytes()), ends="\n"), start=1):
        if not text.isspace():
            objects.append(parse_json(text.removesuffix("\n"), first_line=line))
            lines.append(line)
    if not objects:
        raise InputError('it is empty; write one object a line, such as {"file_name": "a.jpg", "caption": "a cat"}.')
    return rows_of_objects(objects, lambda i: f"line {lines[i]}")


def _read_json(path: Path) -> Rows:
    """A .json: a list of objects."""
    content = parse_json(decoded(path.read_bytes()))
    if not content or not isinstance(content, list):
        raise InputError(f"it holds {shortened(content)}; it must hold a list of objects, one a row.")
    return rows_of_objects(content, nth("entry"))


def _read_parquet(path: Path) -> Rows:
    """A .parquet file, or a folder of them."""
    import pyarrow.parquet as pq

    with naming_damage():
        dataset = pq.ParquetDataset(path)
        names, kinds = dataset.schema.names, [_kind(field.type) for field in dataset.schema]

    def read(wanted: Sequence[str]) -> tuple[list[list[Any]], Place]:
        with naming_damage():
            table = dataset.read(columns=list(wanted))
            return [table[name].to_pylist() for name in wanted], nth("row")

    return Rows(names, kinds, read)


def _kind(type_: pa.DataType) -> str:
    import pyarrow.types as kinds

    if (plain := plain_kind(type_)) is not None:
        return plain
    if is_list(type_):
        return "lists of strings" if plain_kind(type_.value_type) == "strings" else str(type_)
    holds_bytes = kinds.is_binary(type_) or kinds.is_large_binary(type_) or kinds.is_fixed_size_binary(type_)
    return str(type_) if holds_bytes or kinds.is_nested(type_) else "other values"


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".csv": _read_csv,
    ".tsv": lambda path: _rows_of_cells(decoded(path.read_bytes()), "\t"),
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
}
