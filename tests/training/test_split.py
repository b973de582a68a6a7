"""Splits in which no copy of a held-out pair is trained on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st

from pointwise.errors import InputError
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.split import count_copies, groups_of, keys_of, room_for, split

KEYS = st.integers(10, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 30).map(str), min_size=n, max_size=n) for _ in range(2)))
)


def groups_by_search(columns):
    """The groups, grown one by one from a first pair."""
    left, groups = set(range(len(columns[0]))), 0
    while left:
        groups += 1
        found = [left.pop()]
        while found:
            i = found.pop()
            near = {j for j in left if any(column[i] == column[j] for column in columns)}
            left -= near
            found += near
    return groups


@given(columns=KEYS, share=st.floats(0.05, 0.95), seed=st.integers(0, 9))
def test_no_key_is_on_both_sides(columns, share, seed):
    n = len(columns[0])
    try:
        training, held_out = split(groups_of(columns), share, seed=seed)
    except InputError:  # there is no room for two; hypothesis fails where that is all it finds
        reject()
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(n))
    assert 2 <= len(held_out) <= share * n
    for column in columns:
        assert not {column[i] for i in training} & {column[i] for i in held_out}
    assert groups_of(columns).max() + 1 == groups_by_search(columns)


def test_a_single_column_is_known_however_it_lies_in_memory():
    """As labels[:, None] makes it, with stride 0; the last row alone, too."""
    x = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    column = x.as_strided((3, 1, 1), (1, 0, 0))
    keys = keys_of(Pairs(Inputs(column), Inputs(x.reshape(3, 1, 1).clone())))
    assert keys["image"] == keys["text"]
    assert keys["image"][0] == keys["image"][2] != keys["image"][1]


def test_without_copies_the_share_is_filled_and_the_seed_draws():
    groups = np.arange(100)
    sides = [set(split(groups, 0.1, seed=seed)[1].tolist()) for seed in range(4)]
    assert all(len(side) == 10 for side in sides)
    assert split(groups, 0.1, seed=2)[1].tolist() == sorted(sides[2])
    assert all(a != b for a, b in itertools.combinations(sides, 2))


def test_a_share_that_is_a_whole_number_of_pairs_has_room_for_all_of_them():
    for percent in range(1, 100):  # of which 29 / 100 * 100 is 28.999999999999996
        assert room_for(percent / 100, 100) == percent
    assert len(split(np.arange(100), 0.29)[1]) == 29


def test_a_group_that_is_too_large_is_passed_over():
    groups = groups_of([["one"] * 90 + [f"{i}" for i in range(10)]])
    assert split(groups, 0.1, seed=0)[1].tolist() == list(range(90, 100))


def test_several_shares_are_each_of_all_pairs():
    groups = np.arange(60) // 2
    parts = split(groups, 0.2, 0.3, seed=1)
    assert [len(part) for part in parts] == [30, 12, 18]
    assert sorted(torch.cat(parts).tolist()) == list(range(60))
    assert len({(i, group) for i, part in enumerate(parts) for group in groups[part].tolist()}) == 30
    assert torch.equal(parts[1], split(groups, 0.2, seed=1)[1])


def test_what_cannot_be_held_out_is_refused():
    with pytest.raises(InputError, match=r"the share to hold out is 1\.0; it must be a number above 0 and below 1"):
        split(np.arange(2), 1.0)
    with pytest.raises(
        InputError,
        match=r"a share of 0.3 of 20 pairs has room for 6, and must hold at least 2, with all .* these are 2 groups, "
        r"of which the smallest has 10\. Give a larger share, or a path to other pairs",
    ):
        split(np.arange(20) // 10, 0.3)
    with pytest.raises(InputError, match=r"a share of 0.1 of 19 pairs has room for 1, and must hold at least 2"):
        split(np.arange(19), 0.1)


def test_keys_are_of_content_without_padding_and_of_captions_without_case():
    tokens = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 9.0], [1.0, 2.0, 0.0]])[:, :, None]
    mask = torch.tensor([[True, True, False], [True, True, False], [True, True, True]])
    pictures = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    pictures[2] = 1
    pairs = Pairs(Inputs(pictures), Inputs(tokens, mask))
    keys = keys_of(pairs)
    assert keys["image"][0] == keys["image"][1] != keys["image"][2]
    assert keys["text"][0] == keys["text"][1] != keys["text"][2]
    keys = keys_of(pairs, captions=["A red  square", "a Red square ", "a red squares"])
    assert keys["caption"] == ["a red square", "a red square", "a red squares"]
    assert keys["text"] == keys_of(pairs)["text"]  # captions that differ beyond what a model reads are the same to it


def test_copies_are_counted_once_each():
    mine = {"image": ["a", "b", "c", "d"], "caption": ["1", "2", "3", "4"], "file": ["w", "x", "y", "z"]}
    others = {"image": ["a", "b"], "caption": ["2", "7"], "text": ["z", "z"]}
    assert count_copies(mine, others) == 2
    assert count_copies({"text": ["a"]}, {"caption": ["a"]}) == 0


def test_some_pairs_are_what_they_stand_for():
    pairs = Pairs(Inputs(torch.arange(10.0)[:, None]), Inputs(torch.arange(20).view(10, 2), torch.ones(10, 2).bool()))
    places = torch.tensor([7, 1, 4])
    some, copied = pairs.some(places), pairs.rows(places)
    assert some.n == copied.n == 3
    assert some.sha256() == copied.sha256() != pairs.some(places.flip(0)).sha256()
    for x, y in zip(some.rows(torch.tensor([2, 0])), copied.rows(torch.tensor([2, 0])), strict=True):
        assert torch.equal(x.x, y.x)
    assert some.images.x.x is pairs.images.x  # and nothing is copied
    assert torch.equal(some.to("cpu").texts.x, copied.texts.x)
    assert torch.equal(some.texts.mask, copied.texts.mask)
