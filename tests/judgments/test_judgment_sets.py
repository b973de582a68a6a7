"""Readers of the published sets, against what the miniature ones were written from."""

import json
import pickle
import re
import struct
import tracemalloc
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat, savemat

from judgments.miniature import (
    VOTES,
    likeness,
    sentences,
    write_flickr8k,
    write_foil,
    write_mid_amt,
    write_pascal50s,
)
from pointwise.errors import InputError
from pointwise.judgments import SETS, Features, load_judgments, results, score
from pointwise.judgments.mid_amt import MID_AMT
from pointwise.judgments.pickles import read_plain
from pointwise.judgments.scoring import PUBLISHED
from pointwise.judgments.tree import find

WRITERS = {
    "flickr8k-expert": write_flickr8k,
    "flickr8k-cf": write_flickr8k,
    "pascal-50s": write_pascal50s,
    "foil": write_foil,
    "mid-amt": write_mid_amt,
}


def judged_pairs(judged):
    return [(str(judged.images.ids[image]), judged.texts[text]) for image, text in judged.pairs]


def fitted_pairs(judged):
    return [(str(judged.images.ids[image]), judged.texts[text]) for image, text in judged.fit]


def shown(judged, variant="", draw=0):
    """The reference texts of each pair."""
    return [[judged.texts[row] for row in rows] for rows in judged.references[variant][draw]]


def image_of(caption_id):
    return caption_id.split(".")[0] + ".jpg"


def own_captions(captions, image):
    return [text for name, text in captions.items() if image_of(name) == image]


def test_there_is_a_miniature_of_every_set():
    assert set(SETS) == set(WRITERS)


# ---- Flickr8k-Expert


def test_expert_ratings_are_three_per_pair_and_own_captions_are_left_out(tmp_path):
    captions, expert, _ = write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    kept = [row for row in expert if captions[row[1]] not in own_captions(captions, row[0])]
    assert 0 < len(kept) < len(expert)
    assert judged_pairs(judged) == [(image, captions[caption]) for image, caption, _ in kept]
    assert judged.verdict.pair.tolist() == [i for i in range(len(kept)) for _ in range(3)]
    assert judged.verdict.value.tolist() == [rating for *_, ratings in kept for rating in ratings]
    assert judged.verdict.statistics == ("kendall_c",)


def test_expert_references_are_all_five_captions_of_the_image(tmp_path):
    captions, _, _ = write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    for (image, _), references in zip(judged_pairs(judged), shown(judged), strict=True):
        assert references == own_captions(captions, image)
        assert len(references) == 5
    images = {image for image, _ in judged_pairs(judged)}
    assert sorted(fitted_pairs(judged)) == sorted((i, text) for i in images for text in own_captions(captions, i))


def test_images_are_the_pictures_of_their_names(tmp_path):
    write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    for i, name in enumerate(judged.images.ids):
        with Image.open(tmp_path / "Flicker8k_Dataset" / name) as picture:
            np.testing.assert_array_equal(judged.images[i], np.asarray(picture))


# ---- Flickr8k-CF


def test_crowd_judgments_are_shares_of_yes_and_judged_captions_are_no_references(tmp_path):
    captions, _, crowd = write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-cf", tmp_path)
    assert judged_pairs(judged) == [(image, captions[caption]) for image, caption, *_ in crowd]
    assert judged.verdict.value.tolist() == [yes / (yes + no) for *_, yes, no in crowd]
    assert judged.verdict.pair.tolist() == list(range(len(crowd)))
    assert judged.verdict.statistics == ("kendall_b",)
    asked = set(judged_pairs(judged))
    for (image, _), references in zip(judged_pairs(judged), shown(judged), strict=True):
        assert references == [text for text in own_captions(captions, image) if (image, text) not in asked]
        assert len(references) == 4  # the miniature asks about one of the five
    assert not asked & set(fitted_pairs(judged))


# ---- Pascal-50S


