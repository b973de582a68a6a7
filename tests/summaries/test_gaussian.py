"""GaussianPair: digits of the official MID, closed forms, exact biases, and pairs that cannot be fitted."""

import math

import numpy as np
import pytest
import torch
from scipy.special import digamma

import pointwise as pw
from pointwise.synthetic import Gaussian

RNG = np.random.RandomState(1)
X = RNG.randn(300, 6)
Y = 0.5 * X + RNG.randn(300, 6)
X0 = X + 0.3 * RNG.randn(300, 6)
PERMUTED = RNG.permutation(300)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Here are hundreds of small problems; where a machine is busy their threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fitted(x, y, **options):
    pair = pw.GaussianPair(**options)
    pair.update(x, y)
    return pair


def as_set_score(score, information):
    """The official set score: its quadratic part is divided by m - 1, not m."""
    m = len(score.per_sample)
    return information + (score.value - information) * m / (m - 1)


def correlated(n, correlations, seed):
    """Pairs of standard Gaussians with these canonical correlations, turned and stretched on either side."""
    rng = np.random.default_rng(seed)
    c = np.asarray(correlations)
    x = rng.normal(size=(n, len(c)))
    y = c * x + np.sqrt(1 - c**2) * rng.normal(size=(n, len(c)))
    return x, y


def test_the_arrays_are_those_of_the_digits():
    assert [X.sum(), X0.sum(), Y.sum()] == pytest.approx(
        [73.15654914660978, 96.65020007726596, 0.9230281125237951], rel=1e-9
    )


def test_official_digits():
    """naver-ai/mid.metric in float64: information, per sample, the set scores."""
    pair = fitted(X, Y)
    information = pair.mutual_information()
    assert information == pytest.approx(0.8046946805119802, rel=1e-9)
    score = pair.pmi(X0, Y)
    first = [0.6168936959498714, 1.7322345729985396, 1.4459747339172735, 0.38824829803890215, 0.5819460349828212]
    np.testing.assert_allclose(score.per_sample[:5], first, rtol=1e-9)
    assert score.value == pytest.approx(0.6825535646650958, rel=1e-9)
    assert pw.mid(X, Y, X0).value == pytest.approx(0.6825535646650958, rel=1e-9)
    assert as_set_score(score, information) == pytest.approx(0.6821450659498878, rel=1e-9)
    assert as_set_score(pair.pmi(X0[PERMUTED], Y), information) == pytest.approx(-1.1613763160188293, rel=1e-9)


def test_official_digit_of_fewer_samples_than_texts():
    """The official code then averages the part of the text over all 300 texts; ours scores the 200 pairs alone."""
    pair = fitted(X, Y)
    z = np.hstack([X, Y])
    mean, covariance = z.mean(axis=0), np.cov(z.T)

    def mean_square(rows, part):
        shifted = rows - mean[part]
        squares = np.einsum("ni,ij,nj->n", shifted, np.linalg.inv(covariance[part, part]), shifted)
        return squares.sum() / (len(rows) - 1)

    sides = mean_square(X0[:200], slice(0, 6)), mean_square(np.hstack([X0[:200], Y[:200]]), slice(0, 12))
    information = pair.mutual_information()
    official = information + (sides[0] + mean_square(Y, slice(6, 12)) - sides[1]) / 2
    assert official == pytest.approx(0.7928147445197207, rel=1e-9)
    ours = information + (sides[0] + mean_square(Y[:200], slice(6, 12)) - sides[1]) / 2
    assert as_set_score(pair.pmi(X0[:200], Y[:200]), information) == pytest.approx(ours, rel=1e-9)


def test_official_digits_on_unit_rows():
    x, y, x0 = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, Y, X0))
    pair = fitted(x, y)
    assert as_set_score(pair.pmi(x0, y), pair.mutual_information()) == pytest.approx(0.5976423087657672, rel=1e-9)


def test_scoring_the_reference_gives_its_information():
    pair = fitted(X, Y)
    assert as_set_score(pair.pmi(X, Y), pair.mutual_information()) == pytest.approx(
        pair.mutual_information(), rel=1e-10
    )


