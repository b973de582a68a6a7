"""Tokens of frozen encoders in a folder: stopped anywhere and started again it holds what one run would have made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoding.items import open_items
from pointwise.encoding.lock import alone_in
from pointwise.errors import InputError
from pointwise.tokens import make_tokens as module
from pointwise.tokens.sources import stored_pairs, token_pairs
from pointwise.tokens.token_file import INDEX, load_tokens
from pointwise.tokens.tokens import encode_tokens

COUNT, ROWS = 14, 4
KILLED_ROWS = 5  # three parts, of which each is killed at each step
PARTS = -(-COUNT // ROWS)


class Levels:
    """An encoder of pictures: three tokens of the grey level each; one of level 11 does not fit into half precision."""

    name, dim = "levels", 2

    def __init__(self, *, weights="a", stop_at=None, room=None):
        self.meta = {"weights_sha256": weights}
        self.seen, self.stop_at, self.room = [], stop_at, room

    def encode_tokens(self, images):
        if self.room is not None and len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        levels = [int(image[0, 0, 0]) for image in images]
        if self.stop_at in levels:
            raise KeyboardInterrupt
        self.seen += levels
        values = torch.tensor([[level, 1e5 if level == 11 else level / 4] for level in levels])
        return values[:, None] * torch.tensor([1.0, 0.5, 0.25])[None, :, None], None


class Words:
    """A text encoder: a token for each of the first four words, its length."""

    name, dim, meta, max_tokens = "words", 1, {"pooling": "none"}, 4

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def encode_tokens(self, texts):
        counts = [min(n, self.max_tokens) for n in self.count_tokens(texts)]
        tokens = torch.full((len(texts), max(counts), 1), -1.0)  # what padding holds is not to be seen
        for i, text in enumerate(texts):
            tokens[i, : counts[i], 0] = torch.tensor([float(len(word)) for word in text.split()[: counts[i]]])
        return tokens, torch.arange(max(counts)) < torch.tensor(counts)[:, None]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", ROWS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures of grey levels 0 to 13 with captions of one to five words; tests work in the folder above."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "pictures")
    return tmp_path


def write_pictures(folder):
    folder.mkdir()
    rows = ["file_name,caption"]
    for i in range(COUNT):
        Image.new("L", (3, 3), i).save(folder / f"{i:02}.png")
        rows.append(f"{i:02}.png,{' '.join('w' * (k + 1) for k in range(i % 5 + 1))}")
    (folder / "captions.csv").write_text("\n".join(rows))


def items_of(source="pictures"):
    captions = None if source.endswith(".tar") else f"{source}/captions.csv"
    return open_items(source, captions=captions, beside=True, only_matching=False)


def run(path, image=None, *, source="pictures", say=None):
    said = [] if say is None else say
    return token_pairs(items_of(source), Path(path), image or Levels(), Words(), say=said.append, progress=nothing)


def nothing(*_):
    """Where nobody looks at the bar."""


def contents(path):
    return {name: (path / name).read_bytes() for name in sorted(os.listdir(path)) if name != "lock"}


def whole(items):
    """The tokens by one call, in memory."""
    return (
        encode_tokens(Levels(), [items.picture(i) for i in range(len(items))]),
        encode_tokens(Words(), list(items.captions)),
    )


def same(pairs, expected):
    for mine, side in zip(pairs, expected, strict=True):
        assert mine.x.dtype == side.x.dtype
        assert torch.equal(mine.x[:], side.x)
        assert (mine.mask is None) == (side.mask is None)
        assert side.mask is None or torch.equal(mine.mask, side.mask)


def test_they_are_those_of_one_call_in_memory(folder):
    said = []
    source = run("tokens", say=said)
    same(source.pairs, whole(items_of()))
    assert source.pairs.images.x.dtype == torch.float32  # of one part alone
    kept = load_tokens("tokens")
    assert kept.ids == [f"{i:02}.png" for i in range(COUNT)]
    assert kept.captions == list(items_of().captions)
    assert said == ["2 of 14 captions are longer than the 4 tokens that words reads, and were cut."]
    assert source.meta["captions_truncated"] == 2
    assert source.meta["image_encoder_meta"] == {"weights_sha256": "a"}
    assert sorted(os.listdir("tokens")) == sorted(
        [INDEX, "lock", "manifest.json", *(name for name in os.listdir("tokens") if name.endswith(".safetensors"))]
    )
    assert len(os.listdir("tokens")) == PARTS + 3
    again = stored_pairs("tokens")
    assert again.pairs.sha256() == source.pairs.sha256()
    assert again.meta == source.meta


def test_pairs_stand_in_the_order_of_items_where_an_archive_is_read_in_another(folder):
    with tarfile.open("shuffled.tar", "w") as tar:
        for i in np.random.default_rng(0).permutation(COUNT):
            (folder / "pictures" / f"{i:02}.txt").write_text(f"number {i}")
            for suffix in ("png", "txt"):
                tar.add(f"pictures/{i:02}.{suffix}", f"{i:02}.{suffix}")
    items = items_of("shuffled.tar")
    assert list(items.order) != list(range(COUNT))
    same(run("tokens", source="shuffled.tar").pairs, whole(items))
    assert load_tokens("tokens").captions == [f"number {i}" for i in range(COUNT)]


@pytest.mark.parametrize("stop_at", [0, 3, 4, 9, 13])
def test_what_is_finished_stays(folder, stop_at):
    run("whole")
    first, second, third = Levels(stop_at=stop_at), Levels(), Levels()
    with pytest.raises(KeyboardInterrupt):
        run("tokens", first)
    assert os.path.exists("tokens") == (stop_at >= ROWS)
    if stop_at >= ROWS:
        with pytest.raises(InputError, match="tokens in tokens are not all made yet"):
            stored_pairs("tokens")
    run("tokens", second)
    assert contents(folder / "tokens") == contents(folder / "whole")
    assert second.seen == list(range(stop_at // ROWS * ROWS, COUNT))
    run("tokens", third)
    assert third.seen == []


def test_what_has_changed_since_is_encoded_again_and_what_is_damaged(folder):
    run("tokens")
    before = set(os.listdir("tokens"))
    Image.new("L", (3, 3), 200).save("pictures/09.png")
    encoder = Levels()
    same(run("tokens", encoder).pairs, whole(items_of()))
    assert encoder.seen == [8, 200, 10, 11]
    assert len(set(os.listdir("tokens")) - before) == 1
    assert len(before - set(os.listdir("tokens"))) == 1
    other = Levels(weights="b")
    run("tokens", other)
    assert len(other.seen) == COUNT
    assert len(os.listdir("tokens")) == PARTS + 3
    damaged, gone = sorted(name for name in os.listdir("tokens") if name.endswith(".safetensors"))[:2]
    with open(f"tokens/{damaged}", "r+b") as file:
        file.truncate(300)
    os.remove(f"tokens/{gone}")
    third = Levels(weights="b")
    same(run("tokens", third).pairs, whole(items_of()))
    assert ROWS < len(third.seen) <= 2 * ROWS


def test_batches_are_halved_where_memory_runs_out(folder):
    said = []
    encoder = Levels(room=2)
    same(run("tokens", encoder, say=said).pairs, whole(items_of()))
    assert said[0] == "the device ran out of memory with 32 items at a time; going on with 16."
    assert said[3] == "the device ran out of memory with 4 items at a time; going on with 2."
    assert len(said) == 5  # of the first part alone; and of captions that were cut


def test_an_encoder_without_tokens_has_one_for_each_item(folder):
    class Means:
        name, dim, meta = "means", 1, {}

        def encode(self, images):
            return torch.tensor([[float(image.mean())] for image in images])

    said = []
    pairs = run("tokens", Means(), say=said).pairs
    assert pairs.images.x.shape == (COUNT, 1, 1)
    assert pairs.images.mask is None
    assert said[0].startswith("encoder means gives one feature vector for an item and no tokens")


# ---- what is refused


def test_another_process_at_the_same_folder_is_refused(folder):
    run("tokens", Levels(weights="old"))
    with alone_in(folder / "tokens"):
        with pytest.raises(InputError, match="another process is writing tokens right now"):
            run("tokens")
        assert run("tokens", Levels(weights="old")).pairs.n == COUNT  # which only reads


def test_what_is_there_and_no_folder_of_tokens_is_left_alone(folder):
    (folder / "file").write_text("mine")
    with pytest.raises(InputError, match="file is a file, and tokens are kept in a folder of this name; move it away"):
        run("file")
    (folder / "own").mkdir()
    (folder / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"own is where tokens are kept, .* but thesis\.txt is in it; move that away"):
        run("own")
    assert os.listdir("own") == ["thesis.txt"]
    (folder / "web").mkdir()
    (folder / "web" / "manifest.json").write_text('{"name": "another program\'s"}')
    with pytest.raises(
        InputError, match=r"web is .* there but holds something else; move it away, or give another name"
    ):
        run("web")
    assert "another program" in (folder / "web" / "manifest.json").read_text()


def test_what_others_put_beside_tokens_is_not_removed(folder):
    run("tokens", Levels(weights="old"))
    (folder / "tokens" / "notes").mkdir()
    with pytest.raises(
        InputError, match=r"tokens is where tokens are kept, and nothing else can be, but notes is in it"
    ):
        run("tokens")
    assert (folder / "tokens" / "notes").is_dir()


def test_a_training_that_is_resumed_with_other_pairs_leaves_the_tokens_as_they_are(folder):
    run("tokens")
    before = contents(folder / "tokens")
    other = Levels(weights="b")
    options = {"resume": True, "say": nothing, "progress": nothing}
    with pytest.raises(
        InputError, match=r"the tokens in tokens are of other pictures, captions or encoders than these"
    ):
        token_pairs(items_of(), Path("tokens"), other, Words(), **options)
    assert other.seen == []
    assert contents(folder / "tokens") == before
    token_pairs(items_of(), Path("tokens"), Levels(), Words(), **options)
    os.remove("tokens/tokens.json")  # as of a run that was killed while it made them
    token_pairs(items_of(), Path("tokens"), Levels(), Words(), **options)
    assert contents(folder / "tokens") == before


def test_captions_are_needed(folder):
    items = open_items("pictures", captions=None, beside=False, only_matching=False)
    with pytest.raises(InputError, match="pictures has no captions; give a file of them: --captions FILE"):
        token_pairs(items, Path("tokens"), Levels(), Words(), say=nothing, progress=nothing)
    assert not os.path.exists("tokens")


# ---- memory

MEMORY = """
import resource
from pathlib import Path
import numpy as np
import torch
import test_make_tokens as tests
from pointwise.items.images import open_images
from pointwise.encoding.items import Items

