"""Agreement of metrics with people: statistics of scores and human ratings, with bootstrap intervals and tests."""

from __future__ import annotations

from pointwise.agreement.agreement import agreement as agreement
from pointwise.agreement.rank_statistics import STATISTICS as STATISTICS
from pointwise.agreement.result import Agreement as Agreement
from pointwise.agreement.result import Estimate as Estimate