def test_pascal_choices_are_majorities_of_the_votes(tmp_path):
    pairs = write_pascal50s(tmp_path)
    judged = load_judgments("pascal-50s", tmp_path)
    assert judged_pairs(judged) == [(pair[0], text) for pair in pairs for text in pair[1:3]]
    expected = []
    for *_, winners in pairs:
        first, second = winners.count(1), winners.count(-1)
        expected.append(1.0 if first > second else 0.0 if second > first else 0.5)
    assert judged.verdict.first_chosen.tolist() == expected
    assert {0.5, 1.0} <= set(expected)
    assert list(judged.verdict.categories) == [("HC", "HI", "HM", "MM")[pair[3] - 1] for pair in pairs]
    assert judged.verdict.tie == 0.5


def test_pascal_references_are_five_drawn_from_those_of_the_pair(tmp_path):
    pairs = write_pascal50s(tmp_path)
    judged = load_judgments("pascal-50s", tmp_path)
    assert len(judged.references[""]) == 5
    for draw in range(5):
        for i, references in enumerate(shown(judged, draw=draw)):
            assert len(references) == 5
            assert set(references) <= set(pairs[i // 2][4])
            assert references == shown(judged, draw=draw)[i - i % 2]  # both sentences of a pair see the same
    assert shown(judged, draw=0) != shown(judged, draw=1)
    same, other = load_judgments("pascal-50s", tmp_path), load_judgments("pascal-50s", tmp_path, seed=1)
    assert shown(same) == shown(judged)
    assert shown(other) != shown(judged)
    assert sorted(fitted_pairs(judged)) == sorted({(pair[0], text) for pair in pairs for text in pair[4]})


# ---- FOIL


def test_foil_takes_one_true_caption_and_a_foil_of_it_per_image(tmp_path):
    _, annotations = write_foil(tmp_path)
    judged = load_judgments("foil", tmp_path)
    possible = {
        (true["image_id"], true["caption"], foil["caption"])
        for true in annotations
        for foil in annotations
        if not true["foil"] and foil["foil"] and true["id"] == foil["id"]
    }
    rows = judged_pairs(judged)
    images = []
    for (image, true), (same, foil) in zip(rows[::2], rows[1::2], strict=True):
        number = int(re.fullmatch(r"COCO_val2014_(\d{12})\.jpg", image)[1])
        assert image == same
        assert (number, true, foil) in possible
        images.append(number)
    assert sorted(images) == sorted({image for image, *_ in possible})
    assert judged.verdict.first_chosen.tolist() == [1.0] * (len(rows) // 2)
    assert judged.verdict.tie == 0.0
    assert judged_pairs(load_judgments("foil", tmp_path, seed=3)) != rows


def test_foil_references_are_other_captions_of_coco(tmp_path):
    captions, _ = write_foil(tmp_path)
    judged = load_judgments("foil", tmp_path)
    four, one = shown(judged, "4 references"), shown(judged, "1 reference")
    for i, (image, _) in enumerate(judged_pairs(judged)):
        true = judged_pairs(judged)[i - i % 2][1]
        others = [text for number, _, text in captions if image.endswith(f"{number}.jpg") and text != true]
        assert len(four[i]) == 4
        assert set(four[i]) <= set(others)
        assert one[i] == four[i][:1]
    judged_ones = set(judged_pairs(judged))
    assert (
        set(fitted_pairs(judged))
        == {(f"COCO_val2014_{image:012d}.jpg", text) for image, _, text in captions} - judged_ones
    )


# ---- MID's own


def test_mid_amt_ratings_are_medians_over_workers(tmp_path):
    captions, ratings, _ = write_mid_amt(tmp_path)
    judged = load_judgments("mid-amt", tmp_path)
    text = {caption: sentence for _, caption, sentence in captions}
    assert judged_pairs(judged) == [
        (f"{image}_{caption}_{model}.png", text[caption]) for image, caption, model in ratings
    ]
    assert judged.verdict.value.tolist() == [sorted(answers)[1] for answers in ratings.values()]
    assert judged.verdict.statistics == ("kendall_c", "kendall_b")
    assert judged.references == {}
    assert judged.prefix == ""


def test_mid_amt_is_fitted_on_real_images_with_one_caption_each(tmp_path):
    captions, ratings, samples = write_mid_amt(tmp_path)
    judged = load_judgments("mid-amt", tmp_path)
    text = {caption: sentence for _, caption, sentence in captions}
    expected = {(sample["image_id"], sample["id"]) for sample in samples}
    assert set(fitted_pairs(judged)) == {(f"COCO_val2014_{image:012d}.jpg", text[id_]) for image, id_ in expected}
    prompted = {(image, caption) for image, caption, _ in ratings}
    first = fitted_pairs(judged)[: len(prompted)]
    assert set(first) == {(f"COCO_val2014_{image:012d}.jpg", text[id_]) for image, id_ in prompted}


def test_mid_amt_is_fitted_on_so_many_pairs_at_most(tmp_path):
    write_mid_amt(tmp_path)
    paths = find(tmp_path, needed=MID_AMT.files, name="mid-amt")
    for most in (15, 30_000):
        assert len(MID_AMT.read(paths, None, fitted=most).fit) == min(most, 20)


# ---- all


@pytest.mark.parametrize("name", SETS)
def test_each_image_and_text_is_there_once(name, tmp_path):
    WRITERS[name](tmp_path)
    judged = load_judgments(name, tmp_path)
    assert len(set(judged.texts)) == len(judged.texts)
    assert len(set(judged.images.ids)) == len(judged.images)
    used = set(judged.pairs[:, 1]) | set(judged.fit[:, 1])
    used |= {row for draws in judged.references.values() for draw in draws for rows in draw for row in rows}
    assert used == set(range(len(judged.texts)))


@pytest.mark.parametrize("name", SETS)
def test_published_numbers_belong_to_statistics_of_the_set(name, tmp_path):
    WRITERS[name](tmp_path)
    judged = load_judgments(name, tmp_path)
    rng = np.random.default_rng(0)
    features = Features(*(torch.from_numpy(rng.normal(size=(n, 3))) for n in (len(judged.images), len(judged.texts))))
    metrics = [metric for metric in PUBLISHED if judged.references or metric != "ref_clip_score"]
    rows = results(judged, score(judged, features, metrics=metrics), resamples=5)
    assert {(row.metric, row.statistic) for row in rows if row.published is not None} == set(judged.published)
    if judged.published:
        assert all(row.published is not None for row in rows)


def test_files_are_found_at_any_depth_and_the_nearest_of_one_name_counts(tmp_path):
    write_flickr8k(tmp_path / "a" / "b")
    judged = load_judgments("flickr8k-expert", tmp_path)
    far = tmp_path / "a" / "b" / "c" / "ExpertAnnotations.txt"
    far.parent.mkdir()
    far.write_text("not looked at")
    (tmp_path / "a" / "._Flickr8k.token.txt").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "a" / "b" / "loop").symlink_to(tmp_path)
    assert judged_pairs(load_judgments("flickr8k-expert", tmp_path)) == judged_pairs(judged)


def test_images_may_lie_in_folders_by_class(tmp_path):
    pairs = write_pascal50s(tmp_path)
    images = tmp_path / "VOC2010" / "JPEGImages"
    before = load_judgments("pascal-50s", tmp_path)
    for i, pair in enumerate(pairs):
        (tmp_path / "by class" / f"class{i % 3}").mkdir(parents=True, exist_ok=True)
        (images / pair[0]).rename(tmp_path / "by class" / f"class{i % 3}" / pair[0])
    after = load_judgments("pascal-50s", tmp_path)
    assert after.images.ids.tolist() == before.images.ids.tolist()
    for i in range(len(after.images)):
        assert after.images[i].shape == (20, 24, 3)


# ---- bad input: one sentence each


def broken(folder, name, *, of, to, count=-1):
    path = next(folder.rglob(name))
    text = path.read_text(encoding="utf-8")
    assert of in text
    path.write_text(text.replace(of, to, count), encoding="utf-8")


def refused(name, folder, match):
    with pytest.raises(InputError, match=match) as error:
        load_judgments(name, folder)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_an_unknown_set():
    with pytest.raises(InputError, match=r"no judgment set 'flickr8k_expert' \(did you mean 'flickr8k-expert'\?\)"):
        load_judgments("flickr8k_expert", "somewhere")


def test_a_folder_that_is_not_there(tmp_path):
    refused(
        "foil", tmp_path / "gone", r"gone is not a folder; give the one that holds foilv1.0_test_2017.json, captions_"
    )


def test_missing_files_are_named_beside_what_is_expected(tmp_path):
    write_flickr8k(tmp_path)
    (tmp_path / "Flickr8k.token.txt").unlink()
    refused(
        "flickr8k-expert",
        tmp_path,
        r"lacks 1 of the 2 files that flickr8k-expert is published as: Flickr8k.token.txt. "
        r"Expected at any depth of it: ExpertAnnotations.txt, Flickr8k.token.txt, and the images",
    )
    refused(
        "mid-amt", tmp_path, r"lacks 3 of the 3 files .* amt_result_tot.pkl, sample_info.pkl, captions_val2014.json"
    )


@pytest.mark.parametrize("name", SETS)
def test_missing_images_are_counted_and_named(name, tmp_path):
    WRITERS[name](tmp_path)
    gone = sorted([*tmp_path.rglob("*.jpg"), *tmp_path.rglob("*.png")])[:5]
    for path in gone:
        path.unlink()
    refused(
        name,
        tmp_path,
        r"5 of the \d+ images that the annotations name are not in .*, the first \S+, \S+, \S+; they belong into",
    )


def test_a_line_with_other_columns(tmp_path):
    write_flickr8k(tmp_path)
    path = tmp_path / "ExpertAnnotations.txt"
    lines = path.read_text().split("\n")
    lines[6] = lines[6].rpartition("\t")[0]
    path.write_text("\n".join(lines))
    refused(
        "flickr8k-expert",
        tmp_path,
        r"line 7, has 4 columns separated by tabs; it must have 5: image, caption id, first",
    )


@pytest.mark.parametrize("rating", ["5", "0", "2.5", "good"])
def test_a_rating_out_of_range(tmp_path, rating):
    write_flickr8k(tmp_path)
    path = tmp_path / "ExpertAnnotations.txt"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(first.rpartition("\t")[0] + f"\t{rating}\n{rest}")
    refused("flickr8k-expert", tmp_path, rf"line 1, has the rating '{rating}'; ratings are 1, 2, 3 or 4")


def test_a_caption_that_is_not_there(tmp_path):
    _, expert, _ = write_flickr8k(tmp_path)
    wanted = expert[0][1]
    broken(tmp_path, "Flickr8k.token.txt", of=f"{wanted}\t", to=f"{wanted}9\t")
    refused(
        "flickr8k-expert", tmp_path, rf"of its 140 caption ids are not in Flickr8k.token.txt, the first is '{wanted}'"
    )


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        ("0.5\t1\t2", r"line 1, says that 1 of 3 answers are a share of 0.5; the share must be yes / \(yes \+ no\)"),
        ("0\t0\t0", r"says that 0 of 0 answers"),
        (
            "0.5\tone\ttwo",
            r"line 1, has 0.5, one, two; it must have the share of yes, the number of yes and the number",
        ),
    ],
)
def test_a_share_that_is_not_what_the_counts_say(tmp_path, cells, match):
    write_flickr8k(tmp_path)
    path = tmp_path / "CrowdFlowerAnnotations.txt"
    first, rest = path.read_text().split("\n", 1)
    path.write_text("\t".join(first.split("\t")[:2]) + f"\t{cells}\n{rest}")
    refused("flickr8k-cf", tmp_path, match)


