"""Neighbours by subtraction of all pairs in float64: what every search must equal."""

import numpy as np
import torch

from pointwise.neighbors.frame import Frame


def brute_force(queries, reference, k, *, exclude_self=False):
    """Distances by subtraction, row by row; ties go to the smaller index."""
    x, y = np.asarray(queries, np.float64), np.asarray(reference, np.float64)
    distances = np.stack([np.sqrt(((row - y) ** 2).sum(axis=1)) for row in x])
    if exclude_self:
        np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


def assert_same(found, expected):
    distances, indices = expected
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=0)


def closeness_and_bounds(sweep, x, frame=None):
    """The closeness of all pairs of rows, and what bounds it."""
    tiles = sweep.place(torch.from_numpy(x), frame or Frame.of(torch.from_numpy(x)))
    exact, order = map(torch.from_numpy, brute_force(x, x, len(x)))
    exact = torch.empty_like(exact).scatter_(1, order, exact)
    return sweep.closeness(tiles, 0, tiles, 0)[: len(x), : len(x)].double(), tiles.lowest(exact), tiles.highest(exact)
