"""Encoding to disk: stopped and started again it ends with the same bytes, and what it uses again is never stale."""

import json
import os
import zipfile
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import pointwise as pw
from pointwise.encoding import encode
from pointwise.encoding.target import Target
from pointwise.encoding.to_file import encode_to
from pointwise.errors import InputError
from pointwise.items.images import Images, open_images

OUTPUTS = ["table.npz", "table.safetensors", "table.parquet", "table", "table.v2/"]
COUNT, SHARD = 10, 4
OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore words.")


class Levels:
    """An encoder that is none of ours: grey level and its square root, with a note of every level that it sees."""

    dim = 2

    def __init__(self, *, name="levels", weights="a", stop_at=None, room=None, without_room=OUT_OF_MEMORY):
        self.name, self.meta = name, {"weights_sha256": weights}
        self.seen, self.batches, self.stop_at, self.room = [], [], stop_at, room
        self.without_room = without_room

    def encode(self, images):
        if self.room is not None and len(images) > self.room:
            raise self.without_room
        levels = [int(image[0, 0, 0]) for image in images]
        if self.stop_at in levels:
            raise KeyboardInterrupt
        self.seen += levels
        self.batches.append(len(levels))
        return torch.tensor([[level, level**0.5] for level in levels], dtype=torch.float32)


class Lengths:
    """A text encoder that is none of ours: the number of letters and of words; reads three words."""

    name, dim, meta, max_tokens = "lengths", 2, {"pooling": "none"}, 3

    def __init__(self):
        self.seen = []

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts):
        self.seen += texts
        return torch.tensor([[float(len(text)), float(len(text.split()))] for text in texts])


