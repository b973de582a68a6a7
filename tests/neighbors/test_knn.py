"""pw.knn against brute force in float64, on data that breaks shortcuts."""

import numpy as np
import pytest
import torch
from all_pairs import assert_same, brute_force, closeness_and_bounds
from hypothesis import given, settings
from hypothesis import strategies as st

import pointwise as pw
from pointwise.neighbors.passes import Prepared, across, nearest, within
from pointwise.neighbors.sweep_torch import TorchSweep


def tiled(x, width):
    """A table to be searched in tiles of this width."""
    return Prepared(torch.as_tensor(x), sweep=TorchSweep(width=width))


def clusters(n, d, *, spread, offset, count=1, seed=0):
    """Unit-norm rows in tight clusters, all moved by an offset: squares cancel to almost nothing."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, d))
    rows = centres[np.arange(n) % count] + spread * rng.normal(size=(n, d)) * np.linalg.norm(centres, axis=1).mean()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) + offset


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 1), (200, 150, 3), (150, 170, 80), (90, 300, 200)])
def test_equals_brute_force(n, m, d, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)
    assert_same(pw.knn(x, y, 7), brute_force(x, y, 7))
    assert_same(pw.knn(x, x, 7, exclude_self=True), brute_force(x, x, 7, exclude_self=True))


@pytest.mark.parametrize("count", [1, 7])
def test_tight_unit_norm_clusters_far_from_the_origin(count):
    """Spread 1e-3 in 512 dimensions at an offset of 1: where float32 Gram distances are off by a third."""
    x = clusters(400, 512, spread=1e-3, offset=1.0, count=count).astype(np.float32)
    y = clusters(350, 512, spread=1e-3, offset=1.0, count=count, seed=0)[::-1].astype(np.float32)
    found, expected = pw.knn(x, y, 15), brute_force(x, y, 15)
    np.testing.assert_array_equal(found.indices, expected[1])
    np.testing.assert_allclose(found.distances, expected[0], rtol=1e-9, atol=0)
    assert_same(pw.knn(x, x, 15, exclude_self=True), brute_force(x, x, 15, exclude_self=True))


def test_the_naive_formula_fails_on_those_clusters():
    """The proof that the test above can fail."""
    x = torch.from_numpy(clusters(400, 512, spread=1e-3, offset=1.0).astype(np.float32))
    squares = x.square().sum(dim=1)
    gram = (squares[:, None] + squares - 2 * x @ x.T).fill_diagonal_(torch.inf)
    expected = brute_force(x, x, 15, exclude_self=True)
    naive = np.sqrt(np.maximum(gram.topk(15, largest=False).values.numpy(), 0))
    assert np.abs(naive / expected[0] - 1).max() > 0.01


def test_ties_go_to_the_smaller_index():
    lattice = np.array([[i % 4, (i * 3) % 5] for i in range(60)], dtype=np.float64)
    assert_same(pw.knn(lattice, lattice, 9, exclude_self=True), brute_force(lattice, lattice, 9, exclude_self=True))
    assert_same(pw.knn(lattice[:20], lattice, 9), brute_force(lattice[:20], lattice, 9))


def test_wide_ties_beyond_the_spare_candidates():
    """Sixty copies of each of two points in 100 dimensions: every choice among them is a tie."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2, 100)).astype(np.float32)[np.arange(120) % 2]
    assert_same(pw.knn(rows, rows, 5, exclude_self=True), brute_force(rows, rows, 5, exclude_self=True))


def test_self_is_left_out_by_index_not_by_distance():
    rows = np.zeros((6, 3))
    found = pw.knn(rows, rows, 2, exclude_self=True)
    assert found.indices.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("width", [32, 64, 96, 512])
@pytest.mark.parametrize("d", [5, 128])
def test_does_not_depend_on_the_size_of_tiles(width, d):
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.normal(size=(230, d)).astype(np.float32))
    y = torch.from_numpy(rng.normal(size=(170, d)).astype(np.float32))
    for found, expected in (
        (within(tiled(x, width), 15), brute_force(x, x, 15, exclude_self=True)),
        (nearest(tiled(x, width), tiled(y, width), 15), brute_force(x, y, 15)),
    ):
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("width", [32, 96, 1536])
@pytest.mark.parametrize("d", [2, 100])
def test_counts_of_balls_equal_brute_force(width, d):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(150, d)), rng.normal(size=(130, d)) * 0.8
    radii_x = brute_force(x, x, 9, exclude_self=True)[0][:, [0, 4, 8]]
    radii_y = brute_force(y, y, 9, exclude_self=True)[0][:, [0, 4, 8]]
    crossing = across(
        tiled(x, width),
        tiled(y, width),
        3,
        radii_x=torch.from_numpy(radii_x),
        radii_y=torch.from_numpy(radii_y),
    )
    distances = np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=2))
    np.testing.assert_array_equal(crossing.y_in_balls_of_x, (distances[:, :, None] <= radii_x[:, None]).sum(axis=0))
    np.testing.assert_array_equal(crossing.x_in_balls_of_y, (distances[:, :, None] <= radii_y[None]).sum(axis=1))


