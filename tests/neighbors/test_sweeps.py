"""Whatever a sweep does, as long as it states its error: the passes give what all pairs in float64 give.

The sweeps here are bad on purpose. Some say so and must do no harm; some lie and must be seen to.
"""

import dataclasses

import numpy as np
import pytest
import torch
from all_pairs import assert_same, brute_force, closeness_and_bounds

from pointwise.neighbors import certify
from pointwise.neighbors.frame import Frame
from pointwise.neighbors.passes import Prepared, across, nearest, within
from pointwise.neighbors.sweep import Offers, Placed
from pointwise.neighbors.sweep_torch import Tiles, TorchSweep

BFLOAT16 = 2.0**-8  # its unit of rounding


class Forgetful(TorchSweep):
    """Drops candidates at random, all of some rows, and says how close the best of them were."""

    honest = True

    def within(self, x, k, progress):
        return self._some(super().within(x, k, progress))

    def across(self, x, y, k, balls, progress):
        of_x, of_y = super().across(x, y, k, balls, progress)
        return self._some(of_x), self._some(of_y)

    def _some(self, offers):
        rng = np.random.default_rng(len(offers.partners))
        share = rng.choice([0, 0.02, 0.5, 1], p=[0.4, 0.3, 0.2, 0.1], size=(len(offers.partners), 1))
        dropped = torch.from_numpy(rng.random(offers.partners.shape) < share)
        best = offers.closeness.masked_fill(~dropped, -torch.inf).amax(dim=1)
        return Offers(
            offers.placed,
            offers.partners.masked_fill(dropped, -1),
            offers.closeness.masked_fill(dropped, -torch.inf),
            torch.maximum(offers.beyond, best) if self.honest else offers.beyond,
        )


class Coarse(TorchSweep):
    """Stores rows in bfloat16 and sums in float32."""

    unit = BFLOAT16

    def place(self, table, frame):
        tiles = super().place(table, frame)
        blocks = tiles.blocks.bfloat16()
        squares = torch.where(tiles.half_squares.isinf(), torch.inf, blocks.double().square().sum(dim=2).flatten())
        return dataclasses.replace(
            tiles,
            blocks=blocks.to(tiles.blocks.dtype),
            half_squares=(squares / 2).to(tiles.half_squares.dtype),
            norms=squares[: len(table), None].sqrt(),
            storing=self.unit,
        )


class Noisy(TorchSweep):
    """Is off by up to a thousandth of (|a| + |b|)^2."""

    stated = 1e-3

    def place(self, table, frame):
        tiles = super().place(table, frame)
        return dataclasses.replace(tiles, summing=tiles.summing + 2 * self.stated / tiles.dim)

    def closeness(self, x, i, y, j):
        close = super().closeness(x, i, y, j)
        noise = torch.from_numpy(np.random.default_rng(31 * i + j).uniform(-1e-3, 1e-3, size=close.shape))
        a, b = (t.half_squares[t.rows(tile)].mul(2).sqrt() for t, tile in ((x, i), (y, j)))
        return close.add_(noise.to(close.dtype).mul_((a[:, None] + b) ** 2).nan_to_num_(nan=0, posinf=0, neginf=0))


class Hopeless(Forgetful):
    """Says that it knows nothing."""

    def place(self, table, frame):
        return dataclasses.replace(super().place(table, frame), summing=1.0)


class Faint(Noisy):
    """Gives a hundredth of the closeness, so that what is worth measuring is misjudged."""

    def place(self, table, frame):
        return as_kind(FaintTiles, super().place(table, frame))

    def closeness(self, x, i, y, j):
        return super().closeness(x, i, y, j).div_(100)


class FaintTiles(Tiles):
    def lowest(self, distances):
        return super().lowest(distances) / 100

    def highest(self, distances):
        return super().highest(distances) / 100


def as_kind(kind, tiles):
    return kind(**{field.name: getattr(tiles, field.name) for field in dataclasses.fields(tiles)})


