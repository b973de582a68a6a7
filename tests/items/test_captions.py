"""Captions come back as they were written, from every format, and what cannot be used is named by its place."""

import codecs
import csv
import io
import json
import os
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writers import write_files, write_tar, write_zip

from pointwise.errors import InputError
from pointwise.items.captions import Captions, read_captions
from pointwise.items.images import open_images
from pointwise.tables.text import lines_of

IDS = ("cat/b.jpg", "cat/a.jpg", "dog/c.png")
TEXTS = ("a cat", 'a "big" cat, asleep', "ein Hündchen")


# ---- writers: what other programs write, each in its plainest form


def write_csv(path, ids, texts, *, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("file_name", "caption"), *zip(ids, texts, strict=True)])


def write_tsv(path, ids, texts):
    write_csv(path, ids, texts, delimiter="\t")


def objects(ids, texts):
    return [{"file_name": id_, "caption": text} for id_, text in zip(ids, texts, strict=True)]


def write_jsonl(path, ids, texts):
    lines = [json.dumps(item, ensure_ascii=False) for item in objects(ids, texts)]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def write_json(path, ids, texts):
    path.write_text(json.dumps(objects(ids, texts)))


def coco(ids, texts):
    return {
        "info": {"year": 2017},
        "images": [{"id": 10 + i, "file_name": id_} for i, id_ in reversed(list(enumerate(ids)))],
        "annotations": [{"image_id": 10 + i, "id": 100 * i, "caption": text} for i, text in enumerate(texts)],
    }


def write_coco(path, ids, texts):
    path.write_text(json.dumps(coco(ids, texts)))


def write_parquet(path, ids, texts):
    pq.write_table(pa.table({"url": ["x"] * len(ids), "file_name": list(ids), "caption": list(texts)}), path)


TABLES = {
    "a.csv": write_csv,
    "a.tsv": write_tsv,
    "a.jsonl": write_jsonl,
    "a.ndjson": write_jsonl,
    "list.json": write_json,
    "coco.json": write_coco,
    "a.parquet": write_parquet,
}


@pytest.fixture(params=["folder", "a.zip", "a.tar", "a.tar.gz"])
def place(request, tmp_path):
    return tmp_path / request.param


def text_file(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        read_captions(path, **options)
    assert str(caught.value).startswith(f"cannot read captions from {path}: ")


# ---- what is written is read


@pytest.mark.parametrize("name", TABLES)
def test_every_table_gives_ids_and_texts_in_the_order_of_the_file(tmp_path, name):
    TABLES[name](tmp_path / name, IDS, TEXTS)
    captions = read_captions(tmp_path / name)
    assert captions.ids.tolist() == list(IDS)
    assert captions.texts == TEXTS
    assert captions.source == str(tmp_path / name)
    assert repr(captions) == f"Captions(3 from {tmp_path / name})"


def strings(**limits):
    awkward = st.sampled_from(
        ["\n", "\r\n", "\r", ",", "\t", "|", ";", '"', "'", "\\", "\u2028", "\x85", "\ufeff", "𝄞"]
    )
    parts = st.lists(awkward | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), **limits)
    return parts.map("".join).filter(lambda string: string.strip())


PAIRS = st.lists(st.tuples(strings(min_size=1, max_size=3), strings(min_size=1, max_size=6)), min_size=1, max_size=5)


# The folder is the same for every example: each file is written anew.
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(pairs=PAIRS)
@same_folder
def test_awkward_strings_come_back_from_tables(tmp_path, pairs):
    ids, texts = zip(*pairs, strict=True)
    for name, write in TABLES.items():
        write(tmp_path / name, ids, texts)
        captions = read_captions(tmp_path / name)
        assert captions.ids.tolist() == list(ids), name
        assert captions.texts == texts, name


@given(pairs=PAIRS)
@same_folder
def test_several_captions_of_an_image_come_back_from_coco(tmp_path, pairs):
    ids, texts = zip(*pairs, strict=True)
    annotations = [{"image_id": 10 + i % len(ids), "id": i, "caption": text} for i, text in enumerate(texts * 2)]
    (tmp_path / "coco.json").write_text(json.dumps(coco(ids, texts) | {"annotations": annotations}))
    captions = read_captions(tmp_path / "coco.json")
    assert captions.ids.tolist() == list(ids * 2)
    assert captions.texts == texts * 2


