"""Killed with SIGKILL at each operation on a file and started again, a run ends with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from jobs import COUNT, ROWS
from PIL import Image
from safetensors.numpy import load

PARTS = -(-COUNT // ROWS)
MOST = 100


@pytest.fixture
def make(server, monkeypatch):
    """Make what has this name, to be killed at an operation: says whether it was; and the levels that it encoded."""
    monkeypatch.chdir(server.folder)
    if not os.path.exists("pictures"):
        os.mkdir("pictures")
        for level in range(COUNT):
            Image.new("L", (3, 3), level).save(f"pictures/{level}.png")
        rows = [f"{level}.png,{'word ' * (level % 5 + 1)}" for level in range(COUNT)]
        with open("captions.csv", "w") as file:
            file.write("\n".join(["file_name,caption", *rows]))

    def run(path, *, kill_at=0):
        answer = server("make", path, kill_at)
        assert answer in ({"result": None}, {"status": signal.SIGKILL})
        with open("log", "rb") as log:
            return "status" in answer, list(log.read())

    return run


def contents(path):
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return file.read()
    return {name: contents(f"{path}/{name}") for name in sorted(os.listdir(path)) if name != "pointwise.lock"}


def parts(path):
    """The parts that runs have left, by their names."""
    folder = path if path == "tokens" else f"{path}.partial"
    files = contents(folder) if os.path.isdir(folder) else {}
    return {name: content for name, content in files.items() if name.endswith(".part.safetensors")}


def inode(path):
    return os.stat(path).st_ino if os.path.exists(path) else None


def rows(part):
    arrays = load(part)
    return len(arrays["features" if "features" in arrays else "image_tokens"])


def remove(path):
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


@pytest.mark.parametrize("path", ["tokens", "table.npz", "shards"])
def test_killed_at_any_operation_on_a_file_it_ends_with_the_same_bytes_and_encodes_nothing_twice(make, path):
    """Among them: just before and after a part, or the whole, is put in its place, and while leftovers are removed."""
    beside = set(os.listdir())
    assert make(path) == (False, list(range(COUNT)))
    expected = contents(path)
    if path != "tokens":  # a table is replaced; tokens that are all there would be left as they are
        assert make(path) == (False, list(range(COUNT)))
    for moment in range(1, MOST):
        if path == "tokens":
            remove(path)
        before = inode(path)
        killed, encoded = make(path, kill_at=moment)
        if not killed:
            break
        if path != "tokens" and os.path.exists(path):
            assert contents(path) == expected
        left = parts(path)
        kept = sum(map(rows, left.values()))
        in_place = inode(path) not in (None, before) and path != "tokens"
        assert in_place or len(encoded) - kept <= ROWS
        killed, encoded = make(path)
        assert not killed
        assert len(encoded) == COUNT - kept
        assert contents(path) == expected
        assert path != "tokens" or left.items() <= expected.items()
        assert set(os.listdir()) <= beside | {path, "log"}
    assert 4 * PARTS < moment < MOST - 1
    remove(path)


@pytest.mark.parametrize("path", ["tokens", "shards"])
def test_killed_over_and_over_it_comes_to_the_same_end(make, path):
    make(path)
    expected = contents(path)
    remove(path)
    encoded = []
    for moment in range(4, MOST):  # the first that is of some use
        killed, some = make(path, kill_at=moment)
        encoded += some
        if not killed:
            break
    assert contents(path) == expected
    assert 5 < moment < MOST - 1
    assert COUNT <= len(encoded) < (moment - 2) * COUNT
    remove(path)
