"""Calibration: the constant between a learned similarity and pointwise mutual information, and what else differs."""

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch

from pointwise._retrieval.blocks import Blocks, Similarity
from pointwise._types import Floats
from pointwise.errors import InputError
from pointwise.score import Score
from pointwise.terms import Terms


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """A similarity S set against what pointwise mutual information must satisfy. All in nats.

    Args:
        constant: c, the log of the mean of e^S over unpaired items; S - c estimates PMI.
        constant_error: its standard error, by which the mutual information is off whichever pairs are scored; where
            S is PMI + c it is small, and up to 1.4 times too large.
        mutual_information: Score whose samples are S - c of each pair, its PMI; the mean estimates I(X; Y). The
            standard error is that of the pairs and of c together.
        rows: float64 [n], the mean of e^(S - c) over the unpaired columns of each row. All 1 if S is PMI + c.
        columns: float64 [n], the same over the unpaired rows of each column.
        row_noise: how far from 1 the rows would lie by chance alone, as a standard deviation, up to a factor of 2 or so
            from one sample to the next.
        column_noise: the same of the columns.
        effective_pairs: as how many of the n (n - 1) unpaired items, if all counted alike, the mean of e^S is made of:
            (sum e^S)^2 / sum e^2S. Where it is small c is uncertain, and too low more often than too high.
        info_nce_bound: log n minus the symmetric InfoNCE of all n pairs as one batch: below I(X; Y) on average.
        limit: log n, which that bound cannot exceed.

    >>> pmi_calibration(5 * np.eye(100) + 2)
    Calibration(constant 2 ± ..., mutual information 5 ± ... nats, InfoNCE bound 4.094 of at most 4.605, ...)
    """

    constant: float
    _: KW_ONLY
    constant_error: float
    mutual_information: Score
    rows: Floats
    columns: Floats
    row_noise: float
    column_noise: float
    effective_pairs: float
    info_nce_bound: float
    limit: float

    @property
    def row_spread(self) -> float:
        """Standard deviation of the rows: about `row_noise` where S is PMI + c, else larger."""
        return float(self.rows.std())

    @property
    def column_spread(self) -> float:
        """Standard deviation of the columns: about `column_noise` where S is PMI + c, else larger."""
        return float(self.columns.std())

    def to_dict(self) -> dict[str, float]:
        """Return all numbers but those of single rows and columns."""
        names = (
            *("constant", "constant_error", "mutual_information", "row_spread", "row_noise", "column_spread"),
            *("column_noise", "effective_pairs", "info_nce_bound", "limit"),
        )
        return {name: getattr(self, name) for name in names} | {"mutual_information": self.mutual_information.value}

    def __repr__(self) -> str:
        information = self.mutual_information
        return (
            f"Calibration(constant {self.constant:.4g} ± {self.constant_error:.2g}, "
            f"mutual information {information.value:.4g} ± {information.standard_error:.2g} nats, "
            f"InfoNCE bound {self.info_nce_bound:.4g} of at most {self.limit:.4g}, "
            f"rows 1 ± {self.row_spread:.2g} (by chance {self.row_noise:.2g}), "
            f"columns 1 ± {self.column_spread:.2g} ({self.column_noise:.2g}))"
        )


