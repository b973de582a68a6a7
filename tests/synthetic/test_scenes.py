import itertools
import math
from collections import defaultdict

import numpy as np
import pytest

import pointwise as pw
from pointwise.errors import InputError
from pointwise.items.images import open_images
from pointwise.synthetic import Scenes
from pointwise.synthetic.scene_pictures import _stamp

PLACES = ["top left", "top right", "bottom left", "bottom right"]
SHAPES = [("circle", "disc"), ("square", "box"), ("triangle", "wedge")]
COLOURS = ["red", "green", "blue"]
SIZES = [("small", "little"), ("large", "big")]

TINY = {
    "two shapes": Scenes(grid=2, shapes=2, colours=1, sizes=1, most_objects=2, mismatched=0.1),
    "three objects": Scenes(grid=2, shapes=1, colours=2, sizes=1, most_objects=3, detail=0.3, mismatched=0.05),
    "never mismatched": Scenes(grid=2, shapes=2, colours=1, sizes=1, most_objects=2, pairs=0.8, mismatched=0.0),
    "one place": Scenes(grid=1, shapes=3, colours=3, sizes=2, most_objects=1, mismatched=0.2),
    "all told": Scenes(grid=2, shapes=1, colours=2, sizes=1, most_objects=4, detail=1.0, pairs=1.0, mismatched=0.1),
    "nothing told": Scenes(grid=2, shapes=1, colours=1, sizes=1, most_objects=3, detail=0.0, mismatched=0.1),
}


def scenes_of(law):
    """Every scene of the law, a tuple with the kind in each cell, with its probability."""
    for count in range(1, law.most_objects + 1):
        for cells in itertools.combinations(range(law.cells), count):
            for kinds in itertools.product(range(law.kinds), repeat=count):
                scene = [-1] * law.cells
                for cell, kind in zip(cells, kinds, strict=True):
                    scene[cell] = kind
                share = math.comb(law.cells, count) * law.kinds**count * law.most_objects
                yield tuple(scene), 1 / share


def phrases_of(law, cell, kind):
    """Every phrase about an object, with its probability, told step by step."""
    shape, rest = divmod(kind, law.colours * law.sizes)
    colour, size = divmod(rest, law.sizes)
    place = (["centre"] if law.grid == 1 else PLACES)[cell]
    told, silent = law.detail, 1 - law.detail
    sizes = [("", silent), *((f"{word} ", told / 2) for word in SIZES[size])]
    colours = [("", silent), (f"{COLOURS[colour]} ", told)]
    nouns = [(word, told / 2) for word in SHAPES[shape]] + [(word, silent / 2) for word in ("thing", "shape")]
    places = [("", silent), (f" at the {place}", told)]
    found = defaultdict(float)
    for parts in itertools.product(sizes, colours, nouns, places):
        if all(share > 0 for _, share in parts):
            found["a " + "".join(word for word, _ in parts)] += math.prod(share for _, share in parts)
    return found


def captions_given(law, scene):
    """p(caption | scene) where captions are never mismatched."""
    objects = [phrases_of(law, cell, kind) for cell, kind in enumerate(scene) if kind >= 0]
    share_of_two = law.pairs if len(objects) > 1 else 0
    found = defaultdict(float)
    for first in objects:
        for phrase, share in first.items():
            if share_of_two < 1:
                found[phrase] += (1 - share_of_two) * share / len(objects)
            for second in objects if share_of_two else ():
                if second is not first:
                    chance = share_of_two / len(objects) / (len(objects) - 1)
                    for other, its_share in second.items():
                        found[f"{phrase} and {other}"] += chance * share * its_share
    return found


class Truth:
    """The joint law of scenes and captions by going through all of them."""

    def __init__(self, law):
        self.scenes, self.p_scene = (np.array(column) for column in zip(*scenes_of(law), strict=True))
        given = [captions_given(law, scene) for scene in self.scenes.tolist()]
        self.captions = sorted(set().union(*given))
        row = {caption: i for i, caption in enumerate(self.captions)}
        self.p_given = np.zeros((len(self.scenes), len(self.captions)))
        for i, captions in enumerate(given):
            self.p_given[i, [row[caption] for caption in captions]] = list(captions.values())
        self.p_caption = self.p_scene @ self.p_given
        self.p_given = (1 - law.mismatched) * self.p_given + law.mismatched * self.p_caption


@pytest.fixture(scope="module", params=TINY)
def law_and_truth(request):
    return TINY[request.param], Truth(TINY[request.param])


@pytest.fixture(scope="module")
def pmi_matrix(law_and_truth):
    law, truth = law_and_truth
    return law.pmi_matrix(truth.scenes, truth.captions)


def test_pmi_is_that_of_all_scenes_and_captions(law_and_truth, pmi_matrix):
    _, truth = law_and_truth
    with np.errstate(divide="ignore"):
        expected = np.log(truth.p_given / truth.p_caption)
    np.testing.assert_allclose(pmi_matrix, expected, rtol=1e-11, atol=1e-11)


