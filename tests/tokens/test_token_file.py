"""Tokens of pairs on disk come back as they were, a row at a time, and are read only when they are asked for."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointwise.errors import InputError
from pointwise.tokens.token_file import StoredTokens, is_tokens, load_tokens, save_index, save_tokens
from pointwise.tokens.tokens import stack
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.loop import fit
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.options import Options


def some_pairs(n, *, t=3, seed=0, dtype=torch.float16, mask=True):
    """Random tokens, of which texts are padded."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = (torch.randn(n, length, 4, generator=generator).to(dtype) for length in (5, t))
    valid = torch.arange(t) < torch.randint(1, t + 1, (n, 1), generator=generator)
    whole = not mask or bool(valid.all())
    return Pairs(Inputs(images), Inputs(texts) if whole else Inputs(texts * valid[:, :, None], valid))


def save(path, pairs, **options):
    ids, captions = ([f"{word} {i}" for i in range(pairs.n)] for word in ("id", "caption"))
    save_tokens(path, pairs, **({"ids": ids, "captions": captions, "meta": {"key": "k"}} | options))


def same(inputs, expected):
    assert isinstance(inputs.x, StoredTokens)
    assert inputs.x.dtype == expected.x.dtype
    assert inputs.x.shape == expected.x.shape
    assert len(inputs.x) == len(expected.x)
    assert torch.equal(inputs.x[:], expected.x)
    assert (inputs.mask is None) == (expected.mask is None)
    assert expected.mask is None or torch.equal(inputs.mask, expected.mask)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("mask", [False, True])
def test_a_file_comes_back_as_it_was(dtype, mask, tmp_path):
    pairs = some_pairs(4, dtype=dtype, mask=mask)
    path = tmp_path / "tokens.safetensors"
    assert not is_tokens(path)
    save(path, pairs, ids=["a.png", "b.png", "", "d"], captions=["ein Bär", "", "x", "y"])
    assert is_tokens(path)
    back = load_tokens(path)
    assert back.pairs.n == 4
    same(back.pairs.images, pairs.images)
    same(back.pairs.texts, pairs.texts)
    assert (back.ids, back.captions) == (["a.png", "b.png", "", "d"], ["ein Bär", "", "x", "y"])
    assert back.meta == {"key": "k"}


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(2, 5),
        slice(None, None, 3),
        slice(7, 7),
        [3, 0, 0, -1],
        torch.tensor([6, 1, 1, 2]),
        torch.tensor([], dtype=torch.int64),
        torch.tensor([[0, 1], [2, 3]]),
        torch.arange(7) % 2 == 0,
        4,
        -2,
    ],
    ids=str,
)
def test_rows_are_taken_as_those_of_a_tensor_are(index, tmp_path):
    pairs = some_pairs(7)
    save(tmp_path / "tokens.safetensors", pairs)
    stored = load_tokens(tmp_path / "tokens.safetensors").pairs
    assert torch.equal(stored.images.x[index], pairs.images.x[index])
    assert torch.equal(stored.texts.x[index], pairs.texts.x[index])
    rows = stored.texts.rows(index)
    assert torch.equal(rows.x, pairs.texts.x[index])
    assert torch.equal(rows.mask, pairs.texts.mask[index])
    assert torch.equal(stored.texts.x.to("cpu"), pairs.texts.x)


def test_rows_that_are_not_there_are_an_error_as_of_a_tensor(tmp_path):
    save(tmp_path / "tokens.safetensors", some_pairs(7))
    for x in (load_tokens(tmp_path / "tokens.safetensors").pairs.images.x, torch.zeros(7)):
        with pytest.raises(IndexError):
            x[[0, 7]]


