"""Exact nearest neighbours: one method, whose engines all return the same indices and float64 distances.

The policy that every engine keeps: centre; find candidates fast; measure the kept ones by exact subtraction in
float64; search a row again where the candidates' error does not certify the choice. Self is excluded by index, ties
go to the smaller index, and no N x M matrix is ever held.
"""

from __future__ import annotations

from pointwise.neighbors.search import Neighbors as Neighbors
from pointwise.neighbors.search import knn as knn