def test_affine_maps_of_either_side_change_nothing():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 6)), rng.normal(size=(6, 6))
    expected = fitted(X, Y).pmi(X0, Y).per_sample
    found = fitted(X @ a + 3, Y @ b - 100).pmi(X0 @ a + 3, Y @ b - 100).per_sample
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def test_canonical_correlations_and_shuffling():
    """I = -1/2 sum ln(1 - c^2); shuffled pairs score I - sum c^2 / (1 - c^2), at large n."""
    c = np.array([0.9, 0.5, 0.2])
    x, y = correlated(200_000, c, seed=1)
    pair = fitted(x, y)
    information = -0.5 * np.log(1 - c**2).sum()
    assert pair.mutual_information() == pytest.approx(information, abs=0.01)
    shuffled = pair.pmi(x, np.roll(y, 1, axis=0))
    assert shuffled.value == pytest.approx(information - (c**2 / (1 - c**2)).sum(), abs=0.08)


def test_score_is_the_log_ratio_of_densities():
    pair = fitted(X, Y)
    z = np.hstack([X, Y])
    mean, covariance = z.mean(axis=0), np.cov(z.T)

    def log_density(rows, part):
        s = covariance[part, part]
        shifted = rows - mean[part]
        squares = np.einsum("ni,ij,nj->n", shifted, np.linalg.inv(s), shifted)
        return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * s)[1])

    left, right = slice(0, 6), slice(6, 12)
    both = np.hstack([X0, Y])
    expected = log_density(both, slice(0, 12)) - log_density(X0, left) - log_density(Y, right)
    np.testing.assert_allclose(pair.pmi(X0, Y).per_sample, expected, rtol=1e-9, atol=1e-9)


def test_score_splits_into_information_and_divergences():
    """MID = I of the evaluated law - KL of the joint + KL of either side, exactly in second moments."""
    pair = fitted(X, Y)
    z, z0 = np.hstack([X, Y]), np.hstack([X0, Y])
    fitted_law = (z.mean(axis=0), np.cov(z.T))
    evaluated = (z0.mean(axis=0), np.cov(z0.T, bias=True))

    def kl(part):
        laws = [Gaussian(mean[part], covariance[part, part]) for mean, covariance in (evaluated, fitted_law)]
        return laws[0].kl(laws[1])

    log_determinant = lambda part: np.linalg.slogdet(evaluated[1][part, part])[1]  # noqa: E731
    left, right, joint = slice(0, 6), slice(6, 12), slice(0, 12)
    information = (log_determinant(left) + log_determinant(right) - log_determinant(joint)) / 2
    assert pair.pmi(X0, Y).value == pytest.approx(information - kl(joint) + kl(left) + kl(right), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(200, 8), (1000, 8), (200, 32), (1000, 32)])
def test_debiased_is_right_on_average_where_the_plug_in_is_not(n, d):
    """200 repetitions with known canonical correlations: information, fresh pairs, shuffled pairs."""
    c = np.linspace(0.1, 0.8, d)
    information = -0.5 * np.log(1 - c**2).sum()
    truth = np.array([information, information, information - (c**2 / (1 - c**2)).sum()])
    seen = {True: [], False: []}
    for repetition in range(200):
        x, y = correlated(n + 400, c, seed=repetition)
        pair = fitted(x[:n], y[:n])
        fresh = x[n:], y[n:]
        shuffled = x[n:], np.roll(y[n:], 1, axis=0)
        for debias, rows in seen.items():
            scores = [pair.pmi(*pairs, debias=debias).value for pairs in (fresh, shuffled)]
            rows.append([pair.mutual_information(debias=debias), *scores])
    for debias, rows in seen.items():
        off = (np.mean(rows, axis=0) - truth) / (np.std(rows, axis=0, ddof=1) / math.sqrt(len(rows)))
        if debias:
            assert np.abs(off).max() < 3.5, off
        else:
            assert np.abs(off[:2]).min() > (4 if d == 8 else 20), off


