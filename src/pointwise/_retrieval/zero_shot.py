"""Zero-shot classification: the class whose prompts are most similar, with ensembles of prompts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pointwise._arrays import as_numbers
from pointwise._retrieval.blocks import Blocks, Similarity, as_groups, length_of
from pointwise._retrieval.ranks import Ranks, checked_ks
from pointwise._types import Array, Column, Floats, Integers
from pointwise.errors import InputError
from pointwise.score import Score, mean_score


@dataclass(frozen=True, eq=False, repr=False)
class ZeroShot:
    """Classes told apart without training on them.

    >>> zero_shot(np.eye(3), [0, 1, 1], ks=[1, 2])
    ZeroShot(top-1 0.6667, top-2 0.8333, 3 samples)
    """

    # k -> the share of samples whose class is among the k most similar; higher is better. Its modes are the classes.
    accuracy: Mapping[int, Score]
    predictions: Column  # [n], the most similar class of each sample; of equally similar ones the first

    def __repr__(self) -> str:
        shares = ", ".join(f"top-{k} {score.value:.4g}" for k, score in self.accuracy.items())
        return f"ZeroShot({shares}, {len(self.predictions)} samples)"


def zero_shot(
    similarity: Similarity, labels: Array, *, classes: Sequence[str] | None = None, ks: Sequence[int] = (1, 5)
) -> ZeroShot:
    r"""Classify each sample by the prompts that it is most similar to.

    .. math:: S(x, c) = \log \frac1T \sum_{t=1}^T e^{S(x, y_{c,t})}

    over the T prompts of a class. For KME similarities it is the similarity to the points of all its prompts together.
    For cosines the custom is to average unit features instead: see `prompt_ensemble`, and give [n, classes].

    Accuracy is a share in [0, 1], higher is better. Where classes tie it is the exact expectation over a random order
    of them; a k beyond the number of classes is always a hit.

    Args:
        similarity: [n, classes, prompts] or [n, classes]; or a function from a slice of the n rows to that part. Minus
            infinity rules a prompt out.
        labels: [n], the class of each sample: its position, or its name where classes is given.
        classes: the names, in the order of similarity; predictions and modes are then these.
        ks: k of the accuracies: top-1 and top-5.

    Raises:
        InputError: a label that is no class, lengths that differ, NaN or +inf.

    Reference: prompt ensembles are those of Radford et al. (2021), https://arxiv.org/abs/2103.00020, section 3.1.4.

    >>> similarity = [[[3.0, 2.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 2.0]]]  # two samples, two classes, two prompts
    >>> found = zero_shot(similarity, ["cat", "dog"], classes=["cat", "dog"], ks=[1])
    >>> found.predictions.tolist(), found.accuracy[1].value
    (['cat', 'dog'], 1.0)
    """
    ks = checked_ks(ks)
    blocks = Blocks.of(similarity, n=length_of(labels, "labels") if callable(similarity) else None)
    values = as_groups(labels, name="labels", what="rows", length=blocks.n)
    if len(blocks.shape) not in (1, 2):
        raise InputError(
            f"similarity has shape {[blocks.n, *blocks.shape]}; it must be [n, classes] or [n, classes, prompts]."
        )
    names = as_groups(classes, name="classes", what="classes", length=blocks.shape[0])
    label = _positions(values, names)
    first = np.empty(blocks.n, dtype=np.int64)
    ranks = Ranks.none(blocks.n)
    for some, block in blocks:
        if block.ndim == 3:
            block = torch.logsumexp(block, dim=2) - math.log(block.shape[2])
        first[some] = block.argmax(dim=1).cpu().numpy()
        right = (torch.from_numpy(label[some, None]) == torch.arange(len(names))).to(block.device)
        ranks.add(some, block, right, best=block[right][:, None], dim=1)
    return ZeroShot(
        {k: mean_score(ranks.hits(k), of="pair", kind="share", modes=names[label]) for k in ks}, names[first]
    )


def prompts(classes: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Return each class name in each template, a class at a time, so that features of them are [classes * templates].

    Templates are sentences with {} where the name goes.

    Raises:
        InputError: a template has no {}, or there is nothing to put together.

    >>> prompts(["cat", "dog"], ["a photo of a {}.", "a drawing of a {}."])
    ['a photo of a cat.', 'a drawing of a cat.', 'a photo of a dog.', 'a drawing of a dog.']
    """
    for name, values in (("classes", classes), ("templates", templates)):
        if isinstance(values, str) or not len(values):
            raise InputError(f"{name} is {values!r}; it must be a list of at least one string.")
    for template in templates:
        if "{}" not in template:
            raise InputError(f"the template {template!r} has no {{}} where the class name goes.")
    return [template.replace("{}", name) for name in classes for template in templates]


def prompt_ensemble(features: Array) -> Floats:
    r"""Return from features [classes, prompts, d] those [classes, d] that stand for each class where S is a cosine.

    .. math:: \frac{\bar u_c}{\lVert \bar u_c \rVert}, \qquad
              \bar u_c = \frac1T \sum_t \frac{y_{c,t}}{\lVert y_{c,t} \rVert}

    Raises:
        InputError: another number of dimensions, a prompt of zeros, NaN or inf, or prompts that cancel out.

    Reference: Radford et al. (2021), https://arxiv.org/abs/2103.00020, section 3.1.4.

    >>> prompt_ensemble([[[2.0, 0.0], [0.0, 3.0]]]).round(3).tolist()
    [[0.707, 0.707]]
    """
    rows = as_numbers(features, name="features")
    if rows.ndim != 3 or 0 in rows.shape:
        raise InputError(f"features has shape {list(rows.shape)}; it must be [classes, prompts, d].")
    lengths = np.linalg.norm(rows, axis=2, keepdims=True)
    bad = np.argwhere(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        raise InputError(
            f"features of prompt {bad[0][1]} of class {bad[0][0]} are all zeros, or hold NaN or inf: "
            "they have no direction."
        )
    means = (rows / lengths).mean(axis=1)
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    gone = np.flatnonzero(norms < 1e-12)
    if len(gone):
        raise InputError(f"the prompts of class {gone[0]} cancel out: their mean is zero and has no direction.")
    unit: Floats = means / norms
    return unit


def _positions(labels: Column, names: Column) -> Integers:
    """The position of each label among the names, which must differ."""
    known = {name: i for i, name in enumerate(names.tolist())}
    if len(known) < len(names):
        name, times = Counter(names.tolist()).most_common(1)[0]
        raise InputError(f"classes has the name {name!r} {times} times; names must differ.")
    for row, label in enumerate(labels.tolist()):
        if label not in known:
            allowed = (
                f"0 to {len(names) - 1}, a position among the classes"
                if names.dtype.kind == "i"
                else f"one of the {len(names)} classes ({', '.join(map(str, names[:5]))}{', ...' * (len(names) > 5)})"
            )
            raise InputError(f"labels has {label!r} in row {row}; it must be {allowed}.")
    return np.array([known[label] for label in labels.tolist()], dtype=np.int64)
