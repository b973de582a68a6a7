"""info_nce: the symmetric contrastive loss of a similarity matrix."""

from __future__ import annotations

import torch

from pointwise.errors import InputError


def info_nce(similarity: torch.Tensor) -> torch.Tensor:
    r"""Symmetric InfoNCE of a batch of pairs, in nats; lower is better, and differentiable.

    .. math:: -\frac{1}{2n} \sum_i \Big[ S_{ii} - \log \sum_j e^{S_{ij}} \Big]
              - \frac{1}{2n} \sum_i \Big[ S_{ii} - \log \sum_j e^{S_{ji}} \Big]

    This is the mean cross-entropy, over rows and over columns, of finding the partner among n. Over batches its
    expectation is at least log n - I(X; Y), and for large n it comes near that exactly where S is the pointwise
    mutual information plus a constant. The constant does not change it.

    S is [n, n] with pairs on its diagonal, and the loss a scalar, float32 or float64. float16 and bfloat16 are summed
    in float32; -inf off the diagonal leaves a pair out; NaN gives NaN.

    Raises:
        InputError: S is not a square tensor of at least one row.

    Reference: van den Oord et al. (2018), https://arxiv.org/abs/1807.03748, eq. 4, both ways as in Radford et al.
    (2021), https://arxiv.org/abs/2103.00020, figure 3.

    >>> float(info_nce(torch.zeros(4, 4)))  # log 4: nothing is known
    1.386...
    """
    if not isinstance(similarity, torch.Tensor) or not similarity.is_floating_point():
        what = f"of {similarity.dtype}" if isinstance(similarity, torch.Tensor) else f"a {type(similarity).__name__}"
        raise InputError(f"similarity is {what}; it must be a floating-point torch tensor [n, n].")
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or len(similarity) == 0:
        raise InputError(
            f"similarity has shape {list(similarity.shape)}; it must be square [n, n], pairs on the diagonal."
        )
    s = similarity.float() if similarity.dtype in (torch.float16, torch.bfloat16) else similarity
    totals = torch.logsumexp(s, dim=1) + torch.logsumexp(s, dim=0)
    return (totals / 2 - s.diagonal()).mean()