def test_text_that_is_not_utf8(tmp_path):
    write_flickr8k(tmp_path)
    path = tmp_path / "Flickr8k.token.txt"
    lines = path.read_bytes().split(b"\n")
    lines[2] += b" caf\xe9"
    path.write_bytes(b"\n".join(lines))
    refused(
        "flickr8k-expert", tmp_path, r"Flickr8k.token.txt cannot be read: it is not UTF-8: line 3 has the byte 0xe9"
    )


def test_no_judgments_at_all(tmp_path):
    write_flickr8k(tmp_path)
    (tmp_path / "ExpertAnnotations.txt").write_text("\n")
    refused(
        "flickr8k-expert", tmp_path, r"flickr8k-expert holds no judged pairs; its annotation files seem to be empty"
    )


def test_an_empty_caption_and_an_image_without_references(tmp_path):
    captions, _, crowd = write_flickr8k(tmp_path)
    text = tmp_path / "Flickr8k.token.txt"
    whole = text.read_text()
    of_first = image_of(next(iter(captions)))
    text.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith(of_first)))
    kept = [row for row in crowd if image_of(row[1]) != of_first]
    count = sum(image == of_first for image, *_ in kept)
    (tmp_path / "CrowdFlowerAnnotations.txt").write_text("".join("\t".join(map(str, row)) + "\n" for row in kept))
    refused(
        "flickr8k-cf",
        tmp_path,
        rf"{count} of {len(kept)} judged pairs have no reference caption that is not itself .*{of_first}",
    )
    text.write_text(whole.replace(f"{kept[0][1]}\t{captions[kept[0][1]]}\n", f"{kept[0][1]}\t\n"))
    refused("flickr8k-cf", tmp_path, rf"\d+ judged texts are empty, the first of image {kept[0][0]}")


