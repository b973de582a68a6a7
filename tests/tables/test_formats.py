"""Tables and files: what goes in comes out, and what cannot be read or written says why in one sentence."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.tables.table import FeatureTable, concat, load

WHOLE = (".npz", ".safetensors", ".parquet")  # the formats that hold every column
READ = (".npy", *WHOLE, ".pt")
FOR_IMAGES = "Images go through an encoder first: pointwise compare, or pointwise.encode in Python."


def assert_same(a: FeatureTable, b: FeatureTable) -> None:
    assert a.fingerprint() == b.fingerprint()
    assert (a.text is None) == (b.text is None)
    if a.text is not None:
        assert a.text.dtype == b.text.dtype
        assert torch.equal(a.text, b.text)
    for name in ("ids", "modes", "captions"):
        ours, theirs = getattr(a, name), getattr(b, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            assert ours.dtype.kind == theirs.dtype.kind, name
            assert ours.tolist() == theirs.tolist(), name
    assert dict(a.meta) == dict(b.meta)


def example(n: int = 5, **columns) -> FeatureTable:
    return FeatureTable(np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32), **columns)


def full(n: int = 5) -> FeatureTable:
    return example(
        n,
        text=np.arange(2.0 * n).reshape(n, 2),
        ids=[f"row {i}" for i in range(n)],
        modes=np.arange(n) % 2,
        captions=["a cat", "zwei Hunde", "", "猫", "🐈\n"][:n],
        meta={"encoder": "e", "sizes": [1, 2], "nested": {"x": None}},
    )


def put(path: Path, table: FeatureTable) -> Path:
    """Write a table in any format, .pt as torch.save does."""
    if path.suffix == ".pt":
        columns = {"ids": table.ids, "modes": table.modes, "captions": table.captions}
        lists = {name: column.tolist() for name, column in columns.items() if column is not None}
        torch.save({"features": table.features, "text": table.text, **lists, "meta": dict(table.meta)}, path)
    else:
        (FeatureTable(table.features) if path.suffix == ".npy" else table).save(path)
    return path


def refused(path: Path, *says: str) -> str:
    """Loading must raise one InputError sentence with the path and these words."""
    with pytest.raises(InputError, match=re.escape(f"cannot load {path}: ")) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    for words in says:
        assert words in message
    return message


# ---- round trips

texts = st.text(st.characters(codec="utf-8"), max_size=6).filter(lambda s: not s.endswith("\0"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def matrices(draw, n: int):
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    finite = hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
    return draw(hnp.arrays(dtype, (n, draw(st.integers(1, 4))), elements=finite))


@st.composite
def tables(draw):
    n = draw(st.integers(0, 5))
    strings = st.lists(texts, min_size=n, max_size=n)
    integers = hnp.arrays(np.int64, n)
    return FeatureTable(
        draw(matrices(n)),
        text=draw(st.none() | matrices(n)),
        ids=draw(st.none() | strings | integers),
        modes=draw(st.none() | strings | integers),
        captions=draw(st.none() | strings),
        meta=draw(st.dictionaries(texts, json_values, max_size=2)),
    )


@given(table=tables())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_column_comes_back_exactly(tmp_path, monkeypatch, table):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # nothing here is about a power cut
    for suffix in WHOLE:
        table.save(tmp_path / f"t{suffix}")
        assert_same(load(tmp_path / f"t{suffix}"), table)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_npy_holds_the_features_and_numpy_reads_them(tmp_path, dtype, n):
    table = FeatureTable(np.random.default_rng(1).normal(size=(n, 3)).astype(dtype))
    table.save(tmp_path / "t.npy")
    assert_same(load(tmp_path / "t.npy"), table)
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy", allow_pickle=False), table.features.numpy(), strict=True)


@pytest.mark.parametrize("suffix", [".npy", *WHOLE])
def test_a_view_of_a_larger_array_is_written_as_what_it_shows(tmp_path, suffix):
    large = np.arange(60, dtype=np.float32).reshape(6, 10)
    table = FeatureTable(large[::2, 3:7])
    table.save(str(tmp_path / f"t{suffix}"))
    np.testing.assert_array_equal(load(str(tmp_path / f"t{suffix}")).features.numpy(), large[::2, 3:7])


def test_text_and_features_may_be_one_tensor(tmp_path):
    both = torch.eye(3)
    for suffix in WHOLE:
        FeatureTable(both, text=both).save(tmp_path / f"t{suffix}")
        assert torch.equal(load(tmp_path / f"t{suffix}").text, both)


def test_suffix_is_read_in_either_case(tmp_path):
    full().save(tmp_path / "T.NPZ")
    assert_same(load(tmp_path / "T.NPZ"), full())


def test_file_names_that_are_not_unicode_survive_as_ids_except_in_parquet(tmp_path):
    table = example(1, ids=[os.fsdecode(b"img\xff.png")])
    for suffix in (".npz", ".safetensors"):
        table.save(tmp_path / f"t{suffix}")
        assert_same(load(tmp_path / f"t{suffix}"), table)
    with pytest.raises(InputError, match=r"ids holds 'img\\udcff.png', which is not valid Unicode .* write .npz"):
        table.save(tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for suffix in WHOLE:
        full().save(tmp_path / f"a{suffix}")
        full().save(tmp_path / f"b{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


# ---- other readers


def test_npz_is_read_by_numpy_without_pickle(tmp_path):
    full().save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as held:
        assert set(held.files) == {"features", "text", "ids", "modes", "captions", "meta"}
        assert held["ids"].tolist() == full().ids.tolist()
        assert held["features"].dtype == np.float32


def test_safetensors_are_read_by_their_library(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file

    table = full()
    table.save(tmp_path / "t.safetensors")
    tensors = load_file(tmp_path / "t.safetensors")
    assert torch.equal(tensors["features"], table.features)
    assert torch.equal(tensors["text"], table.text)
    assert tensors["modes"].tolist() == table.modes.tolist()
    ends = tensors["ids.ends"].tolist()
    assert bytes(tensors["ids.utf8"][ends[1] : ends[2]].tolist()) == b"row 1"
    with safe_open(tmp_path / "t.safetensors", framework="numpy") as file:
        assert file.metadata()["meta"] == '{"encoder": "e", "sizes": [1, 2], "nested": {"x": null}}'
        digests = json.loads(file.metadata()["pointwise.sha256"])
    assert digests.keys() == {"__metadata__", *tensors}
    assert digests["features"] == table.fingerprint()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parquet_is_read_and_written_by_pandas(tmp_path, dtype):
    pandas = pytest.importorskip("pandas")
    table = full()
    table = FeatureTable(
        table.features.numpy().astype(dtype), ids=table.ids, modes=table.modes, captions=table.captions
    )
    table.save(tmp_path / "t.parquet")
    frame = pandas.read_parquet(tmp_path / "t.parquet")
    assert list(frame.columns) == ["id", "mode", "caption", "features"]
    np.testing.assert_array_equal(np.stack(frame["features"]), table.features.numpy(), strict=True)
    frame.to_parquet(tmp_path / "back.parquet")  # plain lists now, no fixed size
    assert_same(load(tmp_path / "back.parquet"), table)


def test_parquet_has_fixed_size_lists_and_row_groups_of_bounded_size(tmp_path):
    import pyarrow.parquet as pq

    table = FeatureTable(np.zeros((140_000, 1), dtype=np.float16), modes=np.arange(140_000))
    table.save(tmp_path / "t.parquet")
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        assert str(file.schema_arrow.field("features").type) == "fixed_size_list<element: halffloat>[1]"
        assert [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)] == [131_072, 8_928]
    assert_same(load(tmp_path / "t.parquet"), table)


# ---- files of others


def test_npz_of_others_labels_are_modes_and_the_one_matrix_is_features(tmp_path):
    x = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "t.npz", emb=x, labels=[0, 1, 1], index=[7, 8, 9])
    table = load(tmp_path / "t.npz")
    assert_same(table, FeatureTable(x, modes=[0, 1, 1]))


def test_npz_own_names_win_over_stand_ins_and_other_arrays_are_left_alone(tmp_path):
    x = np.arange(6.0).reshape(3, 2)
    trap = np.array([{}, {}, {}])  # an object array that is not asked for is not read either
    np.savez(tmp_path / "t.npz", other=x + 1, features=x, modes=[1, 2, 3], labels=[4, 5, 6], trap=trap)
    assert_same(load(tmp_path / "t.npz"), FeatureTable(x, modes=[1, 2, 3]))


def test_npz_compressed_and_fortran_ordered(tmp_path):
    x = np.asfortranarray(np.arange(6.0).reshape(3, 2).astype(">f8"))
    np.savez_compressed(tmp_path / "t.npz", features=x)
    np.testing.assert_array_equal(load(tmp_path / "t.npz").features.numpy(), np.arange(6.0).reshape(3, 2))


def test_npz_without_certain_features_names_what_it_holds(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, a=np.zeros((3, 2)), b=np.ones((3, 4)), labels=[0, 1, 2])
    refused(path, "2 other 2-D arrays", "a [3, 2], b [3, 4], labels [3]", "Name the [n, d] array features.")
    np.savez(path, text=np.zeros((3, 2)), labels=np.zeros((3, 2)))
    refused(path, "no other 2-D arrays", "text [3, 2], labels [3, 2]")
    np.savez(path, images=np.zeros((3, 8, 8), np.uint8), labels=[0, 1, 2])
    refused(path, "images [3, 8, 8]", FOR_IMAGES)
    np.savez(path, **{f"k{i}": np.zeros(1) for i in range(10)})
    refused(path, "k7 [1] and 2 more")
    np.savez(path)
    refused(path, "it holds nothing")


@pytest.mark.parametrize("name", ["features", "ids", "modes", "captions"])
def test_npz_with_pickled_columns_is_refused(tmp_path, name):
    columns = {"features": np.zeros((2, 2)), name: np.array([[1, None], [2, 3]], dtype=object)}
    np.savez(tmp_path / "t.npz", **columns)
    refused(tmp_path / "t.npz", f"{name} holds Python objects (type object), which are pickled and can run code")


def test_npz_meta_that_is_no_json_object(tmp_path):
    for meta in (np.array("[1]"), np.array("no"), np.array(3), np.array(["{}", "{}"])):
        np.savez(tmp_path / "t.npz", features=np.zeros((2, 2)), meta=meta)
        refused(tmp_path / "t.npz", "its meta is ", "it must be a JSON object such as {}")


def test_safetensors_of_others_with_bfloat16(tmp_path):
    from safetensors.torch import save_file

    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    save_file({"emb": x, "labels": torch.tensor([0, 1, 1], dtype=torch.int32)}, tmp_path / "t.safetensors")
    assert_same(load(tmp_path / "t.safetensors"), FeatureTable(x.float(), modes=[0, 1, 1]))


def test_safetensors_of_others_with_words_of_their_own(tmp_path):
    from safetensors.torch import save_file

    save_file({"emb": torch.eye(2)}, tmp_path / "t.safetensors", metadata={"sha256": "0af3", "format": "pt"})
    assert_same(load(tmp_path / "t.safetensors"), FeatureTable(torch.eye(2)))
    save_file({"emb": torch.eye(2), "x.utf8": torch.ones(1), "x.ends": torch.tensor(1)}, tmp_path / "t.safetensors")
    assert_same(load(tmp_path / "t.safetensors"), FeatureTable(torch.eye(2)))


def test_pt_tensor_and_dict(tmp_path):
    torch.save(torch.eye(3), tmp_path / "t.pt")
    assert_same(load(tmp_path / "t.pt"), FeatureTable(torch.eye(3)))
    put(tmp_path / "t.pt", full())
    assert_same(load(tmp_path / "t.pt"), full())
    torch.save({0: torch.eye(3, requires_grad=True), "labels": torch.tensor([1, 2, 3])}, tmp_path / "t.pt")
    assert_same(load(tmp_path / "t.pt"), FeatureTable(torch.eye(3), modes=[1, 2, 3]))


def test_pt_of_something_else(tmp_path):
    path = tmp_path / "t.pt"
    torch.save([torch.eye(3)], path)
    refused(path, "it holds a list; it must hold a tensor [n, d], or a dict")
    torch.save({"weight": torch.ones(2, 3), "bias": torch.ones(2), "w2": torch.eye(3)}, path)
    refused(path, "2 other 2-D arrays", "weight [2, 3], bias [2], w2 [3, 3]")
    torch.save({"features": torch.eye(3), "meta": "e"}, path)
    refused(path, "its meta is a str; it must be a dict")
    torch.save(torch.nn.Identity(), path)
    refused(path, "Python objects other than tensors", "can run code")
    path.write_bytes(pickle.dumps({"features": [[1.0]]}))
    refused(path, "it begins like a pickle, which can run code")


# ---- images are not features


def test_images_are_sent_to_an_encoder(tmp_path):
    images = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "t.npy", images)
    np.savez(tmp_path / "t.npz", features=images)
    torch.save(torch.from_numpy(images), tmp_path / "t.pt")
    for path in tmp_path.iterdir():
        refused(path, "it holds images (uint8 [4, 8, 8, 3]), not features", FOR_IMAGES)


def test_a_zip_of_images_named_npz(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("cats/1.png", b"\x89PNG")
    refused(tmp_path / "t.npz", "holds no .npy arrays (its first entry is cats/1.png)", FOR_IMAGES)


# ---- parquet: what others write wrong, and shards


def arrow(path: Path, **columns) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_of_others_lists_dictionaries_and_extra_columns(tmp_path):
    import pyarrow as pa

    mode = pa.array(["a", "b", "a"]).dictionary_encode()
    path = arrow(tmp_path / "t.parquet", features=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], mode=mode, split=[None, 1, 2])
    assert_same(load(path), FeatureTable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], modes=["a", "b", "a"]))
    assert load(arrow(path, features=[[1, 2], [3, 4]])).features.dtype == torch.float64


def test_parquet_that_is_no_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "t.parquet"
    good = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    refused(arrow(path, x=[1], y=[2]), "it has no column features; it has x, y")
    refused(arrow(path, features=[1.0, 2.0]), "column features has type double; it must hold lists of numbers")
    refused(arrow(path, features=[["a"]]), "column features has type list<element: string>")
    refused(arrow(path, features=good, text=["a", "b", "c"]), "column text has type string")
    refused(
        arrow(path, features=good, mode=[1.5, 2, 3]), "column mode has type double; it must hold integers or strings"
    )
    refused(arrow(path, features=good, mode=[1, 2, None]), "column mode has no value (null) in row 2")
    refused(arrow(path, features=[[1.0], None]), "column features has no value (null) in row 1")
    refused(arrow(path, features=[[1.0, 2.0], [3.0, None]]), "column features has no value (null) in row 1")
    refused(arrow(path, features=[[1.0], [2.0], [3.0, 4.0]]), "a list of 2 values in row 2, and of 1 before")
    refused(
        arrow(path, features=pa.array([], pa.list_(pa.float32()))), "it has no rows", "their dimension is not known"
    )
    refused(arrow(path, features=[[float("nan")]]), "features has NaN or inf in 1 of 1 rows")
    pq.write_table(pa.Table.from_arrays([pa.array(good)] * 2, ["features"] * 2), path)
    refused(path, "it has column features 2 times; keep one")


def test_row_numbers_in_messages_count_over_batches(tmp_path):
    features = [[0.0]] * 20_000 + [[None]]
    refused(arrow(tmp_path / "t.parquet", features=features), "no value (null) in row 20000")
    features = [[0.0]] * 16_384 + [[0.0, 1.0]]  # the odd one begins a batch of its own
    refused(arrow(tmp_path / "t.parquet", features=features), "lists of 2 values where those before have 1")


def test_shards_are_read_in_the_order_of_their_names(tmp_path):
    parts = [full(), full(2), full(0)]
    for name, part in zip(["a.parquet", "b.parquet", "c.parquet"], parts, strict=True):
        part.save(tmp_path / name)
    (tmp_path / "_metadata.parquet").write_bytes(b"not a shard")
    (tmp_path / "README.txt").write_text("not a shard")
    assert_same(load(tmp_path), concat(parts))


def test_shards_keep_the_meta_in_which_they_agree(tmp_path):
    example(meta={"encoder": "e", "part": 1}).save(tmp_path / "1.parquet")
    example(meta={"encoder": "e", "part": 2}).save(tmp_path / "2.parquet")
    assert dict(load(tmp_path).meta) == {"encoder": "e"}


def test_shards_that_differ(tmp_path):
    example(modes=range(5)).save(tmp_path / "a.parquet")
    FeatureTable(np.zeros((2, 4), np.float32), modes=[1, 2]).save(tmp_path / "b.parquet")
    refused(
        tmp_path,
        "a.parquet has mode integers, features float32[3], but b.parquet has mode integers, features float32[4]",
    )
    example().save(tmp_path / "b.parquet")
    refused(tmp_path, "b.parquet has features float32[3]; all must have the same columns")
    arrow(tmp_path / "a.parquet", features=[[1.0, 2.0]])
    arrow(tmp_path / "b.parquet", features=[[1.0]])
    refused(tmp_path, "in b.parquet, column features has lists of 1 values where those before have 2")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    refused(tmp_path, "in b.parquet, it is cut short or not a .parquet file")


# ---- files that cannot be read


def test_missing_folder_without_shards_and_unknown_suffix(tmp_path):
    refused(tmp_path / "no.npz", "there is no such file or folder")
    refused(tmp_path, "the folder holds no .parquet files", FOR_IMAGES)
    (tmp_path / "t.csv").write_text("1,2")
    refused(tmp_path / "t.csv", "the suffix '.csv' is not one of .npy, .npz, .safetensors, .parquet, .pt")


@pytest.mark.parametrize("suffix", READ)
def test_a_file_cut_anywhere_is_refused(tmp_path, suffix):
    whole = put(tmp_path / f"t{suffix}", full()).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(b"")
    refused(path, "it is empty")
    for length in np.linspace(1, len(whole) - 1, 40, dtype=int):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch, of a damaged .pt
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path, suffix):
    whole = put(tmp_path / f"t{suffix}", full()).read_bytes()
    rng = np.random.default_rng(5)
    path = tmp_path / f"bad{suffix}"
    messages = []
    for place in rng.choice(len(whole), size=min(150, len(whole)), replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            load(path)
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert all(message.startswith(f"cannot load {path}: ") and "\n" not in message for message in messages)


def test_any_changed_bit_of_the_content_of_safetensors_is_noticed(tmp_path):
    whole = put(tmp_path / "t.safetensors", full(2)).read_bytes()
    path = tmp_path / "bad.safetensors"
    data = 8 + int.from_bytes(whole[:8], "little")
    meta = whole.index(b"encoder")
    for place in (*range(data, len(whole)), *range(meta, meta + len("encoder"))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        refused(path)
    damaged = bytearray(whole)
    damaged[data] ^= 1
    path.write_bytes(damaged)
    refused(path, "it is damaged: its array ", "is not what was written, as its SHA-256 shows; write it again.")


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("truth", READ)
def test_a_file_under_the_suffix_of_another_format_is_refused(tmp_path, suffix, truth):
    if suffix == truth:
        return
    path = put(tmp_path / f"t{truth}", full()).rename(tmp_path / f"wrong{suffix}")
    says = {".npz": "zip", ".pt": "zip"}.get(truth, truth)
    message = refused(path)
    if {suffix, truth} != {".npz", ".pt"} and truth != ".safetensors":
        assert f"it is no {suffix} file: it begins like a" in message
        assert says in message


def test_npy_of_objects_and_of_other_versions(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, np.array([[1, None]], dtype=object))
    refused(path, "holds Python objects (type object)", "can run code")
    held = io.BytesIO()
    np.lib.format.write_array(held, np.zeros((2, 2)), version=(3, 0))
    path.write_bytes(held.getvalue())
    refused(path, "version (3, 0) of the .npy format")
    np.save(path, np.zeros((1000, 2)))
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, "the array is cut short: [1000, 2] of float64 takes 16000 bytes and 15990 are there")


def test_what_a_table_refuses_is_refused_with_the_path(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros(3))
    refused(tmp_path / "t.npy", "features has 1 dimension (shape (3,))")
    np.savez(tmp_path / "t.npz", features=np.zeros((3, 2)), labels=[1, 2])
    refused(tmp_path / "t.npz", "modes has 2 values but features has 3 rows")


# ---- files that cannot be written


def test_npy_names_the_columns_that_it_cannot_hold(tmp_path):
    with pytest.raises(
        InputError, match=r"also has text, ids, modes, captions, meta; write .npz, .safetensors or .parq"
    ):
        full().save(tmp_path / "t.npy")
    with pytest.raises(InputError, match=r"cannot write .*t.npy: .*also has meta; "):
        example(meta={"a": 1}).save(tmp_path / "t.npy")
    assert list(tmp_path.iterdir()) == []


def test_unknown_and_read_only_suffixes(tmp_path):
    with pytest.raises(InputError, match=r"suffix '.csv' is not one of .npy, .npz, .safetensors, .parquet\."):
        example().save(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"suffix '.pt' is not one of .* \(a .pt file is only read\)"):
        example().save(tmp_path / "t.pt")


@pytest.mark.parametrize("suffix", [".npy", *WHOLE])
def test_places_that_cannot_be_written(tmp_path, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / f"pipe{suffix}")
    for place, says in {
        f"folder{suffix}": "it is a folder",
        f"no/t{suffix}": f"the folder {tmp_path / 'no'} does not exist; create it first",
        f"file/t{suffix}": f"{tmp_path / 'file'} is a file, not a folder",
        f"pipe{suffix}": "it is a device or a pipe",
        f"{'x' * 300}{suffix}": "File name too long",
    }.items():
        with pytest.raises(InputError, match=re.escape(f"cannot write {tmp_path / place}: {says}")):
            example().save(tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["file", f"folder{suffix}", f"pipe{suffix}"])


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_trace(tmp_path):
    resource = pytest.importorskip("resource")
    large = FeatureTable(np.random.default_rng(0).normal(size=(5000, 20)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for path in (tmp_path / f"t{suffix}" for suffix in (".npy", *WHOLE)):
        example().save(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            large.save(path)
            message = ""
        except InputError as error:
            message = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert message == (
            f"cannot write {path}: there is no space left for it (File too large); free some, or write elsewhere. "
            "What was there is unchanged."
        )
        assert_same(load(path), example())
    assert len(list(tmp_path.iterdir())) == len(WHOLE) + 1


# ---- atomic_write


def test_a_writer_that_fails_leaves_the_old_file_and_no_trace(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")

    def write_half(failure: BaseException) -> None:
        with atomic_write(target) as file:
            file.write(b"half of the n")
            raise failure

    for failure in (KeyError("lost"), KeyboardInterrupt("stopped")):
        with pytest.raises(type(failure), match=r"lost|stopped"):
            write_half(failure)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_is_read_only_is_said_in_a_sentence(tmp_path, monkeypatch):
    def refused(self, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(Path, "unlink", refused)  # also of what is not there, as Linux does
    target = tmp_path / "result.json"
    with pytest.raises(InputError, match=r"permission was denied \(Read-only file system\)"), atomic_write(target):
        pass


def test_until_the_block_ends_the_old_file_is_there(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    with atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_no_space_is_said_so(tmp_path):
    target = tmp_path / "result.json"
    with (
        pytest.raises(InputError, match="no space left for it \\(No space left on device\\); free some") as caught,
        atomic_write(target),
        open("/dev/full", "wb", buffering=0) as full_disk,
    ):
        full_disk.write(b"x")
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_permission_is_said_so(tmp_path):
    with (
        pytest.raises(InputError, match=r"permission was denied \(Read-only file system\)"),
        atomic_write(tmp_path / "x"),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_devices_are_not_replaced():
    with pytest.raises(InputError, match="cannot write /dev/null: it is a device"), atomic_write("/dev/null"):
        pass
    assert not Path("/dev/null").is_file()


def test_links_are_followed_and_stay_links(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "t.json"
    target.write_text("old")
    (tmp_path / "link.json").symlink_to(target)
    with atomic_write(tmp_path / "link.json") as file:
        file.write(b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert target.read_text() == "new"


def test_new_files_have_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    for suffix in (".npy", *WHOLE):
        example().save(tmp_path / f"t{suffix}")
        assert (tmp_path / f"t{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_names_at_the_limit_of_the_file_system(tmp_path):
    path = tmp_path / ("x" * 251 + ".npy")
    example().save(path)
    assert_same(load(path), example())
