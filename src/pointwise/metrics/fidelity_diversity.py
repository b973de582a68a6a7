"""Fidelity and diversity from nearest neighbours: PCE, RCE, RE, the divergences they split, and the covering metrics.

rho_k(a) is the distance from a to its k-th nearest neighbour in its own table, itself excluded; nu_k(a; B) that to its
k-th nearest in the other table. Balls are closed. Each function takes the Neighborhoods of one comparison and reads
its k, cover, dimension and policy for duplicates from there. The raw terms and what is made of them are in nats.
"""

from dataclasses import replace

import numpy as np

from pointwise._types import Floats, Integers
from pointwise.metrics.entropy import log_density_terms
from pointwise.neighbors import Neighbors
from pointwise.score import Score, mean_score
from pointwise.summaries.neighborhoods import Neighborhoods
from pointwise.terms import Removal, Side, Terms

_OWN = 0.2  # how much of a row's own flip counts, beside the mean over rows


def cross_entropy_fake_real(hoods: Neighborhoods) -> Score:
    r"""Cross-entropy CE(G, R) = -E_G log p_R: how unlikely generated samples are under the real law; lower is better.

    .. math:: \log N - \psi(k) + \log V_d + d \log \nu_k(g_j; R) \quad \text{for each generated } g_j

    Reference: Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(_cross_fake_real(hoods))


def cross_entropy_real_fake(hoods: Neighborhoods) -> Score:
    r"""Cross-entropy CE(R, G) = -E_R log p_G: how unlikely real samples are under the generated law; lower is better.

    .. math:: \log M - \psi(k) + \log V_d + d \log \nu_k(r_i; G) \quad \text{for each real } r_i

    Reference: Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(_cross_real_fake(hoods))


def entropy_real(hoods: Neighborhoods) -> Score:
    r"""Entropy H(R) of the real law: how spread out the real samples are. It does not look at the generator.

    .. math:: \log(N-1) - \psi(k) + \log V_d + d \log \rho_k(r_i) \quad \text{for each real } r_i

    Reference: Kozachenko and Leonenko (1987); Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(_within_real(hoods))


def entropy_fake(hoods: Neighborhoods) -> Score:
    r"""Entropy H(G) of the generated law: how spread out the generated samples are, right or wrong.

    .. math:: \log(M-1) - \psi(k) + \log V_d + d \log \rho_k(g_j) \quad \text{for each generated } g_j

    Reference: Kozachenko and Leonenko (1987); Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(_within_fake(hoods))


def pce(hoods: Neighborhoods) -> Score:
    r"""Precision cross-entropy CE(G, R) - H(R): fidelity; lower is better, 0 when both laws are equal.

    .. math:: \log N - \psi(k) + \log V_d + d \log \nu_k(g_j; R) - \hat H(R) \quad \text{for each generated } g_j

    Generated samples far from all real ones raise it; below 0 they are more typical than real samples are.
    H(R) is the mean over the real table, the same for every sample.

    Reference: Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(replace(_cross_fake_real(hoods), less=_within_real(hoods)))


def rce(hoods: Neighborhoods) -> Score:
    r"""Recall cross-entropy CE(R, G) - H(R): diversity between modes; lower is better, 0 when both laws are equal.

    .. math:: \log M - \psi(k) + \log V_d + d \log \nu_k(r_i; G) - \hat H(R) \quad \text{for each real } r_i

    Real samples that nothing was generated near, those of a dropped mode, raise it. Its mean is the estimate of
    KL(R || G) of Wang, Kulkarni and Verdú: d mean log(nu_k / rho_k) + log(M / (N - 1)).

    Reference: Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(replace(_cross_real_fake(hoods), less=_within_real(hoods)))


