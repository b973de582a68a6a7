"""Zero-shot classification against plain loops, and ensembles of prompts against their meaning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pointwise._retrieval.blocks import Blocks
from pointwise._retrieval.zero_shot import prompt_ensemble, prompts, zero_shot
from pointwise.errors import InputError


def scene(n=40, classes=6, templates=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    similarity = rng.normal(size=(n, classes, templates))
    similarity[np.arange(n), labels] += 1.5
    return similarity, labels


def test_it_is_what_plain_loops_find():
    similarity, labels = scene()
    found = zero_shot(similarity, labels, ks=(1, 2, 5))
    for i, (per_class, label) in enumerate(zip(similarity, labels, strict=True)):
        scores = [math.log(sum(math.exp(s) for s in per_template) / 3) for per_template in per_class]
        ranked = sorted(range(6), key=lambda c: -scores[c])
        assert found.predictions[i] == ranked[0]
        for k in (1, 2, 5):
            assert found.accuracy[k].per_sample[i] == (label in ranked[:k])
    assert 0.5 < found.accuracy[1].value < found.accuracy[2].value < 1
    assert repr(found).startswith(f"ZeroShot(top-1 {found.accuracy[1].value:.4g}, top-2 ")


def test_modes_of_the_accuracy_are_the_classes():
    similarity, labels = scene()
    names = ["ant", "bee", "cat", "dog", "elk", "fox"]
    found = zero_shot(similarity, [names[label] for label in labels], classes=names)
    by_number = zero_shot(similarity, labels)
    assert list(found.accuracy) == [1, 5]
    assert found.accuracy[1].of == "pair"
    assert found.predictions.tolist() == [names[c] for c in by_number.predictions]
    by_mode = found.accuracy[1].by_mode()
    assert sorted(by_mode) == names
    for c, name in enumerate(names):
        assert by_mode[name].value == np.mean(by_number.predictions[labels == c] == c)


def test_one_prompt_a_class_needs_no_third_dimension():
    similarity, labels = scene(templates=1)
    flat = zero_shot(similarity[:, :, 0], labels)
    assert flat.predictions.tolist() == zero_shot(similarity, labels).predictions.tolist()


def test_repeating_every_prompt_changes_nothing():
    similarity, labels = scene()
    twice = zero_shot(np.concatenate([similarity, similarity], axis=2), labels)
    assert twice.predictions.tolist() == zero_shot(similarity, labels).predictions.tolist()


def test_the_ensemble_is_the_similarity_to_all_points_of_the_prompts():
    """Log-mean-exp over prompts of the KME similarity is that to the mean of their embeddings."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 4, 1, 1, 1, 5))  # 8 images of 4 points; classes, prompts and points of a prompt follow
    y = rng.normal(size=(1, 1, 3, 2, 6, 5))
    kernel = np.exp(-((x - y) ** 2).sum(axis=-1) / 2)  # [8, 4, 3, 2, 6]
    by_prompt = np.log(kernel.mean(axis=(1, 4)))  # [8, 3, 2]
    together = np.log(kernel.transpose(0, 2, 1, 3, 4).reshape(8, 3, -1).mean(axis=2))
    labels = together.argmax(axis=1)
    assert zero_shot(by_prompt, labels).accuracy[1].value == 1
    assert by_prompt.max(axis=2).argmax(axis=1).tolist() != labels.tolist()  # which is not the best single prompt


def test_ties_are_the_mean_over_their_orders():
    found = zero_shot(np.zeros((2, 4)), [0, 3], ks=(1, 3, 4))
    assert [found.accuracy[k].per_sample.tolist() for k in (1, 3, 4)] == [
        [pytest.approx(share)] * 2 for share in (0.25, 0.75, 1)
    ]
    assert found.predictions.tolist() == [0, 0]


def test_a_prompt_that_is_ruled_out_adds_nothing():
    similarity = [[[0.0, 0.0], [0.5, -np.inf]], [[0.0, 0.0], [1.0, -np.inf]]]
    assert zero_shot(similarity, [0, 1]).predictions.tolist() == [0, 1]  # log(e^1 / 2) > 0 > log(e^0.5 / 2)


