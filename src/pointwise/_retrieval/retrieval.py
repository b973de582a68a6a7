"""Retrieval: how early the partner of each item comes among all candidates, in both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pointwise._options import number
from pointwise._retrieval.blocks import Blocks, Similarity, as_groups
from pointwise._retrieval.ranks import Ranks, checked_ks
from pointwise._types import Array, Column, Floats, Integers
from pointwise.errors import InputError
from pointwise.score import Score, mean_score


@dataclass(frozen=True, eq=False, repr=False)
class Direction:
    """Retrieval in one direction: each query against all candidates.

    >>> retrieval(np.eye(8)[::-1], ks=[1]).image_to_text
    Direction(8 queries, 8 candidates: recall@1 0, reciprocal_rank 0.2..., median_rank 5)
    """

    recall: Mapping[int, Score]  # k -> share of queries with a right candidate among the first k; higher is better
    reciprocal_rank: Score  # of 1 / rank; higher is better
    ranks: Floats  # [q], of the first right candidate of each query, 1 is best
    groups: Column  # [q]; queries of one group are alike, and count less than as many of different ones
    candidates: int  # how many each query is set against
    queries: Integers  # [q], the row, or column, of each query: all but those without a partner
    without_partner: int  # how many rows, or columns, have no partner, and so are no queries

    @property
    def median_rank(self) -> float:
        """The median of the ranks; lower is better, 1 is best."""
        return float(np.median(self.ranks))

    def median_rank_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two order statistics of the ranks that hold the median at this level, whatever law they have.

        Of n independent queries they are those of rank l and n + 1 - l, with the largest l for which a binomial
        variable of n and ½ is below l with probability (1 - level) / 2 at most. Queries of one group count as so many
        independent ones as leave the share below the median as uncertain as it is. Where even the extremes do not hold
        it, as with fewer than 6 queries at 95 %, the ends are 1 and the number of candidates.
        """
        from scipy.stats import binom

        level = number(level, "level", above=0, below=1)
        ordered, n = np.sort(self.ranks), len(self.ranks)
        below = (self.ranks <= self.median_rank).astype(np.float64)
        share = float(below.mean())
        error = mean_score(below, of="pair", groups=self.groups).standard_error
        independent = len(np.unique(self.groups))
        if error > 0:
            independent = max(1, min(n, round(1 + share * (1 - share) / error**2)))
        place = int(binom.ppf((1 - level) / 2, independent, 0.5)) * n // independent
        if place < 1:
            return 1.0, float(self.candidates)
        return float(ordered[place - 1]), float(ordered[n - place])

    def to_dict(self) -> dict[str, float]:
        """Return {name: value}: recall@k, reciprocal_rank, median_rank."""
        return {
            **{f"recall@{k}": score.value for k, score in self.recall.items()},
            "reciprocal_rank": self.reciprocal_rank.value,
            "median_rank": self.median_rank,
        }

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.to_dict().items())
        alone = f" and {self.without_partner} without partner" if self.without_partner else ""
        return f"Direction({len(self.ranks)} queries{alone}, {self.candidates} candidates: {numbers})"


@dataclass(frozen=True, eq=False, repr=False)
class Retrieval:
    """Retrieval in both directions: image_to_text is each row of the similarity against all columns, and so on.

    Rows are images and columns texts, or whatever else they are.

    >>> retrieval(np.eye(3), ks=[1]).to_dict()["image_to_text_recall@1"]
    1.0
    """

    image_to_text: Direction
    text_to_image: Direction

    def to_dict(self) -> dict[str, float]:
        """Return {name: value} of both, as image_to_text_recall@1."""
        return {f"{way}_{name}": value for way in vars(self) for name, value in getattr(self, way).to_dict().items()}

    def __repr__(self) -> str:
        return f"Retrieval(\n  image_to_text={self.image_to_text},\n  text_to_image={self.text_to_image},\n)"


