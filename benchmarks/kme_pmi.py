"""How near do KmePmi and the Gaussian come to pointwise mutual information, pair by pair, where the truth is known?

    python benchmarks/kme_pmi.py                  # minutes on one core

Both see the same pairs; 2,000 fresh ones are scored. Error is the mean of |estimate - PMI| over these, r their
correlation; c is the constant less that of the fresh ones, which holding out has to keep near 0; "c, by
choice" is what it would be by the pairs that chose axes and step.
Nats, mean ± standard deviation of the seeds, which draw all pairs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import pointwise as pw
from pointwise.pmi.learning import three_parts
from pointwise.pmi.pmi import calibration_of, copy_keys
from pointwise.synthetic import Circle, CorrelatedGaussians, DiscreteLatent
from pointwise.training.inputs import Inputs, Pairs

FRESH = 2000


class Clusters:
    """Eight clusters of x and eight of y, at random places of four dimensions, paired by a common latent."""

    def __init__(self):
        rng = np.random.default_rng(5)
        self.x, self.y, self.deviation = rng.normal(size=(8, 4)), rng.normal(size=(8, 4)), 0.35

    def sample(self, n, *, seed):
        rng = np.random.default_rng(seed)
        z = rng.integers(8, size=n)
        return [means[z] + self.deviation * rng.normal(size=(n, 4)) for means in (self.x, self.y)]

    def pmi(self, x, y):
        of_x, of_y = (
            np.exp(-((rows[:, None] - means) ** 2).sum(2) / (2 * self.deviation**2))
            for rows, means in ((x, self.x), (y, self.y))
        )
        return np.log(8 * (of_x * of_y).sum(1) / of_x.sum(1) / of_y.sum(1))


class Symbols(DiscreteLatent):
    """The discrete law, each value of it a point of 16 dimensions."""

    def sample(self, n, *, seed):
        return [
            np.random.default_rng(i).normal(size=(24, 16))[side] for i, side in enumerate(super().sample(n, seed=seed))
        ]

    def pmi(self, x, y):
        values = [
            abs(side[:, None] - np.random.default_rng(i).normal(size=(24, 16))).sum(2).argmin(1)
            for i, side in enumerate((x, y))
        ]
        return super().pmi(*values)


class Wide:
    """Sixteen correlated Gaussian directions among 1,280 and 384 columns, whose other directions share nothing."""

    def __init__(self):
        rng = np.random.default_rng(7)
        self.law = CorrelatedGaussians(np.linspace(0.3, 0.9, 16))
        self.turns = [np.linalg.qr(rng.normal(size=(width, width)))[0] for width in (1280, 384)]

    def sample(self, n, *, seed):
        rng = np.random.default_rng([1, seed])
        sides = zip(self.law.sample(n, seed=seed), self.turns, strict=True)
        return [
            np.hstack([x, np.arange(1, len(turn) - 15) ** -0.7 * rng.normal(size=(n, len(turn) - 16))]) @ turn
            for x, turn in sides
        ]

    def pmi(self, x, y):
        return self.law.pmi(*((rows @ turn.T)[:, :16] for rows, turn in zip((x, y), self.turns, strict=True)))


LAWS = {
    "circle, 6 columns of noise": Circle(8.0, 4.0, noise_columns=6),
    "8 clusters": Clusters(),
    "24 x 24 values": Symbols.dirichlet(8, 24, 24, seed=0, concentration=0.2),
    "8 Gaussian directions": CorrelatedGaussians(np.linspace(0.2, 0.9, 8)),
    "16 among 1,280 + 384 columns": Wide(),
}


def run(law, n, seed):
    """Errors and correlations of both, both errors of c, information held out, the truth, seconds of the processor."""
    x, y = law.sample(n, seed=2 * seed)
    fresh = law.sample(FRESH, seed=2 * seed + 1)
    truth = law.pmi(*fresh)
    begun = time.process_time()
    learned = pw.KmePmi.fit(x, y, seed=seed)
    seconds = time.process_time() - begun
    again = pw.KmePmi.calibrated(learned.model, *(side[:1000] for side in fresh))
    gaussian = pw.GaussianPair(reduce=32)
    gaussian.update(x, y)
    found = []
    for values in (learned.pmi(*fresh).per_sample, gaussian.pmi(*fresh, debias=True).per_sample):
        found += [abs(values - truth).mean(), np.corrcoef(values, truth)[0, 1]]
    pairs = Pairs(*(Inputs(torch.from_numpy(side)[:, None]) for side in (x, y)))
    chose = three_parts(n, keys := copy_keys(pairs), seed=seed)[1]
    by_choice = calibration_of(learned.model, pairs.rows(chose), [key[chose] for key in keys])
    constants = [one.constant - again.calibration.constant for one in (learned.calibration, by_choice)]
    return *found, *constants, learned.calibration.mutual_information.value, truth.mean(), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[400, 1500])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| law | pairs | KmePmi: error | r | Gaussian: error | r | c | c, by choice | I held out | I | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, law in LAWS.items():
        for n in arguments.pairs:
            runs = np.array([run(law, n, seed) for seed in range(arguments.seeds)])
            cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in zip(runs.mean(0), runs.std(0, ddof=1), strict=True)]
            print(
                f"| {name} | {n:,} | {' | '.join(cells[:7])} | {runs[:, 7].mean():.2f} | {runs[:, 8].mean():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
