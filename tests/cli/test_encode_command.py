"""pointwise encode, from the arguments to the table, the exit status and the sentences on stderr."""

from __future__ import annotations

import io
import os
import re
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib

import numpy as np
import pytest
from PIL import Image

import pointwise as pw
from pointwise._evaluate import evaluate
from pointwise.cli import main
from pointwise.encoding import encode

COUNT = 8


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with eight pictures of two modes and captions of them."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        mode = tmp_path / "pictures" / ("cat" if i < 4 else "dog")
        mode.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(mode / f"{i}.png")
    lines = [f"{i}.png,number {i}" for i in range(COUNT)]
    (tmp_path / "captions.csv").write_text("\n".join(["file_name,caption", *lines]))
    return tmp_path


@pytest.fixture
def pointwise(folder, capsys):
    """Run the command line here: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(pointwise, folder):
    """Run what must be refused: exit status 2, nothing on stdout, nothing written. Returns the one line on stderr."""

    def run(*arguments: object) -> str:
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        code, out, err = pointwise(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("pointwise: ")
        assert err.endswith(("\n", ".\n"))
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        return err

    return run


# ---- what is made


@pytest.mark.parametrize("path", ["table.npz", "table.safetensors", "table.parquet", "table", "table/"])
def test_images_become_a_table_and_a_line(pointwise, path):
    code, out, err = pointwise("encode", "pictures", "-o", path, "--encoder", "pixels", "--shard-rows", 3)
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"{path}: 8 rows of 192 features by pixels:8, in \d+\.\d s\.\n", out)
    table = pw.load(path)
    assert (table.features == encode("pictures", encoder="pixels").features).all()
    assert table.modes.tolist() == ["cat"] * 4 + ["dog"] * 4
    assert sorted(os.listdir()) == sorted(["captions.csv", "pictures", path.rstrip("/")])


def test_images_and_captions_become_a_table_of_both(pointwise):
    code, out, err = pointwise("encode", "pictures", "-o", "t.npz", "--encoder", "pixels", "--captions", "captions.csv")
    assert code == 0
    assert out.startswith("t.npz: 8 rows of 192 features by pixels:8 and text by minilm, in ")
    assert err == "warning: captions.csv names images by file name.\n"
    table = pw.load("t.npz")
    assert table.text.shape == (8, 384)
    assert table.captions.tolist() == [f"number {i}" for i in range(COUNT)]
    assert table.meta["text_encoder"] == "minilm"


def test_captions_alone_become_a_table_of_texts_and_long_ones_are_counted(pointwise, folder):
    (folder / "prompts.txt").write_text("a cat\n" + "very " * 600 + "long\n")
    code, out, err = pointwise("encode", "prompts.txt", "-o", "prompts.parquet", "--text-encoder", "minilm")
    assert code == 0
    assert out.startswith("prompts.parquet: 2 rows of 384 features by minilm, in ")
    limit = pw.load("prompts.parquet").meta["max_tokens"]
    assert err == (
        f"warning: 1 of 2 captions are longer than the {limit} tokens that minilm reads, and were cut to these.\n"
    )


def test_the_same_again_encodes_nothing(pointwise):
    command = ("encode", "pictures", "-o", "t.npz", "--encoder", "pixels")
    pointwise(*command)
    before = os.stat("t.npz").st_mtime_ns
    code, out, err = pointwise(*command)
    assert (code, err) == (0, "")
    assert out == (
        "t.npz is already there, made of these very items: 8 rows of 192 features by pixels:8; nothing was encoded.\n"
    )
    assert os.stat("t.npz").st_mtime_ns == before


def test_another_table_under_the_name_is_kept_unless_told_otherwise(pointwise, refused):
    pointwise("encode", "pictures", "-o", "t.npz", "--encoder", "pixels:4")
    said = refused("encode", "pictures", "-o", "t.npz", "--encoder", "pixels")
    assert said.startswith("pointwise: t.npz is already there and is another table: encoder is 'pixels:4' there and ")
    assert said.endswith("So give another name, or replace it: --overwrite, or overwrite=True.\n")
    assert pointwise("encode", "pictures", "-o", "t.npz", "--encoder", "pixels", "--overwrite")[0] == 0
    assert pw.load("t.npz").meta["encoder"] == "pixels:8"


def test_images_that_cannot_be_read_are_skipped_on_demand_and_what_was_encoded_is_used(pointwise, folder):
    (folder / "pictures" / "dog" / "7.png").write_bytes(b"no picture")
    command = ("encode", "pictures", "-o", "t.npz", "--encoder", "pixels:8", "--shard-rows", 2)
    code, out, err = pointwise(*command)
    assert (code, out) == (2, "")
    assert err.startswith("pointwise: pictures: dog/7.png cannot be read as an image: ")
    code, out, err = pointwise(*command, "--skip-bad")
    assert code == 0
    assert out.startswith("t.npz: 7 rows of 192 features by pixels:8, in ")
    assert out.endswith(" s; resumed: 3 of 4 shards were already there.\n")
    assert err.startswith("warning: pictures: 1 of 8 images could not be read and were skipped; the first: pictures: ")
    assert err.count("\n") == 1


def test_a_table_goes_into_compare(pointwise):
    pointwise("encode", "pictures", "-o", "t.npz", "--encoder", "pixels")
    code, _, _ = pointwise("compare", "t.npz", "pictures", "--metrics", "kid,density", "--k", 1, "--json", "all.json")
    assert code == 0
    told = pw.Evaluation.from_json("all.json")
    expected = evaluate(pw.load("t.npz"), encode("pictures", encoder="pixels"), metrics=["kid", "density"], k=1)
    assert told.to_dict() == expected.to_dict()


# ---- stopped


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_control_c_says_that_the_same_command_goes_on(pointwise, folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # batches so small are no faster on several, and slow on a busy machine
    rng = np.random.default_rng(0)
    np.save("many.npy", rng.integers(256, size=(160, 32, 32, 3), dtype=np.uint8))
    command = ["encode", "many.npy", "-o", "t.npz", "--encoder", "bundled:32", "--shard-rows", "4"]
    program = [sys.executable, "-m", "pointwise", *command]
    # where the tests run in a shell's background SIGINT is ignored, and what they start would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, before)
        deadline = time.monotonic() + 100
        while not list(folder.glob("t.npz.partial/*.part.safetensors")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    work = folder / "t.npz.partial"
    assert err == f"\nwhat is encoded is kept in {work}; the same command goes on from there.\npointwise: stopped.\n"
    assert re.search(r"; resumed: [1-9]\d* of 40 shards were already there\.\n$", pointwise(*command)[1])
    assert not work.exists()


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pictures",), r"Missing option '-o' / '--output'"),
        (("pictures", "-o", "t.csv"), r"cannot write t\.csv: the suffix '\.csv' is not one of \.npz, "),
        (("pictures", "-o", "gone/t.npz"), r"cannot write gone/t\.npz: the folder .*gone does not exist; create it"),
        (("pictures", "-o", "t.npz", "--encoder", "pixel"), r"there is no encoder 'pixel'; .*Did you mean 'pixels'\?"),
        (("pictures", "-o", "t.npz", "--text-encoder", "zzz"), r"there is no text encoder 'zzz'; there are minilm, "),
        (("gone", "-o", "t.npz"), r"gone does not exist; give a file, folder or archive of images or captions\."),
        (("empty", "-o", "t.npz", "--encoder", "pixels"), r"empty holds no images; files with these suffixes"),
        (("pictures", "-o", "t.npz", "--only-matching"), r"only_matching \(--only-matching\) keeps .* no captions"),
        (("pictures", "-o", "t.npz", "--batch-size", "0"), r"Invalid value for '--batch-size': 0 is not in the range"),
        (("pictures", "-o", "t.npz", "--device", "abacus"), r"device 'abacus' cannot be used"),
        (("few.csv", "-o", "t.npz"), r"cannot read captions from few\.csv: 1 of 1 captions are empty or white space"),
        (
            ("latin.txt", "-o", "t.npz"),
            r"cannot read captions from latin\.txt: it is not UTF-8: line 1 has the byte 0xe9",
        ),
        (
            ("pictures", "-o", "t.npz", "--encoder", "pixels", "--captions", "other.csv"),
            r"6 of 8 images of pictures have no caption \(first: cat/2\.png, .*\), and 1 of 3 captions of other\.csv "
            r"name no image \(first: 99\.png\); .* --only-matching",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(refused, folder, arguments, said):
    (folder / "empty").mkdir()
    (folder / "few.csv").write_text("caption\n \n")
    (folder / "latin.txt").write_bytes("café\n".encode("latin-1"))
    (folder / "other.csv").write_text("file_name,caption\n0.png,a\n1.png,b\n99.png,c\n")
    assert re.search(said, refused("encode", *arguments))


def test_a_decompression_bomb_is_one_sentence_or_skipped(refused, pointwise, folder):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1 << 15, 1 << 15, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (folder / "pictures" / "dog" / "bomb.png").write_bytes(data)
    command = ("encode", "pictures", "-o", "t.npz", "--encoder", "pixels:8")
    assert re.search(
        r"dog/bomb\.png cannot be read as an image: more pixels than the \d+ taken as safe", refused(*command)
    )
    code, out, err = pointwise(*command, "--skip-bad")
    assert (code, out[:13]) == (0, "t.npz: 8 rows")
    assert "1 of 9 images could not be read and were skipped; the first: pictures: dog/bomb.png" in err


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png"])
def test_an_archive_that_points_outside_is_one_sentence(refused, folder, name):
    data = next((folder / "pictures").rglob("*.png")).read_bytes()
    with tarfile.open("a.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    said = refused("encode", "a.tar", "-o", "t.npz", "--encoder", "pixels")
    assert f"a.tar has the member {name!r}, which points outside of the archive" in said
