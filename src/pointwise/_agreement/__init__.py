"""Agreement of metrics with people: statistics of scores and human ratings, with bootstrap intervals and tests."""

from pointwise._agreement.bootstrap import agreement as agreement
from pointwise._agreement.rank_statistics import STATISTICS as STATISTICS
from pointwise._agreement.result import Agreement as Agreement