def pmi_calibration(similarity: Similarity, *, n: int | None = None) -> Calibration:
    r"""Turn a similarity of paired data into pointwise mutual information in nats, and check that it is one.

    .. math:: c = \log \frac{1}{n(n-1)} \sum_{i \ne j} e^{S_{ij}}, \qquad
              \mathrm{PMI}_i = S_{ii} - c, \qquad \hat I = \frac1n \sum_i (S_{ii} - c)

    PMI is log p(x, y) / (p(x) p(y)), so the mean of e^PMI(x, Y) over all Y is 1 for every x, and that of e^PMI(X, y)
    for every y. Contrastive training finds PMI only up to a constant; unpaired items, row i with column j, are draws
    from p(x) p(y) and give it. If the pairs are independent of those that S was trained on, and S = PMI + constant, the
    estimate is right as n grows; a worse S gives less information on average, never more, as n grows.

    The log of a mean is too low: c by about ``constant_error ** 2 / 2``, and much more where few entries carry the
    mean (`effective_pairs`), as when I is not far below log n. Then the information comes out too high. The InfoNCE
    bound errs the other way: it cannot exceed log n.

    Args:
        similarity: [n, n], row i and column i a pair; or a function from a slice of rows to that part, called once for
            each, so that nothing of the size of the whole is held. Minus infinity allowed off the diagonal.
        n: pairs, where similarity is a function.

    Raises:
        InputError: not square, fewer than 3 pairs, NaN or +inf, a pair at -inf, or nothing but -inf elsewhere.

    Reference: bound of van den Oord et al. (2018), https://arxiv.org/abs/1807.03748, section 2.3; the mean with the
    constant taken out is the Donsker-Varadhan bound of Belghazi et al. (2018), https://arxiv.org/abs/1801.04062.

    >>> x = np.arange(400) % 4  # y = x, so that PMI is log 4 = 1.386 where they are equal and -inf elsewhere
    >>> found = pmi_calibration(np.where(x[:, None] == x, 7.0, -np.inf))
    >>> round(found.mutual_information.value, 2), round(found.constant, 2)
    (1.39, 5.61)
    """
    blocks = Blocks.of(similarity, n=n)
    n = blocks.n
    if blocks.columns() != n:
        raise InputError(
            f"similarity has {n} rows and {blocks.shape[0]} columns; it must be square, with pairs on its diagonal."
        )
    if n < 3:
        raise InputError(f"similarity is of {n} pairs; at least 3 are needed, many more to say much.")
    paired, (row_sums, row_squares), (column_sums, column_squares) = _log_sums(blocks)
    total = float(np.logaddexp.reduce(row_sums))
    if total == -math.inf:
        raise InputError("similarity is -inf for all unpaired items; there is nothing to take the constant from.")
    constant = total - math.log(n * (n - 1))
    scale = constant + math.log(n - 1)
    rows, columns = np.exp(row_sums - scale), np.exp(column_sums - scale)
    row_noise = _noise(rows, np.exp(row_squares - constant - scale), n)
    column_noise = _noise(columns, np.exp(column_squares - constant - scale), n)
    # What each pair contributes to log of the mean over unpaired items, to first order (Hájek's projection).
    influence = rows + columns - 2
    pmi = paired - constant
    # The variance that is left where rows and columns have mean 1, as for PMI; the influence then counts it twice
    # (Efron and Stein 1981).
    chance = (row_noise**2 + column_noise**2) / (2 * n)

    losses = (np.logaddexp(row_sums, paired) + np.logaddexp(column_sums, paired)) / 2 - paired
    return Calibration(
        constant,
        constant_error=math.sqrt(max(float(influence.var(ddof=1)) / n - chance, chance)),
        mutual_information=Score(
            float(pmi.mean()), per_sample=pmi, of="pair", terms=Terms("generated", pmi - influence)
        ),
        rows=rows,
        columns=columns,
        row_noise=row_noise,
        column_noise=column_noise,
        effective_pairs=math.exp(2 * total - float(np.logaddexp.reduce(row_squares))),
        info_nce_bound=math.log(n) - float(losses.mean()),
        limit=math.log(n),
    )


def _log_sums(blocks: Blocks) -> tuple[Floats, Floats, Floats]:
    """The similarity of each pair [n]; of each row, and of each column, the logs [2, n] of unpaired e^S and e^2S."""
    n = blocks.n
    paired, rows, columns = np.empty(n), np.empty((2, n)), np.full((2, n), -np.inf)
    for some, block in blocks:
        wide = block.to(torch.float64, copy=True)
        own = wide.diagonal(offset=some.start)
        paired[some] = own.cpu().numpy()
        own.fill_(-torch.inf)
        for power in range(2):
            rows[power, some] = torch.logsumexp(wide, dim=1).cpu().numpy()
            columns[power] = np.logaddexp(columns[power], torch.logsumexp(wide, dim=0).cpu().numpy())
            wide *= 2
    missing = np.flatnonzero(np.isneginf(paired))
    if len(missing):
        raise InputError(
            f"similarity is -inf for {len(missing)} of {n} pairs; the first is pair {missing[0]}. "
            "Its information would be -inf, and the mean with it: leave such pairs out."
        )
    return paired, rows, columns


def _noise(means: Floats, squares: Floats, n: int) -> float:
    """The root mean square of the standard errors of means over n - 1 entries with these mean squares."""
    return math.sqrt(max(0.0, float(np.mean(squares - means**2)) / (n - 2)))
