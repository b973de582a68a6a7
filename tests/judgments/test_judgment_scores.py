"""Scores and statistics of judgment sets, against plain loops over what the miniature sets were written from."""

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from judgments.miniature import write_flickr8k, write_foil, write_mid_amt, write_pascal50s
from pointwise.errors import InputError
from pointwise.judgments import Features, differences, encode_judgments, load_judgments, results, score

METRICS = ("mid", "clip_score", "ref_clip_score")


class Letters:
    """A text encoder whose features are how often each of some letters is in a text."""

    name, dim, meta, max_tokens = "letters", 9, {}, 20

    def __init__(self):
        self.texts = []

    def count_tokens(self, texts):
        return [len(text) for text in texts]

    def encode(self, texts):
        self.texts += texts
        return torch.tensor([[float(text.count(letter)) for letter in "adegnorst"] for text in texts])


class Colours:
    """An image encoder whose features are means of the colours of the nine parts of a picture's middle row of parts."""

    name, dim, meta = "colours", 9, {}

    def __init__(self):
        self.count = 0

    def encode(self, images):
        self.count += len(images)
        parts = [np.array_split(image.astype(float), 3, axis=1) for image in images]
        return torch.tensor(np.array([[part.mean((0, 1)) for part in three] for three in parts])).reshape(-1, 9).float()


def features_of(judged, *, seed=0, width=4):
    """Random features, as float32 of unit length."""
    rng = np.random.default_rng(seed)
    rows = [torch.from_numpy(rng.normal(size=(n, width))).float() for n in (len(judged.images), len(judged.texts))]
    return Features(*(table / table.norm(dim=1, keepdim=True) for table in rows))


def lookup(judged, features):
    """Features by the name of an image and by a text."""
    images = {str(name): row.double().numpy() for name, row in zip(judged.images.ids, features.images, strict=True)}
    texts = {text: row.double().numpy() for text, row in zip(judged.texts, features.texts, strict=True)}
    return images, texts


def clip_s(x, y):
    return 2.5 * max(float(x @ y) / np.sqrt((x @ x) * (y @ y)), 0)


def ref_clip_s(x, y, references):
    one = clip_s(x, y)
    other = max(0, *(clip_s(y, r) / 2.5 for r in references))
    return 0 if one + other == 0 else 2 * one * other / (one + other)


def plain_mid(pairs):
    """The pointwise mutual information under the Gaussian of these pairs, by inverses and determinants."""
    x, y = (np.array(side) for side in zip(*pairs, strict=True))
    z = np.hstack([x, y])
    blocks = [(side.mean(0), np.linalg.inv(np.cov(side.T)), np.linalg.slogdet(np.cov(side.T))[1]) for side in (x, y, z)]

    def squared(i, row):
        mean, inverse, _ = blocks[i]
        return (row - mean) @ inverse @ (row - mean)

    def pmi(a, b):
        information = (blocks[0][2] + blocks[1][2] - blocks[2][2]) / 2
        return information + (squared(0, a) + squared(1, b) - squared(2, np.hstack([a, b]))) / 2

    return pmi


def by_metric(rows):
    return {(row.metric, row.statistic): row.estimate.value for row in rows}


def test_expert_by_hand(tmp_path):
    captions, expert, _ = write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    features = features_of(judged)
    x, y = lookup(judged, features)
    own = {}
    for name, text in captions.items():
        own.setdefault(name.split(".")[0], []).append(text)
    kept = [row for row in expert if captions[row[1]] not in own[row[0].split(".")[0]]]
    pmi = plain_mid([(x[image], y[text]) for image in {row[0] for row in kept} for text in own[image.split(".")[0]]])
    columns, human = {name: [] for name in METRICS}, []
    for image, caption, ratings in kept:
        text = captions[caption]
        for rating in ratings:
            human.append(rating)
            columns["mid"].append(pmi(x[image], y[text]))
            columns["clip_score"].append(clip_s(x[image], y[text]))
            references = [y[reference] for reference in own[image.split(".")[0]]]
            columns["ref_clip_score"].append(ref_clip_s(x[image], y[text], references))
    rows = results(judged, score(judged, features, metrics=METRICS), resamples=20)
    assert [row.n for row in rows] == [len(human)] * 3
    for name, column in columns.items():
        expected = 100 * kendalltau(np.round(column, 9), human, variant="c").statistic
        assert by_metric(rows)[name, "kendall_c"] == pytest.approx(expected, abs=1e-9)


