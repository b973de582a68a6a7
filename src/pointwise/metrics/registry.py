"""METRICS: the table of all metrics. A new one is a function and one row here; the rest follows from the row."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pointwise.metrics import alignment
from pointwise.metrics import fidelity_diversity as knn
from pointwise.metrics.frechet import frechet
from pointwise.metrics.mmd import cmmd, kid
from pointwise.score import Of, Score
from pointwise.summaries.pairs import Pairs

Summary = Literal[
    "neighborhoods", "moments", "polynomial_kernel", "gaussian_kernel", "gaussian_pair", "cosines", "learned_pair"
]
Better = Literal["higher", "lower", "zero"]


@dataclass(frozen=True)
class Metric:
    """One row of the table of metrics.

    Args:
        name: as in ``evaluation[name]``.
        function: of one summary, to a Score.
        summary: what the function takes.
        unit: of its values.
        better: "higher", "lower", or "zero" for metrics with a target that can be missed on either side.
        meaning: what it tells, in one line.
        reference: the source.
        of: the table whose rows its samples are, "pair" where they are generated rows with their text, or None where
            it is of whole sets.
        by_default: computed where no metrics are named; else only where it is named, since it takes long.
    """

    name: str
    function: Callable[[Any], Score]
    summary: Summary
    unit: str
    better: Better
    meaning: str
    reference: str
    of: Of | None
    by_default: bool = True


_FOX = "Fox, Swarup, Adiga (2025), arXiv:2412.14340"
_KYNKAANNIEMI = "Kynkäänniemi et al. (2019), arXiv:1904.06991"
_NAEEM = "Naeem et al. (2020), arXiv:2002.09797"
_CHEEMA = "Cheema and Urner (2023), AISTATS"
_WANG = "Wang, Kulkarni, Verdú (2009), doi:10.1109/TIT.2009.2016060"


def _near(name: str, function: Any, unit: str, better: Better, of: Of, meaning: str, reference: str) -> Metric:
    return Metric(name, function, "neighborhoods", unit, better, meaning, reference, of)


def _mid(pairs: Pairs) -> Score:
    if pairs.reference is None:
        raise TypeError("mid reads pairs.reference, and it is None")
    return pairs.labelled(pairs.reference.pmi(pairs.image, pairs.text, debias=pairs.debias))


def _kme_pmi(pairs: Pairs) -> Score:
    if pairs.learned is None:
        raise TypeError("kme_pmi reads pairs.learned, and it is None")
    return pairs.labelled(pairs.learned.pmi(pairs.image, pairs.text))


def _clip_score(pairs: Pairs) -> Score:
    return pairs.labelled(alignment.clip_score(pairs.image, pairs.text))


def _r_precision(pairs: Pairs) -> Score:
    return pairs.labelled(alignment.r_precision(pairs.image, pairs.text, seed=pairs.seed))


def _info_nce(pairs: Pairs) -> Score:
    return pairs.labelled(alignment.info_nce_score(pairs.image, pairs.text))


_ROWS = (
    _near("pce", knn.pce, "nats", "lower", "generated", "fidelity: CE(G,R) - H(R), 0 when equal", _FOX),
    _near("rce", knn.rce, "nats", "lower", "real", "diversity between modes: CE(R,G) - H(R), 0 when equal", _FOX),
    _near("re", knn.re, "nats", "zero", "generated", "diversity within modes: H(G) - H(R); below 0 it shrank", _FOX),
    _near(
        "kl_real_fake", knn.kl_real_fake, "nats", "lower", "real", "KL(R||G), the mean of rce; paired by sample", _WANG
    ),
    _near("kl_fake_real", knn.kl_fake_real, "nats", "lower", "generated", "KL(G||R) = pce - re", _WANG),
    _near("cross_entropy_fake_real", knn.cross_entropy_fake_real, "nats", "lower", "generated", "CE(G,R)", _FOX),
    _near("cross_entropy_real_fake", knn.cross_entropy_real_fake, "nats", "lower", "real", "CE(R,G)", _FOX),
    _near("entropy_real", knn.entropy_real, "nats", "higher", "real", "H(R), the same for every generator", _FOX),
    _near("entropy_fake", knn.entropy_fake, "nats", "higher", "generated", "H(G), spread, right or wrong", _FOX),
    _near(
        "precision", knn.precision, "share", "higher", "generated", "generated inside the real support", _KYNKAANNIEMI
    ),
    _near("recall", knn.recall, "share", "higher", "real", "real inside the generated support", _KYNKAANNIEMI),
    _near(
        "density",
        knn.density,
        "ratio",
        "higher",
        "generated",
        "real balls around a generated sample, 1 when equal",
        _NAEEM,
    ),
    _near(
        "coverage",
        knn.coverage,
        "share",
        "higher",
        "real",
        "real with a generated neighbour, 1 - 2^-k when equal",
        _NAEEM,
    ),
    _near(
        "precision_cover",
        knn.precision_cover,
        "share",
        "higher",
        "generated",
        "generated where p_R >= p_G / C",
        _CHEEMA,
    ),
    _near("recall_cover", knn.recall_cover, "share", "higher", "real", "real where p_G >= p_R / C", _CHEEMA),
    Metric(
        "frechet",
        frechet,
        "moments",
        "squared feature unit",
        "lower",
        "distance of fitted Gaussians (FID on Inception features)",
        "Dowson and Landau (1982); Heusel et al. (2017), arXiv:1706.08500",
        None,
    ),
    Metric(
        "kid",
        kid,
        "polynomial_kernel",
        "squared kernel unit",
        "lower",
        "unbiased MMD^2, cubic kernel",
        "Bińkowski et al. (2018), arXiv:1801.01401",
        None,
    ),
    Metric(
        "cmmd",
        cmmd,
        "gaussian_kernel",
        "1000 x squared kernel unit",
        "lower",
        "MMD^2, Gaussian kernel, unit-length rows",
        "Jayasumana et al. (2024), arXiv:2401.09603",
        None,
    ),
    Metric(
        "mid",
        _mid,
        "gaussian_pair",
        "nats",
        "higher",
        "alignment: information that samples share with their texts, by the Gaussian of the real pairs",
        "Kim et al. (2022), arXiv:2205.13445",
        "pair",
    ),
    Metric(
        "kme_pmi",
        _kme_pmi,
        "learned_pair",
        "nats",
        "higher",
        "alignment: the same by a similarity that is learned from the real pairs, Gaussian or not",
        "Yoshida et al. (2025), arXiv:2510.15508",
        "pair",
        by_default=False,
    ),
    Metric(
        "clip_score",
        _clip_score,
        "cosines",
        "2.5 x cosine",
        "higher",
        "cosine of a sample and its text, never below 0",
        "Hessel et al. (2021), arXiv:2104.08718",
        "pair",
    ),
    Metric(
        "r_precision",
        _r_precision,
        "cosines",
        "share",
        "higher",
        "own text nearer than 99 random ones",
        "Park et al. (2021), openreview:bKBhQhPeKaF",
        "pair",
    ),
    Metric(
        "info_nce",
        _info_nce,
        "cosines",
        "nats",
        "higher",
        "log-probability of the own text among all, depends on their number",
        "van den Oord et al. (2018), arXiv:1807.03748",
        "pair",
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})


def closest_names(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the known name most like this one, or nothing where none is like it."""
    match = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(known), n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""
