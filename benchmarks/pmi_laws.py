"""The laws of pairs that benchmarks/pmi.py trains on: how each draws a batch, what it is held against, and its towers.

A law has ``towers``, untrained; ``loss(model)``, symmetric InfoNCE of its next batch; and ``held()``.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from pointwise.kernels.functions import info_nce
from pointwise.synthetic import Circle, DiscreteLatent, Scenes
from pointwise.training.heads import seeded
from pointwise.training.inputs import Inputs

HIDDEN = 128


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
    def __init__(self, columns):
        super().__init__()
        self.width, self.side = HIDDEN, math.isqrt(columns // 3)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1), nn.GELU(), nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.GELU(),
            nn.Flatten(), nn.Linear(32 * (self.side // 4) ** 2, HIDDEN), nn.GELU(), nn.LayerNorm(HIDDEN),
        )  # fmt: skip

    def forward(self, inputs):
        return self.layers(inputs.x.view(-1, 3, self.side, self.side))[:, None], None


def tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values)).float()


class Table:
    """A law of a and b values: their features [a, p] and [b, q], probabilities [a, b] and PMI [a, b]."""

    def __init__(self, options, seed, x, y, joint, pmi):
        self.x, self.y, self.joint, self.pmi = tensor(x), tensor(y), joint / joint.sum(), torch.from_numpy(pmi)
        with seeded(seed):
            self.towers = Perceptron(self.x.shape[1]), Perceptron(self.y.shape[1])
        self.batch, self.rng = None if options.population else options.batch, np.random.default_rng([3, seed])
        self.counts = np.full(joint.shape, 0.5)

    def loss(self, model):
        joint = self.joint
        if self.batch:
            counts = self.rng.multinomial(self.batch, joint.ravel()).reshape(joint.shape)
            self.counts += counts
            joint = counts / self.batch
        return loss(model(Inputs(self.x), Inputs(self.y)), tensor(joint))

    def held(self):
        joint = torch.from_numpy(self.joint)
        return Held(Inputs(self.x), Inputs(self.y), self.pmi, joint, joint.sum(1)[:, None] * joint.sum(0))

    def plug_in(self):
        return torch.from_numpy(np.log(self.counts / self.counts.sum(1, keepdims=True) / self.counts.sum(0)))


def discrete(options, seed):
    law = DiscreteLatent.dirichlet(options.latents, 64, 64, seed=seed)
    table = Table(options, seed, np.eye(64), np.eye(64), law.joint, law.pmi_table)
    if options.free:
        table.towers = Symbols(64), Symbols(64)
    return table


def circle(options, seed):
    angles = 2 * math.pi * (np.arange(64) + 0.5) / 64
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    pmi = Circle(8.0, 4.0).pmi_matrix(points, points)
    return Table(options, seed, points, points, np.exp(pmi), pmi)


FEW_SCENES = Scenes(shapes=2, colours=2, sizes=1, most_objects=2, pairs=0, pixels=20)


def scenes(options, seed):
    law = FEW_SCENES
    every = np.array(list(itertools.product(range(-1, law.kinds), repeat=law.cells)))
    count = (every >= 0).sum(1)
    every, count = (rows[(count >= 1) & (count <= law.most_objects)] for rows in (every, count))
    of_each = np.bincount(count)[count] * law.most_objects  # scenes with as many objects are equally likely
    captions = list(law.every_caption())
    pmi = law.pmi_matrix(every, captions)
    joint = np.exp(pmi + law.log_probability(captions)) / of_each[:, None]
    # Wordings of one meaning tell the same of every scene: they are one symbol, the first of them.
    _, first, meaning = np.unique(pmi.round(9), axis=1, return_index=True, return_inverse=True)
    merged = np.zeros((len(every), len(first)))
    np.add.at(merged.T, meaning.ravel(), joint.T)
    texts = words([captions[i] for i in first], vocabulary(captions))
    table = Table(options, seed, of_scenes(law, every), texts, merged, pmi[:, first])
    table.scenes = every
    return table


class Pictures:
    """The scenes of a table as pictures: each is drawn 100 times to train on, and 20 times anew to be held."""

    def __init__(self, options, seed):
        self.table, self.batch, self.seed = scenes(options, seed), options.batch, seed
        self.rng = np.random.default_rng([4, seed])
        self.pictures = self.drawn(100, seed=2 * seed)
        with seeded(seed):
            self.towers = Convolutions(3 * FEW_SCENES.pixels**2), Perceptron(self.table.y.shape[1])

    def drawn(self, each, *, seed):
        """That many pictures of each scene, one scene after the other."""
        pictures = FEW_SCENES.render(np.repeat(self.table.scenes, each, axis=0), seed=seed)
        return tensor(pictures.transpose(0, 3, 1, 2)) / 127.5 - 1

    def loss(self, model):
        pairs = self.rng.choice(self.table.joint.size, size=self.batch, p=self.table.joint.ravel())
        rows, columns = np.unravel_index(pairs, self.table.joint.shape)
        joint = torch.zeros(self.batch, len(self.table.y))
        joint[np.arange(self.batch), columns] = 1 / self.batch
        pictures = self.pictures[100 * rows + self.rng.integers(100, size=self.batch)]
        return loss(model(Inputs(pictures), Inputs(self.table.y)), joint)

    def held(self):
        law = self.table.held()
        parts = law.pmi, law.joint / 20, law.unpaired / 20
        pmi, joint, unpaired = (part.repeat_interleave(20, dim=0) for part in parts)
        return Held(Inputs(self.drawn(20, seed=2 * self.seed + 1)), law.y, pmi, joint, unpaired)


class ManyScenes:
    """Scenes of up to three objects of 32 kinds, and captions of up to two phrases; every batch is a fresh sample."""

    def __init__(self, options, seed):
        self.law, self.batch, self.seed, self.at = Scenes(), options.batch, seed, math.inf
        self.words = vocabulary(self.law.sample(4000, seed=0)[1])
        cells, kinds = self.law.cells, self.law.kinds
        with seeded(seed):
            self.towers = Perceptron(cells * (kinds + 1)), Perceptron(2 * len(self.words))

    def loss(self, model):
        if self.at + self.batch > 4096:
            self.seed += 1000
            scenes, captions = self.law.sample(4096, seed=self.seed)
            self.pairs, self.at = (of_scenes(self.law, scenes), words(captions, self.words)), 0
        rows = slice(self.at, self.at + self.batch)
        self.at += self.batch
        return info_nce(model(*(Inputs(items[rows]) for items in self.pairs)))

    def held(self):
        n = 2000
        scenes, captions = self.law.sample(n, seed=10**6 + self.seed)
        pmi, joint = torch.from_numpy(self.law.pmi_matrix(scenes, captions)), torch.eye(n, dtype=torch.float64) / n
        x, y = Inputs(of_scenes(self.law, scenes)), Inputs(words(captions, self.words))
        return Held(x, y, pmi, joint, (1 / n - joint) / (n - 1))


def of_scenes(law, scenes):
    """What each cell holds, as marks."""
    return tensor(scenes[:, :, None] == np.arange(-1, law.kinds)).flatten(1)


def vocabulary(captions):
    return {word: i for i, word in enumerate(sorted({word for text in captions for word in text.split()}))}


def words(captions, places):
    """Marks of the words of each of the two phrases."""
    marks = torch.zeros(len(captions), 2, len(places))
    for row, caption in zip(marks, captions, strict=True):
        for phrase, text in zip(row, caption.split(" and "), strict=False):
            phrase[[places[word] for word in text.split()]] = 1
    return marks.flatten(1)


def loss(s, joint):
    """Symmetric InfoNCE of infinitely many pairs of a law, less the log of their number; of a batch by its counts."""
    rows, columns = joint.sum(1), joint.sum(0)
    of_rows = rows @ torch.logsumexp(s + columns.log(), 1)
    return (of_rows + columns @ torch.logsumexp(s + rows.log()[:, None], 0)) / 2 - (joint * s).sum()
