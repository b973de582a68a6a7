"""Each image gets its own caption, whatever form the file names images in, and nothing is guessed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointwise.errors import InputError
from pointwise.items.captions import Captions
from pointwise.items.matching import match_captions

IMAGES = np.array(["cat/a.png", "cat/b.png", "dog/c.png"])


def captions_of(ids, texts=None):
    texts = tuple(f"of {id_}" for id_ in ids) if texts is None else tuple(texts)
    return Captions("captions.csv", ids=np.array(ids, dtype=str), texts=texts)


def match(ids, *, images=IMAGES, **options):
    return match_captions(images, captions_of(ids), source="pets", **options)


@pytest.mark.parametrize(
    ("ids", "form"),
    [
        (["dog/c.png", "cat/a.png", "cat/b.png"], None),
        (["dog/c", "cat/a", "cat/b"], "path without suffix"),
        (["dog/c.jpg", "cat/a.JPG", "cat/b.png"], "path without suffix"),
        (["./dog/c.png", "cat\\a.png", " cat/b.png"], "path without suffix"),
        (["c.png", "a.png", "b.png"], "file name"),
        (["/data/train/c.png", "/data/train/a.png", "/data/train/b.png"], "file name"),
        (["c", "a", "b"], "file name without suffix"),
        (["/data/c.jpg", "/data/a.jpg", "/data/b.jpg"], "file name without suffix"),
    ],
)
def test_captions_find_their_images_by_any_form_of_the_name(ids, form):
    matched = match(ids)
    assert matched.rows.tolist() == [0, 1, 2]
    assert matched.rows.dtype == np.int64
    assert matched.texts == (f"of {ids[1]}", f"of {ids[2]}", f"of {ids[0]}")
    assert matched.notes == (() if form is None else (f"captions.csv names images by {form}.",))


@given(st.permutations(range(6)), st.sampled_from(["{0}/{1}.png", "{0}/{1}", "{1}.png", "{1}", "x/{1}.jpg"]))
def test_the_order_of_the_captions_does_not_matter(order, form):
    images = [f"{'ab'[i % 2]}/{i}.v2.png" for i in range(6)]
    ids = [form.format("ab"[i % 2], f"{i}.v2") for i in order]
    texts = [f"caption {i}" for i in order]
    matched = match_captions(images, captions_of(ids, texts), source="x")
    assert matched.texts == tuple(f"caption {i}" for i in range(6))


def test_row_numbers_are_ids():
    matched = match(["2", "0", "1"], images=np.arange(3))
    assert matched.texts == ("of 0", "of 1", "of 2")


def test_the_strictest_form_that_does_is_taken():
    images = ["a.png", "x/a.png"]  # by file name both would be a.png
    assert match(["x/a.png", "a.png"], images=images).texts == ("of a.png", "of x/a.png")
    assert match(["x/a", "a"], images=images).texts == ("of a", "of x/a")


@pytest.mark.parametrize("only_matching", [False, True])
@pytest.mark.parametrize(
    ("images", "ids", "message"),
    [
        (
            ["cat/1.png", "dog/1.png"],
            ["1.png"],
            r"by file name, .*: the name '1\.png' may mean cat/1\.png or dog/1\.png\.",
        ),
        (
            ["a.jpg", "a.png"],
            ["a"],
            r"by path without suffix, .*: the name 'a' may mean a\.jpg or a\.png\. Name the im",
        ),
        (
            ["1.png", "2.png"],
            ["cat/1.png", "dog/1.png", "cat/2.png"],
            r"by file name, .*: the image '1\.png' may be that of cat/1\.png or dog/1",
        ),
    ],
)
def test_a_name_that_could_mean_two_images_is_no_guess(images, ids, message, only_matching):
    with pytest.raises(InputError, match=r"captions\.csv names the images of pets " + message):
        match(ids, images=images, only_matching=only_matching)


def test_images_and_captions_without_each_other_are_counted_and_named():
    images = [f"{i}.png" for i in range(10)]
    ids = [f"{i}.png" for i in (*range(2, 5), *range(6, 9), "x", "y")]
    message = (
        r"^4 of 10 images of pets have no caption \(first: 0\.png, 1\.png, 5\.png, \.\.\.\), and 2 of 8 captions of "
        r"captions\.csv name no image \(first: x\.png, y\.png\); mend .* keep the 6 images that have a caption: "
        r"--only-matching, or only_matching=True\.$"
    )
    with pytest.raises(InputError, match=message):
        match(ids, images=images)
    matched = match(ids, images=images, only_matching=True)
    assert matched.rows.tolist() == [2, 3, 4, 6, 7, 8]
    assert matched.texts == tuple(f"of {i}.png" for i in (2, 3, 4, 6, 7, 8))
    assert matched.notes == (
        "4 of 10 images of pets have no caption (first: 0.png, 1.png, 5.png, ...), and 2 of 8 captions of captions.csv "
        "name no image (first: x.png, y.png); the 6 images with a caption are kept.",
    )


def test_one_side_alone_may_be_too_long():
    with pytest.raises(InputError, match=r"^1 of 3 images of pets have no caption \(first: cat/b\.png\); mend"):
        match(["cat/a.png", "dog/c.png"])
    with pytest.raises(InputError, match=r"^1 of 4 captions of captions\.csv name no image \(first: z\); mend"):
        match([*IMAGES, "z"])
    assert match([*IMAGES, "z"], only_matching=True).rows.tolist() == [0, 1, 2]


def test_few_images_of_many_captions_are_matched_by_the_form_in_which_all_have_one():
    coco = [f"COCO_val2014_{i:012d}.jpg" for i in range(100)]
    images = [f"COCO_val2014_{i:012d}.png" for i in (7, 42)]  # generated for two of them, and kept in another format
    matched = match(coco, images=images, only_matching=True)
    assert matched.texts == (f"of {coco[7]}", f"of {coco[42]}")
    assert matched.notes[0] == "captions.csv names images by path without suffix."
    assert matched.notes[1].startswith("98 of 100 captions of captions.csv name no image")


@pytest.mark.parametrize("only_matching", [False, True])
def test_nothing_that_matches_is_an_error_in_any_case(only_matching):
    message = (
        r"^3 of 3 images of pets have no caption \(first: cat/a\.png, .*, and 1 of 1 captions .*; nothing matches, so"
    )
    with pytest.raises(InputError, match=message):
        match(["z"], only_matching=only_matching)


def test_the_first_of_several_captions_is_taken_and_the_others_are_counted():
    captions = captions_of(["cat/b.png", "cat/a.png", "cat/b.png", "dog/c.png", "cat/b.png", "cat/a.png"], "123456")
    matched = match_captions(IMAGES, captions, source="pets")
    assert matched.texts == ("2", "1", "4")
    assert matched.notes == (
        "2 images have several captions in captions.csv: the first of each is taken, 3 are left out.",
    )


def test_captions_that_name_nothing_are_matched_by_order_if_there_are_as_many():
    captions = Captions("prompts.txt", ids=None, texts=("one", "two", "three"))
    matched = match_captions(IMAGES, captions, source="pets")
    assert matched.texts == ("one", "two", "three")
    assert matched.rows.tolist() == [0, 1, 2]
    assert matched.notes == (
        "prompts.txt names no images: its captions were matched by order, the first to cat/a.png.",
    )
    for only_matching in (False, True):
        with pytest.raises(InputError, match=r"pets has 2 images but prompts\.txt has 3 captions and names no images"):
            match_captions(IMAGES[:2], captions, source="pets", only_matching=only_matching)