@given(texts=st.lists(strings(min_size=1, max_size=6), min_size=1, max_size=5))
@same_folder
def test_awkward_strings_come_back_from_texts_beside_images(tmp_path, texts):
    files = {f"{i}.txt": codecs.BOM_UTF8 + text.encode() for i, text in enumerate(texts)}
    assert read_captions(write_zip(tmp_path / "a.zip", files)).texts == tuple(text.strip() for text in texts)


@given(lines=st.lists(strings(min_size=1, max_size=6).map(lambda text: " ".join(text.splitlines())), min_size=1))
@same_folder
def test_awkward_lines_come_back_from_a_text_file(tmp_path, lines):
    lines = [line for line in lines if line.strip()] or ["one"]
    captions = read_captions(text_file(tmp_path / "a.txt", "\r\n".join(["first", *lines]) + "\n\n"))
    assert captions.ids is None
    assert captions.texts == ("first", *lines)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "caption\nHündchen\n"),
        ("a.tsv", "caption\nHündchen\n"),
        ("a.jsonl", '{"caption": "Hündchen"}'),
        ("a.json", '[{"caption": "Hündchen"}]'),
        ("a.txt", "Hündchen\n"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, mark, name, content):
    captions = read_captions(text_file(tmp_path / name, mark + content.encode()))
    assert captions.texts == ("Hündchen",)
    assert captions.ids is None
    assert "without ids" in repr(captions)


# ---- which column is which


@pytest.mark.parametrize(
    ("header", "id_", "text"),
    [
        ("caption,image", 1, 0),
        ("File Name,Prompt", 0, 1),
        ("id,image_id,caption", 1, 2),
        ("id,image_id,path,sentence", 2, 3),
        ("key,url,title", 0, 2),
        ("id,text,seed", 0, 1),
        ("Unnamed: 0,image_path,comment", 1, 2),
    ],
)
def test_columns_are_found_by_their_names(tmp_path, header, id_, text):
    cells = [f"cell {i}" for i in range(header.count(",") + 1)]
    captions = read_captions(text_file(tmp_path / "a.csv", f"{header}\n{','.join(cells)}\n"))
    assert (captions.ids.tolist(), captions.texts) == ([cells[id_]], (cells[text],))


def test_columns_may_be_asked_for(tmp_path):
    path = text_file(tmp_path / "a.csv", "caption,title,img,file\na,b,c,d\n")
    captions = read_captions(path, text_column="title", id_column="img")
    assert (captions.ids.tolist(), captions.texts) == (["c"], ("b",))
    refused(path, r"id_column is 'nowhere', a column that is not there; the columns are 'caption', 'title', 'img', 'f",
            text_column="title", id_column="nowhere")  # fmt: skip
    path = text_file(tmp_path / "b.csv", "a,a,b\n1,2,3\n")
    refused(path, r"text_column is 'a', a column that is 2 times; the columns are 'a', 'a', 'b'", text_column="a")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "image,words",
            r"no column of captions: the columns are 'image', 'words' .* Name one of them caption, .* comment",
        ),
        (
            "image,caption,text",
            r"columns 'caption' and 'text' may each hold the captions; keep one .* text_column='cap",
        ),
        ("image,caption,Caption", r"columns 'caption' and 'Caption' may each hold the captions"),
        (
            "seed,caption",
            r"which of its columns names the images is not known: the columns are 'seed', 'caption'\. Name",
        ),
        ("image,path,text", r"columns 'image' and 'path' may each name the images; .* id_column='image' in Python"),
        (",".join("abcdefghijklmn"), r"the columns are 'a', 'b', .*, 'l' and 2 more \(of"),
    ],
)
def test_columns_in_doubt_are_listed_with_what_to_say(tmp_path, header, message):
    refused(text_file(tmp_path / "a.csv", f"{header}\n"), message)


