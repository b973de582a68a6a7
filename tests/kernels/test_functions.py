"""The similarities against their equations, and KME against laws whose pointwise mutual information is known."""

import math

import numpy as np
import pytest
import torch

import pointwise as pw
from pointwise import InputError
from pointwise.kernels.functions import ENGINES, clip_similarity, info_nce, kme_similarity, wpse_similarity


def plain_kme(x, y, log_wx, log_wy, scale):
    squares = (x[:, None, :, None] - y[None, :, None]).square().sum(dim=4)  # [n, b, m, l]
    return torch.logsumexp(log_wx[:, None, :, None] + log_wy[None, :, None] - scale / 2 * squares, dim=(2, 3))


def plain_wpse(x, y, wx, wy, scale, linear=0.667, gaussian=0.333, sigma=0.5):
    squares = (x[:, None, :, None] - y[None, :, None]).square().sum(dim=4)
    kernel = linear * torch.einsum("nid,bjd->nbij", x, y) + gaussian * torch.exp(-squares / (2 * sigma**2))
    return scale * torch.einsum("ni,bj,nbij->nb", wx, wy, kernel) / (x.shape[1] * y.shape[1])


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sphere(*shape, seed=0, dtype=torch.float64):
    return torch.nn.functional.normalize(normal(*shape, seed=seed), dim=-1).to(dtype)


def point_sets(n=5, m=3, b=7, l=4, d=6, *, scale=3.0):  # noqa: E741 - l points, as everywhere
    given = sphere(n, m, d), normal(b, l, d, seed=1), normal(n, m, seed=2), normal(b, l, seed=3), torch.tensor(scale)
    return [t.double().requires_grad_() for t in given]


def kme(x, y, log_wx, log_wy, scale):
    return kme_similarity(x, y, log_wx=log_wx, log_wy=log_wy, scale=scale)


def wpse(x, y, wx, wy, scale):
    return wpse_similarity(x, y, wx=wx, wy=wy, scale=scale)


def gradients(function, given):
    result = function(*given)
    return result.detach(), torch.autograd.grad((result * normal(*result.shape, seed=9)).sum(), given)


# ---- equations and gradients


@pytest.mark.parametrize(("own", "plain"), [(kme, plain_kme), (wpse, plain_wpse)])
@pytest.mark.parametrize("shape", [(5, 3, 7, 4, 6), (4, 1, 3, 1, 2), (1, 2, 1, 1, 1), (2, 40, 50, 3, 5)])
def test_values_and_gradients_are_those_of_the_equation(own, plain, shape):
    given = point_sets(*shape)
    value, found = gradients(own, given)
    expected, wanted = gradients(plain, given)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("own", [kme, wpse])
@pytest.mark.parametrize("points", [(3, 2), (1, 1)])
def test_gradcheck(own, points):
    assert torch.autograd.gradcheck(own, point_sets(3, points[0], 2, points[1], 2))


def test_gradcheck_with_masks_through_the_loss():
    x, y, a, b, scale = point_sets(3, 4, 3, 3, 2)
    mask = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]]).bool()

    def loss(x, y, a, b, scale):
        return info_nce(kme(x, y, a.masked_fill(mask, -math.inf), b, scale))

    assert torch.autograd.gradcheck(loss, (x, y, a, b, scale))
    masked = torch.autograd.grad(loss(x, y, a, b, scale), (x, a))
    assert bool((masked[0][mask] == 0).all())
    assert bool((masked[1][mask] == 0).all())


