"""The similarities of contrastive models, KME, which can be pointwise mutual information, WPSE and CLIP; their loss."""

import math
from typing import TypeAlias

import torch
from torch import Tensor

from pointwise._arrays import as_numbers
from pointwise._options import number, one_of
from pointwise._products import full_precision
from pointwise._types import Array
from pointwise.errors import InputError
from pointwise.kernels import fused

ENGINES = {"auto": fused.log_kernel_sum, "blocked": fused.log_kernel_sum}

Scale: TypeAlias = "float | Tensor"

_LOG2_E = 1 / math.log(2)


def kme_similarity(
    x: Array,
    y: Array,
    *,
    log_wx: Array | None = None,
    log_wy: Array | None = None,
    scale: Scale,
    engine: str = "auto",
) -> Tensor:
    r"""KME: the log of the inner product of two weighted point sets under a Gaussian kernel; higher is more alike.

    .. math:: S(x, y) = \log \sum_{ij} w_i w'_j \, k(x_i, y_j), \qquad k(f, g) = \exp(-\tfrac{s}{2} \|f - g\|^2)

    On the unit sphere k is exp(s (f·g - 1)), and one point of weight 1 is CLIP with scale s, less s. Off the sphere k
    stays the Gaussian kernel. A similarity learned by symmetric InfoNCE estimates, in nats, pointwise mutual
    information plus a constant.

    Differentiable once, in points, log-weights and scale. Memory is that of the inputs, their gradients, the result and
    a block of a few megabytes. bfloat16 and float16 are widened to float32; neither autocast nor TF32 is ever used.

    Points are x [n, m, d] and y [b, l, d]; log_wx [n, m] and log_wy [b, l] are natural logarithms of their weights,
    -log m and -log l if None, and -inf leaves a point out. The scale, s = 1 / sigma^2 > 0, is a number or a tensor of
    one; engine is "auto" or "blocked".

    Returns:
        S [n, b] in nats, float32 or float64.

    Raises:
        InputError: shapes or devices do not fit, a value is NaN or infinite, a sample has no point of positive weight,
            or scale or engine is not one of those allowed.

    Reference: Yoshida et al. (2025), https://arxiv.org/abs/2510.15508.

    >>> x = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> kme_similarity(x, x[:, :1], scale=2.0)  # log (1/2 + exp(-2)/2)
    tensor([[-0.5662]])
    """
    one_of(engine, "engine", ENGINES)
    f, g = _in_one_space(_as_points(x, "x", 3), _as_points(y, "y", 3))
    s = _as_scale(scale, "scale", f)
    # -s/2 |f - g|^2 = s f.g - s/2 |f|^2 - s/2 |g|^2: a product, and an offset for each point that its log-weight joins.
    u = _weights(log_wx, "log_wx", f, logs=True) - s / 2 * f.square().sum(dim=2)
    v = _weights(log_wy, "log_wy", g, logs=True) - s / 2 * g.square().sum(dim=2)
    if f.shape[1] == g.shape[1] == 1:  # a sum of one term: PyTorch's own product and its gradients do
        with full_precision(f.device):
            return (s * f[:, 0]) @ g[:, 0].t() + u + v.t()
    return ENGINES[engine](f * (s * _LOG2_E), g, u * _LOG2_E, v * _LOG2_E) / _LOG2_E


def wpse_similarity(
    x: Array,
    y: Array,
    *,
    wx: Array | None = None,
    wy: Array | None = None,
    scale: Scale,
    linear: float = 0.667,
    gaussian: float = 0.333,
    sigma: float = 0.5,
) -> Tensor:
    r"""WPSE: the inner product of two point sets with signed weights under a linear and a Gaussian kernel.

    .. math:: S(x, y) = \frac{s}{m l} \sum_{ij} w_i w'_j \Big[ a_1\, x_i \cdot y_j
              + a_2 \exp\Big(-\frac{\|x_i - y_j\|^2}{2 \sigma^2}\Big) \Big]

    Higher is more alike. The Gaussian kernel is exact, where the official code draws random features. Differentiable
    once, in points, weights and scale; memory and precision are as those of kme_similarity.

    Points are x [n, m, d] and y [b, l, d], with weights wx [n, m] and wy [b, l] of any sign, 1 if None; one of weight 0
    still counts in m. The scale s > 0 is a number or a tensor of one; linear is a1, gaussian a2, sigma its width.

    Returns:
        S [n, b], float32 or float64.

    Raises:
        InputError: shapes or devices do not fit, a value is NaN or infinite, or scale or sigma is not positive.

    Reference: Uesaka et al. (2025), https://arxiv.org/abs/2404.19228, with the defaults of its code.

    >>> x = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> wpse_similarity(x, x[:, :1], wx=torch.tensor([[1.0, -1.0]]), scale=2.0)
    tensor([[0.9939]])
    """
    f, g = _in_one_space(_as_points(x, "x", 3), _as_points(y, "y", 3))
    s = _as_scale(scale, "scale", f)
    linear, gaussian = number(linear, "linear"), number(gaussian, "gaussian")
    steep = 1 / float(_as_scale(sigma, "sigma", f).detach()) ** 2
    w, of_y = _weights(wx, "wx", f, logs=False), _weights(wy, "wy", g, logs=False)
    with full_precision(f.device):
        means = [(weights.unsqueeze(1) @ points).squeeze(1) for weights, points in ((w, f), (of_y, g))]
        similar = linear * means[0] @ means[1].t()
    if gaussian:
        u, v = (-steep / 2 * _LOG2_E * points.square().sum(dim=2) for points in (f, g))
        similar = similar + gaussian * fused.kernel_sum(f * (steep * _LOG2_E), g, u, v, w, of_y)
    return similar * (s / (f.shape[1] * g.shape[1]))


