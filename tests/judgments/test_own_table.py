"""Tables of one's own, in each of their formats."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pointwise.errors import InputError
from pointwise.judgments.own_table import read_own_table

COLUMNS = {
    "image": ["a.png", "a.png", "b.png", "c.png"],
    "text": ["one, two", 'a "dog"', "drei", "vier ä"],
    "ann": [1, 2, 4, 3],
    "bob": [2, None, 4, 5],
    "mid": [-1.5, 2.25, 1e3, 0.0],
    "length": [3, 1, 4, 1],
}


def write(path):
    names, rows = list(COLUMNS), list(zip(*COLUMNS.values(), strict=True))
    if path.suffix == ".parquet":
        pq.write_table(pa.table(COLUMNS), path)
    elif path.suffix == ".jsonl":
        lines = (json.dumps(dict(zip(names, row, strict=True))) for row in rows)
        path.write_text("\n".join([*lines, "", ""]), encoding="utf-8")
    else:
        mark = "\t" if path.suffix == ".tsv" else ","

        def cell(value):
            return "" if value is None else '"' + str(value).replace('"', '""') + '"'

        lines = [mark.join(names), *(mark.join(map(cell, row)) for row in rows)]
        path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_all_formats_hold_the_same(tmp_path, suffix):
    table = read_own_table(write(tmp_path / f"table{suffix}"), human=["ann", "bob"], group="image")
    np.testing.assert_array_equal(table.human, [[1, 2], [2, np.nan], [4, 4], [3, 5]])
    assert {name: values.tolist() for name, values in table.scores.items()} == {
        "mid": COLUMNS["mid"],
        "length": COLUMNS["length"],
    }
    assert table.groups == COLUMNS["image"]


def test_columns_that_are_asked_for(tmp_path):
    path = write(tmp_path / "table.csv")
    table = read_own_table(path, human=["ann"], metrics=["length"])
    assert list(table.scores) == ["length"]
    assert table.groups is None
    assert list(read_own_table(path, human=["ann"]).scores) == ["mid", "length"]  # bob has not rated all


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"human": ["anne"]},
            r"no column 'anne' \(did you mean 'ann'\?\); its columns are image, text, ann, bob, mid, ",
        ),
        ({"human": ["ann"], "metrics": ["mids"]}, r"no column 'mids' \(did you mean 'mid'\?\)"),
        ({"human": ["ann"], "group": "picture"}, r"no column 'picture'; its columns are"),
        ({"human": ["text"]}, r"column 'text' has 'one, two' in row 0; it must hold numbers"),
        ({"human": ["ann"], "metrics": ["bob"]}, r"column 'bob' has '' in row 1; it must hold numbers"),
        ({"human": ["ann", "mid", "length"]}, r"no column of numbers beside ann, mid, length; add one for each metric"),
    ],
)
def test_columns_that_are_not_there_or_no_numbers(tmp_path, options, match):
    with pytest.raises(InputError, match=match):
        read_own_table(write(tmp_path / "table.csv"), **options)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.txt", b"", r"a.txt has the suffix '.txt'; a table of ratings is one of .csv, .tsv, .jsonl, .parquet"),
        ("a.csv", b"", r"a.csv is empty; its first line must name the columns"),
        ("a.csv", b"x,y\n1,2\n3\n", r"line 3, has 1 cells; the first line names 2 columns"),
        ("a.csv", b"x,x\n1,2\n", r"two columns of one name; its columns are x, x"),
        ("a.csv", b'x,y\n"1,2\n', r"line 2, cannot be read: unexpected end of data"),
        ("a.csv", b"x,y\n1,\xe9\n", r"a.csv cannot be read: it is not UTF-8: line 2 has the byte 0xe9"),
        ("a.jsonl", b'{"x": 1}\n[1]\n', r"line 2, is not a JSON object; write one a line"),
        ("a.jsonl", b'{"x": 1}\n\n{"x": \n', r"line 3, is not a JSON object"),
        ("a.parquet", b"PAR1", r"a.parquet cannot be read as a .parquet file \("),
        ("a.csv", b"x,y\n1,true\n", r"no column of numbers beside x"),
    ],
)
def test_files_of_another_form(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_own_table(tmp_path / name, human=["x"])


def test_a_file_that_is_not_there(tmp_path):
    for name in ("gone.csv", "gone.parquet"):
        with pytest.raises(InputError, match=rf"{name} cannot be read"):
            read_own_table(tmp_path / name, human=["x"])