def test_sources_without_columns_refuse_a_choice(tmp_path):
    refused(text_file(tmp_path / "a.txt", "a"), r"no columns to choose from; only \.csv, \.tsv, ", text_column="a")
    refused(text_file(tmp_path / "a.json", '{"a.jpg": "b"}'), r"keys 'a\.jpg', which has no columns", id_column="a")


# ---- tables of characters


def test_flickr_files_with_bars_are_read(tmp_path):
    content = 'image_name| comment_number| comment\n1.jpg| 0| "Two" men , one "bald .\n1.jpg| 1| Two men .\n'
    captions = read_captions(text_file(tmp_path / "results.csv", content))
    assert captions.ids.tolist() == ["1.jpg", "1.jpg"]
    assert captions.texts == ('"Two" men , one "bald .', "Two men .")


def test_a_csv_may_be_separated_by_semicolons_or_tabs_but_not_by_both(tmp_path):
    for separator in ";\t":
        captions = read_captions(text_file(tmp_path / "a.csv", f'image{separator}text\na.jpg{separator}"a, b"\n'))
        assert (captions.ids.tolist(), captions.texts) == (["a.jpg"], ("a, b",))
    refused(text_file(tmp_path / "a.csv", "image;text\tx\n"), r"first line, 'image;text\\tx', has no comma but several")


def test_rows_of_another_length_than_the_header_are_counted_and_the_first_is_named(tmp_path):
    content = 'image,caption\n"a\n.jpg",one\nb.jpg,two, three\nc.jpg\nd.jpg,four\n'
    refused(
        text_file(tmp_path / "a.csv", content),
        r"2 of 4 rows have more or fewer cells than the header, which has 2 \(first: line 4, with 3\); put cells",
    )


def test_blank_lines_at_the_end_of_a_table_do_not_count(tmp_path):
    assert len(read_captions(text_file(tmp_path / "a.csv", "caption\r\none\r\n\r\n\r\n"))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            'image,caption\na.jpg,one\nb.jpg,"two" men\n',
            r"line 3 cannot be read: ',' expected after '\"'\. A cell that",
        ),
        ('image,caption\na.jpg,"one\ntwo\n', r"line 2 cannot be read: unexpected end of data\. A cell that holds"),
        ("image,caption\na.jpg," + "x" * 131_073, r"line 2 cannot be read: field larger than field limit \(131072\)"),
        ("", r"it is empty; its first line must name the columns"),
        ("\n\n", r"it is empty; its first line must name the columns"),
        ("a.jpg,a cat\n", r"the columns are 'a\.jpg', 'a cat' \(of a \.csv or \.tsv the first line names them\)\."),
        ("image,caption\n", r"it holds no captions\."),
    ],
)
def test_a_damaged_csv_is_refused_with_the_line(tmp_path, content, message):
    refused(text_file(tmp_path / "a.csv", content), message)


def test_cells_of_flickr30k_cannot_be_quoted(tmp_path):
    path = text_file(tmp_path / "a.csv", "image_name| comment_number| comment\na.jpg| 4 A dog .\n")
    refused(path, r"1 of 1 rows .* which has 3 \(first: line 2, with 2\); write what is missing\.")


def test_a_table_takes_little_memory_beside_its_captions(tmp_path):
    row = f"a.jpg,a cat,{'x' * 1000}\n"
    path = text_file(tmp_path / "a.csv", "image,caption,url\n" + 2000 * row)
    tracemalloc.start()
    try:
        assert len(read_captions(path)) == 2000
        assert tracemalloc.get_traced_memory()[1] < 2.5 * path.stat().st_size  # its bytes and its text
    finally:
        tracemalloc.stop()


@given(text=st.text(alphabet='a",|\r\n \u2028\x0b', max_size=20))
def test_lines_are_those_that_a_file_has(text):
    assert list(lines_of(text)) == list(io.StringIO(text, newline=""))
    assert "".join(lines_of(text, ends="\n")) == text