def test_gradients_are_the_documented_ones():
    x, y, a, b, scale = point_sets()
    exponents = a[:, None, :, None] + b[None, :, None]
    exponents = exponents - scale / 2 * (x[:, None, :, None] - y[None, :, None]).square().sum(dim=4)
    share = exponents.flatten(2).softmax(dim=2).view(exponents.shape)  # pi [n, b, m, l]
    of_x, of_a, of_scale = torch.autograd.grad(kme(x, y, a, b, scale).sum(), (x, a, scale))
    towards = y[None, :, None] - x[:, None, :, None]
    torch.testing.assert_close(of_x, scale * (share.unsqueeze(4) * towards).sum(dim=(1, 3)), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(of_a, share.sum(dim=(1, 3)), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(of_scale, -(share * towards.square().sum(dim=4)).sum() / 2, rtol=1e-11, atol=1e-11)


def test_gradients_along_the_sphere_are_those_of_the_inner_product():
    x, y, a, b, scale = point_sets()

    def inner(f, g):
        exponents = scale * (torch.einsum("nid,bjd->nbij", f, g) - 1) + a[:, None, :, None] + b[None, :, None]
        return torch.logsumexp(exponents, dim=(2, 3))

    def on_sphere(function):
        unit = (torch.nn.functional.normalize(points, dim=2) for points in (x, y))
        return torch.autograd.grad((function(*unit) * normal(5, 7, seed=9)).sum(), (x, y))

    for one, other in zip(on_sphere(lambda f, g: kme(f, g, a, b, scale)), on_sphere(inner), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("own", [kme, wpse])
def test_a_gradient_that_is_not_asked_for_changes_no_other(own):
    given = point_sets()
    _, together = gradients(own, given)
    for place, wanted in enumerate(together):
        alone = [t.detach().requires_grad_(i == place) for i, t in enumerate(given)]
        result = own(*alone)
        (found,) = torch.autograd.grad((result * normal(*result.shape, seed=9)).sum(), alone[place])
        torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-13)


# ---- KME: one point is CLIP


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_point_on_the_sphere_is_clip_less_the_scale(dtype):
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    results = []
    for kind in ("kme", "clip"):
        x, y = (normal(32, 16, seed=seed).to(dtype).requires_grad_() for seed in (0, 1))
        scale = torch.tensor(1 / 0.07, dtype=dtype, requires_grad=True)
        f, g = (torch.nn.functional.normalize(points, dim=1) for points in (x, y))
        if kind == "clip":
            s = clip_similarity(f, g, scale=scale)
        else:
            s = kme_similarity(f[:, None], g[:, None], scale=scale) + scale
        loss = info_nce(s)
        results.append((s / scale, loss, *torch.autograd.grad(loss, (x, y, scale))))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


# ---- KME: laws whose information is known


@pytest.mark.parametrize("rho", [0.1, 0.6, 0.95])
def test_one_weighted_point_off_the_sphere_is_the_pmi_of_a_gaussian_pair(rho):
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(500, 2))
    sample -= sample.mean(axis=0)
    white = sample @ np.linalg.inv(np.linalg.cholesky(np.cov(sample.T))).T  # now its covariance is the identity
    x, y = (white @ np.linalg.cholesky(np.array([[1, rho], [rho, 1]])).T).T
    pair = pw.GaussianPair()
    pair.update(x[:, None], y[:, None])
    scale = 7.0
    a = math.sqrt(rho / (1 - rho**2) / scale)
    f, g = (torch.from_numpy(a * t)[:, None, None] for t in (x, y))
    log_w, log_v = (torch.from_numpy(-math.log(1 - rho**2) / 4 + rho * t**2 / (2 * (1 + rho)))[:, None] for t in (x, y))
    s = kme_similarity(f, g, log_wx=log_w, log_wy=log_v, scale=scale).numpy()
    truth = -math.log(1 - rho**2) / 2 - ((x[:, None] ** 2 + y**2) * rho**2 - 2 * rho * np.outer(x, y)) / (
        2 * (1 - rho**2)
    )
    np.testing.assert_allclose(s, truth, rtol=0, atol=1e-10)
    np.testing.assert_allclose(s.diagonal(), pair.pmi(x[:, None], y[:, None]).per_sample, rtol=0, atol=1e-10)


def latent_table(values=5, inputs=12, outputs=9):
    """A law with x and y independent given z: p(z), p(z|x) [inputs, values], p(x), and the same of y."""
    rng = np.random.default_rng(1)
    p_z = rng.dirichlet(np.ones(values))
    sides = []
    for count in (inputs, outputs):
        given_z = rng.dirichlet(0.3 * np.ones(count), size=values)  # p(x|z)
        p = p_z @ given_z
        sides.append(((given_z * p_z[:, None] / p).T, p))
    (z_x, p_x), (z_y, p_y) = sides
    return p_z, z_x, p_x, z_y, p_y


def test_a_discrete_latent_is_exact_with_a_point_for_each_value():
    p_z, z_x, p_x, z_y, p_y = latent_table()
    anchors = torch.eye(5, dtype=torch.float64)  # orthogonal: at scale 100 the kernel between two is exp(-100)
    log_wx, log_wy = (torch.from_numpy(np.log(z / np.sqrt(p_z))) for z in (z_x, z_y))
    s = kme_similarity(
        anchors.expand(12, -1, -1), anchors.expand(9, -1, -1), log_wx=log_wx, log_wy=log_wy, scale=100.0
    ).numpy()
    np.testing.assert_allclose(s, np.log((z_x / p_z) @ z_y.T), rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.exp(s) @ p_y, 1, rtol=0, atol=1e-10)  # calibration: the mean of e^PMI is 1
    np.testing.assert_allclose(p_x @ np.exp(s), 1, rtol=0, atol=1e-10)
    joint = p_x[:, None] * np.exp(s) * p_y
    assert joint.sum() == pytest.approx(1, abs=1e-10)


def test_a_discrete_latent_is_exact_at_any_scale_with_signed_weights():
    p_z, z_x, _, z_y, _ = latent_table()
    anchors = sphere(5, 4)
    scale = 1 / 0.07
    gram = np.exp(-scale / 2 * np.square(anchors.numpy()[:, None] - anchors.numpy()).sum(axis=2))
    values, vectors = np.linalg.eigh(gram)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    signed = [z / np.sqrt(p_z) @ root for z in (z_x, z_y)]
    assert all((w < 0).any() and (w > 0).any() for w in signed)
    total = np.zeros((12, 9))
    for sign_x in (1, -1):  # log-weights have no sign: the two parts of each measure are taken apart
        for sign_y in (1, -1):
            parts = [np.clip(sign * w, 0, None) for sign, w in zip((sign_x, sign_y), signed, strict=True)]
            rows, columns = ((part > 0).any(axis=1) for part in parts)
            log_w = [torch.from_numpy(part[kept]).log() for part, kept in zip(parts, (rows, columns), strict=True)]
            s = kme_similarity(
                *(anchors.expand(len(w), -1, -1) for w in log_w), log_wx=log_w[0], log_wy=log_w[1], scale=scale
            )
            total[np.ix_(rows, columns)] += sign_x * sign_y * s.exp().numpy()
    np.testing.assert_allclose(np.log(total), np.log((z_x / p_z) @ z_y.T), rtol=0, atol=1e-10)


# ---- KME: what changes nothing


def test_splitting_permuting_and_masking_points_change_nothing():
    x, y, a, b, scale = (t.detach() for t in point_sets())
    whole = kme(x, y, a, b, scale)
    half = torch.cat([x, x], dim=1), torch.cat([a, a], dim=1) - math.log(2)
    order = torch.tensor([2, 0, 1])
    padded = torch.cat([x, normal(5, 2, 6, seed=8)], dim=1), torch.cat([a, torch.full((5, 2), -math.inf)], dim=1)
    for points, weights in (half, (x[:, order], a[:, order]), padded):
        torch.testing.assert_close(kme(points, y, weights, b, scale), whole, rtol=1e-13, atol=1e-13)


def test_it_is_symmetric_and_does_not_see_where_the_origin_is():
    x, y, a, b, scale = (t.detach() for t in point_sets())
    whole = kme(x, y, a, b, scale)
    torch.testing.assert_close(kme(y, x, b, a, scale).T, whole, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(kme(x + 5, y + 5, a, b, scale), whole, rtol=0, atol=1e-11)


def test_without_weights_points_are_a_uniform_mixture():
    x, y, *_, scale = (t.detach() for t in point_sets())
    uniform = x.new_full((5, 3), -math.log(3)), y.new_full((7, 4), -math.log(4))
    torch.testing.assert_close(kme_similarity(x, y, scale=3.0), kme(x, y, *uniform, scale), rtol=1e-14, atol=1e-14)
    same = kme_similarity(x[:, :1].expand(-1, 4, -1), y[:, :1].expand(-1, 2, -1), scale=3.0)
    torch.testing.assert_close(same, kme_similarity(x[:, :1], y[:, :1], scale=3.0), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ENGINES)
def test_engines_agree(name):
    x, y, a, b, scale = point_sets()
    own = kme_similarity(x, y, log_wx=a, log_wy=b, scale=scale, engine=name)
    torch.testing.assert_close(own, plain_kme(x, y, a, b, scale), rtol=1e-12, atol=1e-12)


# ---- precision, memory order, kinds of input


@pytest.mark.parametrize("scale", [1.0, 1 / 0.07, 100.0])
def test_float32_is_near_float64_for_tight_and_for_far_points(scale):
    x = sphere(6, 5, 64)
    near = torch.nn.functional.normalize(x + 1e-4 * normal(6, 5, 64, seed=4), dim=2)
    y = torch.cat([x, near, -x, -near, sphere(40, 5, 64, seed=5)])  # kernels from 1 to exp(-200)
    narrow = [x.float(), y.float()]
    wide = [points.double().requires_grad_() for points in narrow]
    narrow = [points.requires_grad_() for points in narrow]
    found, wanted = (kme_similarity(*points, scale=scale) for points in (narrow, wide))
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-6 * max(scale, 5))
    of_narrow = torch.autograd.grad(found.sum(), narrow)
    for one, other in zip(of_narrow, torch.autograd.grad(wanted.sum(), wide), strict=True):
        assert float((one.double() - other).norm() / other.norm()) < 1e-4


def test_float32_without_any_kernel_that_it_can_hold():
    far = torch.full((1, 3, 1), 30.0)
    far[0, :, 0] += torch.tensor([0.0, 0.5, 1.0])
    s = kme_similarity(torch.zeros(1, 2, 1), far, scale=1.0)  # exp(-450) at most
    assert float(s) == pytest.approx(-450 - math.log(3), abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["kme", "wpse", "clip"])
def test_half_precision_is_widened_before_anything_is_computed(dtype, name):
    x, y = (sphere(4, 3, 8, seed=seed).to(dtype) for seed in (0, 1))
    if name == "clip":
        x, y = x[:, 0], y[:, 0]
    similarity = {"kme": kme_similarity, "wpse": wpse_similarity, "clip": clip_similarity}[name]
    results = []
    for points in ((x, y), (x.float(), y.float())):
        points = [p.requires_grad_() for p in points]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            s = similarity(*points, scale=20.0)
            gradient = torch.autograd.grad(s.square().sum(), points)  # in the region too, which is usual
        assert s.dtype == torch.float32
        assert gradient[0].dtype == points[0].dtype
        results.append((s, *gradient))
    assert torch.equal(results[0][0], results[1][0])
    for half, single in zip(results[0][1:], results[1][1:], strict=True):
        assert torch.equal(half, single.to(dtype))


def test_autocast_is_kept_out():
    x, y = (sphere(4, 3, 8, seed=seed, dtype=torch.float32).requires_grad_() for seed in (0, 1))
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            s = kme_similarity(x, y, scale=20.0)
            results.append((s, *torch.autograd.grad(s.sum(), (x, y))))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("similarity", [kme_similarity, wpse_similarity])
def test_memory_order_does_not_matter(similarity):
    x, y = (t.detach() for t in point_sets()[:2])
    strided = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    every_other = y.repeat_interleave(2, dim=0)[::2]
    assert not strided.is_contiguous()
    torch.testing.assert_close(
        similarity(strided, every_other, scale=2.0), similarity(x, y, scale=2.0), rtol=1e-14, atol=1e-14
    )


@pytest.mark.parametrize("similarity", [kme_similarity, wpse_similarity])
def test_empty_batches_give_empty_results_and_zero_gradients(similarity):
    x, y = normal(0, 3, 2).requires_grad_(), normal(4, 2, 2).requires_grad_()
    for one, other in ((x, y), (y, x)):
        s = similarity(one, other, scale=1.0)
        assert s.shape == (len(one), len(other))
        gradient = torch.autograd.grad(s.sum(), (x, y))
        assert gradient[0].shape == (0, 3, 2)
        assert bool((gradient[1] == 0).all())


def test_arrays_of_other_libraries_integers_and_mixed_precision():
    x, y = sphere(3, 2, 4), sphere(4, 2, 4, seed=1)
    wanted = kme_similarity(x, y, scale=2.0)
    assert torch.equal(kme_similarity(x.numpy(), y, scale=torch.tensor([2.0])), wanted)
    assert kme_similarity(x.float(), y, scale=2.0).dtype == torch.float64
    assert clip_similarity([[1, 2]], [[3, 4]], scale=1.0).tolist() == [[11.0]]


# ---- WPSE


def test_the_kernels_of_wpse_can_be_had_alone():
    x, y, w, v, _ = (t.detach() for t in point_sets())
    for linear, gaussian, sigma in ((1.0, 0.0, 0.5), (0.0, 1.0, 2.0), (0.3, -0.2, 0.1)):
        weights = {"linear": linear, "gaussian": gaussian, "sigma": sigma}
        own = wpse_similarity(x, y, wx=w, wy=v, scale=2.0, **weights)
        torch.testing.assert_close(own, plain_wpse(x, y, w, v, 2.0, **weights), rtol=1e-12, atol=1e-12)


def test_a_point_of_weight_zero_adds_nothing_but_counts_and_its_weight_has_a_gradient():
    x, y, w, v, scale = (t.detach() for t in point_sets())
    w[:, 2] = 0
    w.requires_grad_()
    s = wpse(x, y, w, v, scale)
    torch.testing.assert_close(s, wpse(x[:, :2], y, w[:, :2], v, scale) * 2 / 3, rtol=1e-13, atol=1e-13)
    (found,) = torch.autograd.grad(s.sum(), w)
    (wanted,) = torch.autograd.grad(plain_wpse(x, y, w, v, scale).sum(), w)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert bool((found[:, 2] != 0).all())


# ---- refusals


NAN, INF = math.nan, math.inf
X, Y = torch.ones(2, 3, 4), torch.ones(5, 2, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kme_similarity(X[0], Y, scale=1.0),
            r"x has shape \[3, 4\]; it must be point sets .* give x\[:, None\]",
        ),
        (lambda: wpse_similarity(X, Y[0, 0], scale=1.0), r"y has shape \[4\]; it must be point sets"),
        (lambda: clip_similarity(X, Y[:, 0], scale=1.0), r"x has shape \[2, 3, 4\]; it must be one vector per sample"),
        (lambda: kme_similarity(X[:, :0], Y, scale=1.0), r"x has shape \[2, 0, 4\]; .* at least one of each"),
        (lambda: kme_similarity(X, Y[..., :3], scale=1.0), "x has points of 4 dimensions but y of 3"),
        (lambda: kme_similarity(X, Y.to("meta"), scale=1.0), "x is on cpu but y on meta"),
        (lambda: kme_similarity(X, Y + 0j, scale=1.0), "y holds complex values"),
        (
            lambda: kme_similarity(X, torch.full_like(Y, NAN), scale=1.0),
            "y has NaN or inf in 5 of 5 samples; .* sample 0",
        ),
        (lambda: clip_similarity(X[:, 0] * INF, Y[:, 0], scale=1.0), "x has NaN or inf in 2 of 2 samples"),
        (lambda: kme_similarity(X, Y, scale=0.0), "scale is 0.0; it must be a number above 0"),
        (lambda: clip_similarity(X[0], Y[0], scale=-2.0), "scale is -2.0; it must be"),
        (lambda: wpse_similarity(X, Y, scale=torch.tensor(NAN)), "scale is nan; it must be"),
        (lambda: kme_similarity(X, Y, scale=torch.ones(2)), r"scale has shape \[2\]; it must be one number"),
        (lambda: wpse_similarity(X, Y, scale=1.0, sigma=0.0), "sigma is 0.0; it must be a number above 0"),
        (lambda: wpse_similarity(X, Y, scale=1.0, linear=NAN), "linear is nan; it must be a finite number"),
        (
            lambda: kme_similarity(X, Y, scale=1.0, engine="warp"),
            "engine is 'warp'; it must be one of 'auto', 'blocked'",
        ),
        (
            lambda: kme_similarity(X, Y, log_wx=torch.zeros(3, 2), scale=1.0),
            r"log_wx has shape \[3, 2\]; it must be \[2, 3\], one for each point",
        ),
        (
            lambda: kme_similarity(X, Y, log_wy=torch.tensor([[0.0, 0]] * 3 + [[-INF, -INF]] * 2), scale=1.0),
            "log_wy is -inf for every point of 2 of 5 samples; the first is sample 3",
        ),
        (
            lambda: kme_similarity(X, Y, log_wx=torch.tensor([[0.0, 0, 0], [0, INF, 0]]), scale=1.0),
            r"log_wx has NaN or \+inf in sample 1",
        ),
        (
            lambda: kme_similarity(X, Y, log_wx=torch.tensor([[0.0, NAN, 0], [0, 0, 0]]), scale=1.0),
            r"log_wx has NaN or \+inf in sample 0",
        ),
        (
            lambda: wpse_similarity(X, Y, wx=torch.tensor([[0.0, 0, 0], [0, -INF, 0]]), scale=1.0),
            "wx has NaN or inf in sample 1",
        ),
        (lambda: wpse_similarity(X, Y, wy=torch.ones(5), scale=1.0), r"wy has shape \[5\]; it must be \[5, 2\]"),
        (
            lambda: wpse_similarity(X, Y, wx=torch.ones(2, 3, device="meta"), scale=1.0),
            "wx is on meta but its points on",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_numbers(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_finite_values_whose_sum_is_not_are_let_through():
    assert float(clip_similarity(torch.full((1, 3), 2e38), torch.zeros(1, 3), scale=1.0)) == 0
