"""The published sets by name, and a set from the folder of its files."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pointwise._options import whole_number
from pointwise.errors import InputError
from pointwise.judgments import flickr8k, foil, mid_amt, pascal50s
from pointwise.judgments.protocol import Annotations, Judgments, Published
from pointwise.judgments.tree import find, pictures
from pointwise.metrics.registry import closest_names

_SETS = (flickr8k.EXPERT, flickr8k.CROWD, pascal50s.PASCAL_50S, foil.FOIL, mid_amt.MID_AMT)
SETS: Mapping[str, Published] = MappingProxyType({published.name: published for published in _SETS})


def load_judgments(name: str, folder: str | Path, *, seed: int = 0) -> Judgments:
    """Return the set of this name, one of ``SETS``, from the folder that holds its published files at any depth.

    docs/judgments.md shows the files that are expected. Runs of white space in texts count as one space. The seed is
    that of what the set's protocol draws at random.

    Raises:
        InputError: there is no such set, files or images are missing, or are not of the published form.
    """
    if name not in SETS:
        raise InputError(f"there is no judgment set {name!r}{closest_names(name, SETS)}; there are {', '.join(SETS)}.")
    published = SETS[name]
    paths = find(folder, needed=published.files, name=name)
    annotations = published.read(paths, np.random.default_rng(whole_number(seed, "seed", least=0)))
    _require_complete(name, annotations)
    images: dict[str, int] = {}
    texts: dict[str, int] = {}

    def text_row(text: str) -> int:
        return texts.setdefault(" ".join(text.split()), len(texts))

    def row(image: str, text: str) -> tuple[int, int]:
        return images.setdefault(image, len(images)), text_row(text)

    judged = [row(*pair) for pair in annotations.pairs]
    references = {
        variant: [[list(map(text_row, shown)) for shown in draw] for draw in draws]
        for variant, draws in annotations.references.items()
    }
    seen = set(judged)
    fit = [pair for pair in dict.fromkeys(row(*pair) for pair in annotations.fit) if pair not in seen]
    return Judgments(
        name,
        images=pictures(paths, list(images), source=str(folder), within=published.images),
        texts=list(texts),
        pairs=np.asarray(judged, dtype=np.int64).reshape(-1, 2),
        references=references,
        fit=np.asarray(fit, dtype=np.int64).reshape(-1, 2),
        verdict=annotations.verdict,
        prefix=published.prefix,
        published={
            (metric, statistic): number
            for metric, numbers in published.numbers.items()
            for statistic, number in zip(published.statistics, numbers, strict=True)
        },
    )


def _require_complete(name: str, annotations: Annotations) -> None:
    if not (pairs := annotations.pairs):
        raise InputError(f"{name} holds no judged pairs; its annotation files seem to be empty.")
    empty = [image for image, text in pairs if not text.split()]
    if empty:
        raise InputError(f"{name}: {len(empty)} judged texts are empty, the first of image {empty[0]}; leave them out.")
    for draw in (draw for draws in annotations.references.values() for draw in draws):
        without = [image for (image, _), shown in zip(pairs, draw, strict=True) if not shown]
        if without:
            raise InputError(
                f"{name}: {len(without)} of {len(pairs)} judged pairs have no reference caption that is not itself "
                f"judged; the first is of image {without[0]}. Complete the file of captions."
            )