def re(hoods: Neighborhoods) -> Score:
    r"""Recall entropy H(G) - H(R): diversity within modes; its target is 0, below it the generator has shrunk.

    .. math:: \log(M-1) - \psi(k) + \log V_d + d \log \rho_k(g_j) - \hat H(R) \quad \text{for each generated } g_j

    Above 0 the generated samples are more spread out than the real ones.

    Reference: Fox, Swarup, Adiga (2025), https://arxiv.org/abs/2412.14340.
    """
    return _mean(replace(_within_fake(hoods), less=_within_real(hoods)))


def kl_real_fake(hoods: Neighborhoods) -> Score:
    r"""Divergence KL(R || G): nats lost when the generator stands in for the real law; lower is better, 0 when equal.

    .. math:: d \log\frac{\nu_k(r_i; G)}{\rho_k(r_i)} + \log\frac{M}{N-1} \quad \text{for each real } r_i

    Its mean is that of RCE. Per sample it compares both densities at the same point, so a mode's value is 0 where the
    mode is covered, however spread out the mode is.

    Reference: Wang, Kulkarni, Verdú (2009), https://doi.org/10.1109/TIT.2009.2016060, eq. 5.
    """
    return _mean(_cross_real_fake(hoods) - _within_real(hoods))


def kl_fake_real(hoods: Neighborhoods) -> Score:
    r"""Divergence KL(G || R) = PCE - RE: nats by which the generator strays; lower is better, 0 when equal.

    .. math:: d \log\frac{\nu_k(g_j; R)}{\rho_k(g_j)} + \log\frac{N}{M-1} \quad \text{for each generated } g_j

    Reference: Wang, Kulkarni, Verdú (2009), https://doi.org/10.1109/TIT.2009.2016060, eq. 5.
    """
    return _mean(_cross_fake_real(hoods) - _within_fake(hoods))


def precision(hoods: Neighborhoods) -> Score:
    r"""Share of generated samples that lie in the support of the real ones; higher is better.

    .. math:: \mathbb 1\{\exists i : \|g_j - r_i\| \le \rho_k(r_i)\} \quad \text{for each generated } g_j

    Reference: Kynkäänniemi et al. (2019), https://arxiv.org/abs/1904.06991, eq. 1-2.
    """
    return _mean(Terms("generated", (_in_balls(hoods, "generated") > 0).astype(np.float64), sizes=hoods.sizes))


def recall(hoods: Neighborhoods) -> Score:
    r"""Share of real samples that lie in the support of the generated ones; higher is better.

    .. math:: \mathbb 1\{\exists j : \|r_i - g_j\| \le \rho_k(g_j)\} \quad \text{for each real } r_i

    Reference: Kynkäänniemi et al. (2019), https://arxiv.org/abs/1904.06991, eq. 1-2.
    """
    return _mean(Terms("real", (_in_balls(hoods, "real") > 0).astype(np.float64), sizes=hoods.sizes))


def density(hoods: Neighborhoods) -> Score:
    r"""Real balls around each generated sample, over k; higher is better, about 1 when both laws are equal.

    .. math:: \frac1k \#\{i : \|g_j - r_i\| \le \rho_k(r_i)\} \quad \text{for each generated } g_j

    With many samples it tends to 1 for every generator that stays inside the real support: it then tells little.

    Reference: Naeem et al. (2020), https://arxiv.org/abs/2002.09797, eq. 4.
    """
    return _mean(Terms("generated", _in_balls(hoods, "generated") / hoods.chosen_k, sizes=hoods.sizes))


def coverage(hoods: Neighborhoods) -> Score:
    r"""Share of real samples with a generated one in their ball; higher is better, 1 - 2^-k when the laws are equal.

    .. math:: \mathbb 1\{\nu_1(r_i; G) \le \rho_k(r_i)\} \quad \text{for each real } r_i

    Reference: Naeem et al. (2020), https://arxiv.org/abs/2002.09797, eq. 5.
    """
    return _mean(_near_enough(hoods, "real", 1, hoods.chosen_k))