def test_broken_json(tmp_path):
    write_foil(tmp_path)
    path = tmp_path / "foilv1.0_test_2017.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content)[:-20])
    refused("foil", tmp_path, r"foilv1.0_test_2017.json cannot be read: line 1 is not JSON")
    path.write_text("[]")
    refused("foil", tmp_path, r"has no list 'annotations' as files of COCO's form have")
    del content["annotations"][4]["foil"]
    path.write_text(json.dumps(content))
    refused(
        "foil",
        tmp_path,
        r"annotation 4 lacks foil, or has it of another type; it must have image_id \(int\), id \(int\), ",
    )


def test_foils_without_their_true_caption(tmp_path):
    _, annotations = write_foil(tmp_path)
    kept = [row for row in annotations if row["foil"] or row["id"] != annotations[0]["id"]]
    (tmp_path / "foilv1.0_test_2017.json").write_text(json.dumps({"annotations": kept}))
    refused(
        "foil", tmp_path, rf"[12] foils have no true caption of the same id, the first has id {annotations[0]['id']}"
    )


def test_mat_files_that_do_not_belong_together_or_are_none(tmp_path):
    write_pascal50s(tmp_path)
    votes, pairs = tmp_path / "consensus_pascal.mat", tmp_path / "pair_pascal.mat"
    triplets, content = loadmat(votes)["triplets"], loadmat(pairs)
    savemat(votes, {"triplets": triplets[:, : 2 * VOTES]})
    refused("pascal-50s", tmp_path, r"has 96 triplets; for the 12 pairs of pair_pascal.mat it must have 48 each, 576")
    turned = np.roll(triplets, VOTES, axis=1)
    savemat(votes, {"triplets": turned})
    refused(
        "pascal-50s", tmp_path, r"pair 0 was voted on with the sentence '.*', which pair_pascal.mat does not have there"
    )
    triplets[0, 1]["winner"] = np.array([[0]])
    savemat(votes, {"triplets": triplets})
    refused("pascal-50s", tmp_path, r"pair 0 has the winner \[0\]; it must be 1 for the first or -1 for the second")
    savemat(votes, {"others": 1})
    refused("pascal-50s", tmp_path, r"consensus_pascal.mat has no variable triplets; take the published file")
    savemat(votes, {"triplets": np.eye(3)})
    refused("pascal-50s", tmp_path, r"triplets must be a structure array of 4 fields; it has 0")
    savemat(pairs, {"new_input": content["new_input"], "category": np.array([[1, 2, 5]])})
    refused("pascal-50s", tmp_path, r"category must hold 1, 2, 3 or 4 for each of the 12 pairs .* 3 values from 1 to 5")
    whole = pairs.read_bytes()
    for damaged in (b"MATLAB no more", whole[:-9], whole[:100], bytes(len(whole))):
        pairs.write_bytes(damaged)
        refused("pascal-50s", tmp_path, r"pair_pascal.mat cannot be read as a .mat file \(.+\); fetch it again")


