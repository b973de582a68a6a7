"""Exact nearest neighbours, the same by every engine: self is excluded by index, ties go to the smaller index."""

from pointwise.neighbors.search import Neighbors as Neighbors
from pointwise.neighbors.search import knn as knn
