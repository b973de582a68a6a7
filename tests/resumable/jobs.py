"""What the tests of this folder have done by other processes, which are killed or measured.

Run as a program it imports all once, and forks a process for each line on stdin: the name of a function here and its
arguments, as JSON. On stdout comes what it returns, or with what status it ended where it did not return.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pointwise.encoding import encode_to
from pointwise.encoding.items import Items, open_items
from pointwise.errors import InputError
from pointwise.items.images import open_images
from pointwise.resumable.parts import held
from pointwise.tokens.make_tokens import make_tokens
from pointwise.tokens.token_file import load_tokens
from pointwise.training.loop import fit
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.options import Options

COUNT, ROWS = 7, 4  # two parts
KIND = "test"


class Levels:
    """An encoder of pictures: their grey level, also as three tokens; notes each level in a file that is open."""

    name, dim, meta = "levels", 2, {"weights_sha256": "a"}

    def __init__(self, log=None):
        self.log = log

    def encode(self, images):
        levels = [int(image[0, 0, 0]) for image in images]
        if self.log is not None:
            os.write(self.log, bytes(levels))
        return torch.tensor([[level, level**0.5] for level in levels])

    def encode_tokens(self, images):
        return self.encode(images)[:, None] * torch.tensor([1.0, 0.5, 0.25])[None, :, None], None


class Words:
    """A text encoder: the number of letters."""

    name, dim, meta, max_tokens = "words", 1, {}, 3

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts):
        return torch.tensor([[float(len(text))] for text in texts])


def nothing(*_):
    """Where nobody listens."""


def make(path, number=0):
    """Make tokens or a table, of pictures of levels 0 to 6; kills itself as it does its n-th operation on a file."""
    encoder = Levels(os.open("log", os.O_WRONLY | os.O_TRUNC | os.O_APPEND | os.O_CREAT))
    kill_at(number)
    if path == "tokens":
        items = open_items("pictures", captions="captions.csv", beside=True, only_matching=False)
        make_tokens(Path(path), items, encoder, Words(), resume=False, say=nothing, progress=nothing, part_rows=ROWS)
    else:
        encode_to(path, "pictures", encoder=encoder, shard_rows=ROWS, batch_size=2, overwrite=True)


def kill_at(number):
    done = 0

    def hook(event, arguments):
        nonlocal done
        made = event == "open" and arguments[2] & os.O_CREAT
        if made or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir"):
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def crowd(processes, turns):
    """Several processes hold one folder, each so many times; returns how many found that they were not alone."""
    children = []
    for _ in range(processes):
        children.append(os.fork())
        if not children[-1]:
            try:
                take_turns(turns)
            except FileExistsError:
                os._exit(1)
            os._exit(0)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def take_turns(turns):
    while turns:
        try:
            with held(Path("crowd"), kind=KIND, purpose="work is", path="crowd"):
                os.close(os.open("alone", os.O_CREAT | os.O_EXCL))
                time.sleep(0)
                os.unlink("alone")
                turns -= 1
        except InputError as error:
            if not str(error).startswith("another process is writing crowd right now; wait for it"):
                raise
        time.sleep(turns % 3 / 2000)


# ---- memory: each returns by how many bytes it grew while it did many times what it had done once


class Wide(Words):
    name, dim = "wide", 1 << 15

    def encode(self, images):
        return torch.zeros(len(images), self.dim)

    def encode_tokens(self, images):
        return torch.ones(len(images), 128, 512), None


def grown(job, little, much):
    job(*little)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job(*much)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def memory_of_a_folder(place):
    def job(path, shards):
        encode_to(f"{place}/{path}", np.zeros((16 * shards, 1, 1), np.uint8), encoder=Wide(), shard_rows=16)

    return grown(job, ("little", 1), ("much", 24))


def memory_of_tokens(place):
    def job(path, count):
        images = open_images(np.zeros((count, 2, 2, 3), dtype=np.uint8))
        ids, words = np.arange(count), ["word"] * count
        items = Items("black", ids=ids, images=images, rows=range(count), captions=words, order=range(count))
        make_tokens(
            Path(place, path), items, Wide(), Words(), resume=False, say=nothing, progress=nothing, part_rows=32
        )

    return grown(job, ("few", 128), ("many", 768))


def memory_of_training(few, all_of_them):
    def job(path):
        pairs = load_tokens(path).pairs
        model = DualEncoder(FrozenTokens(width=pairs.images.x.shape[2]), FrozenTokens(width=4), points=1, dim=2, seed=0)
        for _ in fit(model, pairs, Options(steps=24, batch_size=32, learning_rate=1e-5)):
            pass

    return grown(job, (few,), (all_of_them,))


def answer(words):
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def serve():
    torch.set_num_threads(1)  # what is forked has no other threads
    pa.array(np.zeros(1))  # imports pandas, where it is there
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            answer({"result": globals()[name](*arguments)})
            os._exit(0)
        if status := os.waitpid(child, 0)[1]:
            answer({"status": status})


if __name__ == "__main__":
    serve()