def retrieval(
    similarity: Similarity,
    *,
    groups_x: Array | None = None,
    groups_y: Array | None = None,
    ks: Sequence[int] = (1, 5, 10),
    n: int | None = None,
) -> Retrieval:
    r"""How often the partner of an item is among the k candidates that are most similar to it, both ways.

    .. math:: \mathrm{R@}k = \frac1n \sum_i \mathbb 1\{\mathrm{rank}_i \le k\}, \qquad
              \mathrm{rank}_i = 1 + \#\{j \text{ wrong}: S_{ij} > \max_{j' \text{ right}} S_{ij'}\}

    A share in [0, 1], higher is better. Where an item has several partners (five captions of an image), the first of
    them counts. Candidates that are equally similar come in random order, and what is given is the exact expectation
    over it: a similarity that is the same everywhere does as well as chance, not better or worse. With more
    candidates all of this gets harder: compare like with like.

    An item whose group is on its side alone, as of an image without a text, is nobody's partner: it is a candidate
    like all others, and no query. How many these are is in the result.

    Intervals are over the queries, with the candidates as they are; queries of one group are taken to be alike. A k
    beyond the number of candidates is always a hit.

    Args:
        similarity: [n, b], row i the similarity of image i to each text; or a function from a slice of rows to that
            part, called twice for each, so that nothing of the size of the whole is held. -inf rules a pair out.
        groups_x: [n], integers or strings; the row number of each if left out.
        groups_y: [b], column numbers if left out; row i and column j belong together where their groups are equal.
            Where an image has several captions, give the row of each text's image, and -1 for a text without one.
        ks: the numbers of candidates looked at.
        n: rows, where similarity is a function.

    Raises:
        InputError: no row has a partner, groups that do not fit, NaN or +inf, a k below 1.

    Reference: the protocol is that of Karpathy and Fei-Fei (2015), https://arxiv.org/abs/1412.2306, section 4.1.

    >>> similarity = [[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 9.0]]
    >>> found = retrieval(similarity, ks=[1, 2])
    >>> found.image_to_text.recall[1].per_sample.tolist(), found.image_to_text.ranks.tolist()
    ([1.0, 0.0, 1.0], [1.0, 2.0, 1.0])
    >>> found.text_to_image.recall[1].per_sample.tolist()  # the second text is as near to either of two images
    [1.0, 0.5, 1.0]
    >>> retrieval(similarity, groups_y=[0, -1, 2], ks=[1]).image_to_text  # nobody belongs to row 1, nor to column 1
    Direction(2 queries and 1 without partner, 3 candidates: recall@1 1, reciprocal_rank 1, median_rank 1)
    """
    ks = checked_ks(ks)
    blocks = Blocks.of(similarity, n=n)
    b = blocks.columns()
    if groups_x is None and groups_y is None and b != blocks.n:
        raise InputError(
            f"similarity has {blocks.n} rows and {b} columns, so which belong together must be said: "
            "groups_y= is, for each column, the row that it belongs to."
        )
    group_x = as_groups(groups_x, name="groups_x", what="rows", length=blocks.n)
    group_y = as_groups(groups_y, name="groups_y", what="columns", length=b)
    code_x, code_y = _codes(group_x, group_y)
    by_row, by_column = _ranks(blocks, code_x, code_y)
    return Retrieval(_direction(by_row, code_x, code_y, ks), _direction(by_column, code_y, code_x, ks))


def _codes(group_x: Column, group_y: Column) -> tuple[Integers, Integers]:
    """Both as whole numbers, equal where the groups are."""
    if group_x.dtype.kind != group_y.dtype.kind:
        words = {"U": "strings", "i": "integers"}
        raise InputError(
            f"the groups of rows are {words[group_x.dtype.kind]} (the first is {group_x[0]!r}) and those of columns "
            f"{words[group_y.dtype.kind]} ({group_y[0]!r}), so none are equal; give both in the same way."
        )
    codes = np.unique(np.concatenate([group_x, group_y]), return_inverse=True)[1]
    code_x, code_y = codes[: len(group_x)], codes[len(group_x) :]
    if not np.isin(code_x, code_y).any():
        raise InputError(
            f"no row has a column of its group (the first row is of group {group_x[0].item()!r}, the first column of "
            f"{group_y[0].item()!r}); give rows and columns that belong together the same group."
        )
    return code_x, code_y


def _ranks(blocks: Blocks, code_x: Integers, code_y: Integers) -> tuple[Ranks, Ranks]:
    """The ranks of each row among columns and of each column among rows: one pass finds what is best, one counts."""
    rows, columns = Ranks.none(len(code_x)), Ranks.none(len(code_y))
    x, y = torch.from_numpy(code_x), torch.from_numpy(code_y)
    best = torch.full((len(y),), -torch.inf, dtype=torch.float64)
    for some, block in blocks:
        right = x[some, None].to(block.device) == y.to(block.device)
        own = block.masked_fill(~right, -torch.inf)
        rows.add(some, block, right, best=own.amax(dim=1, keepdim=True), dim=1)
        best = torch.maximum(best.to(block.device), own.amax(dim=0).double())
    for some, block in blocks:
        right = x[some, None].to(block.device) == y.to(block.device)
        columns.add(slice(None), block, right, best=best.to(block.device, block.dtype), dim=0)
    changed = np.flatnonzero((columns.right == 0) & np.isin(code_y, code_x))
    if len(changed):
        raise InputError(
            f"similarity gave other values when it was called again, for column {changed[0]} among others; "
            "it must be the same for the same rows: give the whole array, or make the function exact."
        )
    return rows, columns


def _direction(ranks: Ranks, own: Integers, others: Integers, ks: Sequence[int]) -> Direction:
    queries = np.flatnonzero(np.isin(own, others))
    ranks, groups = Ranks(*(counts[queries] for counts in ranks)), own[queries]
    return Direction(
        {k: mean_score(ranks.hits(k), of="pair", kind="share", groups=groups) for k in ks},
        mean_score(ranks.reciprocal(), of="pair", groups=groups),
        ranks.expected(),
        groups,
        candidates=len(others),
        queries=queries,
        without_partner=len(own) - len(queries),
    )