def test_a_file_that_is_named_as_an_image_and_is_none(tmp_path):
    _, expert, _ = write_flickr8k(tmp_path)
    path = tmp_path / "ExpertAnnotations.txt"
    path.write_text(path.read_text().replace(f"{expert[0][0]}\t", "Flickr8k.token.txt\t"))
    text = tmp_path / "Flickr8k.token.txt"
    text.write_text(text.read_text() + "Flickr8k.token.txt#0\ta reference\n")
    refused(
        "flickr8k-expert",
        tmp_path,
        r"1 of the \d+ images .* are not in .*, the first Flickr8k\.token\.txt; they belong",
    )


class Runs:
    """What a pickle can do to those who trust it."""

    def __reduce__(self):
        return print, ("this pickle ran",)


def test_pickles_run_nothing(tmp_path, capsys):
    write_mid_amt(tmp_path)
    path = tmp_path / "amt" / "amt_result_tot.pkl"
    path.write_bytes(pickle.dumps({"40_700_lafite": Runs()}))
    refused("mid-amt", tmp_path, r"is not read: it asks for builtins.print. Only pickles of plain lists, dicts")
    assert capsys.readouterr().out == ""
    path.write_bytes(pickle.dumps({"40_700_lafite": {"alignment": [1, 2]}})[:-9])
    refused("mid-amt", tmp_path, r"amt_result_tot.pkl is not read: ")