def test_every_caption_comes_once_with_its_probability(law_and_truth):
    law, truth = law_and_truth
    captions = list(law.every_caption())
    assert sorted(captions) == truth.captions
    np.testing.assert_allclose(law.log_probability(truth.captions), np.log(truth.p_caption), rtol=1e-12)


def test_exp_pmi_has_mean_one_over_all_captions_for_every_scene(law_and_truth, pmi_matrix):
    law, truth = law_and_truth
    np.testing.assert_allclose(np.exp(pmi_matrix) @ np.exp(law.log_probability(truth.captions)), 1, rtol=1e-12)


def test_information_is_the_sum_over_all_scenes_and_captions(law_and_truth):
    law, truth = law_and_truth
    joint = truth.p_scene[:, None] * truth.p_given
    found = joint[joint > 0] * np.log((truth.p_given / truth.p_caption)[joint > 0])
    assert law.mutual_information() == pytest.approx(found.sum(), rel=1e-12, abs=1e-14)


def test_samples_follow_the_law(law_and_truth):
    law, truth = law_and_truth
    x, captions = law.sample(20_000, seed=3)
    row = {tuple(scene): i for i, scene in enumerate(truth.scenes.tolist())}
    counts = np.bincount([row[tuple(scene)] for scene in x.tolist()], minlength=len(row))
    expected = 20_000 * truth.p_scene
    assert (abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()
    surprise = -law.log_probability(captions)
    entropy = -(truth.p_caption * np.log(truth.p_caption)).sum()
    assert abs(surprise.mean() - entropy) < 4 * surprise.std() / 20_000**0.5 + 1e-12


def test_a_sentence_that_fits_nothing_has_the_log_of_the_mismatched_share():
    assert Scenes(mismatched=0.25).pmi([[0, -1, -1, -1]], ["a square"])[0] == pytest.approx(math.log(0.25))
    assert Scenes(mismatched=0.0).pmi([[0, -1, -1, -1]], ["a square"])[0] == -math.inf


def test_pmi_of_two_small_cases_by_hand():
    law = Scenes(shapes=4, colours=2, sizes=1, most_objects=2, pairs=0.5, mismatched=0.0)
    # One circle in the scene, and a fourth of all objects are circles; one object is told of 1 of 1 times, not 3 of 4.
    assert law.pmi([[0, -1, -1, -1]], ["a circle"])[0] == pytest.approx(math.log(4 / 0.75))
    # Two circles: whichever comes first. 1 of 16 ordered pairs is like that, and 12 of 16 pairs of cells are in use.
    assert law.pmi([[0, 1, -1, -1]], ["a disc and a circle"])[0] == pytest.approx(math.log(0.5 / 0.25 * 16))
    both_places = "a thing at the top left and a thing at the top right"
    assert law.pmi([[0, 1, -1, -1]], [both_places])[0] == pytest.approx(math.log(0.5 / 0.25 * 0.5 * 12))


def test_words_with_one_meaning_have_one_pmi():
    law = Scenes()
    x, _ = law.sample(50, seed=0)
    one, other = law.pmi_matrix(x, ["a small red circle and a shape", "a little red disc and a thing"]).T
    assert np.array_equal(one, other)
    assert len(set(one.tolist())) > 1


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a dog", "caption 1, 'a dog', is no sentence of this law at 'a dog'; take captions from sample"),
        ("red circle", "is no sentence of this law at 'red circle'"),
        ("a red circle and a cyan box", "is no sentence of this law at 'a cyan box'"),
        ("a red circle at the centre", "is no sentence of this law at 'a red circle at the centre'"),
        ("a red small circle", "is no sentence of this law at 'a red small circle'"),
        ("a thing and a thing and a box", "is no sentence of this law at 'a box'"),
        ("", "caption 1, '', is no sentence of this law at ''"),
        ("a box at the top left and a thing at the top left", "caption 1, .* has probability 0 under this law"),
    ],
)
def test_captions_that_the_law_has_not(caption, message):
    with pytest.raises(InputError, match=message):
        Scenes().pmi_matrix([[0, -1, -1, -1]], ["a circle", caption])


def test_captions_that_never_come():
    with pytest.raises(InputError, match="caption 0, 'a thing', has probability 0 under this law"):
        Scenes(detail=1.0).pmi([[0, -1, -1, -1]], ["a thing"])
    assert Scenes(detail=1.0).log_probability(["a thing"])[0] == -math.inf
    with pytest.raises(InputError, match="y is the single string 'a thing'; it must be a sequence"):
        Scenes().pmi([[0, -1, -1, -1]], "a thing")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[-1, -1, -1, -1]], "scene 0 has 0 objects; scenes of this law have from 1 to 3"),
        ([[0, -1, -1, -1], [1, 1, 1, 1]], "scene 1 has 4 objects; scenes of this law have from 1 to 3"),
        ([[32, -1, -1, -1]], "x holds 32; its values must be integers from -1 to 31"),
        ([[0, 1]], r"x has shape \(1, 2\); scenes of this law are \[n, 4\]"),
    ],
)
def test_scenes_that_the_law_has_not(x, message):
    for use in (lambda: Scenes().pmi(x, ["a thing"] * len(x)), lambda: Scenes().render(x, seed=0)):
        with pytest.raises(InputError, match=message):
            use()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": 4}, "grid is 4; it must be a whole number from 1 to 3"),
        ({"shapes": 7}, "shapes is 7; it must be a whole number from 1 to 6"),
        ({"colours": 0}, "colours is 0; it must be a whole number from 1 to 8"),
        ({"sizes": 3}, "sizes is 3; it must be a whole number from 1 to 2"),
        ({"most_objects": 5}, "most_objects is 5; it must be a whole number from 1 to 4"),
        ({"pixels": 19}, "pixels is 19; it must be a whole number of at least 20"),
        ({"detail": 1.5}, r"detail is 1\.5; it must be a number of at least 0 and at most 1"),
        ({"pairs": -0.1}, r"pairs is -0\.1; it must be a number of at least 0 and at most 1"),
        ({"mismatched": math.nan}, "mismatched is nan; it must be a number of at least 0 and at most 1"),
    ],
)
def test_laws_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        Scenes(**options)


