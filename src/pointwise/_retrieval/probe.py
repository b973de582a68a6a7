"""Linear probe: what a linear classifier reads from frozen features."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointwise._arrays import require_same_width
from pointwise._options import whole_number
from pointwise._types import Column
from pointwise.errors import InputError, MissingExtra
from pointwise.score import Score, mean_score
from pointwise.tables.table import FeatureTable

_STRENGTHS = tuple(float(c) for c in np.logspace(-4, 2, 7))
_STEPS = 2000


@dataclass(frozen=True, eq=False, repr=False)
class LinearProbe:
    """A logistic regression on frozen features, and how well it does on others.

    >>> table = FeatureTable(np.eye(2)[np.arange(20) % 2], modes=np.arange(20) % 2)
    >>> linear_probe(table, table)
    LinearProbe(accuracy 1, 20 rows, C = 0.0001)
    """

    accuracy: Score  # the share of test rows that are put in their mode; higher is better
    predictions: Column  # [n], the mode that each test row is put in
    strength: float  # C, the inverse of the regularisation, as chosen
    converged: bool  # whether the last fit did, within 2,000 steps

    def __repr__(self) -> str:
        rows, late = len(self.predictions), "" if self.converged else ", not converged"
        return f"LinearProbe(accuracy {self.accuracy.value:.4g}, {rows} rows, C = {self.strength:g}{late})"


def linear_probe(train: FeatureTable, test: FeatureTable, *, seed: int = 0) -> LinearProbe:
    r"""Fit a logistic regression of the modes on the features of one table, and say how well it does on another.

    .. math:: \min_{W, b} \tfrac12 \lVert W \rVert^2 - C \sum_i \log \mathrm{softmax}(W x_i + b)_{m_i}

    The accuracy is a share in [0, 1], higher is better. Columns are brought to mean 0 and variance 1 by the training
    table. C is the one of 10^-4, 10^-3 ... 10^2 that does best on a fifth of each mode of the training table, the
    smallest of those that do equally well; then all of it is fitted. Both tables carry modes and are of one encoder;
    the seed is that of the split that C is chosen on.

    Raises:
        InputError: no modes, fewer than two of them, modes of the test table that are not in training, another
            number of columns, or no mode with two rows, so that nothing can be set aside.
        MissingExtra: scikit-learn is not installed.

    Reference: the protocol follows Radford et al. (2021), https://arxiv.org/abs/2103.00020, section A.3.

    >>> rng = np.random.default_rng(0)
    >>> modes = np.arange(200) % 2
    >>> table = FeatureTable(rng.normal(size=(200, 3)) + 3 * modes[:, None], modes=modes)
    >>> linear_probe(table[:100], table[100:]).accuracy.value > 0.95
    True
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtra("scikit-learn, which fits the linear probe,", extra="demo") from None
    labels, truth = _checked(train, test)
    aside = _set_aside(labels, np.random.default_rng(whole_number(seed, "seed", least=0)))
    x, x_test = (table.features.detach().cpu().double().numpy() for table in (train, test))

    def fit(rows: Column, strengths: tuple[float, ...], x_new: Any) -> tuple[list[Column], bool]:
        """Predictions for each C, each fit starting from the last, and whether the last fit converged."""
        scaler = StandardScaler().fit(x[rows])
        x_rows, x_new = scaler.transform(x[rows]), scaler.transform(x_new)
        model = LogisticRegression(max_iter=_STEPS, warm_start=True)
        with warnings.catch_warnings():  # that it did not converge is said in the result
            warnings.simplefilter("ignore")
            made = [model.set_params(C=c).fit(x_rows, labels[rows]).predict(x_new) for c in strengths]
        return made, int(model.n_iter_.max()) < _STEPS

    predictions, _ = fit(np.flatnonzero(~aside), _STRENGTHS, x[aside])
    strength = _STRENGTHS[int(np.argmax([(made == labels[aside]).sum() for made in predictions]))]
    (predicted,), converged = fit(np.arange(len(labels)), (strength,), x_test)
    accuracy = mean_score((predicted == truth).astype(np.float64), of="pair", kind="share", modes=truth, ids=test.ids)
    return LinearProbe(accuracy, predicted, strength, converged)


def _checked(train: FeatureTable, test: FeatureTable) -> tuple[Column, Column]:
    """The modes of both, once it is certain that one can be learnt for the other."""
    require_same_width(train.features, test.features, names=("the training table", "the test table"))
    for name, table in (("training", train), ("test", test)):
        if table.modes is None:
            raise InputError(f"the {name} table carries no modes; give it modes=, the class of each row.")
    labels, truth = train.modes, test.modes
    if labels is None or truth is None or len(truth) == 0:
        raise InputError("the test table has no rows.")
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise InputError(f"the training table has {len(names)} mode{'s' * (len(names) != 1)}; at least 2 are needed.")
    strange = truth[~np.isin(truth, names)]
    if labels.dtype.kind != truth.dtype.kind or len(strange):
        shown = strange[0].item() if len(strange) else truth[0].item()
        raise InputError(
            f"the test table has mode {shown!r}, which the training table lacks: no probe can find it. Leave it out."
        )
    if counts.max() < 2:
        raise InputError(
            f"each of the {len(names)} modes of the training table has one row; at least one needs two, so that one "
            "can be set aside to choose the regularisation."
        )
    return labels, truth


def _set_aside(labels: Column, rng: np.random.Generator) -> Column:
    """Which rows: a fifth of each mode, at least one where there are two."""
    aside = np.zeros(len(labels), dtype=bool)
    for mode in np.unique(labels):
        rows = np.flatnonzero(labels == mode)
        count = max(len(rows) // 5, int(len(rows) > 1))
        aside[rng.choice(rows, size=count, replace=False)] = True
    return aside