class Addresses:
    """A NumPy array that says that its bytes are no objects, but whose only field is one: an address in memory."""

    def __reduce__(self):
        kind = type("Kind", (), {"__reduce__": lambda self: (np.dtype, ("V8", False, True), self.state)})()
        kind.state = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)
        return np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1,), kind, False, b"A" * 8)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (pickle.dumps(Addresses(), protocol=4), r"it holds NumPy values of type 'V8'"),
        (pickle.dumps(np.array([{}]), protocol=4), r"it holds NumPy values of type 'O8'"),
        (pickle.dumps(np.array(["a"]), protocol=4), r"it holds NumPy values of type 'U1'"),
        (b"\x80\x04ccollections\nOrderedDict\n)R}U\x05itemsK\x01sb.", r"it sets attributes of a OrderedDict"),
        (b"\x80\x04cbuiltins\ndict\n}U\x03getK\x01sb.", r"it sets attributes of a type"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"a.", r"it is damaged or cut short"),  # bytes without end
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"a.", r"it is damaged or cut short"),
        (b"\x80\x04\x95\x01", r"is not read: unpack requires a buffer of 8 bytes\."),  # a frame without its length
        (b"no pickle", r"is not read: .*write it again as such, where you trust it"),
    ],
)
def test_pickles_that_would_break_the_interpreter_are_refused(tmp_path, content, match):
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_plain(path)


