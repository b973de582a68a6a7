"""Killed with SIGKILL at any moment and started again, encoding ends with the same bytes, a shard a kill lost at most.

``benchmarks/kill_encode.py`` does the same on the command line, with 2,000 pictures and 20 kills.
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

import pointwise as pw

COUNT, SHARD, KILLS = 240, 16, 6
FEW = 8  # of them, for many kills
PATHS = ("table.npz", "shards")

# Started once, as the imports take longer than the encoding; each line on stdin forks a process that encodes to the
# path in it. With a number n it encodes a few pictures, and kills itself as it makes, moves or removes the n-th file;
# for "crowd" four processes do that over and over.
ENCODE = """
import hashlib, json, os, signal, sys, time
import numpy, pyarrow.parquet, safetensors.numpy, torch
from pointwise.encoders import load_encoder
from pointwise.encoding.shards import encode_to
from pointwise.errors import InputError

torch.set_num_threads(1)  # what is forked has no other threads
pyarrow.array(numpy.zeros(1))  # imports pandas, where it is there

class Noted:
    def __init__(self, encoder):
        self.name, self.dim, self.meta, self._encode = encoder.name, encoder.dim, encoder.meta, encoder.encode

    def encode(self, images):
        seen = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        with open("log", "a") as log:
            log.write("".join(json.dumps([os.getpid(), picture]) + "\\n" for picture in seen))
        return self._encode(images)

def kill_at(number):
    done = 0

    def hook(event, arguments):
        nonlocal done
        if event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir"):
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)

def crowd(path):
    children = []
    for _ in range(4):
        children.append(os.fork())
        if not children[-1]:
            for turn in range(80):
                try:
                    encode_to(path, "pictures/few", encoder=pixels, shard_rows=4, overwrite=True)
                except InputError as error:
                    if not str(error).startswith(f"another process is writing {path} right now"):
                        raise
                    time.sleep(turn % 5 / 1000)
            os._exit(0)
    return max(os.waitpid(child, 0)[1] for child in children)

encoder = Noted(load_encoder("bundled:32", device="cpu"))
pixels = load_encoder("pixels:2")
for line in sys.stdin:
    path, number = json.loads(line)
    child = os.fork()
    if child == 0:
        if number == "crowd":
            os._exit(crowd(path) != 0)
        elif number is None:
            encode_to(path, "pictures", encoder=encoder, batch_size=8, shard_rows=16)
        else:
            kill_at(number)
            encode_to(path, "pictures/few", encoder=pixels, shard_rows=4, overwrite=True)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A process that has all imported, in a folder with pictures."""
    folder = tmp_path_factory.mktemp("kill")
    os.mkdir(folder / "pictures")
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        mode = folder / "pictures" / ("few" if i < FEW else "many")
        mode.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(mode / f"{i:04d}.png")
    command = [sys.executable, "-c", ENCODE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        yield folder, process
        process.stdin.close()


@pytest.fixture
def start(server, monkeypatch):
    """Start encoding to a path: returns the process id, and what waits for its exit status."""
    folder, process = server
    monkeypatch.chdir(folder)

    def begin(path, *, number=None):
        process.stdin.write(json.dumps([path, number]) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline()), lambda: int(process.stdout.readline())

    yield begin
    with suppress(FileNotFoundError):
        os.remove("log")


def encoded(process=None):
    """The pictures that were encoded, by all processes or by one, as often as they were."""
    if not os.path.exists("log"):
        return []
    with open("log") as log:
        lines = [json.loads(line) for line in log if line.endswith("\n")]
    return [picture for pid, picture in lines if process in (None, pid)]


def parts(path):
    return glob.glob(f"{path}.partial/*.part.safetensors")


def contents(path):
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return file.read()
    return {name: contents(f"{path}/{name}") for name in sorted(os.listdir(path))}


@pytest.mark.parametrize(("path", "seed"), list(zip(PATHS, (1, 2), strict=True)))
def test_killed_at_random_moments_it_ends_with_the_same_bytes(start, path, seed):
    rng = np.random.default_rng(seed)
    assert start(f"whole-{path}")[1]() == 0
    os.remove("log")
    hit = 0
    for kill in range(KILLS):
        before = set(encoded())
        process, status = start(path)
        if kill < KILLS - 1:
            wait_until(more_encoded, process, int(rng.integers(48)))
        else:
            wait_until(all_encoded, path)
        time.sleep(float(rng.uniform(0, 0.01)))
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        hit += status() == signal.SIGKILL
        again = [picture for picture in encoded(process) if picture in before]
        assert len(again) <= SHARD
    assert hit >= KILLS - 1  # the last may come too late
    assert start(path)[1]() == 0
    assert contents(path) == contents(f"whole-{path}")
    assert COUNT <= len(encoded()) <= COUNT + KILLS * SHARD
    assert set(os.listdir()) <= {"log", "pictures", *(f"{whole}{name}" for whole in ("", "whole-") for name in PATHS)}


@pytest.mark.parametrize("path", ["table.npz", "shards"])
def test_killed_as_it_makes_moves_or_removes_any_file_it_ends_with_the_same_bytes(start, path):
    """Among them: just before and after the table is put in its place, and while what is left over is removed."""
    assert start(path, number=0)[1]() == 0
    expected = contents(path)
    for moment in range(1, 100):
        if start(path, number=moment)[1]() == 0:  # it was done before
            break
        assert start(path, number=0)[1]() == 0
        assert contents(path) == expected
        assert not os.path.exists(f"{path}.partial")
    assert 12 < moment < 99
    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def test_processes_that_write_one_table_take_turns_or_are_refused(start):
    assert start("table.npz", number="crowd")[1]() == 0
    assert pw.load("table.npz").ids.tolist() == [f"{i:04d}.png" for i in range(FEW)]
    assert not os.path.exists("table.npz.partial")
    os.remove("table.npz")


def more_encoded(process, count):
    return len(encoded(process)) >= count


def all_encoded(path):
    """So that it is being put together, or already there."""
    return os.path.exists(path) or len(parts(path)) == COUNT // SHARD


def wait_until(true, *arguments):
    deadline = time.monotonic() + 60
    while not true(*arguments):
        assert time.monotonic() < deadline
        time.sleep(0.001)