def test_crowd_by_hand(tmp_path):
    captions, _, crowd = write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-cf", tmp_path)
    features = features_of(judged, seed=1)
    x, y = lookup(judged, features)
    asked = {(image, captions[caption]) for image, caption, *_ in crowd}
    free = {}
    for name, text in captions.items():
        image = name.split(".")[0] + ".jpg"
        if (image, text) not in asked:
            free.setdefault(image, []).append(text)
    pmi = plain_mid([(x[image], y[text]) for image, texts in free.items() for text in texts])
    columns, human = {name: [] for name in METRICS}, []
    for image, caption, _, yes, no in crowd:
        text = captions[caption]
        human.append(yes / (yes + no))
        columns["mid"].append(pmi(x[image], y[text]))
        columns["clip_score"].append(clip_s(x[image], y[text]))
        columns["ref_clip_score"].append(ref_clip_s(x[image], y[text], [y[reference] for reference in free[image]]))
    rows = results(judged, score(judged, features, metrics=METRICS), resamples=20)
    for name, column in columns.items():
        expected = 100 * kendalltau(np.round(column, 9), human, variant="b").statistic
        assert by_metric(rows)[name, "kendall_b"] == pytest.approx(expected, abs=1e-9)


def test_pascal_by_hand(tmp_path):
    pairs = write_pascal50s(tmp_path)
    judged = load_judgments("pascal-50s", tmp_path, seed=5)
    features = features_of(judged, seed=2)
    x, y = lookup(judged, features)
    pmi = plain_mid([(x[image], y[text]) for image, text in {(pair[0], text) for pair in pairs for text in pair[4]}])
    right = {name: {} for name in METRICS}
    for i, (image, first, second, category, _, winners) in enumerate(pairs):
        votes = [winners.count(1), winners.count(-1)]
        for name in METRICS:
            found = []
            for draw in judged.references[""]:
                references = [y[judged.texts[row]] for row in draw[2 * i]]
                one, other = (
                    pmi(x[image], y[text])
                    if name == "mid"
                    else clip_s(x[image], y[text])
                    if name == "clip_score"
                    else ref_clip_s(x[image], y[text], references)
                    for text in (first, second)
                )
                ties = votes[0] == votes[1] or abs(one - other) < 1e-9
                found.append(0.5 if ties else float((one > other) == (votes[0] > votes[1])))
            right[name].setdefault(f"accuracy {('HC', 'HI', 'HM', 'MM')[category - 1]}", []).append(np.mean(found))
            right[name].setdefault("accuracy", []).append(np.mean(found))
    rows = results(judged, score(judged, features, metrics=METRICS), resamples=20)
    expected = {(name, key): 100 * np.mean(values) for name, kinds in right.items() for key, values in kinds.items()}
    assert by_metric(rows) == pytest.approx(expected)
    assert {row.statistic: row.n for row in rows}["accuracy"] == len(pairs)
    assert {row.statistic: row.n for row in rows}["accuracy HI"] == len(pairs) / 4
    assert len({round(value, 6) for value in by_metric(rows).values()}) > 4


def test_foil_by_hand(tmp_path):
    captions, _ = write_foil(tmp_path)
    judged = load_judgments("foil", tmp_path)
    features = features_of(judged, seed=3)
    x, y = lookup(judged, features)
    names = [str(judged.images.ids[image]) for image in judged.pairs[:, 0]]
    texts = [judged.texts[text] for text in judged.pairs[:, 1]]
    asked = set(zip(names, texts, strict=True))
    known = {(f"COCO_val2014_{image:012d}.jpg", text) for image, _, text in captions}
    pmi = plain_mid([(x[image], y[text]) for image, text in known - asked])
    rows = results(judged, score(judged, features, metrics=METRICS), resamples=20)
    for variant in ("1 reference", "4 references"):
        right = {name: [] for name in METRICS}
        for i in range(0, len(names), 2):
            image, (true, foil) = names[i], texts[i : i + 2]
            references = [y[judged.texts[row]] for row in judged.references[variant][0][i]]
            right["mid"].append(pmi(x[image], y[true]) > pmi(x[image], y[foil]))
            right["clip_score"].append(clip_s(x[image], y[true]) > clip_s(x[image], y[foil]))
            scores = [ref_clip_s(x[image], y[text], references) for text in (true, foil)]
            right["ref_clip_score"].append(scores[0] > scores[1])
        for name in METRICS:
            assert by_metric(rows)[name, f"accuracy, {variant}"] == pytest.approx(100 * np.mean(right[name]))