def clip_similarity(x: Array, y: Array, *, scale: Scale) -> Tensor:
    r"""CLIP: the scaled inner product of one vector of each, taken as they are; higher is more alike.

    .. math:: S(x, y) = s \, x \cdot y, \qquad s = 1 / \tau

    Where rows of x [n, d] and y [b, d] have unit length, it is the cosine over the temperature; they are not scaled
    here. The scale s > 0 is a number or a tensor of one.

    Returns:
        S [n, b], float32 (also of bfloat16 and float16) or float64.

    Raises:
        InputError: shapes or devices do not fit, a value is NaN or infinite, or scale is not positive.

    Reference: Radford et al. (2021), https://arxiv.org/abs/2103.00020, figure 3.

    >>> clip_similarity(torch.eye(2), torch.eye(2), scale=5.0)
    tensor([[5., 0.],
            [0., 5.]])
    """
    f, g = _in_one_space(_as_points(x, "x", 2), _as_points(y, "y", 2))
    s = _as_scale(scale, "scale", f)
    with full_precision(f.device):
        return (s * f) @ g.t()


def info_nce(similarity: Tensor) -> Tensor:
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
    if not isinstance(similarity, Tensor) or not similarity.is_floating_point():
        what = f"of {similarity.dtype}" if isinstance(similarity, Tensor) else f"a {type(similarity).__name__}"
        raise InputError(f"similarity is {what}; it must be a floating-point torch tensor [n, n].")
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or len(similarity) == 0:
        raise InputError(
            f"similarity has shape {list(similarity.shape)}; it must be square [n, n], pairs on the diagonal."
        )
    s = similarity.float() if similarity.dtype in (torch.float16, torch.bfloat16) else similarity
    totals = torch.logsumexp(s, dim=1) + torch.logsumexp(s, dim=0)
    return (totals / 2 - s.diagonal()).mean()


def _as_points(x: Array, name: str, ndim: int) -> Tensor:
    points = _as_floating(x, name)
    shape = {2: "one vector per sample [samples, d]", 3: "point sets [samples, points, d]"}[ndim]
    if points.ndim != ndim:
        advice = "; for one point each give x[:, None]".replace("x", name) if (ndim, points.ndim) == (3, 2) else ""
        raise InputError(f"{name} has shape {list(points.shape)}; it must be {shape}{advice}.")
    if 0 in points.shape[1:]:
        raise InputError(f"{name} has shape {list(points.shape)}; it must be {shape} with at least one of each.")
    return points


def _as_floating(x: Array, name: str) -> Tensor:
    """A torch tensor keeps its graph; what is not one is read as float64. Less than float32 is widened to it."""
    tensor = x if isinstance(x, Tensor) else torch.from_numpy(as_numbers(x, name=name))
    if tensor.is_complex():
        raise InputError(f"{name} holds complex values ({tensor.dtype}); only real numbers are allowed.")
    if not tensor.is_floating_point():
        return tensor.double()
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _in_one_space(f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    if f.shape[-1] != g.shape[-1]:
        raise InputError(f"x has points of {f.shape[-1]} dimensions but y of {g.shape[-1]}; both must be in one space.")
    if f.device != g.device:
        raise InputError(f"x is on {f.device} but y on {g.device}; move both to one device.")
    for name, points in (("x", f), ("y", g)):
        # NaN and inf survive a sum: nearly always it alone tells that there are none.
        if not torch.isfinite(points.detach().sum()) and not torch.isfinite(points).all():
            bad = (~torch.isfinite(points)).flatten(1).any(dim=1).nonzero().flatten()
            raise InputError(
                f"{name} has NaN or inf in {len(bad)} of {len(points)} samples; the first is sample {int(bad[0])}. "
                "Every value must be finite, those of points without weight too."
            )
    dtype = torch.promote_types(f.dtype, g.dtype)
    return f.to(dtype), g.to(dtype)


def _as_scale(scale: Scale, name: str, like: Tensor) -> Tensor:
    one = torch.as_tensor(scale, dtype=like.dtype, device=like.device)
    if one.numel() != 1:
        raise InputError(f"{name} has shape {list(one.shape)}; it must be one number.")
    number(float(one.detach()), name, above=0)
    return one.reshape(())


def _weights(w: Array | None, name: str, points: Tensor, *, logs: bool) -> Tensor:
    """The weights, or their logarithms, of points [n, m, d]: those given, if they can be used, or equal ones."""
    if w is None:
        return points.new_full(points.shape[:2], -math.log(points.shape[1]) if logs else 1.0)
    weights = _as_floating(w, name)
    if weights.shape != points.shape[:2]:
        raise InputError(
            f"{name} has shape {list(weights.shape)}; it must be {list(points.shape[:2])}, one for each point."
        )
    if weights.device != points.device:
        raise InputError(f"{name} is on {weights.device} but its points on {points.device}; move both to one device.")
    values = weights.detach() if logs else weights.detach().abs()
    largest = values.amax(dim=1)  # NaN or inf if one is, and -inf if all are
    if not bool(torch.isfinite(largest).all()):
        first = int((~torch.isfinite(largest)).nonzero()[0])
        if not logs:
            raise InputError(f"{name} has NaN or inf in sample {first}; a weight must be a finite number.")
        if largest[first] != -math.inf:
            raise InputError(f"{name} has NaN or +inf in sample {first}; a log-weight must be a number or -inf.")
        raise InputError(
            f"{name} is -inf for every point of {int((largest == -math.inf).sum())} of {len(weights)} samples; the "
            f"first is sample {first}. Each needs a point of positive weight: leave such samples out."
        )
    return weights.to(points.dtype)
