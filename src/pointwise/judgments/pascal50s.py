"""Pascal-50S: of 4,000 pairs of sentences on an image, which one 48 people found nearer to what others wrote."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pointwise.errors import InputError
from pointwise.judgments.protocol import Annotations, Choices, Published
from pointwise.judgments.tree import Paths

_PAIRS, _VOTES_FILE = "pair_pascal.mat", "consensus_pascal.mat"
_VOTES = 48  # of each pair, one for each of that many reference sentences
_CATEGORIES = ("HC", "HI", "HM", "MM")  # human correct, human incorrect, human and machine, two machines
_DRAWS, _DRAWN = 5, 5


def _read(paths: Paths, rng: np.random.Generator) -> Annotations:
    """Of the two sentences of a pair, the one with more of the 48 votes should score higher.

    The references of a pair are five of the 48 sentences that the votes were about, drawn five times, and accuracies
    are means over the draws. Equal votes and equal scores count half, which is what breaking ties by a coin gives on
    average.

    Reference: Vedantam, Zitnick & Parikh (2015), https://arxiv.org/abs/1411.5726.
    """
    rows, categories = _read_pairs(paths[_PAIRS])
    (triplets,) = _variables(paths[_VOTES_FILE], triplets=4)
    if len(triplets) != _VOTES * len(rows):
        raise InputError(
            f"{paths[_VOTES_FILE]} has {len(triplets)} triplets; for the {len(rows)} pairs of {_PAIRS} it must have "
            f"{_VOTES} each, {_VOTES * len(rows)}."
        )
    pairs: list[tuple[str, str]] = []
    first_chosen: list[float] = []
    fit: list[tuple[str, str]] = []
    draws: list[list[list[str]]] = [[] for _ in range(_DRAWS)]
    for i, (image, first, second) in enumerate(rows):
        where = f"{paths[_VOTES_FILE]}: pair {i}"
        votes, shown = _votes(triplets[i * _VOTES : (i + 1) * _VOTES], first, second, where)
        pairs += [(image, first), (image, second)]
        first_chosen.append((1 + np.sign(votes)) / 2)
        fit += [(image, text) for text in shown]
        for draw in draws:
            draw += [[shown[j] for j in rng.choice(_VOTES, _DRAWN, replace=False)]] * 2
    verdict = Choices(np.asarray(first_chosen), tie=0.5, categories=categories)
    return Annotations(pairs, verdict, {"": draws}, fit)


def _read_pairs(path: Path) -> tuple[list[list[str]], list[str]]:
    """Image and two sentences of each pair, and its category."""
    rows, numbers = _variables(path, new_input=3, category=0)
    if len(numbers) != len(rows) or not np.isin(numbers, range(1, len(_CATEGORIES) + 1)).all():
        raise InputError(
            f"{path}: category must hold 1, 2, 3 or 4 for each of the {len(rows)} pairs of new_input; "
            f"it has {len(numbers)} values from {min(numbers, default=0)} to {max(numbers, default=0)}."
        )
    texts = [[_text(cell, f"{path}: new_input {i}") for cell in row] for i, row in enumerate(rows)]
    return texts, [_CATEGORIES[int(number) - 1] for number in numbers]


def _votes(triplets: Iterable[Any], first: str, second: str, where: str) -> tuple[int, list[str]]:
    """How many more votes the first sentence has than the second, and the sentences that they were about."""
    votes, shown = 0, []
    for *cells, number in triplets:
        reference, left, right = (_text(cell, where) for cell in cells)
        winner = np.ravel(number).tolist()
        if winner not in ([1], [-1]):
            raise InputError(f"{where} has the winner {winner}; it must be 1 for the first or -1 for the second.")
        if {left, right} != {first, second}:
            odd = left if left not in (first, second) else right
            raise InputError(
                f"{where} was voted on with the sentence {odd!r}, which {_PAIRS} does not have there; "
                "take both files from one release."
            )
        chosen = left if winner == [1] else right
        votes += int(chosen == first) - int(chosen == second)
        shown.append(reference)
    return votes, shown


def _variables(path: Path, **fields: int) -> list[Any]:
    """Variables of a .mat file, each as one row; of a structure array with so many fields, which have an order."""
    from scipy.io import loadmat, matlab

    damaged = (  # what the reader of damaged bytes raises
        *(OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, NameError, NotImplementedError),
        *(EOFError, AttributeError, struct.error, zlib.error, matlab.MatReadError),
    )
    try:
        content = loadmat(path, variable_names=list(fields))
    except damaged as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read as a .mat file ({reason}); fetch it again.") from None
    for name, count in fields.items():
        if name not in content:
            raise InputError(f"{path} has no variable {name}; take the published file.")
        count_there = len(content[name].dtype.names or ())
        if count and count_there != count:
            raise InputError(f"{path}: {name} must be a structure array of {count} fields; it has {count_there}.")
    return [np.ravel(content[name]) for name in fields]


def _text(cell: Any, where: str) -> str:
    """The string in however many cells of one element."""
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.reshape(-1)[0]
    if not isinstance(cell, str):
        raise InputError(f"{where} has a {type(cell).__name__} of shape {np.shape(cell)} where a sentence must be.")
    return " ".join(cell.split())


PASCAL_50S = Published(
    "pascal-50s",
    files=(_PAIRS, _VOTES_FILE),
    images="images/ or VOC2010/JPEGImages/",
    read=_read,
    prefix="A photo depicts ",
    statistics=(*(f"accuracy {category}" for category in _CATEGORIES), "accuracy"),
    numbers={
        "mid": (67.0, 99.7, 97.4, 76.8, 85.2),
        "clip_score": (56.5, 99.3, 96.4, 70.4, 80.7),
        "ref_clip_score": (64.5, 99.6, 95.4, 72.8, 83.1),
    },
)