def folder_of(folder, parts, order):
    """Write parts, whose rows stand at these places, to a folder."""
    begin = 0
    for number, part in enumerate(parts):
        places = order[begin : begin + part.n]
        names = [str(place) for place in places]
        save(folder / f"{number}.part.safetensors", part, ids=names, captions=names, places=places)
        begin += part.n
    save_index(folder, [f"{number}.part.safetensors" for number in range(len(parts))], {"key": "whole"})


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    wide=st.lists(st.booleans(), min_size=4, max_size=4),
    masks=st.lists(st.booleans(), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_a_folder_is_the_stack_of_its_parts_in_their_places(sizes, lengths, wide, masks, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    dtypes = [torch.float32 if one else torch.float16 for one in wide]
    parts = [
        some_pairs(n, t=t, seed=seed + i, dtype=dtype, mask=mask)
        for i, (n, t, dtype, mask) in enumerate(zip(sizes, lengths, dtypes, masks, strict=False))
    ]
    order = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(seed)).tolist()
    folder_of(folder, parts, order)
    back = load_tokens(folder)
    place = torch.tensor(order).argsort()
    for mine, side in ((back.pairs.images, 0), (back.pairs.texts, 1)):
        whole = stack([part[side] for part in parts])
        same(mine, whole.rows(place))
    assert back.ids == back.captions == [str(i) for i in range(sum(sizes))]
    assert back.meta == {"key": "whole"}


def test_the_digest_is_of_content_and_order_and_reads_no_tokens(tmp_path):
    pairs, other = some_pairs(6), some_pairs(6, seed=1)
    paths = [tmp_path / f"{name}.safetensors" for name in "abcd"]
    save(paths[0], pairs)
    save(paths[1], pairs, meta={"another": "meta"})
    save(paths[2], Pairs(pairs.images, other.texts))
    save(paths[3], pairs, places=[1, 0, 2, 3, 4, 5])
    opened = [load_tokens(path).pairs for path in paths]
    for path in paths:
        path.unlink()
    digests = [some.sha256() for some in opened]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_training_from_disk_has_the_bits_of_training_from_memory(tmp_path):
    parts = [some_pairs(20, t=t, seed=t) for t in (2, 3, 4)]
    folder_of(tmp_path, parts, list(range(60)))
    memory = Pairs(*(stack([part[side] for part in parts]) for side in range(2)))
    weights = []
    for pairs in (load_tokens(tmp_path).pairs, memory):
        model = DualEncoder(FrozenTokens(width=4), FrozenTokens(width=4), points=2, dim=3, seed=0)
        list(fit(model, pairs, Options(steps=6, batch_size=16, micro_batch=5, warmup=2, learning_rate=0.01)))
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


# ---- what is refused


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "tokens.safetensors"
    with pytest.raises(InputError, match=r"tokens.safetensors cannot be read as tokens of pairs"):
        load_tokens(path)
    save_file({"features": torch.ones(2, 2)}, path)
    assert not is_tokens(path)
    with pytest.raises(InputError, match="does not hold tokens of pairs: it was not saved as such by this version"):
        load_tokens(path)
    path.write_bytes(b"nothing")
    assert not is_tokens(path)


def test_a_folder_that_is_not_finished_is_known_and_refused(tmp_path):
    assert not is_tokens(tmp_path)
    save(tmp_path / "a.part.safetensors", some_pairs(3))
    assert is_tokens(tmp_path)
    with pytest.raises(InputError, match=r"are not all made yet, or have no tokens\.json; run the training that makes"):
        load_tokens(tmp_path)
    save_index(tmp_path, ["a.part.safetensors", "b.part.safetensors"], {})
    with pytest.raises(InputError, match=r"b\.part\.safetensors cannot be read as tokens of pairs"):
        load_tokens(tmp_path)
    for index in ('{"format": "pointwise.tokens/3"}', "[]", "{"):
        (tmp_path / "tokens.json").write_text(index)
        with pytest.raises(InputError, match=r"are not all made yet, or have no tokens\.json"):
            load_tokens(tmp_path)


def test_words_that_are_damaged_are_said_with_the_file(tmp_path):
    path = tmp_path / "tokens.safetensors"
    save(path, some_pairs(3), captions=["a word to spoil"] * 3)
    path.write_bytes(path.read_bytes().replace(b"a word to spoil", b"\xff" * 15))
    tokens = load_tokens(path)
    assert tokens.ids == ["id 0", "id 1", "id 2"]
    with pytest.raises(
        InputError, match=r"tokens\.safetensors cannot be read as .* \(it is damaged: .*make and save it again"
    ):
        tokens.captions  # noqa: B018


def test_a_file_that_goes_or_shrinks_after_it_was_opened_is_said(tmp_path):
    path = tmp_path / "tokens.safetensors"
    save(path, some_pairs(8))
    x = load_tokens(path).pairs.texts.x
    with open(path, "r+b") as file:
        file.truncate(400)
    with pytest.raises(InputError, match=r"tokens\.safetensors is shorter than it was when it was opened"):
        x[[7]]
    with pytest.raises(InputError, match=r"tokens\.safetensors cannot be read as tokens of pairs"):
        load_tokens(path)
    path.unlink()
    with pytest.raises(InputError, match=r"tokens\.safetensors cannot be read any more \(No such file or directory\)"):
        x[[0]]


def test_tokens_that_are_not_what_was_written_are_said_where_they_are_first_read(tmp_path):
    path = tmp_path / "tokens.safetensors"
    pairs = some_pairs(8)
    save(path, pairs)
    content = path.read_bytes()
    last = content.index(pairs.images.x[5].numpy().tobytes())
    path.write_bytes(content[:last] + bytes([content[last] ^ 4]) + content[last + 1 :])
    x = load_tokens(path).pairs.images.x
    assert torch.equal(x[:5], pairs.images.x[:5])
    with pytest.raises(InputError, match=r"tokens\.safetensors is damaged: some of its tokens .* Remove it, and"):
        x[[6, 5]]


def test_a_header_that_is_damaged_is_one_sentence(tmp_path):
    path = tmp_path / "tokens.safetensors"
    save(path, some_pairs(6))
    content = path.read_bytes()
    for place in range(0, int.from_bytes(content[:8], "little") + 8, 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :])
        with suppress(InputError):
            load_tokens(path)
