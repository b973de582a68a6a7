"""Score: one metric's result, from which its mean, its interval, its table by mode and its differences are derived."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from pointwise._options import number
from pointwise._types import Column, Floats, Integers
from pointwise.errors import InputError
from pointwise.terms import Dependence, Extra, Side, Terms, WholeSets, variance

Of = Literal["real", "generated", "pair"]
Kind = Literal["mean", "share"]
WHOLE = None  # the key of the whole table among those of its modes


@dataclass(frozen=True, eq=False, repr=False)
class Score:
    """One metric of one comparison: a number, and where the metric allows it the number of each sample.

    Args:
        value: the metric; the mean of ``per_sample`` where there is one.
        per_sample: float64 [n], aligned with the rows of the table that ``of`` names; None for metrics of whole
            sets (frechet, kid, cmmd).
        of: the table whose rows the samples are: "real", "generated", or "pair" (generated rows with their text).
        kind: "share" where every sample is a share, 0 or 1 mostly; else "mean".
        terms: how the value hangs on the rows of both tables; None where that is not known.
        rows: of the terms, those that the value is the mean of; None for all.
        tables: which table is which, so that what two scores share is known: a fingerprint by side.
        errors: standard errors as they were written to a file, by mode, that of the whole under None; then there are no
            terms.
        draws: float64 [resamples], the value on bootstrap resamples, where its error comes from these; nan where it is
            not defined.
        null: the value that means no difference, or no agreement.
        ids: [n], the id of each sample, where the table carries ids.
        modes: [n], the mode of each sample, where the table carries modes.
        captions: [n], the caption of each sample, where the table carries captions.
        groups: [n], where samples come in groups that are alike, as captions of one image are.
    """

    value: float
    _: KW_ONLY
    per_sample: Floats | None = None
    of: Of = "generated"
    kind: Kind = "mean"
    terms: Dependence | None = None
    rows: Integers | None = None
    tables: Mapping[Side, str] = field(default_factory=dict)
    errors: Mapping[Any, float] | None = None
    draws: Floats | None = None
    null: float = 0.0
    ids: Column | None = None
    modes: Column | None = None
    captions: Column | None = None
    groups: Column | None = None

    @cached_property
    def standard_error(self) -> float:
        """The standard error of the value; nan where it is not known."""
        if self.draws is not None:
            drawn = self._defined_draws()
            return float(drawn.std(ddof=1)) if len(drawn) > 1 else math.nan
        if self.errors is not None:
            return self.errors.get(WHOLE, math.nan)
        if self.terms is None:
            return math.nan
        total = sum(variance(u) for u in self.terms.influence(self.rows).values())
        extra = self.terms.extra(self.rows).values()
        error = math.sqrt(max(total + sum(e.added for e in extra), sum(e.least for e in extra), 0.0))
        return self.terms.error_without_spread() if error == 0 and isinstance(self.terms, Difference) else error

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval that holds the value at this level if the standard error is right (normal quantiles).

        For shares of samples it is Wilson's interval, which stays inside [0, 1] and does not shrink to a point at 0 or
        1, where each group counts as one sample. Where there are resamples it is that of their percentiles. Where the
        standard error is not known both ends are nan.

        Raises:
            InputError: level is not between 0 and 1.

        >>> mean_score(np.array([1.0, 3.0]), of="real").interval()
        (0.04..., 3.95...)
        """
        level = number(level, "level", above=0, below=1)
        if self.draws is not None:
            drawn = self._defined_draws()
            if len(drawn) == 0:
                return math.nan, math.nan
            low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
            return float(low), float(high)
        if self.kind == "share" and self.per_sample is not None and math.isfinite(self.value):
            return _wilson(self.value, self._independent_samples(self.per_sample), level)
        reach = _normal_quantile(level) * self.standard_error
        return self.value - reach, self.value + reach

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the null: of no difference, for a difference of two scores.

        From resamples it is 2 (1 + c) / (1 + resamples), at most 1, where c resamples lie on its lesser side; else that
        of a normal law with this standard error.
        """
        if self.draws is not None:
            drawn = self._defined_draws()
            tail = min(np.count_nonzero(drawn <= self.null), np.count_nonzero(drawn >= self.null))
            return min(1.0, 2 * (1 + int(tail)) / (1 + len(drawn)))
        distance = abs(self.value - self.null)
        if self.standard_error == 0:
            return 1.0 if distance == 0 else 0.0
        return math.erfc(distance / self.standard_error / math.sqrt(2))

    def by_mode(self) -> Mapping[Any, Score]:
        """Return the score of each mode: the mean over its samples, which average to ``value`` by mode size.

        Raises:
            InputError: the score has no value per sample, or its table carries no modes.
        """
        if self.per_sample is None:
            raise InputError(
                "this metric is of whole sets, or this is a difference of samples of two tables: it has no value per "
                "sample and so none per mode. Modes can be subtracted one by one: a.by_mode()[m].difference(...)."
            )
        if self.modes is None:
            raise InputError(f"the {self.of} table carries no modes; give it modes=, one per row.")
        return {mode: self._restricted(mode, rows) for mode, rows in _rows_by_mode(self.modes).items()}

    def difference(self, other: Score) -> Score:
        r"""Return this score less another of the same metric, with the error of the difference.

        .. math:: \mathrm{se}^2 = \sum_{\text{tables}} \frac{n}{n - 1} \sum_j (u_j - v_j)^2

        where u and v are the influences of row j on either: a table that both were computed with, the real one of two
        generators say, moves both alike, and most of it cancels. Other tables count as independent. Where samples are
        rows of one shared table, the difference has a value for each. Its ``p_value`` is that of no difference.

        Raises:
            InputError: one of them comes from a file and the other does not, or both do: what a file keeps of a
                difference is in its `Comparison`.

        >>> real, (a, b) = np.arange(40.0), np.random.default_rng(0).normal(size=(2, 40))
        >>> both = [mean_score(real + noise, of="real", tables={"real": "the same"}) for noise in (a, b)]
        >>> both[0].standard_error > 5 * both[0].difference(both[1]).standard_error
        True
        """
        per_sample = _paired(self, other)
        changed = Score(self.value - other.value, per_sample=per_sample, of=self.of)
        if per_sample is not None:
            changed = replace(changed, ids=self.ids, modes=self.modes, captions=self.captions, groups=self.groups)
        if self.draws is not None and other.draws is not None:
            if len(self.draws) != len(other.draws):
                raise InputError(
                    f"one score has {len(self.draws)} resamples and the other {len(other.draws)}: they are not of the "
                    "same draws, and cannot be subtracted one by one; measure both with the same."
                )
            return replace(changed, draws=self.draws - other.draws)
        for score in (self, other):
            _known(score)  # else it would be said only when the error is asked for
        return replace(changed, terms=Difference(self, other), tables=self.tables)

    def scaled(self, factor: float) -> Score:
        """Return this score, of which the error comes from resamples or a file, times a factor."""
        return replace(
            self,
            value=factor * self.value,
            draws=None if self.draws is None else factor * self.draws,
            errors=None if self.errors is None else {mode: abs(factor) * e for mode, e in self.errors.items()},
            null=factor * self.null,
        )

    def to_dict(self, level: float = 0.95) -> dict[str, float | str | None]:
        """Return value, standard error and interval as JSON can hold them; None where one is not known."""
        low, high = self.interval(level)
        numbers = {"value": self.value, "standard_error": self.standard_error, "low": low, "high": high}
        return {name: as_json(value) for name, value in numbers.items()}

    def _restricted(self, mode: Any, rows: Integers) -> Score:
        """The score of one mode."""
        values = self.per_sample[rows] if self.per_sample is not None else None
        return replace(
            self,
            value=math.nan if values is None else _mean(values),
            per_sample=values,
            rows=rows if self.rows is None else self.rows[rows],
            errors=None if self.errors is None else {WHOLE: self.errors.get(mode, math.nan)},
            ids=None if self.ids is None else self.ids[rows],
            modes=None,
            captions=None if self.captions is None else self.captions[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def _independent_samples(self, values: Floats) -> float:
        """How many independent samples would leave a share as uncertain as its standard error says.

        At 0 and 1 it says nothing, and as many are taken as there are groups.
        """
        spread = self.value * (1 - self.value)
        if spread and self.standard_error > 0:
            return min(len(values), 1 + spread / self.standard_error**2)
        return len(values) if self.groups is None else len(np.unique(self.groups))

    def _defined_draws(self) -> Floats:
        draws = np.empty(0) if self.draws is None else self.draws
        return draws[np.isfinite(draws)]

    def __repr__(self) -> str:
        error = "" if math.isnan(self.standard_error) else f" ± {self.standard_error:.2g}"
        rows = "" if self.per_sample is None else f", per_sample [{len(self.per_sample)}] of {self.of}"
        return f"Score({self.value:.6g}{error}{rows})"


@dataclass(frozen=True, eq=False)
class Difference:
    """How the difference of two scores hangs on rows; tables that both share are counted once.

    Sides are names by the table here: "real" of one generator is that of the other only where both tables are one.
    """

    first: Score
    second: Score

    def error_without_spread(self) -> float:
        """Return the error of a difference of which no row differs: of shares at 0 or 1 that of Newcombe's interval.

        It is made of Wilson's intervals of both at 95 %. A score less itself is 0 for certain.

        Reference: Newcombe (1998), Statistics in Medicine 17, method 10.
        """
        one, other = self.first, self.second
        itself = one.value == other.value and bool(one.tables) and one.tables == other.tables and _same_rows(one, other)
        if itself or (one.kind, other.kind) != ("share", "share"):
            return 0.0
        (a, b), (c, d) = one.interval(), other.interval()
        down, up = math.hypot(one.value - a, d - other.value), math.hypot(b - one.value, other.value - c)
        return max(down, up) / _normal_quantile(0.95)

    def influence(self, rows: Integers | None) -> Mapping[Any, Floats]:
        """Return the influences on the first score less those on the second, by side and table."""
        total: dict[Any, Floats] = {}
        for sign, score in ((1.0, self.first), (-1.0, self.second)):
            terms = _known(score)
            for side, u in terms.influence(_chosen(score, rows)).items():
                key = _table(score, side)
                total[key] = total[key] + sign * u if key in total else sign * u
        return total

    def extra(self, rows: Integers | None) -> Mapping[Any, Extra]:
        """Return the further variances: that of a shared table moves both alike, and is in neither."""
        parts = [
            {_table(score, side): extra for side, extra in _known(score).extra(_chosen(score, rows)).items()}
            for score in (self.first, self.second)
        ]
        return {key: extra for part in parts for key, extra in part.items() if not all(key in part for part in parts)}


def mean_score(
    values: Floats | Terms,
    *,
    of: Of,
    kind: Kind = "mean",
    modes: Column | None = None,
    ids: Column | None = None,
    captions: Column | None = None,
    groups: Column | None = None,
    tables: Mapping[Side, str] | None = None,
) -> Score:
    """Return the Score that is the mean of these samples, or terms.

    Args:
        values: float64 [n], independent but for their groups; or terms that say how they hang on other rows.
        of: the table whose rows the samples are.
        kind: "share" where each sample is one.
        modes: [n], or None.
        ids: [n], or None.
        captions: [n], or None.
        groups: [n], of samples that are alike within each group; None where all are independent.
        tables: which table is which, by side.
    """
    if not isinstance(values, Terms):
        side: Side = "real" if of == "real" else "generated"
        by_side: Mapping[Side, Column] = {} if groups is None else {side: groups}
        values = Terms(side, np.asarray(values, dtype=np.float64), groups=by_side)
    per_sample = values.per_sample
    if len(per_sample) == 0:
        raise InputError(f"there are no samples of {of} to average: the table has no rows.")
    return Score(
        _mean(per_sample),
        per_sample=per_sample,
        of=of,
        kind=kind,
        terms=values,
        tables=tables or {},
        ids=ids,
        modes=modes,
        captions=captions,
        groups=groups,
    )


def as_json(value: float) -> float | str | None:
    """Return a number as JSON can hold it: None for nan, and the strings that float() reads for the infinities."""
    return float(value) if math.isfinite(value) else None if math.isnan(value) else str(float(value))


def _table(score: Score, side: Any) -> Any:
    """Which table a side of a score is; one that nobody named is no other's. A difference has named its own already."""
    if isinstance(side, tuple):
        return side
    return (side, score.tables[side]) if side in score.tables else (side, id(score.terms))