def test_balls_that_hold_everything_and_nothing():
    rng = np.random.default_rng(4)
    x, y = torch.from_numpy(rng.normal(size=(90, 3))), torch.from_numpy(rng.normal(size=(80, 3)))
    wide = torch.full((90, 1), 100.0, dtype=torch.float64)
    none = torch.zeros(80, 1, dtype=torch.float64)
    crossing = across(Prepared(x), Prepared(y), 1, radii_x=wide, radii_y=none)
    assert crossing.y_in_balls_of_x.unique().tolist() == [90]
    assert crossing.x_in_balls_of_y.unique().tolist() == [0]


def test_points_on_the_edge_of_a_ball_are_inside():
    """Copies of rows lie at exactly the radius that the row's own neighbour set: a closed ball holds them."""
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.normal(size=(100, 90)).astype(np.float32))
    prepared = Prepared(x)
    distances, _ = within(prepared, 3)
    crossing = across(prepared, Prepared(x.clone(), like=prepared), 3, radii_x=distances, radii_y=distances)
    # each ball holds its own centre and its k neighbours, the k-th on its edge
    assert crossing.x_in_balls_of_y.sum(dim=0).tolist() == [100 * 2, 100 * 3, 100 * 4]
    assert crossing.y_in_balls_of_x.sum(dim=0).tolist() == [100 * 2, 100 * 3, 100 * 4]


@pytest.mark.parametrize("factor", [1e-120, 1e-30, 1.0, 1e15, 1e140])
def test_scale_of_the_features_does_not_matter(factor):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(120, 100))
    expected = brute_force(x, x, 5, exclude_self=True)
    found = pw.knn((x * factor).astype(np.float64), (x * factor).astype(np.float64), 5, exclude_self=True)
    np.testing.assert_array_equal(found.indices, expected[1])
    np.testing.assert_allclose(found.distances, expected[0] * factor, rtol=1e-12)


def lower(setting):
    """Let the user's program allow low precision, by the name of the switch; returns what undoes it."""
    if setting.startswith("legacy"):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(setting.removeprefix("legacy "))
        return lambda: torch.set_float32_matmul_precision(before)
    backend = torch.backends.cuda.matmul if setting == "cuda tf32" else torch.backends.mkldnn.matmul
    before = backend.fp32_precision
    backend.fp32_precision = setting.split()[1]
    return lambda: setattr(backend, "fp32_precision", before)


HAS_SWITCHES = hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision")


@pytest.mark.parametrize(
    "setting", ["legacy high", "legacy medium", *(["cuda tf32", "mkldnn bf16"] if HAS_SWITCHES else [])]
)
@pytest.mark.parametrize("fused", [True, False])
def test_low_precision_products_of_the_user_do_not_reach_ours(setting, fused, monkeypatch):
    """Training scripts switch float32 products to TF32 or bfloat16; the search works in full float32 all the same."""
    if not fused:
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    rng = np.random.default_rng(7)
    x = rng.normal(size=(300, 256)).astype(np.float32)
    expected = brute_force(x, x, 5, exclude_self=True)
    undo = lower(setting)
    try:
        assert_same(pw.knn(x, x, 5, exclude_self=True), expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_same(pw.knn(x, x, 5, exclude_self=True), expected)
            assert torch.is_autocast_enabled("cpu")
        close, lowest, highest = closeness_and_bounds(TorchSweep(), x)
        assert ((lowest <= close) & (close <= highest)).all()
        if setting == "legacy medium":
            assert torch.get_float32_matmul_precision() == "medium"
        if setting == "mkldnn bf16":
            assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        undo()


def test_error_of_closeness_stays_within_its_margin():
    """The certificate rests on this bound."""
    x = (np.random.default_rng(8).normal(size=(300, 700)) + 3).astype(np.float32)
    close, lowest, highest = closeness_and_bounds(TorchSweep(), x)
    assert (lowest <= close).all()
    assert (close <= highest).all()
    error = (close - (lowest + highest) / 2).abs()
    assert float(error.max()) > float((highest - lowest).max()) / 2000  # and it is no empty bound


@pytest.mark.parametrize("far", [1e6, 1e15, 1e22])
def test_rows_far_out_do_not_drown_the_others(far):
    """Next to such a row all products of the others are rounding, or below what float32 can hold."""
    x = np.random.default_rng(9).normal(size=(150, 100)).astype(np.float32)
    x[2:] -= x[2:].mean(axis=0)
    x[:2] = 0
    x[0, 0], x[1, 0] = far, -far
    assert_same(pw.knn(x, x, 5, exclude_self=True), brute_force(x, x, 5, exclude_self=True))


@pytest.mark.parametrize("scale", [1e155, 1e-150, 1e305])
def test_squares_that_do_not_fit_are_refused(scale):
    x = np.random.default_rng(10).normal(size=(30, 3)) * scale
    with pytest.raises(pw.InputError, match=r"the features lie up to .* Rescale them"):
        pw.knn(x, x, 2, exclude_self=True)
    with pytest.raises(pw.InputError, match="between 1e-140 and 1e"):
        pw.evaluate(x, x * 1.1, metrics=["precision"])


def test_rows_in_an_order_where_every_later_tile_is_nearer():
    """The worst order for keeping the best so far: each tile replaces all that was kept."""
    x = np.linspace(1, 2, 500)[:, None] * np.ones((1, 70), dtype=np.float32)
    found = nearest(tiled(x[-1:] * 1.01, 32), tiled(x, 32), 7)
    assert found.indices[0].tolist() == list(range(499, 492, -1))


def test_copies_of_real_rows_lie_on_the_edge_of_balls_in_many_dimensions():
    """The generated rows are the real ones: each ball holds its centre and k neighbours, the k-th at its very edge."""
    x = np.random.default_rng(11).normal(size=(200, 300)).astype(np.float32)
    hoods = pw.neighborhoods(x, x.copy(), k=(1, 5), cover=2)
    assert hoods.fake_in_real_balls.sum(axis=0).tolist() == [200 * 2, 200 * 6]
    assert hoods.real_in_fake_balls.sum(axis=0).tolist() == [200 * 2, 200 * 6]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 65, 130]), st.sampled_from(["plain", "lattice", "tight"]))
