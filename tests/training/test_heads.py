"""PointSetHead: points on the sphere, weights that start uniform, padding without weight, and CLIP at one point."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from pointwise.errors import InputError
from pointwise.training.heads import PointSetHead

N, T, H, D = 6, 5, 12, 8
POINTS = [1, 4, 8, 16, "all"]


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape, dtype=torch.float32: torch.randn(*shape, generator=generator, dtype=dtype)


def info_nce(s):
    return (s.logsumexp(0) + s.logsumexp(1) - 2 * s.diagonal()).mean() / 2


def kme(a, b, scale):
    kernel = scale * (torch.einsum("nmd,bld->nbml", a.x, b.x) - 1)
    return (kernel + a.log_w[:, None, :, None] + b.log_w[None, :, None, :]).flatten(2).logsumexp(2)


def stirred(head, draw):
    """The same head with queries, weights and biases away from zero."""
    with torch.no_grad():
        for p in head.parameters():
            p.add_(draw(*p.shape, dtype=p.dtype))
    return head


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
@pytest.mark.parametrize("points", POINTS)
def test_points_lie_on_the_sphere_and_start_with_uniform_weights(points, similarity, draw):
    x, log_w, w = PointSetHead(H, points=points, dim=D, similarity=similarity, seed=0)(draw(N, T, H))
    m = T if points == "all" else points
    shape = {"clip": (N, 1, D if points == "all" else m * D)}.get(similarity, (N, m, D))
    assert x.shape == shape
    assert log_w.shape == shape[:2]
    torch.testing.assert_close(x.norm(dim=2), torch.ones(shape[:2]))
    torch.testing.assert_close(log_w, torch.full(shape[:2], -math.log(m) if similarity == "kme" else 0.0))
    if similarity == "wpse":
        torch.testing.assert_close(w, torch.ones(N, m))
    else:
        assert w is None


def test_points_are_what_the_formulas_say(draw):
    head = stirred(PointSetHead(H, points=3, dim=D, seed=0).double(), draw)
    z = draw(N, T, H, dtype=torch.float64)
    x, log_w, _ = head(z)
    for n in range(N):
        for i in range(3):
            attention = (z[n] @ head.query[i] / math.sqrt(H)).softmax(0)
            pooled = attention @ z[n]
            point = pooled @ head.projection[i]
            torch.testing.assert_close(x[n, i], point / point.norm())
            u = pooled @ head.weight[i] + head.weight_bias[i]
            torch.testing.assert_close(log_w[n, i], 10 * (u / 10).tanh() - math.log(3))


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
@pytest.mark.parametrize("points", [1, 4, "all"])
def test_padding_changes_nothing(points, similarity, draw):
    head = stirred(PointSetHead(H, points=points, dim=D, similarity=similarity, seed=0).double(), draw)
    short = draw(N, 3, H, dtype=torch.float64)
    padded = torch.cat([short, 1e3 * draw(N, 2, H, dtype=torch.float64)], 1)
    mask = torch.tensor([True] * 3 + [False] * 2).expand(N, T)
    want, got = head(short), head(padded, mask)
    if points != "all" or similarity == "clip":
        for a, b in zip(want, got, strict=True):
            assert a is None is b or torch.allclose(a, b, rtol=1e-12, atol=1e-12)
        return
    torch.testing.assert_close(got.x[:, :3], want.x)
    if similarity == "kme":
        torch.testing.assert_close(got.log_w[:, :3], want.log_w)
        assert (got.log_w[:, 3:] == -math.inf).all()
    else:  # a mean over five points of which two have no weight
        torch.testing.assert_close(got.w[:, :3], want.w * 5 / 3)
        assert (got.w[:, 3:] == 0).all()


@pytest.mark.parametrize(("points", "tokens"), [(1, 1), (1, T), ("all", 1)])
def test_one_point_is_clip_in_loss_and_gradients(points, tokens, draw):
    """One token, or the mean of several, projected, normalised, scaled: the head and loss of Radford et al. (2021)."""
    z, y, logit_scale = draw(N, tokens, H), draw(N, tokens, H), torch.tensor(math.log(1 / 0.07))
    heads = [PointSetHead(H, points=points, dim=D, seed=seed) for seed in (0, 1)]
    ours = [z.clone().requires_grad_(), y.clone().requires_grad_(), logit_scale.clone().requires_grad_()]
    loss = info_nce(kme(heads[0](ours[0]), heads[1](ours[1]), ours[2].exp()))
    loss.backward()

    theirs = [t.clone().requires_grad_() for t in (z, y, logit_scale)]
    weights = [head.projection.detach()[0].clone().requires_grad_() for head in heads]
    f, g = (F.normalize(t.mean(1) @ weight, dim=1) for t, weight in zip(theirs[:2], weights, strict=True))
    logits = theirs[2].exp() * f @ g.T
    labels = torch.arange(N)
    clip = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    clip.backward()

    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(loss, clip, **close)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, **close)
    for head, weight in zip(heads, weights, strict=True):
        torch.testing.assert_close(head.projection.grad[0], weight.grad, **close)


def test_one_point_and_clips_vector_are_the_same_point(draw):
    z = draw(N, T, H)
    one, vector = (PointSetHead(H, points=1, dim=D, similarity=name, seed=0)(z) for name in ("kme", "clip"))
    torch.testing.assert_close(one.x, vector.x, rtol=0, atol=0)


@pytest.mark.parametrize("points", POINTS)
def test_parameters_are_equal_but_for_the_weights_that_clip_has_not(points):
    kme, wpse, clip = (
        sum(p.numel() for p in PointSetHead(H, points=points, dim=D, similarity=name, seed=0).parameters())
        for name in ("kme", "wpse", "clip")
    )
    m = 1 if points == "all" else points
    assert kme == wpse == clip + m * (H + 1)
    assert clip == m * H * D + (0 if points == "all" else m * H)


def test_points_of_one_token_differ(draw):
    x = PointSetHead(H, points=4, dim=D, seed=0)(draw(N, 1, H)).x
    x = x.detach()
    cosines = torch.einsum("nid,njd->nij", x, x) - torch.eye(4)
    assert float(cosines.abs().max()) < 0.95


def test_every_parameter_learns(draw):
    for points in (4, "all"):
        head = PointSetHead(H, points=points, dim=D, seed=0)
        other = PointSetHead(H, points=points, dim=D, seed=1)
        info_nce(kme(head(draw(N, T, H)), other(draw(N, T, H)), 14.0)).backward()
        assert all(float(p.grad.abs().max()) > 0 for p in head.parameters())


def test_half_precision_and_autocast_do_not_reach_the_points(draw):
    head = PointSetHead(H, points=4, dim=D, seed=0)
    z = draw(N, T, H).half()
    want = head(z.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = head(z)
    assert got.x.dtype == torch.float32
    torch.testing.assert_close(got.x, want.x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 0}, r"points is 0; it must be a number of at least 1, or 'all'"),
        ({"points": "8"}, r"points is '8'; it must be a number"),
        ({"dim": 0}, r"dim is 0; it must be a whole number of at least 1"),
        ({"similarity": "cosine"}, r"similarity is 'cosine'; it must be one of 'kme', 'wpse', 'clip'"),
    ],
)
def test_what_a_head_cannot_be_is_said(options, message):
    with pytest.raises(InputError, match=message):
        PointSetHead(H, **options)