torch.set_num_threads(1)

class Wide(tests.Levels):
    def encode_tokens(self, images):
        return torch.ones(len(images), 128, 512), None

def made(count, path):
    images = open_images(np.zeros((count, 2, 2, 3), dtype=np.uint8))
    ids, words = np.arange(count), ["word"] * count
    items = Items("black", ids=ids, images=images, rows=range(count), captions=words, order=range(count))
    tests.token_pairs(items, Path(path), Wide(), tests.Words(), say=tests.nothing, progress=tests.nothing)

tests.module.PART_ROWS = 32
made(32, "few")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made(512, "many")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
def test_making_needs_less_memory_than_the_tokens(folder):
    """Of 67 MB of tokens in 16 parts; memory grows by what freed parts leave behind."""
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert sum(os.path.getsize(f"many/{name}") for name in os.listdir("many")) > 67e6
    assert int(done.stdout) * 1024 < 30e6


# ---- kills

KILL = """
import os, signal, sys
from pathlib import Path
import torch, safetensors.torch
torch.set_num_threads(1)  # what is forked has no other threads
import test_make_tokens as tests

tests.module.PART_ROWS = tests.KILLED_ROWS
tests.items_of().digest(0, skip_bad=False)

def kill_at(number):
    done = 0

    def hook(event, arguments):
        nonlocal done
        written = event == "open" and isinstance(arguments[1], str) and arguments[1][0] in "xw"
        if written or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir"):
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)

for line in sys.stdin:
    path, number = line.split()
    child = os.fork()
    if child == 0:
        kill_at(int(number))
        tests.run(path)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_as_it_opens_moves_or_removes_any_file_it_ends_with_the_same_bytes(folder, monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", KILLED_ROWS)
    run("whole")
    expected = contents(folder / "whole")
    command = [sys.executable, "-c", KILL]
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:

        def status(path, number):
            process.stdin.write(f"{path} {number}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        for moment in range(1, 100):
            path = folder / f"tokens{moment}"
            if status(path.name, moment) == 0:  # it was done before
                break
            assert status(path.name, moment + 5) in (0, signal.SIGKILL)  # once more on the way
            for name in os.listdir(path) if path.exists() else []:
                if name.endswith(".part.safetensors"):
                    assert (path / name).read_bytes() == expected[name]
            assert status(path.name, 0) == 0
            assert contents(path) == expected
        assert 3 * -(-COUNT // KILLED_ROWS) < moment < 99
        process.stdin.close()