def test_random_tables_equal_brute_force(seed, d, kind):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(12, 90, size=2)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    if kind == "lattice":
        x, y = np.round(x), np.round(y)
    if kind == "tight":
        x, y = 1 + 1e-4 * x, 1 + 1e-4 * y
    x, y = x.astype(np.float32), y.astype(np.float32)
    k = int(rng.integers(1, 12))
    found, expected = pw.knn(x, y, k), brute_force(x, y, k)
    np.testing.assert_allclose(found.distances, expected[0], rtol=1e-12, atol=0)
    np.testing.assert_array_equal(found.indices, expected[1])


def test_any_array_comes_in():
    x = [[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]]
    expected = pw.knn(np.array(x), np.array(x), 1, exclude_self=True).indices.tolist()

    class Dlpack:
        def __init__(self, tensor):
            self.tensor = tensor

        def __dlpack__(self, **options):
            return self.tensor.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.tensor.__dlpack_device__()

    for queries in (torch.tensor(x), Dlpack(torch.tensor(x)), np.array(x, dtype=np.int32), x):
        assert pw.knn(queries, queries, 1, exclude_self=True).indices.tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.eye(3), np.eye(3), 4), {}, "reference has 3 rows, which is too few for k = 4"),
        ((np.eye(3), np.eye(3), 3), {"exclude_self": True}, "besides the row itself needs at least 4 rows"),
        ((np.empty((0, 3)), np.eye(3), 1), {}, "queries has 0 rows; there is nothing to find neighbours of"),
        ((np.eye(3), np.eye(3), 0), {}, "k is 0; it must be a whole number of at least 1"),
        ((np.eye(3), np.eye(3), 2.0), {}, "k is 2.0; it must be a whole number"),
        ((np.eye(3), np.eye(4), 1), {}, "queries has 3 feature columns but reference has 4"),
        ((np.eye(3), np.ones((3, 3)), 1), {"exclude_self": True}, r"\(3, 3\)\) must be the same rows"),
        ((np.eye(3), np.eye(3), 1), {"engine": "fais"}, "engine is 'fais'; it must be one of 'auto', 'torch'"),
        ((np.eye(3), np.eye(3), 1), {"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ((np.eye(3), np.eye(3), 1), {"device": "abacus"}, "device 'abacus' cannot be used"),
        ((np.eye(3), np.eye(3), 1), {"device": "meta"}, "needs 'cpu' or 'cuda'"),
        ((np.full((3, 3), np.nan), np.eye(3), 1), {}, "queries has NaN or inf in 3 of 3 rows"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises(pw.InputError, match=message):
        pw.knn(*arguments, **options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_the_gpu_finds_the_same():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(3000, 300)).astype(np.float32), rng.normal(size=(2500, 300)).astype(np.float32)
    on_cpu, on_gpu = pw.knn(x, y, 15), pw.knn(x, y, 15, device="cuda")
    np.testing.assert_array_equal(on_cpu.indices, on_gpu.indices)
    np.testing.assert_allclose(on_cpu.distances, on_gpu.distances, rtol=1e-12)
