"""Which caption belongs to which image: by what the captions name, or by order where they name nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointwise._arrays import Column
from pointwise.errors import InputError
from pointwise.items.captions import Captions
from pointwise.items.images import SUFFIXES

_SHOWN = 3  # names of each side in a message


class Matched(NamedTuple):
    """Images with their captions.

    rows: int64 [m], the positions of the images that are kept, in their order.
    texts: the m captions.
    notes: sentences on what was decided, to be said aloud.
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    texts: tuple[str, ...]
    notes: tuple[str, ...]


class _Join(NamedTuple):
    """How images and captions meet when compared by one form of their names."""

    form: str
    image_keys: Sequence[str]
    caption_keys: Sequence[str]
    shared: frozenset[str]
    complete: bool  # every caption names an image, or every image has a caption
    matched: int  # images that have a caption
    clash: str | None  # why it would be a guess

    @property
    def rank(self) -> tuple[bool, int]:
        return self.clash is None, self.matched


def match_captions(
    image_ids: Column | Sequence[Any], captions: Captions, *, source: str, only_matching: bool = False
) -> Matched:
    """Return the caption of each image.

    A caption names an image by its path; else by its path without the image's suffix; else by its file name; else by
    its file name without suffix. One of these forms is taken for the whole file: the first by which every caption
    names an image or every image has a caption, else that by which most images have one. A form by which one name
    could mean two images is not taken. Captions that name no images belong to the images in order, if there are as
    many. Of several captions of an image the first is taken.

    Args:
        image_ids: [n], the path of each image in its source, or its row number.
        captions: as ``read_captions`` gives them.
        source: what the images come from, for messages.
        only_matching: leave out images without a caption and captions without an image.

    Raises:
        InputError: images and captions do not match one to one, or what a caption names would be a guess.

    >>> captions = Captions("captions.csv", ids=np.array(["b", "a"]), texts=("a dog", "a cat"))
    >>> match_captions(["cat/a.png", "dog/b.png"], captions, source="pets.zip").texts
    ('a cat', 'a dog')
    """
    images = [str(id_) for id_ in (image_ids.tolist() if isinstance(image_ids, np.ndarray) else image_ids)]
    if captions.ids is None:
        return _by_order(images, captions, source)
    names = captions.ids.tolist()
    join = _best_join(images, names, captions, source)

    first: dict[str, int] = {}
    for i, key in enumerate(join.caption_keys):
        first.setdefault(key, i)
    rows = [i for i, key in enumerate(join.image_keys) if key in join.shared]
    lonely = [i for i, key in enumerate(join.image_keys) if key not in join.shared]
    strays = [i for i, key in enumerate(join.caption_keys) if key not in join.shared]
    notes = [] if join.form == _EXACT else [f"{captions.source} names images by {join.form}."]
    if lonely or strays:
        without = [
            f"{len(lonely)} of {len(images)} images of {source} have no caption ({_first(images, lonely)})",
            f"{len(strays)} of {len(names)} captions of {captions.source} name no image ({_first(names, strays)})",
        ]
        said = ", and ".join(part for part, some in zip(without, (lonely, strays), strict=True) if some)
        if not rows:
            raise InputError(f"{said}; nothing matches, so give the captions of these images.")
        if not only_matching:
            raise InputError(
                f"{said}; mend the two so that they match, or keep the {len(rows)} images that have a caption: "
                "--only-matching, or only_matching=True."
            )
        notes.append(f"{said}; the {len(rows)} images with a caption are kept.")
    spare = len(names) - len(strays) - len(first.keys() & join.shared)
    if spare:
        several = _count_several(join)
        notes.append(
            f"{several} images have several captions in {captions.source}: the first of each is taken, "
            f"{spare} are left out."
        )
    texts = tuple(captions.texts[first[join.image_keys[i]]] for i in rows)
    return Matched(np.array(rows, dtype=np.int64), texts, tuple(notes))


def _by_order(images: Sequence[str], captions: Captions, source: str) -> Matched:
    if len(images) != len(captions):
        raise InputError(
            f"{source} has {len(images)} images but {captions.source} has {len(captions)} captions and names no "
            "images, so which belongs to which is not known; give one caption an image, in the order of the images' "
            "paths, or a file that names them."
        )
    note = f"{captions.source} names no images: its captions were matched by order, the first to {images[0]}."
    return Matched(np.arange(len(images), dtype=np.int64), captions.texts, (note,))


def _best_join(images: Sequence[str], names: Sequence[str], captions: Captions, source: str) -> _Join:
    best: _Join | None = None  # the first of equals; one at a time, as each has all names once more
    guess: str | None = None
    for form, key_of in _FORMS.items():
        join = _join(form, key_of, images, names)
        if join.complete and join.clash is None:
            return join
        if guess is None and join.clash is not None:
            guess = f"by {form}, which is not enough: {join.clash}"
        if best is None or join.rank > best.rank:
            best = join
    if best is None or (guess is not None and not (best.clash is None and best.matched)):
        raise InputError(
            f"{captions.source} names the images of {source} {guess}. Name the images by their paths inside the source."
        )
    return best


def _join(form: str, key_of: Callable[[str], str], images: Sequence[str], names: Sequence[str]) -> _Join:
    image_keys = [key_of(name) for name in images]
    caption_keys = [key_of(name) for name in names]
    image_set, caption_set = set(image_keys), set(caption_keys)
    shared = frozenset(image_set & caption_set)
    clash = _clash(images, image_keys, shared, "name {0!r} may mean {1} or {2}") or _clash(
        names, caption_keys, shared, "image {0!r} may be that of {1} or {2}"
    )
    complete = bool(shared) and len(shared) in (len(image_set), len(caption_set))
    matched = sum(key in shared for key in image_keys)
    return _Join(form, image_keys, caption_keys, shared, complete, matched, clash)


def _clash(names: Sequence[str], keys: Sequence[str], shared: frozenset[str], words: str) -> str | None:
    """Two different names of one key, in words; the same name twice is none."""
    seen: dict[str, str] = {}
    for name, key in zip(names, keys, strict=True):
        if seen.setdefault(key, name) != name and key in shared:
            return f"the {words.format(key, seen[key], name)}"
    return None


def _count_several(join: _Join) -> int:
    seen: set[str] = set()
    twice: set[str] = set()
    for key in join.caption_keys:
        (twice if key in seen else seen).add(key)
    return sum(key in twice for key in join.image_keys if key in join.shared)


def _first(names: Sequence[str], positions: Iterable[int]) -> str:
    some = list(dict.fromkeys(names[i] for i in positions))
    return f"first: {', '.join(name[:80] for name in some[:_SHOWN])}{', ...' * (len(some) > _SHOWN)}"


def _exact(name: str) -> str:
    return name


def _path(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _file_name(name: str) -> str:
    return _path(name).rpartition("/")[2]


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in SUFFIXES else name


_EXACT = "path"
_FORMS: Mapping[str, Callable[[str], str]] = {
    _EXACT: _exact,
    "path without suffix": lambda name: _without_suffix(_path(name)),
    "file name": _file_name,
    "file name without suffix": lambda name: _without_suffix(_file_name(name)),
}
