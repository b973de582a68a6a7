"""PointSetHead: from the tokens of an encoder to weighted points on the unit sphere."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointwise._options import one_of, whole_number
from pointwise._products import full_precision
from pointwise.errors import InputError
from pointwise.training.inputs import PointSet

SIMILARITIES = ("kme", "wpse", "clip")
_REACH = 10.0  # log-weights stay within this of uniform, signed weights of one


class PointSetHead(nn.Module):
    r"""Turn tokens of width h into points of dim d on the sphere and their weights.

    Each of m points has a query, which pools over the tokens, and a projection of its own:

    .. math:: p_i = \sum_t \mathrm{softmax}_t(q_i \cdot z_t / \sqrt h)\, z_t, \qquad f_i = W_i p_i / \|W_i p_i\|,
              \qquad \log w_i = 10 \tanh((v_i \cdot p_i + b_i) / 10) - \log m.

    Queries and v start at zero, so every point starts as a projection of the mean token, all of equal weight. The
    projections differ, or m points of an item with one token would be one point. With points="all" every token is a
    point, by one projection for all; those that are padding have log w = -inf, and m counts the others.

    With one point, at the weight that it starts with, this is the head of CLIP; "clip" takes the m projections as one
    vector of m·d numbers, and "wpse" has the signed weights 1 + 10 tanh((v·p + b) / 10).

    Reference: Yoshida et al. (2025), KME-CLIP. https://arxiv.org/abs/2510.15508; for signed weights Uesaka et al.
    (2025), WPSE. https://arxiv.org/abs/2404.19228; queries that pool are those of Lee et al. (2019), Set Transformer.

    >>> head = PointSetHead(6, points=2, dim=4, seed=0)
    >>> x, log_w, _ = head(torch.ones(3, 5, 6))
    >>> x.shape, log_w[0].exp()
    (torch.Size([3, 2, 4]), tensor([0.5000, 0.5000], grad_fn=...))
    """

    def __init__(
        self, width: int, *, points: int | str = 8, dim: int = 256, similarity: str = "kme", seed: int = 0
    ) -> None:
        super().__init__()
        require_points(points)
        whole_number(dim, "dim")
        one_of(similarity, "similarity", SIMILARITIES)
        self.points, self.similarity = points, similarity
        m = 1 if isinstance(points, str) else points
        with seeded(seed):
            self.projection = nn.Parameter(torch.randn(m, width, dim) / math.sqrt(width))
        self.query = nn.Parameter(torch.zeros(m, width)) if points != "all" else None
        self.weight = nn.Parameter(torch.zeros(m, width)) if similarity != "clip" else None
        self.weight_bias = nn.Parameter(torch.zeros(m)) if similarity != "clip" else None

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> PointSet:
        """Return the point sets of tokens [n, t, h], of which those count where mask [n, t] is True."""
        with full_precision(tokens.device):  # a point in bfloat16 would be off by whole nats, in TF32 by a tenth
            z = tokens.to(self.projection.dtype)
            valid = z.new_ones(z.shape[:2], dtype=torch.bool) if mask is None else mask
            return self._all(z, valid) if self.query is None else self._pooled(z, valid)

    def _pooled(self, z: Tensor, valid: Tensor) -> PointSet:
        scores = torch.einsum("nth,mh->nmt", z, self.query) / math.sqrt(z.shape[2])
        pooled = scores.masked_fill(~valid[:, None], -math.inf).softmax(2) @ z  # [n, m, h]
        x = torch.einsum("nmh,mhd->nmd", pooled, self.projection)
        if self.weight is None or self.weight_bias is None:
            return _vector(x)
        u = torch.einsum("nmh,mh->nm", pooled, self.weight) + self.weight_bias
        return self._weighted(x, u, torch.ones_like(u, dtype=torch.bool))

    def _all(self, z: Tensor, valid: Tensor) -> PointSet:
        if self.weight is None or self.weight_bias is None:
            share = valid / valid.sum(1, keepdim=True)
            return _vector(torch.einsum("nt,nth->nh", share.to(z.dtype), z)[:, None] @ self.projection[0])
        return self._weighted(z @ self.projection[0], z @ self.weight[0] + self.weight_bias, valid)

    def _weighted(self, x: Tensor, u: Tensor, valid: Tensor) -> PointSet:
        points = F.normalize(x, dim=2)
        count = valid.sum(1, keepdim=True)
        bent = _REACH * torch.tanh(u / _REACH)
        if self.similarity == "kme":
            return PointSet(points, (bent - count.log()).masked_fill(~valid, -math.inf))
        w = (1 + bent) * valid * (valid.shape[1] / count)  # so that the mean over all points is that over the valid
        return PointSet(points, torch.zeros_like(u), w)


def require_points(points: object) -> None:
    """Raise an InputError unless an item can have so many points."""
    if points != "all" and not (isinstance(points, int) and points >= 1):
        raise InputError(f"points is {points!r}; it must be a number of at least 1, or 'all' for one per token.")


def _vector(x: Tensor) -> PointSet:
    """All points of an item as one."""
    point = F.normalize(x.flatten(1), dim=1)[:, None]
    return PointSet(point, point.new_zeros(point.shape[:2]))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what PyTorch draws from its global generator from this seed, and leave that generator where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