class Upper(TorchSweep):
    """Gives what closeness can be at most, with an error that hangs on both rows: what a fused engine would give."""

    def place(self, table, frame):
        return as_kind(UpperTiles, super().place(table, frame))

    def closeness(self, x, i, y, j):
        close = super().closeness(x, i, y, j)
        a, b = (t.half_squares[t.rows(tile)].mul(2).sqrt() for t, tile in ((x, i), (y, j)))
        return close.add_(((a[:, None] + b) ** 2).nan_to_num_(posinf=0), alpha=UPPER)


UPPER = 1e-3


class UpperTiles(Tiles):
    def lowest(self, distances):
        return -((distances * self.frame.scale) ** 2) / 2

    def highest(self, distances):
        scaled = torch.maximum(distances * self.frame.scale, self.norms * 4 * 2 * UPPER)
        return -(scaled**2) / 2 + 2 * UPPER * (2 * self.norms + scaled) ** 2


HONEST = {
    "as it is": TorchSweep(),
    "tiles of 32": TorchSweep(width=32),
    "tiles of 96": TorchSweep(width=90),
    "forgetful": Forgetful(width=64),
    "coarse": Coarse(),
    "noisy": Noisy(width=64),
    "upper": Upper(width=64),
    "faint": Faint(width=64),
    "hopeless": Hopeless(),
}


class Careless(Forgetful):
    honest = False


class Understated(Coarse):
    unit = 2.0**-24


class Boastful(Noisy):
    stated = 1e-7


def tables(kind, d):
    """Two tables of float32 that break shortcuts."""
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(150, d)), rng.normal(size=(110, d)) * 1.1
    if kind == "tight clusters far off":
        centres = rng.normal(size=(7, d))
        x, y = (100 + centres[np.arange(len(t)) % 7] + 1e-3 * t for t in (x, y))
    elif kind == "lattice":
        x, y = np.round(x / 2), np.round(y / 2)
    elif kind == "copies":
        y[:60] = x[:60] = x[:2].repeat(30, axis=0)
    elif kind == "scales of columns":
        x, y = (t * 10.0 ** -(np.arange(d) % 6) for t in (x, y))
    elif kind == "scales of rows":
        x, y = (t * 10.0 ** -(np.arange(len(t)) % 6)[:, None] for t in (x, y))
    elif kind == "rows far out":
        x[3] *= 1e5
        y[4] *= 1e8
    elif kind == "small":
        x, y = x * 1e-25, y * 1e-25
    return x.astype(np.float32), y.astype(np.float32)


KINDS = [
    "plain",
    "tight clusters far off",
    "lattice",
    "copies",
    "scales of columns",
    "scales of rows",
    "rows far out",
    "small",
]


def require_all_pairs(sweep, x, y, k=5):
    """Fail unless every pass by this sweep gives what all pairs give."""
    real = Prepared(torch.from_numpy(x), sweep=sweep)
    fake = Prepared(torch.from_numpy(y), like=real)
    assert_same(within(real, k), brute_force(x, x, k, exclude_self=True))
    assert_same(within(fake, k), brute_force(y, y, k, exclude_self=True))
    assert_same(nearest(real, fake, k), brute_force(x, y, k))
    # A little beyond the k-th neighbour, where no sweep can tell and rounding in float64 does not matter.
    radii_x, radii_y = (brute_force(t, t, 9, exclude_self=True)[0][:, [2, 8]] * (1 + 1e-9) for t in (x, y))
    crossing = across(real, fake, k, radii_x=torch.from_numpy(radii_x), radii_y=torch.from_numpy(radii_y))
    assert_same(crossing.of_x, brute_force(x, y, k))
    assert_same(crossing.of_y, brute_force(y, x, k))
    distances = np.sqrt(((x.astype(np.float64)[:, None] - y[None]) ** 2).sum(axis=2))
    np.testing.assert_array_equal(crossing.y_in_balls_of_x, (distances[:, :, None] <= radii_x[:, None]).sum(axis=0))
    np.testing.assert_array_equal(crossing.x_in_balls_of_y, (distances[:, :, None] <= radii_y[None]).sum(axis=1))


