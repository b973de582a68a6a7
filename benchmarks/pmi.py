"""How near does a learned similarity come to pointwise mutual information, where the truth is known?

    python benchmarks/pmi.py --law discrete --latents 32 --free --population  # one embedding per value, population loss
    python benchmarks/pmi.py --law discrete --population           # encoders, population loss
    python benchmarks/pmi.py --law discrete --latents 32           # encoders, sampled batches
    python benchmarks/pmi.py --law circle
    python benchmarks/pmi.py --law scenes                          # a symbol for each cell and each word, in place
    python benchmarks/pmi.py --law scenes --pictures               # rendered scenes and a small convolutional network

Rows are similarities of m points of d numbers: at equal parameters m d is --width, at equal width d is. Error is
|S - PMI - c| over independent x and y, c the mean difference; gap is the held-out symmetric InfoNCE, less that of the
true PMI on the same items; I is estimated by mean S of pairs - log mean e^S of unpaired. Nats; mean ± standard
deviation of the seeds, which draw the law's tables, the weights at the start, and the pairs. Nothing is chosen by the
truth.

Discrete and circle are evaluated without sampling: by sums over all values, and over a grid of angles. Batches of the
discrete law hold few different values, so that InfoNCE of a batch is summed over its table of counts: of 65,536 pairs
it costs no more than of 64. The row named counts is the logarithm of all counts of the run: what sampling allows.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import pointwise as pw
from pointwise.similarity.inputs import Inputs
from pointwise.similarity.losses import info_nce
from pointwise.similarity.model import DualEncoder
from pointwise.synthetic import Circle, DiscreteLatent, Scenes

HIDDEN = 128
LAWS = ("discrete", "circle", "scenes")


class Held(NamedTuple):
    """Items x [n] and y [b] that nothing is trained on, their true PMI, joint law and law of unpaired items, [n, b]."""

    x: Inputs
    y: Inputs
    pmi: torch.Tensor
    joint: torch.Tensor
    unpaired: torch.Tensor


class Symbols(nn.Module):
    """A tower that gives each value a token of its own: what the head makes of it is free."""

    def __init__(self, values):
        super().__init__()
        self.width = values

    def forward(self, inputs):
        return math.sqrt(self.width) * inputs.x[:, None], None


class Perceptron(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.width = HIDDEN
        self.layers = nn.Sequential(
            nn.Linear(columns, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.LayerNorm(HIDDEN)
        )

    def forward(self, inputs):
        return self.layers(inputs.x)[:, None], None


class Convolutions(nn.Module):
    def __init__(self, _):
        super().__init__()
        self.width = HIDDEN
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=2, padding=1), nn.GELU(), nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(64, 64, 4, stride=2, padding=1), nn.GELU(), nn.Flatten(),
            nn.Linear(1024, HIDDEN), nn.GELU(), nn.LayerNorm(HIDDEN),
        )  # fmt: skip

    def forward(self, inputs):
        return self.layers(inputs.x)[:, None], None


def tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values)).float()


class Discrete:
    def __init__(self, options, seed):
        self.law = DiscreteLatent.dirichlet(options.latents, 64, 64, seed=seed)
        self.joint, self.batch, self.population = tensor(self.law.joint), options.batch, options.population
        self.towers = (Symbols, Symbols) if options.free else (Perceptron, Perceptron)
        self.all = Inputs(torch.eye(64)), Inputs(torch.eye(64))
        self.columns = 64, 64
        self.counts, self.rng = np.zeros((64, 64)), np.random.default_rng([3, seed])

    def loss(self, model):
        if self.population:
            return loss(model(*self.all), self.joint)
        counts = self.rng.multinomial(self.batch, self.law.joint.ravel() / self.law.joint.sum()).reshape(64, 64)
        self.counts += counts
        return loss(model(*self.all), tensor(counts / self.batch))

    def held(self):
        joint = torch.from_numpy(self.law.joint)
        product = joint.sum(1)[:, None] * joint.sum(0)
        return Held(*self.all, torch.from_numpy(self.law.pmi_table), joint, product)

    def plug_in(self):
        counts = self.counts + 0.5
        return torch.from_numpy(np.log(counts / counts.sum(1, keepdims=True) / counts.sum(0)))


class Sampled:
    """A law whose batches are fresh samples."""

    def __init__(self, options, seed):
        self.batch, self.seed, self.pairs = options.batch, seed, None

    def loss(self, model):
        if self.pairs is None or self.at + self.batch > len(self.pairs[0]):
            self.seed += 1000
            self.pairs, self.at = self.draw(max(16384, self.batch), self.seed), 0
        rows = slice(self.at, self.at + self.batch)
        self.at += self.batch
        return info_nce(model(*(Inputs(items[rows]) for items in self.pairs)))


class OnCircle(Sampled):
    def __init__(self, options, seed):
        super().__init__(options, seed)
        self.law, self.towers, self.columns = Circle(8.0, 4.0), (Perceptron, Perceptron), (2, 2)

    def draw(self, n, seed):
        return [tensor(side) for side in self.law.sample(n, seed=seed)]

    def held(self):
        t = 2 * math.pi * (np.arange(96) + 0.5) / 96  # sums over it are integrals to rounding
        points = np.column_stack([np.cos(t), np.sin(t)])
        pmi = torch.from_numpy(self.law.pmi_matrix(points, points))
        product = torch.full_like(pmi, 96**-2)
        return Held(Inputs(tensor(points)), Inputs(tensor(points)), pmi, pmi.exp() * product, product)


class OfScenes(Sampled):
    def __init__(self, options, seed):
        super().__init__(options, seed)
        self.law, self.pictures = Scenes(), options.pictures
        self.towers = (Convolutions if options.pictures else Perceptron), Perceptron
        words = {word for text in self.law.sample(4000, seed=0)[1] for word in text.split()}
        self.words = {word: i for i, word in enumerate(sorted(words))}
        self.columns = self.law.cells * (self.law.kinds + 1), 2 * len(self.words)

    def images(self, scenes, seed):
        if self.pictures:
            return tensor(self.law.render(scenes, seed=seed).transpose(0, 3, 1, 2)) / 127.5 - 1
        return tensor(scenes[:, :, None] == np.arange(-1, self.law.kinds)).flatten(1)

    def texts(self, captions):
        marks = torch.zeros(len(captions), 2, len(self.words))  # the words of each of the phrases
        for row, caption in zip(marks, captions, strict=True):
            for phrase, text in zip(row, caption.split(" and "), strict=False):
                phrase[[self.words[word] for word in text.split()]] = 1
        return marks.flatten(1)

    def draw(self, n, seed):
        scenes, captions = self.law.sample(n, seed=seed)
        return self.images(scenes, seed), self.texts(captions)

    def held(self):
        n = 2000
        scenes, captions = self.law.sample(n, seed=10**6 + self.seed)
        pmi, joint = torch.from_numpy(self.law.pmi_matrix(scenes, captions)), torch.eye(n, dtype=torch.float64) / n
        x, y = Inputs(self.images(scenes, self.seed)), Inputs(self.texts(captions))
        return Held(x, y, pmi, joint, (1 / n - joint) / (n - 1))


def loss(s, joint):
    """Symmetric InfoNCE of infinitely many pairs of a law, less the log of their number; of a batch by its counts."""
    rows, columns = joint.sum(1), joint.sum(0)
    of_rows = rows @ torch.logsumexp(s + columns.log(), 1)
    return (of_rows + columns @ torch.logsumexp(s + rows.log()[:, None], 0)) / 2 - (joint * s).sum()


def fit(law, model, steps, rate):
    """Adam with a warm-up and a cosine; the logarithm of the scale moves eight times as fast."""
    others = [p for name, p in model.named_parameters() if name != "log_scale"]
    optimizer = torch.optim.Adam([{"params": others}, {"params": [model.log_scale], "lr": 8 * rate}], lr=rate)
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(1, (t + 1) / warmup) * (1 + math.cos(math.pi * t / steps)) / 2
    )
    for _ in range(steps):
        optimizer.zero_grad()
        law.loss(model).backward()
        optimizer.step()
        model.clamp_scale()
        schedule.step()


def figures(s, held):
    """Mean and largest error, gap of the loss, and the estimate of mutual information less the truth on these items."""
    difference = s - held.pmi
    error = (difference - (held.unpaired * difference).sum()).abs()
    gap = loss(s, held.joint) - loss(held.pmi, held.joint)
    information = [
        (held.joint * t).sum() - torch.logsumexp((t + held.unpaired.log()).flatten(), 0) for t in (s, held.pmi)
    ]
    largest = error[held.unpaired > 0].max()
    return [float(f) for f in ((held.unpaired * error).sum(), largest, gap, information[0], information[1])]


def measure(options, seed, similarity, m, d):
    law = {"discrete": Discrete, "circle": OnCircle, "scenes": OfScenes}[options.law](options, seed)
    torch.manual_seed(seed)
    towers = [tower(columns) for tower, columns in zip(law.towers, law.columns, strict=True)]
    model = DualEncoder(*towers, similarity=similarity, points=m, dim=d, seed=seed)
    nn.init.constant_(model.log_scale, math.log(options.scale))
    held = law.held()
    start = time.perf_counter()
    fit(law, model, options.steps, options.rate)
    with torch.no_grad():
        s = torch.cat([model(Inputs(rows), held.y) for rows in held.x.x.split(100)]).double()
    print(f"<!-- {similarity} {m} {d} seed {seed}: {time.perf_counter() - start:.0f} s -->", flush=True)
    return [*figures(s, held), float(model.scale.detach())], law, held


def row(name, m, d, numbers, results):
    values = np.array(results)
    mean, spread = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else values[0] * math.nan
    cells = [f"{a:.4f} ± {b:.4f}" for a, b in zip(mean[:4], spread[:4], strict=True)]
    print(
        f"| {name} | {m} | {d} | {numbers} | {' | '.join(cells)} | {mean[4]:.4f} | {mean[5]:.1f} | {len(values)} |",
        flush=True,
    )


def configurations(options):
    width = options.width
    if not options.only:
        yield "clip", 1, width
    for m in options.points:
        for similarity in options.similarities:
            if width // m > 1:
                yield similarity, m, width // m
            if not options.only:
                yield similarity, m, width
    for similarity in options.similarities if not options.only else ():
        yield similarity, 1, width


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--law", choices=LAWS, default="discrete")
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--population", action="store_true", help="the loss of infinitely many pairs, of discrete")
    parser.add_argument("--pictures", action="store_true")
    parser.add_argument("--scale", type=float, default=1 / 0.07, help="at the start")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--points", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--similarities", nargs="*", default=["kme", "wpse"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=65536, help="use 128 for circle and scenes")
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--only", action="store_true", help="equal parameters and several points alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"pointwise {pw.__version__}, torch {torch.__version__}: {options}\n")
    print(
        "| similarity | m | d | numbers of an item | mean error | max error | gap | I estimated | I | scale | seeds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for similarity, m, d in configurations(options):
        results, counted = [], []
        for seed in range(options.seeds):
            result, law, held = measure(options, seed, similarity, m, d)
            results.append(result)
            if similarity == "clip" and options.law == "discrete" and not options.population:
                counted.append([*figures(law.plug_in(), held), math.nan])
        row(similarity, m, d, m * (d + (similarity != "clip")), results)
        if counted:
            row("counts", "", "", 64, counted)


if __name__ == "__main__":
    main()