def test_functions_and_other_arrays_give_the_same():
    similarity, labels = scene()
    whole = zero_shot(similarity, labels)
    part = Blocks(lambda rows: torch.from_numpy(similarity[rows]), n=40, entries=18 * 7)
    for same in (torch.from_numpy(similarity), lambda rows: torch.from_numpy(similarity[rows]), part):
        found = zero_shot(same, labels)
        assert found.predictions.tolist() == whole.predictions.tolist()
        assert found.accuracy[1].per_sample.tolist() == whole.accuracy[1].per_sample.tolist()


@pytest.mark.parametrize(
    ("similarity", "labels", "options", "message"),
    [
        (np.eye(3), [0, 1], {}, r"labels has 2 values but similarity has 3 rows; give one for each"),
        (np.eye(3), 4, {}, r"labels has no length \(its type is int\); give an array"),
        (np.eye(3), [0, 1, 3], {}, r"labels has 3 in row 2; it must be 0 to 2, a position among the classes"),
        (np.eye(2), ["a", "c"], {"classes": ["a", "b"]}, r"row 1; it must be one of the 2 classes \(a, b\)"),
        (np.eye(2), [0, 1], {"classes": ["a", "b"]}, r"labels has 0 in row 0; it must be one of the 2 classes"),
        (np.eye(2), [0, 1], {"classes": ["a"]}, r"classes has 1 values but similarity has 2 classes; give one for"),
        (np.eye(2), [0, 1], {"classes": ["a", "a"]}, r"classes has the name 'a' 2 times; names must differ"),
        (np.zeros((2, 2, 2, 2)), [0, 1], {}, r"shape \[2, 2, 2, 2\]; it must be \[n, classes\] or \[n, c"),
        (np.eye(2), [0, 1], {"ks": [0]}, r"a number in ks is 0; it must be a whole number of at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_classified_is_refused(similarity, labels, options, message):
    with pytest.raises(InputError, match=message):
        zero_shot(similarity, labels, **options)


# ---- prompts


def test_prompts_come_a_class_at_a_time():
    made = prompts(["cat", "dog"], ["a {}", "the {} is a {}", "{}{{"])
    assert made == ["a cat", "the cat is a cat", "cat{{", "a dog", "the dog is a dog", "dog{{"]


@pytest.mark.parametrize(
    ("classes", "templates", "message"),
    [
        (["cat"], ["a photo"], r"the template 'a photo' has no \{\} where the class name goes"),
        ([], ["{}"], r"classes is \[\]; it must be a list of at least one string"),
        (["cat"], "a {}", r"templates is 'a \{\}'; it must be a list of at least one string"),
    ],
)
def test_prompts_that_cannot_be_made_are_refused(classes, templates, message):
    with pytest.raises(InputError, match=message):
        prompts(classes, templates)


def test_the_ensemble_of_features_is_the_direction_of_the_mean_of_directions():
    features = np.random.default_rng(0).normal(size=(4, 3, 5))
    found = prompt_ensemble(torch.from_numpy(features))
    for rows, ensemble in zip(features, found, strict=True):
        mean = sum(row / math.sqrt(sum(v * v for v in row)) for row in rows)
        assert ensemble == pytest.approx(mean / np.linalg.norm(mean), abs=1e-12)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.eye(2), r"features has shape \[2, 2\]; it must be \[classes, prompts, d\]"),
        ([[[1.0, 0.0], [0.0, 0.0]]], r"features of prompt 1 of class 0 are all zeros, or hold NaN or inf"),
        ([[[1.0, 0.0]], [[np.nan, 0.0]]], r"features of prompt 0 of class 1 are all zeros, or hold NaN or inf"),
        ([[[1.0, 0.0], [-1.0, 0.0]]], r"the prompts of class 0 cancel out"),
    ],
)
def test_features_without_a_direction_are_refused(features, message):
    with pytest.raises(InputError, match=message):
        prompt_ensemble(features)