@pytest.mark.parametrize("d", [3, 100])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HONEST)
def test_a_sweep_that_states_its_error_does_no_harm(name, kind, d):
    require_all_pairs(HONEST[name], *tables(kind, d))


@pytest.mark.parametrize("d", [3, 100])
@pytest.mark.parametrize("kind", ["plain", "scales of columns", "scales of rows", "rows far out", "small"])
@pytest.mark.parametrize("sweep", [Careless(), Understated(), Boastful()])
def test_a_sweep_that_lies_is_seen(sweep, kind, d):
    """The proof that the test above can fail."""
    with pytest.raises(AssertionError):
        require_all_pairs(sweep, *tables(kind, d))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sweep", [TorchSweep(), Coarse(), Noisy(), Upper(), Faint()])
def test_closeness_stays_within_its_bounds(sweep, kind):
    """All certificates rest on this; that results are equal does not show it, since rounding is seldom at its worst."""
    close, lowest, highest = closeness_and_bounds(sweep, tables(kind, 100)[0])
    assert (lowest <= close).all()
    assert (close <= highest).all()


class Vague(Placed):
    """Knows little of rows farther than nothing."""

    def lowest(self, distances):
        return -100 * distances

    def highest(self, distances):
        return 0 * distances


def test_a_candidate_that_was_not_worth_measuring_is_not_forgotten():
    x, y = torch.zeros(1, 1), torch.tensor([[1.0], [0.5]])
    placed = Vague(Frame(torch.zeros(1, dtype=torch.float64), 1.0), torch.zeros(1, 1).double(), 1, 0.0, 0.0)
    offers = Offers(placed, torch.tensor([[0, 1]]), torch.tensor([[5.0, -1.0]]), torch.tensor([-torch.inf]))
    assert certify.certified_nearest(x, y, offers, 1, exclude_self=False).indices.tolist() == [[1]]


def test_closeness_stays_within_its_bounds_where_squares_vanish():
    frame = Frame(torch.zeros(100, dtype=torch.float64), 1e30)
    close, lowest, highest = closeness_and_bounds(TorchSweep(), tables("plain", 100)[0], frame)
    assert ((lowest <= close) & (close <= highest)).all()


@pytest.mark.parametrize(("storing", "summing"), [(2.0**-24, 2.0**-24), (2.0**-8, 2.0**-24), (0.0, 2.0**-8)])
def test_whatever_is_farther_has_less_than_the_highest_closeness(storing, summing):
    """The error grows with the distance, near a row faster than closeness falls."""
    distances = torch.linspace(0, 4, 4001, dtype=torch.float64)[None]
    placed = Placed(Frame(torch.zeros(32, dtype=torch.float64), 0.0), torch.ones(1, 1).double(), 32, storing, summing)
    error = -(distances**2) / 2 - placed.lowest(distances)
    most = (-(distances**2) / 2 + error).flip(1).cummax(dim=1).values.flip(1)  # at each distance or farther
    assert (placed.highest(distances) >= most - 1e-12).all()


def test_the_bound_of_storing_is_reached():
    """Where bfloat16 rounds worst, at 1 + 2^-8, half the unit is too little, though it holds on random rows."""
    x = np.stack([np.zeros(64), np.full(64, 1 + 2.0**-8)]).astype(np.float32).repeat(2, axis=1)
    frame = Frame(torch.zeros(128, dtype=torch.float64), 1.0)

    class Half(Coarse):
        unit = BFLOAT16 / 2

    close, lowest, highest = closeness_and_bounds(Coarse(), x, frame)
    assert ((lowest <= close) & (close <= highest)).all()
    close, lowest, highest = closeness_and_bounds(Half(), x, frame)
    assert not ((lowest <= close) & (close <= highest)).all()
    random = np.random.default_rng(0).normal(size=(200, 128)).astype(np.float32)
    close, lowest, highest = closeness_and_bounds(Half(), random)
    assert ((lowest <= close) & (close <= highest)).all()


