"""Tokens of frozen encoders in a folder: stopped anywhere and started again it holds what one run would have made."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoding.items import open_items
from pointwise.errors import InputError
from pointwise.resumable.parts import LOCK, held
from pointwise.tokens.make_tokens import make_tokens
from pointwise.tokens.sources import Source, open_pictures, stored_pairs
from pointwise.tokens.token_file import INDEX, KIND, load_tokens
from pointwise.tokens.tokens import encode_tokens

COUNT, ROWS = 14, 4
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


def run(path, image=None, *, source="pictures", say=None, resume=False):
    """The tokens of pictures in a folder, made in small parts; and what is said goes into a list."""
    options = {"resume": resume, "say": [].append if say is None else say.append, "progress": nothing}
    make_tokens(Path(path), items_of(source), image or Levels(), Words(), **options, part_rows=ROWS)
    kept = load_tokens(path)
    return Source(str(path), kept.pairs, kept, dict(kept.meta))


def nothing(*_):
    """Where nobody looks at the bar."""


def contents(path):
    return {name: (path / name).read_bytes() for name in sorted(os.listdir(path)) if name != LOCK}


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
    assert said == ["2 of 14 captions are longer than the 4 tokens that words reads, and were cut to these."]
    assert source.meta["captions_truncated"] == 2
    assert source.meta["image_encoder_meta"] == {"weights_sha256": "a"}
    assert sorted(os.listdir("tokens")) == sorted(
        [INDEX, LOCK, *(name for name in os.listdir("tokens") if name.endswith(".safetensors"))]
    )
    assert len(os.listdir("tokens")) == PARTS + 2
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
    assert len(os.listdir("tokens")) == PARTS + 2
    damaged, gone = sorted(name for name in os.listdir("tokens") if name.endswith(".safetensors"))[:2]
    with open(f"tokens/{damaged}", "r+b") as file:
        file.truncate(300)
    os.remove(f"tokens/{gone}")
    third = Levels(weights="b")
    same(run("tokens", third).pairs, whole(items_of()))
    assert ROWS < len(third.seen) <= 2 * ROWS


def test_a_run_that_goes_on_makes_again_what_is_not_what_was_written(folder):
    run("tokens")
    before = contents(folder / "tokens")
    os.remove("tokens/tokens.json")
    part = next((folder / "tokens").glob("*.part.safetensors"))
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    encoder = Levels()
    run("tokens", encoder)
    assert 0 < len(encoder.seen) <= ROWS
    assert contents(folder / "tokens") == before


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
    with held(folder / "tokens", kind=KIND, purpose="tokens are", path="tokens", also=[INDEX]):
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
        InputError,
        match=r"web is where tokens are kept, .* but manifest\.json is in it; move that away, or give",
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
    with pytest.raises(
        InputError, match=r"the tokens in tokens are of other pictures, captions or encoders than these"
    ):
        run("tokens", other, resume=True)
    assert other.seen == []
    assert contents(folder / "tokens") == before
    run("tokens", resume=True)
    os.remove("tokens/tokens.json")  # as of a run that was killed while it made them
    run("tokens", resume=True)
    assert contents(folder / "tokens") == before


def test_captions_are_needed(folder):
    with pytest.raises(InputError, match=r"pictures: it holds \d+ images and no captions"):
        open_pictures("pictures", None, say=nothing)