@pytest.mark.parametrize(("n", "dx", "dy"), [(60, 4, 9), (200, 30, 10)])
def test_mean_error_of_the_plug_in_is_what_theory_says(n, dx, dy):
    degrees = n - 1
    i = np.arange(dy)
    bias = 0.5 * (digamma((degrees - i) / 2) - digamma((degrees - dx - i) / 2)).sum()
    rng = np.random.default_rng(2)
    found = [fitted(rng.normal(size=(n, dx)), rng.normal(size=(n, dy))).mutual_information() for _ in range(300)]
    assert np.mean(found) == pytest.approx(bias, abs=4 * np.std(found) / math.sqrt(300))
    pair = fitted(rng.normal(size=(n, dx)), rng.normal(size=(n, dy)))
    assert pair.mutual_information() - pair.mutual_information(debias=True) == pytest.approx(bias, rel=1e-10)


@pytest.mark.parametrize(("d", "n", "bias"), [(512, 5_000, 29.3), (512, 10_000, 13.8), (768, 30_000, 10.09)])
def test_mean_error_at_the_sizes_of_clip(d, n, bias):
    pair = pw.GaussianPair()
    pair.count = n
    assert pair._bias(d, d) == pytest.approx(bias, rel=5e-3)


def test_quadratic_part_of_fresh_pairs_is_off_by_what_theory_says():
    n, d = 300, 10
    degrees = n - 1
    expected = (1 + 1 / n) * d * degrees * (1 / (degrees - d - 1) - 1 / (degrees - 2 * d - 1))
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        pair = fitted(rng.normal(size=(n, d)), rng.normal(size=(n, d)))
        found.append(pair.pmi(rng.normal(size=(n, d)), rng.normal(size=(n, d))).value - pair.mutual_information())
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(300))


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("cuts", [[150], [1, 2, 299], [50, 100, 150, 200, 250]])
def test_any_split_and_merge_equals_one_pass(offset, cuts):
    whole = fitted(X + offset, Y - offset)
    parts = [fitted(x, y) for x, y in zip(np.split(X + offset, cuts), np.split(Y - offset, cuts), strict=True)]
    merged, streamed = pw.GaussianPair(), pw.GaussianPair()
    for part in parts:
        merged.merge(part)
    for x, y in zip(np.split(X + offset, cuts), np.split(Y - offset, cuts), strict=True):
        streamed.update(x, y)
    expected = whole.pmi(X0 + offset, Y - offset).per_sample
    for pair in (merged, streamed):
        assert pair.count == 300
        assert pair.mutual_information() == pytest.approx(whole.mutual_information(), abs=1e-10)
        np.testing.assert_allclose(pair.pmi(X0 + offset, Y - offset).per_sample, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rows", [1, 50, 5000])
def test_many_rows_with_a_large_offset_in_parts_equal_one_pass(rows):
    """Also where a block of rows is so long that their sum loses digits of the offset."""
    x, y = correlated(9000 if rows > 1 else 1500, np.full(5, 0.6), seed=5)
    x, y = x + 1e4, y - 1e4
    whole, parts = fitted(x, y), pw.GaussianPair()
    for start in range(0, len(x), rows):
        parts.merge(fitted(x[start : start + rows], y[start : start + rows]))
    assert parts.mutual_information() == pytest.approx(whole.mutual_information(), abs=1e-10)
    np.testing.assert_allclose(parts.pmi(x, y).per_sample, whole.pmi(x, y).per_sample, rtol=0, atol=1e-10)
    centred = fitted(x - 1e4, y + 1e4)
    np.testing.assert_allclose(whole.pmi(x, y).per_sample, centred.pmi(x - 1e4, y + 1e4).per_sample, atol=1e-10)


def test_merging_leaves_the_other_as_it_was():
    one, other = fitted(X[:100], Y[:100]), fitted(X[100:], Y[100:])
    before = other.mutual_information()
    empty = pw.GaussianPair()
    empty.merge(other)
    empty.merge(one)
    assert other.mutual_information() == before
    assert other.count == 200


def test_ridge_is_the_same_in_determinant_and_inverse():
    ridge = 0.3
    z = np.hstack([X, Y])
    s = np.cov(z.T) + ridge * np.eye(12)
    logs = [np.linalg.slogdet(part)[1] for part in (s[:6, :6], s[6:, 6:], s)]
    pair = fitted(X, Y, ridge=ridge)
    assert pair.mutual_information() == pytest.approx((logs[0] + logs[1] - logs[2]) / 2, rel=1e-10)
    row = z[0] - z.mean(axis=0)
    squares = [
        row[part] @ np.linalg.solve(s[part, part], row[part]) for part in (slice(0, 6), slice(6, 12), slice(0, 12))
    ]
    expected = pair.mutual_information() + (squares[0] + squares[1] - squares[2]) / 2
    assert pair.pmi(X[:1], Y[:1]).value == pytest.approx(expected, rel=1e-10)


def test_widths_may_differ_and_any_array_comes_in():
    x, y = torch.from_numpy(X).float(), Y[:, :2].astype(np.float16)
    pair = fitted(x, y)
    assert pair.widths == (6, 2)
    assert pair.pmi(x, y).of == "pair"


def test_saved_and_loaded(tmp_path):
    pair = fitted(X, Y, ridge=0.125)
    pair.save(tmp_path / "reference.safetensors")
    again = pw.GaussianPair.load(tmp_path / "reference.safetensors")
    assert repr(again) == repr(pair) == "GaussianPair(300 pairs, 6 + 6 columns, ridge 0.125)"
    np.testing.assert_array_equal(again.pmi(X0, Y).per_sample, pair.pmi(X0, Y).per_sample)
    again.update(X, Y)
    assert again.count == 600
    (tmp_path / "damaged.safetensors").write_bytes((tmp_path / "reference.safetensors").read_bytes()[:50])
    with pytest.raises(pw.InputError, match="cannot be read as a fitted pair"):
        pw.GaussianPair.load(tmp_path / "damaged.safetensors")
    pw.FeatureTable(X).save(tmp_path / "table.safetensors")
    with pytest.raises(pw.InputError, match=r"table.safetensors does not hold a fitted pair"):
        pw.GaussianPair.load(tmp_path / "table.safetensors")


def test_independent_data_with_too_few_pairs_is_refused():
    """The official code answers 499 here."""
    rng = np.random.default_rng(4)
    pair = fitted(rng.normal(size=(100, 64)), rng.normal(size=(100, 64)))
    with pytest.raises(pw.InputError, match=r"100 pairs are too few for 64 \+ 64 columns.*rank 99.*At least 129 pairs"):
        pair.mutual_information()
    with pytest.raises(pw.InputError, match="At least 131 pairs"):
        pair.mutual_information(debias=True)
    assert fitted(rng.normal(size=(100, 64)), rng.normal(size=(100, 64)), ridge=1.0).mutual_information() < 30


def bad(rows, *, copy_to=None, constant=None):
    rows = rows.copy()
    if copy_to is not None:
        rows[:, copy_to] = rows[:, 0] * 2 - rows[:, 1]
    if constant is not None:
        rows[:, constant] = 0.1
    return rows


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (bad(X, constant=3), Y, "column 3 of x is constant over all 300 pairs"),
        (X, bad(Y, constant=0), "column 0 of y is constant"),
        (bad(X, copy_to=4), Y, r"column 4 of x is a linear combination of those before.*effective rank 11 of 12"),
        (X, X, r"column 0 of y, .* and 1 more are a linear combination of those before.*effective rank 6 of 12"),
    ],
)
def test_columns_without_a_density_are_named(x, y, message):
    with pytest.raises(pw.InputError, match=message):
        fitted(x, y).mutual_information()
    assert math.isfinite(fitted(x, y, ridge=0.1).mutual_information())