@pytest.mark.parametrize("cell", [10, 11, 12, 16, 24, 33])
def test_no_two_kinds_of_object_have_the_same_outline(cell):
    law = Scenes(grid=1, shapes=6, colours=8, sizes=2, most_objects=1, pixels=cell)
    pictures = law.render(np.arange(law.kinds)[:, None], seed=0)
    assert len({outline(picture) for picture in pictures}) == 12


@pytest.mark.parametrize(("grid", "pixels"), [(2, 32), (3, 30), (3, 50)])
def test_scenes_can_be_read_from_their_pictures(grid, pixels):
    law = Scenes(grid=grid, shapes=6, colours=8, sizes=2, most_objects=grid**2, pixels=pixels)
    alone = Scenes(grid=1, shapes=6, colours=8, sizes=2, most_objects=1, pixels=pixels // grid)
    kind = {look(picture): i for i, picture in enumerate(alone.render(np.arange(96)[:, None], seed=0))}
    assert len(kind) == 96
    x, _ = law.sample(300, seed=1)
    pictures, cell = law.render(x, seed=1), pixels // grid
    places = [slice(i * cell, (i + 1) * cell) for i in range(grid)]
    found = [[kind.get(look(picture[v, u]), -1) for v in places for u in places] for picture in pictures]
    assert np.array_equal(found, x)


def drawn(picture):
    return picture.min(axis=2) <= 172  # the lightest ink and its noise; the background has 188 at least


def outline(picture):
    rows, columns = np.flatnonzero(drawn(picture).any(axis=1)), np.flatnonzero(drawn(picture).any(axis=0))
    if len(rows) == 0:
        return None
    cut = drawn(picture)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cut.shape, cut.tobytes()


def look(picture):
    """Outline and colour of the one object in a picture, the colour as the nearest of those there are."""
    inks = [(220, 40, 40), (40, 160, 60), (50, 80, 220), (240, 205, 40), (140, 50, 180), (60, 200, 215)]
    inks = np.array([*inks, (250, 150, 190), (130, 85, 40)])
    if outline(picture) is None:
        return None
    return outline(picture), int(abs(inks - picture[drawn(picture)].mean(axis=0)).max(axis=1).argmin())


def test_pictures_tell_nothing_beside_their_objects():
    law = Scenes()
    (x, _), (y, _) = law.sample(40, seed=0), law.sample(40, seed=1)
    one, other = law.render(x, seed=7), law.render(y, seed=7)
    same = (one == other).all(axis=3)
    covered = np.array([drawn(picture) for picture in one]) | np.array([drawn(picture) for picture in other])
    assert (same | covered).all()
    assert not same.all()


def test_pictures_of_one_scene_differ_and_the_seed_decides():
    law = Scenes()
    x = np.repeat([[3, -1, 7, -1]], 5, axis=0)
    pictures = law.render(x, seed=0)
    assert pictures.shape == (5, 32, 32, 3)
    assert pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 5
    assert len({outline(picture[:16, :16]) for picture in pictures}) == 1
    assert np.array_equal(pictures, law.render(x, seed=0))
    assert not np.array_equal(pictures, law.render(x, seed=1))


def test_shapes_fill_their_width():
    for side, shape in itertools.product(range(5, 21), range(6)):
        stamp = _stamp(shape, side)
        assert stamp.any(axis=0).all()
        assert stamp.any(axis=1).all()


def test_pictures_are_images_that_can_be_encoded():
    law = Scenes()
    x, _ = law.sample(4, seed=0)
    images = law.render(x, seed=0)
    assert np.array_equal(open_images(images)[2], images[2])
    table = pw.encode(images, encoder="pixels")
    assert table.features.shape == (4, 32 * 32 * 3)


def test_sentences_read_like_sentences():
    _, captions = Scenes(grid=3, colours=8, shapes=6).sample(500, seed=0)
    assert any(" at the centre" in caption for caption in captions)
    assert all(caption.startswith("a ") and "  " not in caption for caption in captions)
    assert not any(f"a {vowel}" in caption for caption in captions for vowel in "aeiou")
