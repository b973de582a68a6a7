"""METRICS: the table of all metrics. A new one is a function and one row here; the rest follows from the row."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from pointwise.errors import InputError
from pointwise.metrics import alignment
from pointwise.metrics import fidelity_diversity as knn
from pointwise.metrics.frechet import frechet
from pointwise.metrics.mmd import cmmd, kid
from pointwise.score import Of, Score
from pointwise.summaries.pairs import Pairs

Summary = Literal[
    "neighborhoods", "moments", "polynomial_kernel", "gaussian_kernel", "gaussian_pair", "cosines", "learned_pair"
]
Target = Literal["lowest", "highest"] | float | None


@dataclass(frozen=True)
class Metric:
    """One row of the table of metrics: all there is to say of a metric. Called with its summary, it gives the Score.

    Args:
        name: as in ``evaluation[name]``.
        function: of one summary, to a Score.
        summary: what the function takes.
        unit: of its values; those in "share" are shares of samples.
        target: what a generator is best at: "lowest", "highest", or a number that can be missed on either side; None
            where the metric tells of one table alone.
        of: the table whose rows its samples are, "pair" where they are generated rows with their text, or None where
            it is of whole sets.
        meaning: what it tells, in one line.
        reference: the source.
        by_default: computed where no metrics are named; else only where it is named, since it takes long.
        by_mode: the title of its table by mode; "" for no such table.
        by_mode_unless: the metric whose table by mode says the same better, and stands in where it was computed.
    """

    name: str
    function: Callable[[Any], Score]
    summary: Summary
    unit: str
    target: Target
    of: Of | None
    meaning: str
    reference: str
    by_default: bool = True
    by_mode: str = ""
    by_mode_unless: str = ""

    def __call__(self, summary: Any) -> Score:
        """Return the Score of this summary."""
        return replace(self.function(summary), kind="share" if self.unit == "share" else "mean")

    @property
    def better(self) -> Literal["lower", "higher", "zero", "none"]:
        """Which way is better: "zero" where both sides of a target are worse, "none" where neither says anything."""
        if self.target is None:
            return "none"
        return "lower" if self.target == "lowest" else "higher" if self.target == "highest" else "zero"

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        arrows = {"lower": "↓", "higher": "↑", "none": "", "zero": f"→{self.target}"}
        return arrows[self.better].removesuffix(".0")

    def loss(self, value: float) -> float:
        """Return how far a value is from the target, up to a constant; lower is better, nan where there is none."""
        if self.target is None:
            return float("nan")
        if isinstance(self.target, str):
            return value if self.target == "lowest" else -value
        return abs(value - self.target)


_FOX = "Fox, Swarup, Adiga (2025), arXiv:2412.14340"
_KYNKAANNIEMI = "Kynkäänniemi et al. (2019), arXiv:1904.06991"
_NAEEM = "Naeem et al. (2020), arXiv:2002.09797"
_CHEEMA = "Cheema and Urner (2023), AISTATS"
_WANG = "Wang, Kulkarni, Verdú (2009), doi:10.1109/TIT.2009.2016060"


def _mid(pairs: Pairs) -> Score:
    if pairs.gaussian is None:
        raise TypeError("mid reads pairs.gaussian, and it is None")
    return pairs.gaussian.score(pairs.image, pairs.text, debias=pairs.debias, fitted=pairs.fitted)


def _kme_pmi(pairs: Pairs) -> Score:
    if pairs.learned is None:
        raise TypeError("kme_pmi reads pairs.learned, and it is None")
    return pairs.learned.pmi(pairs.image, pairs.text)


def _clip_score(pairs: Pairs) -> Score:
    return alignment.clip_score(pairs.image, pairs.text)


def _r_precision(pairs: Pairs) -> Score:
    return alignment.r_precision(pairs.image, pairs.text, seed=pairs.seed)


def _info_nce(pairs: Pairs) -> Score:
    return alignment.info_nce_score(pairs.image, pairs.text)


_HOODS: Summary = "neighborhoods"
_ALIGNED = "by mode of the generated pairs: nats that its samples share with their texts"

# fmt: off
_ROWS = (
    Metric("pce", knn.pce, _HOODS, "nats", "lowest", "generated",
           "fidelity: CE(G,R) - H(R), 0 when equal", _FOX),
    Metric("rce", knn.rce, _HOODS, "nats", 0.0, "real",
           "diversity between modes: CE(R,G) - H(R), 0 when equal; above 0 modes are lost", _FOX,
           by_mode="rce by real mode: nats above the mean entropy of all real samples (wide modes have more)",
           by_mode_unless="kl_real_fake"),
    Metric("re", knn.re, _HOODS, "nats", 0.0, "generated",
           "diversity within modes: H(G) - H(R); below 0 it shrank", _FOX),
    Metric("kl_real_fake", knn.kl_real_fake, _HOODS, "nats", 0.0, "real",
           "KL(R||G), the mean of rce; paired by sample", _WANG,
           by_mode="kl_real_fake by real mode: nats lost on its samples, of which rce is the mean (0: covered)"),
    Metric("kl_fake_real", knn.kl_fake_real, _HOODS, "nats", 0.0, "generated", "KL(G||R) = pce - re", _WANG),
    Metric("cross_entropy_fake_real", knn.cross_entropy_fake_real, _HOODS, "nats", "lowest", "generated",
           "CE(G,R)", _FOX),
    Metric("cross_entropy_real_fake", knn.cross_entropy_real_fake, _HOODS, "nats", "lowest", "real", "CE(R,G)", _FOX),
    Metric("entropy_real", knn.entropy_real, _HOODS, "nats", None, "real",
           "H(R), the same for every generator", _FOX),
    Metric("entropy_fake", knn.entropy_fake, _HOODS, "nats", None, "generated", "H(G), spread, right or wrong", _FOX),
    Metric("precision", knn.precision, _HOODS, "share", "highest", "generated",
           "generated inside the real support", _KYNKAANNIEMI),
    Metric("recall", knn.recall, _HOODS, "share", "highest", "real",
           "real inside the generated support", _KYNKAANNIEMI),
    Metric("density", knn.density, _HOODS, "ratio", "highest", "generated",
           "real balls around a generated sample, 1 when equal", _NAEEM),
    Metric("coverage", knn.coverage, _HOODS, "share", "highest", "real",
           "real with a generated neighbour, 1 - 2^-k when equal", _NAEEM),
    Metric("precision_cover", knn.precision_cover, _HOODS, "share", "highest", "generated",
           "generated where p_R >= p_G / C", _CHEEMA),
    Metric("recall_cover", knn.recall_cover, _HOODS, "share", "highest", "real", "real where p_G >= p_R / C", _CHEEMA,
           by_mode="recall cover by real mode (share of it that is generated often enough)"),
    Metric("frechet", frechet, "moments", "squared feature unit", "lowest", None,
           "distance of fitted Gaussians (FID on Inception features)",
           "Dowson and Landau (1982); Heusel et al. (2017), arXiv:1706.08500"),
    Metric("kid", kid, "polynomial_kernel", "squared kernel unit", "lowest", None,
           "unbiased MMD^2, cubic kernel", "Bińkowski et al. (2018), arXiv:1801.01401"),
    Metric("cmmd", cmmd, "gaussian_kernel", "1000 x squared kernel unit", "lowest", None,
           "MMD^2, Gaussian kernel, unit-length rows", "Jayasumana et al. (2024), arXiv:2401.09603"),
    Metric("mid", _mid, "gaussian_pair", "nats", "highest", "pair",
           "alignment: information that samples share with their texts, by the Gaussian of the real pairs",
           "Kim et al. (2022), arXiv:2205.13445", by_mode=f"mid {_ALIGNED}"),
    Metric("kme_pmi", _kme_pmi, "learned_pair", "nats", "highest", "pair",
           "alignment: the same by a similarity that is learned from the real pairs, Gaussian or not",
           "Yoshida et al. (2025), arXiv:2510.15508", by_default=False, by_mode=f"kme_pmi {_ALIGNED}"),
    Metric("clip_score", _clip_score, "cosines", "2.5 x cosine", "highest", "pair",
           "cosine of a sample and its text, never below 0", "Hessel et al. (2021), arXiv:2104.08718"),
    Metric("r_precision", _r_precision, "cosines", "share", "highest", "pair",
           "own text nearer than 99 random ones", "Park et al. (2021), openreview:bKBhQhPeKaF"),
    Metric("info_nce", _info_nce, "cosines", "nats", "highest", "pair",
           "log-probability of the own text among all, depends on their number",
           "van den Oord et al. (2018), arXiv:1807.03748"),
)
# fmt: on

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})


def closest_names(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the known name most like this one, or nothing where none is like it."""
    match = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(known), n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""


def chosen_metrics(names: Sequence[str] | None, *, learned: bool = False) -> list[Metric]:
    """Return the rows of ``METRICS`` of these names, in this order; None for those that are computed by default.

    What was learned before costs nothing more, and is then among these.
    """
    if names is None:
        return [row for row in METRICS.values() if row.by_default or (learned and row.summary == "learned_pair")]
    if isinstance(names, str):
        raise InputError(f"metrics is the string {names!r}; give a list of names, [{names!r}] say.")
    if not isinstance(names, Iterable):
        raise InputError(f"metrics is {names!r}; give a list of names, ['pce'] say, or None for all that apply.")
    names = [str(name) for name in names]
    if not names:
        raise InputError("metrics is empty; give at least one name, or None for all that apply.")
    for name in names:
        if name not in METRICS:
            raise InputError(
                f"there is no metric {name!r}{closest_names(name, METRICS)}; the names are {', '.join(METRICS)}."
            )
    return [METRICS[name] for name in dict.fromkeys(names)]