def _known(score: Score) -> Dependence:
    if score.terms is None:
        raise InputError(
            "a score does not know how it hangs on the rows, as one that was read from a file; compute both again, or "
            "take the difference from the file's Comparison."
        )
    return score.terms


def _chosen(score: Score, rows: Integers | None) -> Integers | None:
    """The rows of a score's terms, of which a difference has chosen some."""
    if rows is None or isinstance(score.terms, WholeSets):
        return score.rows
    return rows if score.rows is None else score.rows[rows]


def _same_rows(one: Score, other: Score) -> bool:
    """Whether both are of the same rows of their terms, a mode say; None stands for all."""
    if one.rows is None or other.rows is None:
        return one.rows is other.rows
    return bool(np.array_equal(one.rows, other.rows))


def _paired(one: Score, other: Score) -> Floats | None:
    """The difference of each sample, where both are of the same rows of one table."""
    a, b = one.per_sample, other.per_sample
    side: Side = "real" if one.of == "real" else "generated"
    if a is None or b is None or len(a) != len(b) or one.of != other.of or not _same_rows(one, other):
        return None
    with np.errstate(invalid="ignore"):  # -inf less -inf, which only duplicates="keep" lets through, is nan
        return a - b if _table(one, side) == _table(other, side) else None


def _rows_by_mode(modes: Column) -> dict[Any, Integers]:
    names, position = np.unique(modes, return_inverse=True)
    order = np.argsort(position, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(position))[:-1])
    return {name.item(): rows for name, rows in zip(names, parts, strict=True)}


def _mean(values: Floats) -> float:
    """The mean; where some values are infinite, as duplicates="keep" makes them, it is inf, -inf or nan."""
    infinite = values[~np.isfinite(values)]
    if len(infinite) == 0:
        return float(values.mean())
    return float(infinite[0]) if (infinite == infinite[0]).all() else math.nan


def _normal_quantile(level: float) -> float:
    """How many standard errors to either side hold this share of a normal law."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def _wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's score interval of a share of n (Wilson 1927)."""
    z2 = _normal_quantile(level) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = min(share, middle - reach), max(share, middle + reach)  # rounding can leave a share of 0 or 1 out
    return max(0.0, low), min(1.0, high)