class Counting(TorchSweep):
    """Remembers which tables were placed."""

    def __init__(self):
        super().__init__()
        self.placed = []

    def place(self, table, frame):
        self.placed.append(table)
        return super().place(table, frame)

    def times(self, prepared):
        return sum(table is prepared.table for table in self.placed)


@pytest.fixture
def repeated(monkeypatch):
    """How many rows were searched again in float64, pass by pass."""
    counts = []

    def spy(x, y, rows, *arguments, **options):
        counts.append(len(rows))
        return search(x, y, rows, *arguments, **options)

    search = certify._nearest_in_float64
    monkeypatch.setattr(certify, "_nearest_in_float64", spy)
    return counts


def test_each_table_is_placed_once_for_all_its_passes():
    rng = np.random.default_rng(0)
    sweep = Counting()
    real = Prepared(torch.from_numpy(rng.normal(size=(90, 70))), sweep=sweep)
    radii = within(real, 3).distances
    for scale in (0.5, 1, 3):
        fake = Prepared(torch.from_numpy(rng.normal(size=(80, 70)) * scale), like=real)
        across(real, fake, 3, radii_x=radii, radii_y=within(fake, 3).distances)
        assert sweep.times(fake) == 1
    assert sweep.times(real) == 1


GENERATORS = {  # what a generator does to good rows, and whether the frame of the real ones suits it
    "a million times as wide": (lambda y: y * 1e6, True),
    "a millionth as wide": (lambda y: y * 1e-6, True),
    "far off": (lambda y: y + 1e4, False),
    "far off and narrow": (lambda y: y * 1e-3 + 7, False),
    "constant": (lambda y: 0 * y + 3, False),
    "constant in the middle": (lambda y: 0 * y, False),
    "beyond float32": (lambda y: y * 1e30, False),
    "below float32": (lambda y: y * 1e-30, False),
    "one row far out": (lambda y: np.concatenate([y[:1] * 1e9, y[1:]]), True),
}


@pytest.mark.parametrize("d", [4, 120])
@pytest.mark.parametrize("name", GENERATORS)
def test_one_frame_serves_generators_and_those_it_does_not_suit_get_their_own(name, d, repeated):
    change, suits = GENERATORS[name]
    rng = np.random.default_rng(6)
    half = rng.normal(size=(60, d))
    x, y = np.concatenate([half, -half, 0 * half[:1]]), change(rng.normal(size=(120, d)))
    sweep = Counting()
    real = Prepared(torch.from_numpy(x), sweep=sweep)
    fake = Prepared(torch.from_numpy(y), like=real)
    assert (fake.frame is real.frame) == suits
    of_fake = within(fake, 5)
    assert_same(of_fake, brute_force(y, y, 5, exclude_self=True))
    if "constant" not in name:  # where all are ties
        assert sum(repeated) <= 2
    crossing = across(real, fake, 5, radii_x=within(real, 5).distances, radii_y=of_fake.distances)
    assert_same(crossing.of_x, brute_force(x, y, 5))
    assert_same(crossing.of_y, brute_force(y, x, 5))
    assert sweep.times(fake) == (1 if suits else 2)
    # The next generator finds the real table as it was.
    again = Prepared(torch.from_numpy(x * 1.1), like=real)
    assert_same(nearest(real, again, 5), brute_force(x, x * 1.1, 5))


@pytest.mark.parametrize("far", [1e5, 1e8, 1e20])
def test_a_row_far_out_makes_no_other_uncertain(far, repeated):
    """A mean would be drawn towards it, away from all the others."""
    x = np.random.default_rng(7).normal(size=(300, 128)).astype(np.float32)
    x[0] *= far
    prepared = Prepared(torch.from_numpy(x))
    assert_same(within(prepared, 5), brute_force(x, x, 5, exclude_self=True))
    assert_same(nearest(prepared, prepared, 5), brute_force(x, x, 5))
    assert sum(repeated) <= 2


def test_a_table_of_one_value_can_be_compared():
    x, y = np.full((30, 80), 2.0), np.random.default_rng(8).normal(size=(40, 80)) * 1e-60
    require_all_pairs(TorchSweep(), x, y)