# ---- JSON


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"a.jpg": "one", "b.jpg": "two", "a.jpg": "three"}'),
        ("b.json", '[{"file_name": "b.jpg", "caption": "b"},\n{"file_name": "a.jpg", "a.jpg": 1, "a.jpg": "c"}]'),
        ("a.jsonl", '{"a.jpg": "one", "a.jpg": "two"}'),
    ],
)
def test_a_key_that_is_there_twice_is_refused(tmp_path, name, content):
    refused(text_file(tmp_path / name, content), r"line 1 on cannot be read: an object has the key 'a\.jpg' more than")


def test_broken_json_is_named_by_its_line(tmp_path):
    refused(
        text_file(tmp_path / "a.jsonl", '{"caption": "a"}\n\n{"caption": "b"\n'),
        r"line 3 is not JSON \(Expecting ',' delimiter, character 16\); mend",
    )
    refused(
        text_file(tmp_path / "a.json", '[{"caption": "a"},\n {"caption" "b"}]'), r"line 2 is not JSON \(Expecting ':'"
    )
    refused(text_file(tmp_path / "a.json", "[" * 200_000), r"the JSON from line 1 on cannot be read \(.*recursion")
    refused(text_file(tmp_path / "a.jsonl", "\n"), r"it is empty; write one object a line")


def test_entries_that_are_no_objects_are_named(tmp_path):
    refused(text_file(tmp_path / "a.jsonl", '{"caption": "a"}\n\n3'), r"line 3 is 3 of type int; it must be an object")
    refused(text_file(tmp_path / "a.json", '[{"caption": "a"}, "b"]'), r"the 2nd entry is 'b' of type str; it must")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"categories": [{}], "x": []}',
            r"it holds an object with the keys 'categories', 'x', which is none of the forms",
        ),
        ("[]", r"it holds an empty list, which is none of the forms"),
        ("{}", r"an object with the keys \(none\)"),
        ("3", r"it holds 3 of type int, which is none of the forms .* COCO's \{\"images\": \[\.\.\.\]"),
    ],
)
def test_json_of_another_form_says_which_are_read(tmp_path, content, message):
    refused(text_file(tmp_path / "a.json", content), message)


def test_a_mapping_and_a_list_of_strings_are_read(tmp_path):
    captions = read_captions(text_file(tmp_path / "a.json", '{"a.jpg": "one", "b.jpg": ["two", "three"]}'))
    assert captions.ids.tolist() == ["a.jpg", "b.jpg", "b.jpg"]
    assert captions.texts == ("one", "two", "three")
    captions = read_captions(text_file(tmp_path / "a.json", '["one", "two"]'))
    assert (captions.ids, captions.texts) == (None, ("one", "two"))
    refused(
        text_file(tmp_path / "a.json", '{"a.jpg": []}'), r"1 of 1 captions are missing \(first: the entry 'a\.jpg', of"
    )


def test_integers_are_ids_and_booleans_are_not(tmp_path):
    assert read_captions(text_file(tmp_path / "a.jsonl", '{"id": 7, "text": "a"}')).ids.tolist() == ["7"]
    refused(
        text_file(tmp_path / "a.jsonl", '{"id": true, "text": "a"}'),
        r"line 1 has the id True of type bool; ids must be strings \(file names, paths\) or integers",
    )


# ---- COCO


def test_coco_without_images_names_them_by_id(tmp_path):
    annotations = coco(IDS, TEXTS)["annotations"]
    for content in ({"annotations": annotations}, annotations):  # as annotated, and as results are handed in
        path = text_file(tmp_path / "a.json", json.dumps(content))
        assert read_captions(path).ids.tolist() == ["10", "11", "12"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][1].pop("caption"), r"1 of 3 captions are missing \(first: the 2nd annotation, of"),
        (lambda c: c["annotations"][2].update(image_id=77), r"1 of 3 annotations have an image_id that none of the 3 "
         r"images has \(first: the 3rd annotation, with 77\)"),
        (lambda c: c["annotations"][2].update(image_id="11"), r"\(first: the 3rd annotation, with '11'\)"),
        (lambda c: c["images"][1].pop("file_name"), r"the 2nd image is \{'id': 11\} of type dict; it must be an o"),
        (lambda c: c["images"].append({"id": 10, "file_name": "x"}), r"image id 10 stands for two files, cat/b"),
        (lambda c: c.update(annotations=[{"image_id": 10}]), r"none of its 1 annotations has a caption; COCO"),
    ],
)  # fmt: skip
def test_coco_that_does_not_fit_together_is_refused(tmp_path, change, message):
    content = coco(IDS, TEXTS)
    change(content)
    refused(text_file(tmp_path / "a.json", json.dumps(content)), message)


