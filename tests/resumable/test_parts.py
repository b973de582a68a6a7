"""Keyed parts in a folder: found again if they are whole, made if not, and nobody else's files are touched."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pointwise.errors import InputError
from pointwise.resumable.parts import LOCK, Parts, held

KIND = "test"
KEYS = [character * 64 for character in "abc"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path("work")


def hold(folder, **options):
    return held(folder, **({"kind": KIND, "purpose": "the work on it is", "path": "it"} | options))


def test_parts_are_known_by_their_keys_and_removed_but_for_those_to_keep(folder):
    with hold(folder) as parts:
        for key in KEYS:
            parts.save(key, ({}, {"of": key[0]}))
        assert parts.keys() == set(KEYS)
        assert parts.load(KEYS[1])[1] == {"of": "b"}
        parts.remove(keep=[KEYS[0]])
        assert parts.keys() == {KEYS[0]}
    assert sorted(os.listdir(folder)) == [f"{KEYS[0]}.part.safetensors", LOCK]


def test_arrays_and_meta_of_a_part_come_back_and_equal_content_has_equal_bytes(folder):
    meta = {"n": 3, "words": ["a", "ü"], "nested": {"1": None}}
    with hold(folder) as parts:
        for key in KEYS[:2]:
            parts.save(key, ({"x": np.arange(6, dtype=np.float16).reshape(3, 2).T, "y": np.zeros((0, 4))}, meta))
        arrays, back = parts.load(KEYS[0])
        assert back == meta
        assert arrays["x"].flags.writeable
        np.testing.assert_array_equal(arrays["x"], np.array([[0, 2, 4], [1, 3, 5]], dtype=np.float16), strict=True)
        np.testing.assert_array_equal(arrays["y"], np.zeros((0, 4)), strict=True)
        assert parts.path(KEYS[0]).read_bytes() == parts.path(KEYS[1]).read_bytes()


def test_a_damaged_part_and_one_of_another_kind_count_as_not_there(folder):
    with hold(folder) as parts:
        parts.save(KEYS[0], ({"x": np.ones(3)}, {}))
        assert Parts(folder, kind="other").load(KEYS[0]) is None
        content = bytearray(parts.path(KEYS[0]).read_bytes())
        content[-1] ^= 1
        parts.path(KEYS[0]).write_bytes(content)
        assert parts.load(KEYS[0]) is None
        assert parts.load(KEYS[1]) is None


def test_without_parts_nothing_is_left_and_what_killed_runs_have_left_goes(folder):
    with hold(folder, also=["table"]):
        (folder / "table").mkdir()
        (folder / "table" / "0.parquet").write_text("half")
    assert not folder.exists()
    with pytest.raises(KeyboardInterrupt), hold(folder):
        raise KeyboardInterrupt
    assert not folder.exists()
    folder.mkdir()  # a run that was killed before it had the lock
    with hold(folder) as parts:
        parts.save(KEYS[0], ({}, {}))
    (folder / ".pointwise-0123456789abcdef.tmp").write_text("half")
    with hold(folder):
        pass
    assert sorted(os.listdir(folder)) == [f"{KEYS[0]}.part.safetensors", LOCK]


@pytest.mark.parametrize("name", ["thesis.txt", "lock", "table", "a.part.safetensors", "manifest.json", "0"])
def test_a_folder_of_others_is_left_alone(folder, name):
    folder.mkdir()
    (folder / name).write_text("all of it")
    sentence = rf"work is where the work on it is kept, and nothing else can be, but {name} is in it; move that away"
    with pytest.raises(InputError, match=sentence), hold(folder, also=["table"]):
        raise AssertionError
    assert (folder / name).read_text() == "all of it"
    assert os.listdir(folder) == [name]


def test_what_is_put_into_a_folder_of_ours_is_not_removed(folder):
    with hold(folder) as parts:
        parts.save(KEYS[0], ({}, {}))
    (folder / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match=r"but thesis\.txt is in it; move that away, or give another name"):
        hold(folder).__enter__()
    assert len(os.listdir(folder)) == 3


def test_a_file_of_the_name_and_a_place_that_cannot_be_written_are_one_sentence(folder):
    folder.write_text("mine")
    with pytest.raises(InputError, match="work is a file, and the work on it is kept in a folder of this name; move"):
        hold(folder).__enter__()
    for place, reason in ((Path("gone/work"), "No such file or directory"), (Path("x" * 300), "File name too long")):
        with pytest.raises(InputError, match=rf"cannot write it: .* cannot be made \({reason}\); write to a folder"):
            hold(place).__enter__()


def test_who_comes_second_is_told_and_may_come_again(folder):
    with hold(folder) as parts:
        parts.save(KEYS[0], ({}, {}))
        with pytest.raises(InputError, match="another process is writing it right now; wait for it, or give another"):
            hold(folder).__enter__()
    with hold(folder) as parts:
        assert parts.keys() == {KEYS[0]}


def test_processes_that_want_one_folder_are_alone_in_it_by_turns(server):
    assert server("crowd", 4, 25) == {"result": 0}
    assert not {"alone", "crowd"} & set(os.listdir(server.folder))
