"""Retrieval against all orders of tied candidates written out, and its intervals against how often they hold."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pointwise._retrieval.blocks import Blocks
from pointwise._retrieval.ranks import Ranks
from pointwise._retrieval.retrieval import Direction, retrieval
from pointwise.errors import InputError


def in_all_orders(similarities, right):
    """The rank of the first right candidate in every order of the candidates, sorted by similarity in that order."""
    ranks = []
    for order in itertools.permutations(range(len(similarities))):
        ranked = sorted(order, key=lambda j: -similarities[j])  # sorted keeps the order of equal ones
        ranks.append(1 + min(ranked.index(j) for j in right))
    return np.array(ranks)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), b=st.integers(1, 5), levels=st.integers(1, 6))
@settings(max_examples=40)
def test_it_is_the_mean_over_all_orders_of_ties(seed, n, b, levels):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(levels, size=(n, b)).astype(float)
    similarity[rng.random((n, b)) < 0.2] = -np.inf
    groups_x, groups_y = rng.integers(4, size=n), rng.integers(4, size=b)
    groups_y[0] = groups_x[0]  # so that there is a pair at all
    found = retrieval(similarity, groups_x=groups_x, groups_y=groups_y, ks=(1, 2, 9))
    for way, matrix, mine, theirs in (
        (found.image_to_text, similarity, groups_x, groups_y),
        (found.text_to_image, similarity.T, groups_y, groups_x),
    ):
        queries = [i for i in range(len(mine)) if mine[i] in theirs]
        assert way.queries.tolist() == queries
        assert way.without_partner == len(mine) - len(queries)
        assert way.candidates == len(theirs)
        assert len(way.ranks) == len(way.groups) == len(queries)
        for i, query in enumerate(queries):
            ranks = in_all_orders(matrix[query], np.flatnonzero(theirs == mine[query]))
            assert way.ranks[i] == pytest.approx(ranks.mean(), abs=1e-12)
            assert way.reciprocal_rank.per_sample[i] == pytest.approx((1 / ranks).mean(), abs=1e-12)
            for k in (1, 2, 9):
                assert way.recall[k].per_sample[i] == pytest.approx((ranks <= k).mean(), abs=1e-12)


def test_five_captions_an_image_by_plain_loops():
    rng = np.random.default_rng(0)
    image_of = np.repeat(np.arange(20), 5)
    similarity = rng.normal(size=(20, 100)) + 1.5 * (np.arange(20)[:, None] == image_of)
    found = retrieval(similarity, groups_y=image_of)
    first = [1 + min(np.flatnonzero(image_of[np.argsort(-row)] == i)) for i, row in enumerate(similarity)]
    own = [1 + np.argsort(-column).tolist().index(image) for column, image in zip(similarity.T, image_of, strict=True)]
    for way, ranks, candidates in ((found.image_to_text, first, 100), (found.text_to_image, own, 20)):
        assert way.ranks.tolist() == ranks
        assert way.candidates == candidates
        assert way.median_rank == np.median(ranks)
        assert way.to_dict() == {
            **{f"recall@{k}": way.recall[k].value for k in (1, 5, 10)},
            "reciprocal_rank": way.reciprocal_rank.value,
            "median_rank": way.median_rank,
        }
        assert way.recall[5].value == np.mean(np.array(ranks) <= 5)
        assert (way.recall[5].of, len(way.recall[5].per_sample)) == ("pair", len(ranks))
        assert way.reciprocal_rank.value == pytest.approx(np.mean(1 / np.array(ranks)))
    assert found.to_dict()["text_to_image_recall@5"] == found.text_to_image.recall[5].value
    assert "image_to_text=Direction(20 queries, 100 candidates: recall@1 " in repr(found)


def test_candidates_that_are_nobodys_partner_by_plain_loops():
    """Five captions for each of 20 images, among 30 images without a caption and 10 captions without an image."""
    rng = np.random.default_rng(5)
    image_of = np.concatenate([np.repeat(np.arange(20), 5), np.full(10, -1)])
    similarity = rng.normal(size=(50, 110)) + 1.5 * (np.arange(50)[:, None] == image_of)
    found = retrieval(similarity, groups_y=image_of)
    first = [1 + min(np.flatnonzero(image_of[np.argsort(-similarity[i])] == i)) for i in range(20)]
    own = [1 + np.argsort(-similarity[:, j]).tolist().index(image_of[j]) for j in range(100)]
    for way, ranks, alone, candidates in (
        (found.image_to_text, first, 30, 110),
        (found.text_to_image, own, 10, 50),
    ):
        assert way.ranks.tolist() == ranks
        assert way.queries.tolist() == list(range(len(ranks)))
        assert (way.without_partner, way.candidates) == (alone, candidates)
        assert way.recall[5].value == np.mean(np.array(ranks) <= 5)
        assert f"({len(ranks)} queries and {alone} without partner, {candidates} candidates: " in repr(way)
    fewer = retrieval(similarity[:20], groups_y=image_of).text_to_image
    assert (fewer.ranks <= found.text_to_image.ranks).all()
    assert "without partner" not in repr(retrieval(np.eye(3)))


def test_names_of_groups_may_be_strings():
    found = retrieval(np.eye(3)[[2, 0, 1]], groups_x=["c", "a", "b"], groups_y=np.array(["a", "b", "c"]))
    assert found.image_to_text.recall[1].value == found.text_to_image.recall[1].value == 1


def test_what_is_the_same_everywhere_does_as_well_as_chance():
    found = retrieval(np.zeros((40, 40)), ks=[1, 10, 40])
    for way in (found.image_to_text, found.text_to_image):
        assert [score.value for score in way.recall.values()] == pytest.approx([1 / 40, 10 / 40, 1], abs=1e-12)
        assert way.median_rank == 20.5
        assert way.reciprocal_rank.value == pytest.approx(np.mean(1 / np.arange(1, 41)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_arrays_of_any_kind_and_functions_give_the_same(dtype):
    rng = np.random.default_rng(1)
    exact = torch.from_numpy(rng.normal(size=(30, 50)) + 2 * np.eye(30, 50)).to(dtype)
    groups_y = np.concatenate([np.arange(30), rng.integers(30, size=20)])
    whole = retrieval(exact, groups_y=groups_y)
    asked = []

    def some(rows):
        asked.append((rows.start, rows.stop))
        return exact[rows].requires_grad_()

    for similarity in (exact.double().numpy(), some):
        parts = Blocks(similarity, n=30, entries=350)  # seven rows at a time, the last block is smaller
        same = retrieval(parts, groups_y=groups_y)
        for way in ("image_to_text", "text_to_image"):
            assert getattr(same, way).ranks.tolist() == getattr(whole, way).ranks.tolist()
    assert asked == [(0, 1), *2 * [(start, min(start + 7, 30)) for start in range(0, 30, 7)]]


def test_a_pair_that_is_ruled_out_comes_after_all_others():
    similarity = np.arange(16.0).reshape(4, 4)
    similarity[2, 2] = -np.inf
    found = retrieval(similarity)
    assert found.image_to_text.ranks[2] == found.text_to_image.ranks[2] == 4


# ---- intervals


def test_recall_has_wilsons_interval():
    rng = np.random.default_rng(2)
    score = retrieval(rng.normal(size=(50, 50)) + 2 * np.eye(50)).image_to_text.recall[1]
    hits = int(score.per_sample.sum())
    assert 0 < hits < 50
    assert score.interval() == pytest.approx(tuple(binomtest(hits, 50).proportion_ci(method="wilson")), abs=1e-9)


def test_captions_that_say_the_same_count_as_one():
    rng = np.random.default_rng(3)
    base = rng.normal(size=(60, 60)) + 2 * np.eye(60)
    once = retrieval(base).text_to_image
    five = retrieval(np.repeat(base, 5, axis=1), groups_y=np.repeat(np.arange(60), 5)).text_to_image
    assert five.recall[1].value == once.recall[1].value
    assert five.recall[1].interval() == pytest.approx(once.recall[1].interval(), abs=2e-3)
    assert five.median_rank_interval() == once.median_rank_interval()
    assert five.recall[1].standard_error == pytest.approx(once.recall[1].standard_error)


@pytest.mark.parametrize("hits", [0, 1, 7, 29, 30])
def test_five_captions_that_are_always_right_or_wrong_together_are_one_sample(hits):
    """Also at 0 and 1, where there is no spread that tells it."""
    similarity = np.eye(30)
    similarity[range(30), range(30)] = np.arange(30) < hits
    similarity[range(30), np.arange(-1, 29)] = 0.5  # more similar than the partner of an image that is missed
    five = retrieval(np.repeat(similarity, 5, axis=1), groups_y=np.repeat(np.arange(30), 5), ks=[1])
    score = five.text_to_image.recall[1]
    assert (score.value, len(score.per_sample)) == (hits / 30, 150)
    assert score.interval() == pytest.approx(tuple(binomtest(hits, 30).proportion_ci(method="wilson")), abs=1e-9)


def median_interval(ranks, level=0.95):
    n = len(ranks)
    way = Direction({}, None, np.asarray(ranks, dtype=float), np.arange(n), 1000, np.arange(n), 0)
    return way.median_rank_interval(level)


def test_the_interval_of_the_median_is_of_order_statistics():
    ranks = np.random.default_rng(0).permutation(np.arange(1.0, 101))
    assert median_interval(ranks) == (40, 61)  # 1 - 2 P(Bin(100, ½) < 40) = .9648; with 41 it would be .943
    assert median_interval(np.arange(1.0, 7)) == (1, 6)  # 1 - 2 / 2^6 = .969
    assert median_interval([3.0, 4, 5, 6, 7]) == (1, 1000)  # 1 - 2 / 2^5 = .9375 is too little
    assert median_interval([3.0, 4, 5, 6, 7], 0.9) == (3, 7)


def test_the_interval_of_the_median_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(4)
    held = [low <= 7 <= high for low, high in (median_interval(rng.geometric(0.1, size=61)) for _ in range(400))]
    assert np.mean(held) > 0.95  # the law of geometric(0.1) has median 7


# ---- ranks alone


@given(tied=st.integers(0, 5), right=st.integers(1, 4), ahead=st.integers(0, 3))
def test_chances_are_hypergeometric(tied, right, ahead):
    ranks = Ranks(np.array([ahead]), np.array([tied]), np.array([right]))
    chance = [1 - math.comb(tied, q) / math.comb(tied + right, q) for q in range(tied + right + 1)]
    places = np.diff(chance)
    assert ranks.expected()[0] == pytest.approx(ahead + places @ np.arange(1, tied + right + 1))
    assert ranks.reciprocal()[0] == pytest.approx(places @ (1 / (ahead + np.arange(1, tied + right + 1))))
    for k in range(1, 13):
        drawn = min(max(k - ahead, 0), tied + right)
        assert ranks.hits(k)[0] == pytest.approx(chance[drawn], abs=1e-12)


# ---- what is refused


@pytest.mark.parametrize(
    ("similarity", "options", "message"),
    [
        (
            np.zeros((3, 4)),
            {},
            r"similarity has 3 rows and 4 columns, so which belong together must be said",
        ),
        (np.zeros((2, 3, 4)), {}, r"similarity has shape \[2, 3, 4\]; it must have two dimensions \[n, b\]"),
        (np.zeros(3), {}, r"similarity has shape \[1\] in rows 0 to 0; it must be \[1, b\] there"),
        (np.zeros((0, 3)), {}, r"similarity has 0 rows; it must have at least one"),
        (lambda rows: np.eye(3)[rows], {"n": 2.5}, r"n is 2.5; it must be a whole number of at least 1"),
        (np.zeros((3, 0)), {}, r"similarity has shape \[3, 0\]: there is nothing that its rows are similar to"),
        (5, {}, r"similarity has no length \(its type is int\); give an array"),
        (np.zeros((3, 3)), {"n": 4}, r"similarity has 3 rows, but n is 4; leave n out"),
        (lambda rows: np.zeros((rows.stop - rows.start, 3)), {}, r"similarity is a function.*give n="),
        (
            lambda rows: np.zeros((1, 3)),
            {"n": 3},
            r"similarity has shape \[1, 3\] in rows 0 to 2; it must be \[3, 3\]",
        ),
        (np.array([[0, 1], [np.nan, 0]]), {}, r"similarity has nan in row 1, column 0; values must be finite, or -inf"),
        (torch.tensor([[0, torch.inf], [1.0, 0]]), {}, r"similarity has inf in row 0, column 1"),
        (np.eye(2, dtype=complex), {}, r"similarity holds values of type complex128"),
        (np.eye(3), {"ks": []}, r"ks is empty; give at least one number of candidates"),
        (np.eye(3), {"ks": [1, 0]}, r"a number in ks is 0; it must be a whole number of at least 1"),
        (np.eye(3), {"ks": [True]}, r"a number in ks is True; it must be a whole number"),
        (np.eye(3), {"groups_y": [0, 1]}, r"groups_y has 2 values but similarity has 3 columns; give one for each"),
        (np.eye(3), {"groups_x": [0, 1, 1, 2]}, r"groups_x has 4 values but similarity has 3 rows"),
        (
            np.eye(2, 3),
            {"groups_y": [7, 8, -1]},
            r"no row has a column of its group \(the first row is of group 0, the first column of 7\); give rows and",
        ),
        (
            np.eye(2),
            {"groups_y": ["0", "1"]},
            r"of rows are integers .* and those of columns strings",
        ),
    ],
)
def test_what_cannot_be_ranked_is_refused(similarity, options, message):
    with pytest.raises(InputError, match=message):
        retrieval(similarity, **options)


def test_a_function_that_changes_its_mind_is_found():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="similarity gave other values when it was called again, for column 0"):
        retrieval(lambda rows: rng.normal(size=(rows.stop - rows.start, 5)), n=5)


def test_a_level_outside_of_0_and_1_is_refused():
    with pytest.raises(InputError, match="level is 95; it must be a number above 0 and below 1"):
        retrieval(np.eye(3)).image_to_text.median_rank_interval(95)