def test_ill_conditioned_columns_are_right_or_refused():
    """Second moments hold squares: ratios of deviations up to 1e6 are told apart, 1e10 is refused, not answered."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    expected = fitted(X, Y).pmi(X0, Y).per_sample
    for ratio, atol in ((1e4, 1e-6), (1e6, 1e-2)):
        stretched = turn * np.geomspace(1, 1 / ratio, 6) @ turn.T
        np.testing.assert_allclose(fitted(X @ stretched, Y).pmi(X0 @ stretched, Y).per_sample, expected, atol=atol)
    stretched = turn * np.geomspace(1, 1e-10, 6) @ turn.T
    with pytest.raises(pw.InputError, match="linear combination of those before, or too near to one to tell"):
        fitted(X @ stretched, Y).mutual_information()
    axis_by_axis = np.geomspace(1, 1e-10, 6)  # without a turn each column keeps its own digits
    found = fitted(X * axis_by_axis, Y).pmi(X0 * axis_by_axis, Y).per_sample
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-155, 1e155])
@pytest.mark.parametrize("options", [{}, {"ridge": 0.1}, {"reduce": 3}])
def test_squares_that_do_not_fit_are_refused(scale, options):
    with pytest.raises(pw.InputError, match=r"do not fit into float64: rescale .* between 1e-140 and 1e150"):
        fitted(X * scale, Y, **options).mutual_information()
    for kept in (1e-100, 1e100):
        assert fitted(X * kept, Y).mutual_information() == pytest.approx(fitted(X, Y).mutual_information(), rel=1e-10)


def test_one_column_on_each_side():
    x, y = X[:, :1], Y[:, :1]
    correlation = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
    assert fitted(x, y).mutual_information() == pytest.approx(-0.5 * math.log(1 - correlation**2), rel=1e-10)
    assert math.isfinite(fitted(x[:3], y[:3]).mutual_information())
    with pytest.raises(pw.InputError, match="At least 3 pairs are needed"):
        fitted(x[:2], y[:2]).mutual_information()
    assert math.isfinite(fitted(x[:5], y[:5]).mutual_information(debias=True))
    with pytest.raises(pw.InputError, match="At least 5 pairs are needed"):
        fitted(x[:4], y[:4]).mutual_information(debias=True)


def test_other_bad_input():
    pair = fitted(X, Y)
    with pytest.raises(pw.InputError, match="x has 300 rows and y has 299"):
        pair.update(X, Y[:299])
    with pytest.raises(pw.InputError, match=r"these pairs have 5 \+ 6 columns but those fitted on have 6 \+ 6"):
        pair.pmi(X[:, :5], Y)
    with pytest.raises(pw.InputError, match=r"one pair has ridge 0 and the other 0\.5"):
        pair.merge(fitted(X, Y, ridge=0.5))
    with pytest.raises(pw.InputError, match="ridge is -1"):
        pw.GaussianPair(ridge=-1)
    with pytest.raises(
        pw.InputError, match=r"debias=True is exact for plain covariances alone; ridge must be 0, it is 0\.5"
    ):
        fitted(X, Y, ridge=0.5).pmi(X, Y, debias=True)
    with pytest.raises(pw.InputError, match="x and y have no rows"):
        pair.update(X[:0], Y[:0])
    with pytest.raises(pw.InputError, match="0 pairs are too few"):
        pw.GaussianPair().mutual_information()


# ---- in principal axes


def test_reduced_equals_the_gaussian_of_projected_pairs():
    x, y = correlated(400, np.linspace(0.1, 0.8, 6), seed=3)
    x, y = x * 0.5 ** np.arange(6), y * 0.7 ** np.arange(6)
    new_x, new_y = correlated(50, np.linspace(0.1, 0.8, 6), seed=4)

    def axes(rows):
        return np.linalg.eigh(np.cov(rows, rowvar=False))[1][:, -3:]

    plain = fitted(x @ axes(x), y @ axes(y))
    reduced = fitted(x, y, reduce=3)
    for debias in (False, True):
        assert reduced.mutual_information(debias=debias) == pytest.approx(plain.mutual_information(debias=debias))
        np.testing.assert_allclose(
            reduced.pmi(new_x, new_y, debias=debias).per_sample,
            plain.pmi(new_x @ axes(x), new_y @ axes(y), debias=debias).per_sample,
            rtol=1e-9,
            atol=1e-9,
        )
    kept = [np.sort(np.linalg.eigvalsh(np.cov(rows, rowvar=False)))[::-1] for rows in (x, y)]
    assert reduced.kept_variance == pytest.approx([values[:3].sum() / values.sum() for values in kept])


def test_reduced_leaves_a_narrow_side_whole():
    x, y = correlated(400, np.full(6, 0.5), seed=3)
    reduced, plain = fitted(x, y[:, :2], reduce=6), fitted(x, y[:, :2])
    assert reduced.mutual_information() == plain.mutual_information()
    assert reduced.kept_variance == (1, 1)
    assert fitted(x, y[:, :2], reduce=3).kept_variance[1] == 1
    assert fitted(np.ones((400, 6)), y, reduce=3, ridge=0.1).kept_variance[0] == 0


def test_reduced_streams_merges_and_is_kept(tmp_path):
    x, y = correlated(400, np.full(6, 0.5), seed=3)
    whole, left = fitted(x, y, reduce=3), fitted(x[:150], y[:150], reduce=3)
    left.merge(fitted(x[150:], y[150:], reduce=3))
    assert left.mutual_information() == pytest.approx(whole.mutual_information(), rel=1e-10)
    whole.save(tmp_path / "pair.safetensors")
    again = pw.GaussianPair.load(tmp_path / "pair.safetensors")
    assert (again.reduce, again.mutual_information()) == (3, whole.mutual_information())
    with pytest.raises(pw.InputError, match="one pair has reduce=3 and the other None; both must be alike"):
        left.merge(fitted(x, y))


def test_reduced_takes_fewer_pairs_than_columns():
    x, y = correlated(40, np.full(64, 0.5), seed=3)
    with pytest.raises(pw.InputError, match=r"40 pairs are too few for 64 \+ 64 columns.*\(reduce=\)"):
        fitted(x, y).mutual_information()
    assert math.isfinite(fitted(x, y, reduce=8).mutual_information())
    with pytest.raises(pw.InputError, match=r"40 pairs are too few for 20 \+ 20 columns.*At least 41 pairs"):
        fitted(x, y, reduce=20).mutual_information()


def test_reduced_ignores_constant_columns_but_not_missing_rank():
    x, y = correlated(400, np.full(6, 0.5), seed=3)
    x[:, 2] = 7.0
    assert math.isfinite(fitted(x, y, reduce=5).mutual_information())
    x[:, 3] = x[:, 4]
    with pytest.raises(pw.InputError, match=r"principal axis 4 of x is a linear combination.*effective rank 9 of 10"):
        fitted(x, y, reduce=5).mutual_information()


@pytest.mark.parametrize("reduce", [0, -1, 2.5, True])
def test_reduce_that_is_no_number_of_axes(reduce):
    with pytest.raises(pw.InputError, match=f"reduce is {reduce}; it must be a whole number of at least 1"):
        pw.GaussianPair(reduce=reduce)


def test_kept_variance_of_too_few_pairs():
    with pytest.raises(pw.InputError, match="0 pairs have no variance yet; take in at least two"):
        _ = pw.GaussianPair(reduce=2).kept_variance


def test_reduced_and_debiased_is_nearly_right_where_the_plain_value_is_far_off():
    """Leading axes are found well where variances fall off; the truth is that of the population's own axes."""
    d, kept, n, repeats = 64, 8, 100, 200
    c, deviations = np.linspace(0.8, 0.1, d), 0.7 ** np.arange(d)
    truth = -0.5 * np.log(1 - c[:kept] ** 2).sum()
    values = {False: [], True: []}
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(2 * n, d))
        y = (c * x + np.sqrt(1 - c**2) * rng.normal(size=x.shape)) * deviations
        x = x * deviations
        pair = fitted(x[:n], y[:n], reduce=kept)
        for debias, found in values.items():
            found.append((pair.mutual_information(debias=debias), pair.pmi(x[n:], y[n:], debias=debias).value))
    plain, debiased = (np.abs(np.mean(values[debias], axis=0) - truth) for debias in (False, True))
    assert (plain > 0.3).all()
    assert (debiased < 0.06).all()
