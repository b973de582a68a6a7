"""KmePmi: the pointwise mutual information of pairs, by a similarity that is learned from other pairs."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointwise._options import whole_number
from pointwise._types import Array, Column, Integers, Progress
from pointwise.errors import InputError
from pointwise.pmi.calibration import Calibration, pmi_calibration
from pointwise.score import WHOLE, Score, mean_score
from pointwise.summaries.gaussian import as_pairs
from pointwise.tables.digest import sha256_of_array
from pointwise.terms import Extra, Side, Terms
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.model import DualEncoder, load_model, restored_model
from pointwise.training.split import keys_of

_VALUES = 5  # places in which a row stands on average: beyond it is one of few values, and no copy
_PICTURES = 50  # from which on rows of x are pictures, however often each stands
_AT_ONCE = 32  # pairs, of which all similarities are computed to take the diagonal


class KmePmi:
    r"""Pointwise mutual information by a learned similarity, in nats: what `GaussianPair` is without a Gaussian.

    .. math:: \mathrm{PMI}(x, y) = S(x, y) - c, \qquad S = \log \sum_{ij} w_i w'_j\, e^{s (f_i \cdot g_j - 1)}

    S is learned by `KmePmi.fit` from pairs of rows, or by ``pointwise train`` before: the model takes one row for each
    image and text. c is the constant of its calibration, from pairs that were not trained on. Higher is better: more
    likely together than apart.

    Reference: Yoshida et al. (2025), KME-CLIP. https://arxiv.org/abs/2510.15508

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(120, 2))
    >>> learned = KmePmi.fit(x[:, :1], x[:, :1] + 0.3 * x[:, 1:])
    >>> score = learned.pmi([[0.5], [0.5]], [[0.5], [-1.5]])  # a pair that fits, and one that does not
    >>> bool(score.per_sample[0] > 0 > score.per_sample[1])
    True
    """

    def __init__(self, model: DualEncoder, calibration: Calibration) -> None:
        self.model = model
        self.calibration = calibration
        self._wide = _wide(model)

    @classmethod
    def fit(cls, x: Array, y: Array, *, seed: int = 0, progress: Progress | None = None) -> KmePmi:
        """Learn from pairs; seconds to a minute on a processor, the same for the same seed on one machine.

        70 % of the pairs are trained on; 15 % choose the axes that rows are seen on and the step at which training
        stops; 15 % give the constant. Copies are on one side: rows that are equal to the bit go together with all of
        theirs, unless a side has few values, such as classes: each stands in more than five pairs on average, and of x
        there are fewer than 50.

        Rows of x [n, dx] are image features, on the device to train on; those of y [n, dy] belong to them, of any other
        encoder. The seed, from 0 to 2^63 - 1, is that of the split, the first weights and the order of the pairs;
        progress is called with (what is under way, steps done, steps in all).

        Raises:
            InputError: fewer than 100 pairs, a side that does not vary or whose squares overflow, pairs so connected
                by copies that they cannot be split, or a seed out of range.
        """
        from pointwise.pmi.learning import learn  # here, so that import pointwise does without the trainer

        pairs, seed = _as_pairs(x, y), whole_number(seed, "seed", least=0, most=2**63 - 1)
        keys = copy_keys(pairs)
        model, unseen = learn(pairs, keys, seed=seed, progress=progress)
        return cls(model, calibration_of(model, pairs.rows(unseen), [key[unseen] for key in keys]))

    @classmethod
    def calibrated(cls, model: DualEncoder, x: Array, y: Array) -> KmePmi:
        """Return the PMI of a model that ``pointwise train`` made of a table, with the constant of other pairs.

        The model, from `DualEncoder.load`, say, takes one token for each item. It was not trained on x [n, dx] and the
        texts that belong to it, y [n, dy], which are by the same encoders. Items with a row in common, which `fit`
        would not split, are no unpaired items.

        Raises:
            InputError: fewer than 3 pairs, widths that are not those of the model, or a model of pictures.
        """
        pairs = _as_pairs(x, y)
        _require_rows(model, pairs)
        return cls(model, calibration_of(model, pairs, copy_keys(pairs)))

    def pmi(self, x: Array, y: Array) -> Score:
        """Return the PMI of each pair of x [m, dx] and y [m, dy], in nats; higher is better, below 0 less than chance.

        The standard error is that of independent pairs and of the constant, ``calibration.constant_error``, which moves
        all pairs together, and cancels from the difference of two generators.

        Raises:
            InputError: the lengths or widths differ, or there are no pairs.
        """
        pairs = _as_pairs(x, y)
        _require_rows(self.model, pairs)
        some = (pairs.rows(places) for places in torch.arange(pairs.n).split(_AT_ONCE))
        parts = [_similarity(self._wide, few, few).diagonal() for few in some]
        values = torch.cat(parts).cpu().numpy() - self.calibration.constant
        constant: Mapping[Side, Extra] = {"fit": Extra(self.calibration.constant_error**2)}
        known: Mapping[Side, str] = {
            "fit": sha256_of_array(np.append(self.calibration.rows, self.calibration.constant))
        }
        return mean_score(Terms("generated", values, variances=constant), of="pair", tables=known)

    def stored(self) -> tuple[dict[str, Column], dict[str, Any]]:
        """Return model and calibration as arrays and what JSON can hold."""
        return self.model.stored(**self._calibration())

    @staticmethod
    def restored(arrays: Mapping[str, Column], about: Mapping[str, Any]) -> KmePmi:
        """Return what `stored` gave."""
        return KmePmi._calibrated(*restored_model(arrays, about))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write model and calibration to one .safetensors file, whole or not at all; `DualEncoder.load` reads it too.

        Raises:
            InputError: the path cannot be written.
        """
        self.model.save(path, **self._calibration())

    @staticmethod
    def load(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> KmePmi:
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read, or holds something else; a model alone has no constant.
        """
        model, more, facts = load_model(path, device=device)
        if "kme_pmi" not in facts:
            raise InputError(
                f"{path} holds a model without its constant; it comes from pairs that the model was not trained on, by "
                "KmePmi.calibrated(DualEncoder.load(path), x, y)."
            )
        try:
            return KmePmi._calibrated(model, more, facts)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{path} holds a constant that this version cannot read ({error}); learn it again."
            ) from None

    def _calibration(self) -> dict[str, Any]:
        """The calibration as tensors and facts that are kept with the model."""
        facts = {field.name: getattr(self.calibration, field.name) for field in dataclasses.fields(Calibration)}
        score = facts.pop("mutual_information")
        arrays = {"pmi": score.per_sample, "rows": facts.pop("rows"), "columns": facts.pop("columns")}
        more = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {"more": more, "facts": {"kme_pmi": {**facts, "standard_error": score.standard_error}}}

    @staticmethod
    def _calibrated(model: DualEncoder, more: Mapping[str, Tensor], facts: Mapping[str, Any]) -> KmePmi:
        about = dict(facts["kme_pmi"])
        pmi, rows, columns = (more[name].cpu().numpy() for name in ("pmi", "rows", "columns"))
        score = Score(float(pmi.mean()), per_sample=pmi, of="pair", errors={WHOLE: about.pop("standard_error")})
        return KmePmi(model.eval(), Calibration(mutual_information=score, rows=rows, columns=columns, **about))

    def __repr__(self) -> str:
        model, columns = self.model, f"{self.model.image.columns} + {self.model.text.columns} columns"
        return f"KmePmi({columns}, {model.points} points of {model.dim}, {self.calibration})"


def _as_pairs(x: Array, y: Array) -> Pairs:
    left, right = as_pairs(x, y)
    return Pairs(Inputs(left[:, None]), Inputs(right[:, None].to(left.device)))


def copy_keys(pairs: Pairs) -> list[Integers]:
    """Return the keys by which copies are known, a number for each pair; of a side of few values none.

    Where values are few equal rows are no copies. Texts may be those of classes, which the pairs to score have too.
    Pictures are new there, and ten captions of each do not make them classes: they are values only where they are too
    few to split.
    """
    images, texts = (np.unique(list(key), return_inverse=True)[1] for key in keys_of(pairs).values())
    few = [len(key) > _VALUES * (key.max() + 1) for key in (images, texts)]
    few[0] = few[0] and images.max() + 1 < _PICTURES
    return [key for key, no_copies in zip((images, texts), few, strict=True) if not no_copies]


def _wide(model: DualEncoder) -> DualEncoder:
    # In float64, so that no value depends, but for rounding, on which others it is computed with.
    return copy.deepcopy(model).double().eval()


@torch.no_grad()
def _similarity(model: DualEncoder, images: Pairs, texts: Pairs) -> Tensor:
    device = model.log_scale.device
    similarity: Tensor = model(images.images.to(device), texts.texts.to(device))
    return similarity


def calibration_of(model: DualEncoder, pairs: Pairs, keys: Sequence[Integers]) -> Calibration:
    """Return the calibration on pairs that were not trained on; those with a key in common are no unpaired items."""
    wide, items = _wide(model), pairs.n * (pairs.n - 1)
    # Copies count as zeros in the mean over all items but pairs; so the rest counts for more.
    more = math.log(items / (items - copies)) if (copies := _copies(keys)) < items else 0.0

    def similarity(rows: slice) -> Tensor:
        places = np.arange(rows.start, rows.stop)
        block = _similarity(wide, pairs.rows(torch.from_numpy(places)), pairs)
        for key in keys:
            alike = key[rows, None] == key
            alike[np.arange(len(places)), places] = False
            block[torch.from_numpy(alike).to(block.device)] = -math.inf
        block += more
        block.diagonal(offset=rows.start).sub_(more)
        return block

    return pmi_calibration(similarity, n=pairs.n)


def _copies(keys: Sequence[Integers]) -> int:
    """How many items off the diagonal are of pairs with a key in common: of one kind, or of both, counted once."""

    def alike(*some: Integers) -> int:
        counts = np.unique(np.stack(some), axis=1, return_counts=True)[1]
        return int((counts * (counts - 1)).sum())

    return sum(map(alike, keys)) - (alike(*keys) if len(keys) == 2 else 0)


def _require_rows(model: DualEncoder, pairs: Pairs) -> None:
    given, wanted = (pairs.images.x.shape[2], pairs.texts.x.shape[2]), (model.image.columns, model.text.columns)
    if None in wanted:
        raise InputError(
            "this model takes pictures or token ids, and not rows of features; give one that pointwise train made of a "
            "table with text features."
        )
    if given != wanted:
        raise InputError(
            f"these pairs have {given[0]} + {given[1]} columns but those learned from have {wanted[0]} + {wanted[1]}; "
            "all must come from the same two encoders."
        )