def precision_cover(hoods: Neighborhoods) -> Score:
    r"""Share of generated samples where the real law has at least 1/C of the generated density; higher is better.

    .. math:: \mathbb 1\{\nu_k(g_j; R) \le \rho_{Ck}(g_j)\} \quad \text{for each generated } g_j

    Reference: Cheema and Urner (2023), https://proceedings.mlr.press/v206/cheema23a.html.
    """
    return _mean(_near_enough(hoods, "generated", hoods.chosen_k, hoods.cover * hoods.chosen_k))


def recall_cover(hoods: Neighborhoods) -> Score:
    r"""Share of real samples where the generator has at least 1/C of the real density; higher is better.

    .. math:: \mathbb 1\{\nu_k(r_i; G) \le \rho_{Ck}(r_i)\} \quad \text{for each real } r_i

    Reference: Cheema and Urner (2023), https://proceedings.mlr.press/v206/cheema23a.html.
    """
    return _mean(_near_enough(hoods, "real", hoods.chosen_k, hoods.cover * hoods.chosen_k))


def _within_real(hoods: Neighborhoods) -> Terms:
    return _log_density(hoods, "real", "real", hoods.within_real)


def _within_fake(hoods: Neighborhoods) -> Terms:
    return _log_density(hoods, "generated", "generated", hoods.within_fake)


def _cross_fake_real(hoods: Neighborhoods) -> Terms:
    return _log_density(hoods, "generated", "real", hoods.fake_to_real)


def _cross_real_fake(hoods: Neighborhoods) -> Terms:
    return _log_density(hoods, "real", "generated", hoods.real_to_fake)


def _log_density(hoods: Neighborhoods, side: Side, partner: Side, neighbors: Neighbors) -> Terms:
    return log_density_terms(
        neighbors,
        hoods.chosen_k,
        side=side,
        partner=partner,
        sizes=hoods.sizes,
        dimension=hoods.dimension,
        duplicates=hoods.duplicates,
    )


def _near_enough(hoods: Neighborhoods, side: Side, j: int, wide: int) -> Terms:
    """1 where the j-th partner is no farther than the wide-th neighbour in the own table; either can be taken away.

    Whether one removal flips one row is mostly chance, which the jackknife would count as spread several times over
    (twice to thrice the true error); the mean over rows alone leaves out what rows near the edge share (down to .8 of
    it). A fifth of the one beside the other is right to 1.2 (benchmarks/differences.py).
    """
    across, within = hoods.real_to_fake, hoods.within_real
    partner: Side = "generated"
    if side == "generated":
        across, within, partner = hoods.fake_to_real, hoods.within_fake, "real"
    near, limit = across.distances[:, j - 1], within.distances[:, wide - 1]
    next_near, next_limit = _next_distance(across, j), _next_distance(within, wide)
    held = (near <= limit).astype(np.float64)
    return Terms(
        side,
        held,
        sizes=hoods.sizes,
        removals=(
            Removal(partner, across.indices[:, :j], _smoothed((next_near <= limit) - held)),
            Removal(side, within.indices[:, :wide], _smoothed((near <= next_limit) - held)),
        ),
    )


def _smoothed(values: Floats) -> Floats:
    mean = float(values.mean())
    return mean + _OWN * (values - mean)


def _next_distance(neighbors: Neighbors, k: int) -> Floats:
    """The distance to the neighbour after the k-th, or to the k-th where no further one is known."""
    return neighbors.distances[:, min(k, neighbors.depth - 1)]


def _in_balls(hoods: Neighborhoods, of: Side) -> Integers:
    """How many balls of the other table hold each row."""
    counts = hoods.fake_in_real_balls if of == "generated" else hoods.real_in_fake_balls
    return counts[:, hoods.ks.index(hoods.chosen_k)]


def _mean(terms: Terms) -> Score:
    return mean_score(terms, of="real" if terms.side == "real" else "generated")
