"""Every metric in its plainest form: the specification that the library is tested against.

Distances by explicit subtraction in float64, one equation or one loop a metric, no blocks and no cleverness. Each
function takes (real, fake, k, cover, dimension) and returns (value, per_sample or None); logs of zero are −inf.
"""

import math

import numpy as np
from scipy.special import digamma, gammaln

from pointwise import KmePmi


def distances(x, y):
    """All distances [n, m] from the rows of x to the rows of y."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return np.sqrt(np.array([((row - y) ** 2).sum(axis=1) for row in x]))


def kth_across(x, y, k):
    """Distance of each row of x to its k-th nearest row of y, [n]."""
    return np.sort(distances(x, y), axis=1)[:, k - 1]


def kth_within(x, k):
    """Distance of each row of x to its k-th nearest other row, [n]; the row itself is excluded by its index."""
    apart = distances(x, x)
    return np.array([np.sort(np.delete(row, i))[k - 1] for i, row in enumerate(apart)])


def balls_around(x, centres, radii):
    """Number of closed balls that each row of x lies in, [n]."""
    return (distances(x, centres) <= radii).sum(axis=1)


def log_ball(d):
    """Log of the volume of the unit ball in d dimensions."""
    return d / 2 * math.log(math.pi) - gammaln(d / 2 + 1)


def cross_entropy_terms(x, y, k, dimension=None):
    """−log of the k-nearest-neighbour density of y at each row of x, [n]."""
    d = x.shape[1] if dimension is None else dimension
    with np.errstate(divide="ignore"):
        return math.log(len(y)) - digamma(k) + log_ball(d) + d * np.log(kth_across(x, y, k))


def entropy_terms(x, k, dimension=None):
    """−log of the k-nearest-neighbour density of the other rows of x at each row of x, [n]."""
    d = x.shape[1] if dimension is None else dimension
    with np.errstate(divide="ignore"):
        return math.log(len(x) - 1) - digamma(k) + log_ball(d) + d * np.log(kth_within(x, k))


def mean(terms):
    """A metric that is the mean of its samples; inf − inf, which duplicates can make, is nan."""
    with np.errstate(invalid="ignore"):
        return float(terms.mean()), terms


def less(terms, subtracted):
    """Difference in which inf − inf is nan without a warning."""
    with np.errstate(invalid="ignore"):
        return terms - subtracted


def cross_entropy_fake_real(real, fake, k, cover=3, dimension=None):
    return mean(cross_entropy_terms(fake, real, k, dimension))


def cross_entropy_real_fake(real, fake, k, cover=3, dimension=None):
    return mean(cross_entropy_terms(real, fake, k, dimension))


def entropy_real(real, fake, k, cover=3, dimension=None):
    return mean(entropy_terms(real, k, dimension))


def entropy_fake(real, fake, k, cover=3, dimension=None):
    return mean(entropy_terms(fake, k, dimension))


def pce(real, fake, k, cover=3, dimension=None):
    return mean(less(cross_entropy_terms(fake, real, k, dimension), entropy_terms(real, k, dimension).mean()))


def rce(real, fake, k, cover=3, dimension=None):
    return mean(less(cross_entropy_terms(real, fake, k, dimension), entropy_terms(real, k, dimension).mean()))


def re(real, fake, k, cover=3, dimension=None):
    return mean(less(entropy_terms(fake, k, dimension), entropy_terms(real, k, dimension).mean()))


def kl_real_fake(real, fake, k, cover=3, dimension=None):
    return mean(less(cross_entropy_terms(real, fake, k, dimension), entropy_terms(real, k, dimension)))


def kl_fake_real(real, fake, k, cover=3, dimension=None):
    return mean(less(cross_entropy_terms(fake, real, k, dimension), entropy_terms(fake, k, dimension)))


def precision(real, fake, k, cover=3, dimension=None):
    return mean((balls_around(fake, real, kth_within(real, k)) > 0).astype(float))


def recall(real, fake, k, cover=3, dimension=None):
    return mean((balls_around(real, fake, kth_within(fake, k)) > 0).astype(float))


def density(real, fake, k, cover=3, dimension=None):
    return mean(balls_around(fake, real, kth_within(real, k)) / k)


def coverage(real, fake, k, cover=3, dimension=None):
    return mean((kth_across(real, fake, 1) <= kth_within(real, k)).astype(float))


def precision_cover(real, fake, k, cover=3, dimension=None):
    return mean((kth_across(fake, real, k) <= kth_within(fake, cover * k)).astype(float))


def recall_cover(real, fake, k, cover=3, dimension=None):
    return mean((kth_across(real, fake, k) <= kth_within(real, cover * k)).astype(float))


def frechet(real, fake, k=None, cover=3, dimension=None):
    """The trace of (Σ1 Σ2)^½ is the sum of the roots of the eigenvalues of Σ1 Σ2, real and ≥ 0 but for rounding."""
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    a, b = (np.atleast_2d(np.cov(x, rowvar=False, ddof=1)) for x in (real, fake))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0))
    return float(shift @ shift + np.trace(a) + np.trace(b) - 2 * roots.sum()), None


def kid(real, fake, k=None, cover=3, dimension=None):
    """All pairs of different rows within, all pairs across."""
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    n, m, d = len(real), len(fake), real.shape[1]
    rr, gg, rg = ((x @ y.T / d + 1) ** 3 for x, y in ((real, real), (fake, fake), (real, fake)))
    within_real = (rr.sum() - np.trace(rr)) / (n * (n - 1))
    within_fake = (gg.sum() - np.trace(gg)) / (m * (m - 1))
    return float(within_real + within_fake - 2 * rg.mean()), None


def gaussian_discrepancy(x, y, bandwidth):
    """All pairs, those of a row with itself included."""
    xx, yy, xy = (np.exp(-(distances(a, b) ** 2) / (2 * bandwidth**2)) for a, b in ((x, x), (y, y), (x, y)))
    return float(xx.mean() + yy.mean() - 2 * xy.mean())


def cmmd(real, fake, k=None, cover=3, dimension=None):
    """On rows scaled to length 1, times 1000."""
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (real, fake))
    return 1000 * gaussian_discrepancy(x, y, bandwidth=10), None


# ---- of pairs: (real, real_text, fake, fake_text); the same result


def log_density(rows, reference):
    """Log-density of each row under the Gaussian of the reference rows, by determinant and inverse."""
    centred = rows - reference.mean(axis=0)
    covariance = np.atleast_2d(np.cov(reference, rowvar=False, ddof=1))
    squares = np.array([row @ np.linalg.inv(covariance) @ row for row in centred])
    return -0.5 * (squares + np.linalg.slogdet(2 * math.pi * covariance)[1])


def mid(real, real_text, fake, fake_text):
    joint = log_density(np.hstack([fake, fake_text]), np.hstack([real, real_text]))
    return mean(joint - log_density(fake, real) - log_density(fake_text, real_text))


def weighted_points(weights, side, row):
    """The points of a row on the sphere [m, d] and the logarithms of their weights [m]."""
    z = np.clip((row - weights[f"{side}.mean"]) @ weights[f"{side}.directions"], -4, 4)
    token = np.array([*z, 1, *(0.3 * (z**2 - 1))])
    points = [token @ projection for projection in weights[f"{side}_head.projection"]]
    u = weights[f"{side}_head.weight"] @ token + weights[f"{side}_head.weight_bias"]
    return [f / math.sqrt(f @ f) for f in points], 10 * np.tanh(u / 10) - math.log(len(points))


def kme_pmi(real, real_text, fake, fake_text, learned=None):
    """What is learned has no plain form; what is made of it has, pair by pair and point by point."""
    learned = KmePmi.fit(real, real_text) if learned is None else learned
    weights = {name: x.double().numpy() for name, x in learned.model.state_dict().items()}
    terms = []
    for x, y in zip(fake, fake_text, strict=True):
        (points, log_w), (others, log_v) = weighted_points(weights, "image", x), weighted_points(weights, "text", y)
        scale = math.exp(weights["log_scale"])
        kernels = [
            math.exp(u + v + scale * (f @ g - 1))
            for f, u in zip(points, log_w, strict=True)
            for g, v in zip(others, log_v, strict=True)
        ]
        terms.append(math.log(math.fsum(kernels)) - learned.calibration.constant)
    return mean(np.array(terms))


def cosines(x, y):
    """All cosines [n, m]."""
    return np.array([[a @ b / math.sqrt((a @ a) * (b @ b)) for b in y] for a in x])


def clip_score(real, real_text, fake, fake_text):
    return mean(2.5 * np.maximum(np.diag(cosines(fake, fake_text)), 0))


def info_nce(real, real_text, fake, fake_text):
    found = cosines(fake, fake_text)
    return mean(np.diag(found) - np.log(np.exp(found).sum(axis=1)))


def r_precision(real, real_text, fake, fake_text):
    """Against all other texts, where there are 99 of them: then nothing is drawn. Ties share the first place."""
    found = cosines(fake, fake_text)
    if len(found) != 100:
        raise ValueError("with other than 100 pairs it is a matter of chance")
    ahead = found - np.diag(found)[:, None]
    return mean(np.array([0.0 if (row > 1e-12).any() else 1 / (abs(row) <= 1e-12).sum() for row in ahead]))


SLOW = {
    metric.__name__: metric
    for metric in (
        pce,
        rce,
        re,
        cross_entropy_fake_real,
        cross_entropy_real_fake,
        entropy_real,
        entropy_fake,
        kl_real_fake,
        kl_fake_real,
        precision,
        recall,
        density,
        coverage,
        precision_cover,
        recall_cover,
        frechet,
        kid,
        cmmd,
        mid,
        kme_pmi,
        clip_score,
        r_precision,
        info_nce,
    )
}