# ---- Parquet


def test_parquet_as_the_hub_has_it_is_read(tmp_path):
    table = pa.table(
        {
            "image": [{"bytes": b"1", "path": "x"}, {"bytes": b"2", "path": "y"}],  # no strings, so not the ids
            "filename": pa.array(["a.jpg", "b.jpg"]).dictionary_encode(),
            "caption": pa.array([["one", "two"], ["three"]], pa.list_(pa.string())),
            "title": pa.array([1.0, 2.0]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    captions = read_captions(tmp_path / "a.parquet")
    assert captions.ids.tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert captions.texts == ("one", "two", "three")


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_strings_of_every_kind_are_read_from_parquet(tmp_path, type_):
    columns = {"file_name": pa.array(IDS).cast(type_), "caption": pa.array(TEXTS).cast(type_)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    captions = read_captions(tmp_path / "a.parquet")
    assert captions.ids.tolist() == list(IDS)
    assert captions.texts == TEXTS


def test_captions_that_are_bytes_in_parquet_are_named_with_their_type(tmp_path):
    pq.write_table(pa.table({"image": ["a.jpg"], "caption": [b"a cat"]}), tmp_path / "a.parquet")
    refused(
        tmp_path / "a.parquet",
        r"no column of captions: the columns are 'image'.* of other types are not looked at: 'caption' \(binary\)$",
    )


def test_parquet_that_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, IDS, TEXTS)
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, r"it is cut short or not a \.parquet file \(.+\); write it again")
    write_parquet(path, IDS, ["one", None, "three"])
    refused(path, r"1 of 3 captions are missing \(first: the 2nd row, of cat/a\.jpg\)")
    pq.write_table(pa.table({"id": [1, 2], "caption": [3, 4]}), path)
    refused(path, r"the 1st row has the caption 3 of type int; captions must be strings")


@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_is_read_or_refused_but_never_crashes(tmp_path, name):
    TABLES[name](tmp_path / name, IDS, TEXTS)
    whole = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for place in rng.choice(len(whole), size=min(200, len(whole)), replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / name).write_bytes(damaged)
        try:
            read_captions(tmp_path / name)
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


# ---- texts beside images


def test_texts_beside_images_name_them_as_open_images_does(place):
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (2, 2)).save(stream, "png")
    pictures = {name: stream.getvalue() for name in ("set/cat/b.png", "set/cat/a.v2.png", "set/dog/c.PNG")}
    texts = {
        "set/cat/b.txt": b" one\n",
        "set/cat/a.v2.caption": b"two",
        "set/dog/c.TXT": b"three",
        "set/dog/d.txt": b"4",
    }
    path = write_files(place, pictures | texts | {"set/.e.txt": b"", "__MACOSX/set/._b.txt": b"\xff"})
    captions = read_captions(path)
    wrapping = "set/" if place.suffix == "" else ""  # a folder has none
    assert open_images(path).ids.tolist() == [f"{wrapping}{id_}" for id_ in ("cat/a.v2.png", "cat/b.png", "dog/c.PNG")]
    assert captions.ids.tolist() == [*open_images(path).ids.tolist(), f"{wrapping}dog/d"]
    assert captions.texts == ("two", "one", "three", "4")


def test_webdataset_samples_end_at_the_first_dot(tmp_path):
    files = {
        "s/000.left.jpg": b"",
        "s/000.txt": b"zero",
        "s/001.jpg": b"",
        "s/001.json": b'{"caption": "one", "text": "ignored"}',
        "s/002.jpg": b"",
        "s/002.json": b'{"text": "two"}',
        "s/003.jpg": b"",
        "s/003.json": b'{"width": 4}',  # says nothing of a caption
        "s/004.jpg": b"",
        "s/004.caption": b"second choice",
        "s/004.txt": b"four",
        "s/004.cls": b"7",
    }
    captions = read_captions(write_tar(tmp_path / "a.tar", files))
    assert captions.ids.tolist() == ["000.left.jpg", "001.jpg", "002.jpg", "004.jpg"]
    assert captions.texts == ("zero", "one", "two", "four")


def test_an_archive_of_texts_alone_is_named_without_its_wrapping(tmp_path):
    captions = read_captions(write_zip(tmp_path / "a.zip", {"x/cat/b.txt": "one", "x/dog/a.txt": "two"}))
    assert captions.ids.tolist() == ["cat/b", "dog/a"]


def test_places_without_texts_say_what_was_looked_for(place):
    files = {"a.jpg": b"", "metadata.jsonl": b"{}"}
    refused(
        write_files(place, files), r"it holds 1 images and no captions; files that end in \.txt or \.caption .*jsonl"
    )


def test_a_file_that_cannot_be_used_is_named(place):
    refused(
        write_files(place, {"a.jpg": b"", "a.txt": b"x\ncaf\xe9"}), r"in a\.txt, it is not UTF-8: line 2 has .* 0xe9 \("
    )
    refused(
        write_files(place, {"a.jpg": b"", "a.txt": b" \n"}),
        r"1 of 1 captions are empty or .* \(first: a\.txt, of a\.jpg",
    )


def test_json_that_cannot_be_used_is_named(place):
    refused(write_files(place, {"b.jpg": b"", "b.json": b"{"}), r"in b\.json, line 1 is not JSON")


def test_a_file_that_unpacks_to_much_is_not_read(place):
    refused(write_files(place, {"a.txt": b"a" * (2**20 + 1)}), r"a\.txt unpacks to more than 1048576 bytes")


def test_the_texts_of_an_archive_have_a_limit_together(tmp_path, monkeypatch):
    monkeypatch.setattr("pointwise.items.beside_images._LARGEST_ALL", 10)
    path = write_zip(tmp_path / "a.zip", {"a.txt": "12345", "b.txt": "123456"})
    refused(path, r"its captions unpack to more than 10 bytes; give it in parts")


def test_a_file_name_that_is_not_utf8_becomes_a_printable_id(tmp_path):
    folder = os.fsencode(tmp_path / "folder")
    os.mkdir(folder)
    for name in (b"caf\xe9.txt", b"caf\xe9.png"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"a cafe")
    assert read_captions(tmp_path / "folder").ids.tolist() == ["caf\\xe9.png"]


# ---- one caption a line


def test_flickr_lines_name_their_image(tmp_path):
    content = "1_a.jpg#0\tA child .\n1_a.jpg#1\tA girl\tin pink .\n2.jpg.1#0\tA dog .\n"
    captions = read_captions(text_file(tmp_path / "Flickr8k.token.txt", content))
    assert captions.ids.tolist() == ["1_a.jpg", "1_a.jpg", "2.jpg.1"]
    assert captions.texts == ("A child .", "A girl\tin pink .", "A dog .")
    refused(
        text_file(tmp_path / "a.txt", "1.jpg#0\tA child .\nA dog .\nA cat .\n"),
        r"2 of 3 lines have no tab \(first: line 2\); write all lines alike",
    )


def test_a_blank_line_between_captions_is_refused(tmp_path):
    refused(
        text_file(tmp_path / "a.txt", "one\n\n \ntwo\n"),
        r"2 of 4 captions are empty or white space alone \(first: line 2\); write them, or take those rows away",
    )
    refused(text_file(tmp_path / "a.txt", ""), r"it holds no captions\.")


# ---- what is refused in every format


@pytest.mark.parametrize(
    ("name", "first"), [("a.csv", "line 3"), ("list.json", "the 2nd entry"), ("a.parquet", "the 2nd row")]
)
def test_blank_captions_are_counted_and_the_first_is_named(tmp_path, name, first):
    TABLES[name](tmp_path / name, IDS, ("a cat", "", "\t\u3000\n"))
    refused(
        tmp_path / name, rf"2 of 3 captions are empty or white space alone \(first: {first}, of cat/a\.jpg\); write"
    )


def test_missing_captions_and_ids_are_counted_and_the_first_is_named(tmp_path):
    content = '{"id": 1, "text": "a"}\n{"id": 2, "text": null}\n{"id": 3}\n'
    refused(
        text_file(tmp_path / "a.jsonl", content), r"2 of 3 captions are missing \(first: line 2, of 2\); write them"
    )
    content = '{"id": 1, "text": "a"}\n{"text": "b"}\n{"id": "", "text": "c"}\n'
    refused(
        text_file(tmp_path / "a.jsonl", content), r"2 of 3 captions name no image: their id is .* \(first: line 2\)"
    )


def test_captions_that_are_no_strings_are_named(tmp_path):
    refused(
        text_file(tmp_path / "a.json", '[{"caption": "a"}, {"caption": 42}]'),
        r"the 2nd entry has the caption 42 of type int; captions must be strings",
    )
    refused(
        text_file(tmp_path / "a.json", '[{"caption": ["a", "b"]}]'),
        r"the 1st entry has the caption \['a', 'b'\] of type list; captions must be strings",
    )


@pytest.mark.parametrize(("escape", "kind"), [("\\ud800", "half of a surrogate pair"), ("\\u0000", "a NUL character")])
def test_characters_that_cannot_be_kept_are_named(tmp_path, escape, kind):
    content = (
        f'{{"id": "é", "text": "a"}}\n{{"id": "é", "text": "b{escape}"}}\n{{"id": "c{escape}", "text": "é{escape}"}}'
    )
    path = text_file(tmp_path / "a.jsonl", content)
    refused(
        path, rf"2 of 3 captions \(first: line 2\) have a character in the caption that cannot be kept \({kind}.*'b\\"
    )
    path = text_file(tmp_path / "a.jsonl", f'{{"id": "c{escape}", "text": "d"}}')
    refused(path, rf"1 of 1 captions \(first: line 1\) has a character in the id that cannot be kept \({kind}")


def test_captions_and_ids_have_a_largest_length(tmp_path):
    write_json(tmp_path / "a.json", ["a.jpg"], ["x" * 131_073])
    refused(
        tmp_path / "a.json", r"1 of 1 captions have more than 131072 characters \(first: the 1st entry, of a\.jpg\)"
    )
    write_json(tmp_path / "a.json", ["i" * 4_097], ["x" * 131_072])
    refused(
        tmp_path / "a.json", r"1 of 1 captions have an id of more than 4096 characters \(first: the 1st entry, of iii"
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt"])
def test_other_encodings_are_named_by_line_and_byte(tmp_path, name):
    refused(
        text_file(tmp_path / name, b"caption\ncaf\xe9\n"), r"it is not UTF-8: line 2 has the byte 0xe9 \(byte 11 of"
    )
    refused(
        text_file(tmp_path / name, b"\xef\xbb\xbfcaf\xe9"), r"it is not UTF-8: line 1 has the byte 0xe9 \(byte 6 of"
    )
    refused(
        text_file(tmp_path / name, "caption".encode("utf-16")), r"it is UTF-16: line 1 has the byte 0xff \(byte 0 of"
    )


def test_paths_that_hold_no_captions_say_what_does(tmp_path):
    refused(tmp_path / "nowhere.csv", r"there is no such file or folder")
    refused(
        text_file(tmp_path / "a.xlsx", "1"),
        r"the suffix '\.xlsx' is not one of \.csv, \.tsv, \.parquet, \.json, \.jsonl, \.ndjson, \.txt, \.zip, \.tar, ",
    )


def test_captions_have_a_length_and_cannot_be_changed():
    captions = Captions("mine", ids=np.array(["a"]), texts=("one",))
    assert len(captions) == 1
    with pytest.raises(AttributeError, match="texts"):
        captions.texts = ()