def test_mid_amt_by_hand(tmp_path):
    captions, ratings, samples = write_mid_amt(tmp_path)
    judged = load_judgments("mid-amt", tmp_path)
    features = features_of(judged, seed=4)
    x, y = lookup(judged, features)
    text = {caption: sentence for _, caption, sentence in captions}
    real = {(f"COCO_val2014_{sample['image_id']:012d}.jpg", text[sample["id"]]) for sample in samples}
    pmi = plain_mid([(x[image], y[sentence]) for image, sentence in real])
    columns = {"mid": [], "clip_score": []}
    for image, caption, model in ratings:
        pair = x[f"{image}_{caption}_{model}.png"], y[text[caption]]
        columns["mid"].append(pmi(*pair))
        columns["clip_score"].append(clip_s(*pair))
    human = [float(np.median(answers)) for answers in ratings.values()]
    rows = results(judged, score(judged, features, metrics=list(columns)), resamples=20)
    for name, column in columns.items():
        for letter in "bc":
            expected = 100 * kendalltau(np.round(column, 9), human, variant=letter).statistic
            assert by_metric(rows)[name, f"kendall_{letter}"] == pytest.approx(expected, abs=1e-9)


def test_equal_scores_are_mistakes_in_foil_and_coins_in_pascal(tmp_path):
    write_foil(tmp_path / "foil")
    write_pascal50s(tmp_path / "pascal")

    def same(image, text):
        return torch.zeros(len(text))

    for name, folder, expected in (("foil", "foil", 0), ("pascal-50s", "pascal", 50)):
        judged = load_judgments(name, tmp_path / folder)
        rows = results(judged, score(judged, features_of(judged), metrics=[], functions={"same": same}), resamples=5)
        assert {row.estimate.value for row in rows} == {expected}


def test_a_perfect_metric_is_right_wherever_people_are_not_tied(tmp_path):
    pairs = write_pascal50s(tmp_path)
    judged = load_judgments("pascal-50s", tmp_path)
    chosen = judged.verdict.first_chosen
    truth = np.stack([chosen, 1 - chosen], axis=1).ravel()
    found = score(judged, features_of(judged), metrics=[], functions={"truth": lambda image, text: truth})
    rows = {row.statistic: row.estimate.value for row in results(judged, found, resamples=5)}
    tied = sum(pair[5].count(1) == 24 for pair in pairs)
    assert tied == 6
    assert rows["accuracy"] == pytest.approx(100 * (1 - tied / 2 / len(pairs)))
    assert rows["accuracy HI"] == 100


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"resamples": 1}, r"resamples is 1; it must be a whole number of at least 2"),
        ({"seed": -1}, r"seed is -1; it must be a whole number of at least 0"),
    ],
)
def test_options_of_the_bootstrap_are_checked(tmp_path, options, match):
    for write, name in ((write_foil, "foil"), (write_mid_amt, "mid-amt")):
        write(tmp_path / name)
        judged = load_judgments(name, tmp_path / name)
        found = score(judged, features_of(judged), metrics=["clip_score"])
        with pytest.raises(InputError, match=match):
            results(judged, found, **options)
    with pytest.raises(InputError, match=r"seed is -1; it must be a whole number"):
        load_judgments("foil", tmp_path / "foil", seed=-1)


def test_functions_get_the_features_of_the_judged_pairs(tmp_path):
    write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    features = features_of(judged)
    functions = {"cosine": lambda image, text: (image * text).sum(1).clamp_min(0)}
    found = score(judged, features, metrics=["clip_score"], functions=functions)
    np.testing.assert_allclose(2.5 * found["cosine", ""][0], found["clip_score", ""][0], atol=1e-6)


def test_other_metrics_of_pairs_apply_too(tmp_path):
    write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    found = score(judged, features_of(judged), metrics=["r_precision", "info_nce"], seed=1)
    assert [len(values) for draws in found.values() for values in draws] == [len(judged)] * 2


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (lambda image, text: text, r"new gives \(120, 4\) values for 120 judged pairs; it must give one per pair"),
        (lambda image, text: torch.full((120,), torch.nan), r"new gives 120 of 120 pairs a value that is not finite"),
    ],
)
def test_functions_that_do_not_give_a_value_per_pair(tmp_path, given, match):
    write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    with pytest.raises(InputError, match=match):
        score(judged, features_of(judged), metrics=[], functions={"new": given})