def picture(path, level):
    Image.new("L", (3, 3), level).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten pictures of grey levels 0 to 9 in two modes; tests work in the folder above."""
    monkeypatch.chdir(tmp_path)
    for i in range(COUNT):
        mode = tmp_path / "pictures" / f"mode{i // 6}"
        mode.mkdir(parents=True, exist_ok=True)
        picture(mode / f"{i}.png", i)
    return tmp_path / "pictures"


def contents(path):
    """The bytes of a file, or of all files of a folder by their names."""
    path = path.rstrip("/")
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return file.read()
    return {name: contents(f"{path}/{name}") for name in sorted(os.listdir(path))}


def to(path, source="pictures", **options):
    return encode_to(path, source, **({"encoder": Levels(), "shard_rows": SHARD, "batch_size": 2} | options))


def same(table, other):
    assert torch.equal(table.features, other.features)
    for name in ("ids", "modes", "captions"):
        assert np.array_equal(getattr(table, name), getattr(other, name)), name
    assert (table.text is None) == (other.text is None)
    assert table.text is None or torch.equal(table.text, other.text)


# ---- what it ends with


@pytest.mark.parametrize("path", OUTPUTS)
def test_the_table_is_that_of_encode_and_nothing_else_is_left(folder, path):
    done = to(path)
    table, expected = pw.load(path), encode("pictures", encoder=Levels(), batch_size=2)
    same(table, expected)
    assert table.features[:, 0].tolist() == list(range(COUNT))
    assert done[1:] == (COUNT, 2, dict(table.meta), 3, 0, False)
    assert {name: value for name, value in table.meta.items() if name != "shards"} == expected.meta
    assert sorted(os.listdir()) == ["pictures", path.rstrip("/")]


@pytest.mark.parametrize("path", OUTPUTS)
@pytest.mark.parametrize("stop_at", [0, 5, 9])
def test_stopped_and_started_again_it_has_the_same_bytes_and_encodes_one_shard_twice_at_most(folder, path, stop_at):
    to(f"whole-{path}")
    first, second = Levels(stop_at=stop_at), Levels()
    with pytest.raises(KeyboardInterrupt):
        to(path, encoder=first)
    assert not os.path.exists(path.rstrip("/"))
    assert os.path.exists(Target(path).work) == (stop_at >= SHARD)
    done = to(path, encoder=second)
    assert contents(path) == contents(f"whole-{path}")
    assert done.found == stop_at // SHARD
    assert second.seen == list(range(stop_at // SHARD * SHARD, COUNT))
    assert not os.path.exists(Target(path).work)


def test_nothing_in_the_files_depends_on_the_clock(folder):
    to("table.npz")
    with zipfile.ZipFile("table.npz") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_folder_of_a_tar_comes_in_the_order_of_the_tar_and_a_file_in_that_of_the_names(folder):
    import tarfile

    with tarfile.open("a.tgz", "w:gz") as archive:
        for i in (3, 1, 0, 2, 4):
            archive.add(folder / "mode0" / f"{i}.png", f"{i}.png")
    to("file.npz", "a.tgz", shard_rows=2)
    to("shards", "a.tgz", shard_rows=2)
    assert pw.load("file.npz").ids.tolist() == [f"{i}.png" for i in range(5)]
    assert pw.load("shards").ids.tolist() == ["3.png", "1.png", "0.png", "2.png", "4.png"]
    assert pw.load("shards").features[:, 0].tolist() == [3, 1, 0, 2, 4]
    assert pw.load("file.npz").features[:, 0].tolist() == [0, 1, 2, 3, 4]


# ---- what is used again


def test_a_changed_picture_is_encoded_again_with_its_shard_alone(folder):
    with pytest.raises(KeyboardInterrupt):
        to("table.npz", encoder=Levels(stop_at=9))
    picture(folder / "mode0" / "5.png", 77)  # of the same length in bytes
    encoder = Levels()
    assert to("table.npz", encoder=encoder).found == 1
    assert encoder.seen == [4, 77, 6, 7, 8, 9]
    assert pw.load("table.npz").features[:, 0].tolist() == [0, 1, 2, 3, 4, 77, 6, 7, 8, 9]


def test_a_changed_caption_is_encoded_again_with_its_shard_alone(folder):
    texts = [f"number {i}" for i in range(COUNT)]
    write_captions(texts)
    with pytest.raises(KeyboardInterrupt):
        to("table.npz", encoder=Levels(stop_at=9), text_encoder=Lengths(), captions="captions.jsonl")
    texts[1] = "one"
    write_captions(texts)
    encoder, text_encoder = Levels(), Lengths()
    assert to("table.npz", encoder=encoder, text_encoder=text_encoder, captions="captions.jsonl").found == 1
    assert encoder.seen == [0, 1, 2, 3, 8, 9]
    assert text_encoder.seen == [*texts[:4], *texts[8:]]
    assert pw.load("table.npz").captions.tolist() == texts


def write_captions(texts):
    with open("captions.jsonl", "w", encoding="utf-8") as file:
        for i, text in enumerate(texts):
            file.write(json.dumps({"file_name": f"{i}.png", "caption": text}) + "\n")


def test_a_picture_that_changes_while_it_is_encoded_is_known_by_what_was_read_of_it(folder):
    class Changing(Levels):
        def encode(self, images):
            if not self.seen:
                picture(folder / "mode0" / "0.png", 70)  # is read already
                picture(folder / "mode0" / "3.png", 73)  # of the same shard
                picture(folder / "mode1" / "8.png", 78)
            return super().encode(images)

    to("table.npz", encoder=Changing())
    assert pw.load("table.npz").features[:, 0].tolist() == [0, 1, 2, 73, 4, 5, 6, 7, 78, 9]
    with pytest.raises(InputError, match=r"the items \(their content, .*\) are others"):
        to("table.npz")
    picture(folder / "mode0" / "0.png", 0)
    assert to("table.npz").was_there


def test_each_item_is_read_once_and_those_of_shards_that_are_there_only_looked_at(folder):
    opened, calls = open_images("pictures"), []

    class Noted(Images):
        def __getitem__(self, i):
            calls.append(("read", i))
            return super().__getitem__(i)

        def digest(self, i):
            calls.append(("digest", i))
            return super().digest(i)

    images = Noted(**{field.name: getattr(opened, field.name) for field in fields(Images) if field.name != "_"})
    with pytest.raises(KeyboardInterrupt):
        to("table.npz", images, encoder=Levels(stop_at=9))
    once = [(kind, i) for i in range(COUNT) for kind in ("digest", "read")]
    assert calls == once
    calls.clear()
    to("table.npz", images)
    looked = [("digest", i) for i in range(2 * SHARD)]
    assert calls == looked + once[-2 * (COUNT - 2 * SHARD) :]
    calls.clear()
    encode(images, encoder=Levels())
    assert calls == once


@pytest.mark.parametrize("other", [{"encoder": {"name": "others"}}, {"encoder": {"weights": "b"}}, {"shard_rows": 2}])
def test_what_another_run_left_is_not_used_and_that_is_said_and_it_is_kept_until_the_end(folder, other):
    mine = {"encoder": {}, "shard_rows": SHARD}

    def run(options, **more):
        encoder = Levels(**options["encoder"], **more)
        said = []
        try:
            return to("table.npz", encoder=encoder, shard_rows=options["shard_rows"], say=said.append).found
        except KeyboardInterrupt:
            return said

    assert run(mine, stop_at=9) == []
    work = Target("table.npz").work
    assert run(mine | other, stop_at=0) == [
        f"2 of the shards that an earlier run left in {work} are of another encoder, other items or another number of "
        "rows: they are not used, and removed once all is done."
    ]
    assert run(mine) == 2
    assert not work.exists()


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content[:-1] + bytes([content[-1] ^ 1])]
)
def test_a_damaged_part_is_encoded_again(folder, damage):
    to("whole.npz")
    with pytest.raises(KeyboardInterrupt):
        to("table.npz", encoder=Levels(stop_at=9))
    part = sorted(Target("table.npz").work.glob("*.part.safetensors"))[0]
    part.write_bytes(damage(part.read_bytes()))
    assert to("table.npz").found == 1
    assert contents("table.npz") == contents("whole.npz")


@pytest.mark.parametrize("path", ["table.npz", "table"])
def test_a_table_that_is_there_is_not_made_again(folder, path):
    to(path)
    before, encoder, seen = contents(path), Levels(), []
    done = to(path, encoder=encoder, shard_rows=3, progress=lambda *counts: seen.append(counts))
    assert (done.was_there, done.rows, done.columns, encoder.seen) == (True, COUNT, 2, [])
    assert contents(path) == before
    assert seen[-1] == (COUNT, COUNT)
    assert sorted(os.listdir()) == ["pictures", path]


@pytest.mark.parametrize("path", ["table.npz", "table"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder": Levels(name="others")}, r"encoder is 'levels' there and 'others' here\. So give another name"),
        ({"encoder": Levels(weights="b")}, r"weights_sha256 is 'a' there and 'b' here\. So"),
        ({"source": "pictures/mode0"}, r"the items \(their content, names, modes, captions or order\) are others"),
        (
            {"text_encoder": Lengths(), "captions": "captions.jsonl"},
            r"no text_encoder, which is 'lengths' here; .*items",
        ),
    ],
)
def test_another_table_that_is_there_is_kept_unless_it_is_to_be_replaced(folder, path, change, said):
    write_captions(["a"] * COUNT)
    to(path)
    before = contents(path)
    with pytest.raises(InputError, match=rf"{path} is already there and is another table: .*{said}.*overwrite=True"):
        to(path, **change)
    assert contents(path) == before
    assert not os.path.exists(Target(path).work)
    done = to(path, overwrite=True, **change)
    assert (done.was_there, done.found) == (False, 0)
    to(f"new-{path}", **change)
    assert contents(path) == contents(f"new-{path}")


def test_overwriting_goes_on_too_and_keeps_the_old_table_until_the_new_one_is_whole(folder):
    to("table.npz", encoder=Levels(name="others"))
    before = contents("table.npz")
    with pytest.raises(KeyboardInterrupt):
        to("table.npz", encoder=Levels(stop_at=9), overwrite=True)
    assert contents("table.npz") == before
    assert to("table.npz", overwrite=True).found == 2
    assert pw.load("table.npz").meta["encoder"] == "levels"


def test_what_is_there_and_no_table_of_ours_is_kept(folder):
    pw.FeatureTable(np.eye(3)).save("table.npz")
    with pytest.raises(InputError, match=r"table\.npz is already there .*: it does not say what it was made from\."):
        to("table.npz")
    with open("broken.npz", "wb") as file:
        file.write(b"PK")
    with pytest.raises(InputError, match=r"broken\.npz is already there and cannot be read \(.*\); give another name"):
        to("broken.npz")
    to("table")
    os.remove("table/00001.parquet")
    with pytest.raises(InputError, match=r"table is already there and holds 2 of its 3 shards; give another name"):
        to("table")
    assert sorted(os.listdir("table")) == ["00000.parquet", "00002.parquet"]


# ---- pictures that cannot be read


@pytest.mark.parametrize("path", ["table.npz", "table"])
def test_skipped_pictures_are_skipped_again_after_a_stop(folder, path):
    for i in (1, 4, 5, 6, 7):  # all of the second shard
        next(folder.glob(f"*/{i}.png")).write_bytes(b"no picture")
    to(f"whole-{path}", skip_bad=True)
    with pytest.raises(KeyboardInterrupt):
        to(path, skip_bad=True, encoder=Levels(stop_at=9))
    with pytest.raises(InputError, match=r"mode0/1\.png cannot be read as an image: .* --skip-bad"):
        to(path)
    done = to(path, skip_bad=True)
    assert (done.rows, done.found, done.meta["skipped"]) == (5, 2, 5)
    assert contents(path) == contents(f"whole-{path}")
    table = pw.load(path)
    assert table.features[:, 0].tolist() == [0, 2, 3, 8, 9]
    assert [message.split(" cannot")[0] for message in table.meta["skipped_first"]] == [
        f"pictures: mode{i // 6}/{i}.png" for i in (1, 4, 5, 6, 7)
    ]


def test_after_an_error_what_was_encoded_is_kept_and_skipping_goes_on_from_there(folder):
    next(folder.glob("*/9.png")).write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"9\.png cannot be read"):
        to("table.npz")
    assert to("table.npz", skip_bad=True).found == 2


def test_where_no_picture_can_be_read_nothing_is_left(folder):
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of the 10 images of pictures can be read; the first: .*mode0/0\.png"):
        to("table.npz", skip_bad=True)
    assert os.listdir() == ["pictures"]


# ---- memory of the device


def test_out_of_memory_halves_the_batch_and_says_so(folder):
    said, encoder = [], Levels(room=2)
    done = to("table.npz", encoder=encoder, batch_size=8, shard_rows=COUNT, say=said.append)
    assert said == [
        "the device ran out of memory with 8 items at a time; going on with 4.",
        "the device ran out of memory with 4 items at a time; going on with 2.",
    ]
    assert encoder.batches == [2] * 5
    assert done.meta["batch_size"] == 2
    assert pw.load("table.npz").features[:, 0].tolist() == list(range(COUNT))
    table = encode("pictures", encoder=Levels(room=3), batch_size=8)
    assert (table.meta["batch_size"], table.meta["key"]) == (2, done.meta["key"])


def allocation_failure():
    try:
        torch.empty(1 << 50)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.61 GB)."),
        allocation_failure(),
    ],
)
def test_whatever_the_device_calls_it_the_batch_is_halved(folder, error):
    encoder = Levels(room=2, without_room=error)
    to("table.npz", encoder=encoder, batch_size=4)
    assert encoder.batches == [2] * 5


def test_other_errors_of_an_encoder_are_its_own(folder):
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        to("table.npz", encoder=Levels(room=1, without_room=RuntimeError("mat1 and mat2 shapes cannot be multiplied")))


def test_a_single_item_that_is_too_large_for_the_device_is_an_error(folder):
    with pytest.raises(
        InputError, match=r"too little memory to encode one item at a time \(CUDA out of memory. Tried .* GiB\); free"
    ):
        to("table.npz", encoder=Levels(room=0), batch_size=1)


def test_a_run_that_goes_on_remembers_the_smaller_batch(folder):
    to("whole.npz", encoder=Levels(room=2), batch_size=4)
    with pytest.raises(KeyboardInterrupt):
        to("table.npz", encoder=Levels(room=2, stop_at=9), batch_size=4)
    encoder = Levels()
    to("table.npz", encoder=encoder, batch_size=4)
    assert encoder.batches == [2]
    assert contents("table.npz") == contents("whole.npz")


# ---- places that cannot be used


def test_two_at_once_on_one_table_are_refused(folder):
    class Impatient(Levels):
        def encode(self, images):
            with pytest.raises(InputError, match=r"another process is writing table\.npz right now; wait for it"):
                to("table.npz")
            return super().encode(images)

    encoder = Impatient()
    assert to("table.npz", encoder=encoder).rows == COUNT
    assert len(encoder.seen) == COUNT


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "table.npy",
            r"suffix '\.npy' is not one of \.npz, \.safetensors, \.parquet \(a \.npy file would hold the feat",
        ),
        (
            "table.csv",
            r"cannot write table\.csv: the suffix '\.csv' is not one of .* it is a folder of \.parquet shards",
        ),
        ("gone/table.npz", r"cannot write gone/table\.npz: the folder .*gone does not exist; create it first"),
        ("gone/table", r"cannot write gone/table: the folder .*gone does not exist; create it first"),
        (
            "pictures",
            r"cannot write pictures: the folder holds other things than \.parquet shards \(mode0 is the first\)",
        ),
        ("file", r"cannot write file: it is a file, and a name without suffix means a folder"),
        (
            "/",
            r"cannot write /: it is a mount point, which cannot be replaced as a whole; give the name of a folder in",
        ),
        ("x" * 300, r"cannot write x+: /.*x\.partial beside it, .* cannot be made \(File name too long\)"),
        ("x" * 300 + ".npz", r"cannot write x+\.npz: File name too long"),
        (
            "x" * 250 + ".npz",
            r"cannot write x+\.npz: /.*x\.npz\.partial beside it, .* cannot be made \(File name too long",
        ),
        ("folder.npz", r"cannot write folder\.npz: it is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_anything_is_encoded(folder, path, said):
    os.mkdir("folder.npz")
    with open("file", "wb"):
        pass
    encoder = Levels()
    for overwrite in (False, True):
        with pytest.raises(InputError, match=said):
            to(path, encoder=encoder, overwrite=overwrite)
    assert encoder.seen == []
    assert sorted(os.listdir()) == ["file", "folder.npz", "pictures"]


@pytest.mark.parametrize("path", ["table.npz", "table"])
def test_a_place_that_is_taken_while_it_is_encoded_costs_nothing_but_a_second_start(folder, path):
    class Taking(Levels):
        def encode(self, images):
            if path == "table":
                with open(path, "w"):
                    pass
            else:
                os.makedirs(path, exist_ok=True)
            return super().encode(images)

    with pytest.raises(
        InputError, match=rf"cannot write {path}: .* directory.* All is encoded, and kept in .*\.partial"
    ):
        to(path, encoder=Taking())
    os.remove(path) if path == "table" else os.rmdir(path)
    encoder = Levels()
    assert to(path, encoder=encoder).found == 3
    assert encoder.seen == []


def test_the_table_does_not_replace_what_it_is_made_from(folder):
    pq.write_table(pa.table({"caption": ["a cat", "a dog"]}), "captions.parquet")
    before = contents("captions.parquet")
    os.symlink("captions.parquet", "link.parquet")
    for path, source, captions in (
        ("captions.parquet", "captions.parquet", None),
        ("link.parquet", "captions.parquet", None),
        ("captions.parquet", "pictures", "captions.parquet"),
    ):
        with pytest.raises(InputError, match=rf"{path} is what the table is made from; give the table another name"):
            to(path, source, captions=captions, text_encoder=Lengths(), overwrite=True)
    assert contents("captions.parquet") == before


@pytest.mark.parametrize("path", ["pictures/table.parquet", "pictures/mode1/table"])
def test_a_table_among_the_pictures_is_none_of_them(folder, path):
    with pytest.raises(KeyboardInterrupt):
        to(path, encoder=Levels(stop_at=9))
    assert to(path).found == 2
    assert to(path).was_there
    assert pw.load(path).ids.tolist() == [f"mode{i // 6}/{i}.png" for i in range(COUNT)]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_listed_is_said(folder):
    os.mkdir("table", mode=0)
    with pytest.raises(
        InputError, match=r"cannot write table: what is in it already cannot be listed \(Permission den"
    ):
        to("table")


def test_a_folder_of_others_under_the_name_of_the_work_is_left_alone(folder):
    os.mkdir("table.npz.partial")
    with open("table.npz.partial/thesis.txt", "w") as file:
        file.write("all of it")
    with pytest.raises(
        InputError,
        match=r"npz\.partial is where the work on table\.npz is kept, .* thesis\.txt is in it; move that",
    ):
        to("table.npz")
    assert os.listdir("table.npz.partial") == ["thesis.txt"]


def test_a_link_is_followed(folder):
    os.mkdir("disk")
    os.symlink("disk/real.npz", "table.npz")
    to("table.npz")
    assert os.path.islink("table.npz")
    assert os.listdir("disk") == ["real.npz"]
    assert to("disk/real.npz").was_there


def test_rows_of_a_shard_and_of_a_batch_are_at_least_one(folder):
    with pytest.raises(InputError, match=r"shard_rows is 0; it must be a whole number of at least 1"):
        to("table.npz", shard_rows=0)
    with pytest.raises(InputError, match=r"batch_size is -1; it must be a whole number of at least 1"):
        to("table.npz", batch_size=-1)
