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
    elif path.suffix == ".json":
        path.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
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


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_all_formats_hold_the_same(tmp_path, suffix):
    table = read_own_table(write(tmp_path / f"table{suffix}"), human=["ann", "bob"], group="image")
    np.testing.assert_array_equal(table.human, [[1, 2], [2, np.nan], [4, 4], [3, 5]])
    assert {name: values.tolist() for name, values in table.scores.items()} == {
        "mid": COLUMNS["mid"],
        "length": COLUMNS["length"],
    }
    assert table.groups == COLUMNS["image"]


def test_blank_lines_are_no_rows_and_semicolons_may_separate(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\nx; mid\n\n1;2\n\n2;4\n\n")
    table = read_own_table(path, human=["x"])
    assert (table.human.tolist(), table.scores["mid"].tolist()) == ([[1], [2]], [2, 4])


def test_shards_of_parquet_are_one_table(tmp_path):
    (tmp_path / "a.parquet").mkdir()
    for i in range(2):
        pq.write_table(pa.table({"x": [i], "mid": [0.5 - i]}), tmp_path / "a.parquet" / f"part-{i}.parquet")
    assert read_own_table(tmp_path / "a.parquet", human=["x"]).scores["mid"].tolist() == [0.5, -0.5]


def test_numbers_beyond_floats_are_none(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": 1, "mid": 1' + "0" * 400 + '}\n{"x": 2, "mid": 2}')
    with pytest.raises(InputError, match=r"no column of numbers beside x.* 1 of its 2 rows hold no number"):
        read_own_table(path, human=["x"])


def test_columns_that_are_asked_for(tmp_path):
    path = write(tmp_path / "table.csv")
    table = read_own_table(path, human=["ann"], metrics=["length"])
    assert list(table.scores) == ["length"]
    assert table.groups is None
    assert table.left_out == ()
    all_others = read_own_table(path, human=["ann"])
    assert list(all_others.scores) == ["mid", "length"]
    assert all_others.left_out == (
        f"column 'bob' of {path} is left out: 1 of its 4 rows hold no number, the first is row 1 ('').",
    )
    twice = read_own_table(path, human=["ann", "ann"], metrics=["mid", "mid"])
    assert (twice.human.shape, list(twice.scores)) == ((4, 1), ["mid"])


def test_a_column_of_one_number_is_no_metric(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,seed,mid\n1,0,2\n2,0,3\n3,0,1\n")
    table = read_own_table(path, human=["x"])
    assert list(table.scores) == ["mid"]
    assert table.left_out == (f"column 'seed' of {path} is left out: it is 0 in all 3 rows.",)
    assert list(read_own_table(path, human=["x"], metrics=["seed"]).scores) == ["seed"]  # as asked for


def test_pictures_in_a_table_are_not_read(tmp_path):
    path = tmp_path / "a.parquet"
    pictures = {"bytes": [b"1.5", b"2"], "image": [{"bytes": b"1", "path": "a.png"}, {"bytes": b"2", "path": "b.png"}]}
    pq.write_table(pa.table({"x": [1, 2], "mid": [0.5, 1.5], **pictures}), path)
    assert list(read_own_table(path, human=["x"]).scores) == ["mid"]
    with pytest.raises(InputError, match=r"no column 'bytes'.*its columns are x, mid\."):
        read_own_table(path, human=["x"], metrics=["bytes"])
    table = pa.Table.from_arrays([pa.array([1, 2])] * 3, names=["x", "y", "y"])
    pq.write_table(table, path)
    with pytest.raises(InputError, match=r"two columns of one name; its columns are x, y, y"):
        read_own_table(path, human=["x"])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"human": ["anne"]},
            r"no column 'anne' \(did you mean 'ann'\?\); its columns are image, text, ann, bob, mid, ",
        ),
        ({"human": ["ann"], "metrics": ["mids"]}, r"no column 'mids' \(did you mean 'mid'\?\)"),
        ({"human": ["ann"], "group": "picture"}, r"no column 'picture'; its columns are"),
        (
            {"human": ["ann"], "group": "bob"},
            r"column 'bob' is empty in 1 of 4 rows, the first is row 1; name the group",
        ),
        ({"human": []}, r"no column of ratings is named; give one for each rater"),
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
        ("a.txt", b"", r"a.txt has the suffix '.txt'; a table of ratings is one of .csv, .tsv, .parquet, .json"),
        ("a.csv", b"", r"a.csv cannot be read: it is empty; its first line must name the columns"),
        ("a.csv", b"x,y\n1,2\n3\n", r"1 of 2 rows have .* than the header, which has 2 \(first: line 3, with 1\)"),
        ("a.csv", b"x,x\n1,2\n", r"two columns of one name; its columns are x, x"),
        ("a.csv", b'x,y\n"1,2\n', r"line 2 cannot be read: unexpected end of data"),
        ("a.csv", b"x,y\n1,\xe9\n", r"a.csv cannot be read: it is not UTF-8: line 2 has the byte 0xe9"),
        ("a.jsonl", b'{"x": 1}\n[1]\n', r"line 2 is \[1\] of type list; it must be an object"),
        ("a.jsonl", b'{"x": 1}\n\n{"x": \n', r"line 3 is not JSON \(Expecting value"),
        ("a.parquet", b"PAR1", r"a.parquet cannot be read: it is cut short or not a .parquet file \("),
        ("a.csv", b"x,y\n1,true\n", r"no column of numbers beside x; add one for each metric\.$"),
        ("a.csv", b"x,y\n1,2\n2,nan\n", r"beside x; add .* \(column 'y' .* 1 of its 2 rows hold no number, .* row 1 "),
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