def test_a_damaged_pickle_takes_no_memory(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04]r" + struct.pack("<I", 2**31 - 1) + b".")  # the two billionth entry of the memo
    tracemalloc.start()
    try:
        assert read_plain(path) == []
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", [3, 4])
def test_pickles_of_plain_things_come_back(tmp_path, protocol):
    content = {
        "plain": [1, 2.5, None, True, "ä", b"\xff", 10**40, (1,), {2, 3}, OrderedDict(x=1), defaultdict(list, y=[2])],
        "arrays": [np.arange(6).reshape(2, 3), np.array([1.5, -2], dtype=">f4"), np.array([1, 0], dtype=bool)],
        "numbers": [np.float64(0.1), np.int16(-3), np.uint8(200), np.bool_(True), np.float16(0.5)],
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = read_plain(path)
    assert read["plain"] == content["plain"]
    assert read["arrays"] == [[0, 1, 2, 3, 4, 5], [1.5, -2.0], [True, False]]
    assert read["numbers"] == [0.1, -3, 200, True, 0.5]
    assert {type(number) for number in read["numbers"]} == {float, int, bool}


def test_pickles_of_numpy_numbers_are_read(tmp_path):
    _, ratings, _ = write_mid_amt(tmp_path)
    before = load_judgments("mid-amt", tmp_path)
    path = tmp_path / "amt" / "amt_result_tot.pkl"
    stored = {"_".join(map(str, key)): {"alignment": np.array(value)} for key, value in ratings.items()}
    for names in ((b"numpy._core", b"numpy._core"), (b"numpy._core", b"numpy.core")):  # since NumPy 2, and before
        path.write_bytes(pickle.dumps(stored, protocol=3).replace(*names))
        assert load_judgments("mid-amt", tmp_path).verdict.value.tolist() == before.verdict.value.tolist()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([1], r"holds a list; it must be a dict of ratings by generated image"),
        ({"40-700": {"alignment": [1]}}, r"has the key '40-700'; keys are IMAGE_CAPTION_MODEL, as 42_7_lafite"),
        ({"40_700_lafite": [1]}, r"40_700_lafite has no ratings 'alignment'"),
        (
            {"40_700_lafite": {"alignment": [3, None]}},
            r"40_700_lafite has the ratings \[3, None\]; they must be numbers, one of each worker",
        ),
        ({"40_700_lafite": {"alignment": [3, "good"]}}, r"has the ratings \[3, 'good'\]; they must be numbers"),
        ({"40_700_lafite": {"alignment": [[3], [3, 4]]}}, r"has the ratings \[\[3\], \[3, 4\]\]; they must be numbers"),
        ({"40_700_lafite": {"alignment": 10**400}}, r"has the ratings 10000.*; they must be numbers"),
        (
            {"40_7_lafite": {"alignment": [3]}},
            r"1 of 1 rated images have a caption that is not in captions_val2014.json, ",
        ),
    ],
)
def test_ratings_of_another_form(tmp_path, content, match):
    write_mid_amt(tmp_path)
    (tmp_path / "amt" / "amt_result_tot.pkl").write_bytes(pickle.dumps(content))
    refused("mid-amt", tmp_path, match)


def test_samples_of_another_form(tmp_path):
    write_mid_amt(tmp_path)
    (tmp_path / "sample_info.pkl").write_bytes(pickle.dumps([{"image_id": 40, "id": 700, "foil": True}, {"id": 7}]))
    wanted = r"must be a dict with image_id, id \(both int\) and foil \(true or false\)"
    refused("mid-amt", tmp_path, rf"element 1 {wanted}")
    (tmp_path / "sample_info.pkl").write_bytes(pickle.dumps([{"image_id": "forty", "id": 700, "foil": True}]))
    refused("mid-amt", tmp_path, rf"element 0 {wanted}")


def test_each_rated_image_counts_and_those_without_a_rating_do_not(tmp_path):
    _, ratings, _ = write_mid_amt(tmp_path)
    key = "_".join(map(str, next(iter(ratings))))
    answers = {key: [1, 5, 4], f"{key}_again": [2, 3], f"{key}_unrated": [], f"{key}_masked": [-1, -1, 5]}
    content = {name: {"alignment": given} for name, given in answers.items()}
    (tmp_path / "amt" / "amt_result_tot.pkl").write_bytes(pickle.dumps(content))
    judged = load_judgments("mid-amt", tmp_path)
    assert judged.verdict.value.tolist() == [4, 2.5]
    assert [name for name, _ in judged_pairs(judged)] == [f"{key}.png"] * 2


def test_the_miniatures_say_what_people_would():
    red_dog, red_cat = ("red", "dog"), ("red", "cat")
    assert [likeness(red_dog, other) for other in (red_dog, red_cat, ("teal", "cat"))] == [2, 1, 0]
    assert len({text for thing in (red_dog, red_cat) for text in sentences(thing)}) == 10