def test_metrics_that_do_not_apply(tmp_path):
    write_mid_amt(tmp_path)
    judged = load_judgments("mid-amt", tmp_path)
    with pytest.raises(
        InputError, match=r"mid-amt judges images, not captions: it has no references for ref_clip_score"
    ):
        score(judged, features_of(judged), metrics=["ref_clip_score"])
    with pytest.raises(
        InputError, match=r"'clip_scor' is no metric that judged pairs are scored by \(did you mean 'clip_score'\?\)"
    ):
        score(judged, features_of(judged), metrics=["clip_scor"])
    with pytest.raises(InputError, match=r"'pce' is no metric that judged pairs are scored by; choose from mid, "):
        score(judged, features_of(judged), metrics=["pce"])


def test_too_few_reference_pairs_for_mid_say_what_to_do(tmp_path):
    write_mid_amt(tmp_path)
    judged = load_judgments("mid-amt", tmp_path)
    wide = features_of(judged, width=32)
    match = (
        r"mid cannot be fitted on the 20 reference pairs \(image, caption\) of mid-amt: 20 pairs are too few for "
        r"32 \+ 32 columns.*At least 65 .*Try --reduce 64 or --ridge 1e-3, or leave mid out of --metrics\."
    )
    with pytest.raises(InputError, match=match):
        score(judged, wide, metrics=["mid"])
    assert np.isfinite(score(judged, wide, metrics=["mid"], ridge=1e-3)["mid", ""][0]).all()
    assert np.isfinite(score(judged, wide, metrics=["mid"], reduce=4)["mid", ""][0]).all()


def test_intervals_resample_images_and_metrics_share_the_resamples(tmp_path):
    write_foil(tmp_path)
    judged = load_judgments("foil", tmp_path)
    right = np.arange(len(judged) // 2) % 3 > 0  # two of three choices
    values = np.zeros(len(judged))
    values[::2] = right
    values[1::2] = ~right
    functions = {"one": lambda image, text: values, "same": lambda image, text: 2 * values}
    rows = results(judged, score(judged, features_of(judged), metrics=[], functions=functions), resamples=4000)
    estimate = rows[0].estimate
    share, n = right.mean(), len(right)
    assert estimate.value == pytest.approx(100 * share)
    assert estimate.standard_error == pytest.approx(100 * np.sqrt(share * (1 - share) / n), rel=0.05)
    assert estimate.null == 50
    between = differences(rows)
    assert {(one, other) for _, one, other, _ in between} == {("one", "same")}
    assert [statistic for statistic, *_ in between] == ["accuracy, 1 reference", "accuracy, 4 references"]
    for *_, difference in between:
        assert (difference.value, *difference.interval()) == (0, 0, 0)
        assert difference.p_value == 1


def test_choices_of_one_image_are_resampled_together(tmp_path):
    write_pascal50s(tmp_path)
    judged = load_judgments("pascal-50s", tmp_path)
    judged.pairs[:, 0] //= 6  # two images instead of twelve
    chosen = judged.pairs[:, 0] == 0  # right for all of the one, wrong for the other
    values = np.where(chosen, 1, -1) * np.where(np.arange(len(judged)) % 2, -1, 1)
    judged.verdict.first_chosen[:] = 1
    rows = results(judged, score(judged, features_of(judged), metrics=[], functions={"v": lambda x, y: values}))
    assert set(np.round(rows[-1].estimate.draws, 9)) == {0, 50, 100}


def test_each_image_and_text_is_encoded_once_with_the_prefix(tmp_path):
    write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    letters, colours, steps = Letters(), Colours(), []
    features = encode_judgments(judged, colours, letters, progress=lambda *step: steps.append(step))
    assert letters.texts == [f"A photo depicts {text}" for text in judged.texts]
    assert colours.count == len(judged.images)
    assert features.shortened == len(judged.texts)  # 20 letters are soon used up
    assert steps[-1] == ("images", len(judged.images), len(judged.images))
    assert ("texts", len(judged.texts), len(judged.texts)) in steps
    torch.testing.assert_close(features.images.norm(dim=1), torch.ones(len(judged.images)))
    raw = Letters().encode([f"A photo depicts {text}" for text in judged.texts])
    torch.testing.assert_close(features.texts, raw / raw.norm(dim=1, keepdim=True))
    plain = encode_judgments(judged, colours, letters, prefix="")
    assert plain.shortened == 0
    torch.testing.assert_close(plain.images, features.images)


def test_a_text_without_direction_is_refused(tmp_path):
    write_flickr8k(tmp_path)
    judged = load_judgments("flickr8k-expert", tmp_path)
    letters = Letters()
    letters.encode = lambda texts: torch.zeros(len(texts), 3)
    with pytest.raises(InputError, match=r"letters gives 100 of 100 texts features that are all zeros or not finite"):
        encode_judgments(judged, Colours(), letters)
