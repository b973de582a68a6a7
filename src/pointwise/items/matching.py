"""Which caption belongs to which image: by what the captions name, or by order where they name nothing."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointwise._types import Column, Integers
from pointwise.errors import InputError
from pointwise.items.captions import Captions
from pointwise.items.images import SUFFIXES

_SHOWN = 3  # names of each side in a message


class Matched(NamedTuple):
    """Images with their captions."""

    rows: Integers  # [m], the positions of the images that are kept, in their order
    texts: tuple[str, ...]  # the m captions
    notes: tuple[str, ...]  # sentences on what was decided


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
    form = _best_form(images, names, captions, source)
    image_keys, caption_keys = list(map(_FORMS[form], images)), list(map(_FORMS[form], names))
    first = dict(zip(reversed(caption_keys), reversed(captions.texts), strict=True))
    rows = [i for i, key in enumerate(image_keys) if key in first]
    notes = [] if form == _EXACT else [f"{captions.source} names images by {form}."]

    named = set(image_keys)
    lonely = [name for name, key in zip(images, image_keys, strict=True) if key not in first]
    strays = [name for name, key in zip(names, caption_keys, strict=True) if key not in named]
    alone = []
    if lonely:
        alone.append(f"{len(lonely)} of {len(images)} images of {source} have no caption ({_first(lonely)})")
    if strays:
        alone.append(f"{len(strays)} of {len(names)} captions of {captions.source} name no image ({_first(strays)})")
    if alone:
        counts = ", and ".join(alone)
        if not rows:
            raise InputError(f"{counts}; nothing matches, so give the captions of these images.")
        if not only_matching:
            raise InputError(
                f"{counts}; mend the two so that they match, or keep the {len(rows)} images that have a caption: "
                "--only-matching, or only_matching=True."
            )
        notes.append(f"{counts}; the {len(rows)} images with a caption are kept.")
    times = Counter(caption_keys)
    several = sum(times[image_keys[i]] > 1 for i in rows)
    if several:
        notes.append(
            f"{several} images have several captions in {captions.source}: the first of each is taken, "
            f"{sum(times[key] - 1 for key in named & set(first))} are left out."
        )
    texts = tuple(first[image_keys[i]] for i in rows)
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


def _best_form(images: Sequence[str], names: Sequence[str], captions: Captions, source: str) -> str:
    best, most, guess = "", 0, ""
    for form, key_of in _FORMS.items():
        image_keys, caption_keys = list(map(key_of, images)), list(map(key_of, names))
        shared = set(image_keys) & set(caption_keys)
        clash = _clash(images, image_keys, shared, "name {0!r} may mean {1} or {2}") or _clash(
            names, caption_keys, shared, "image {0!r} may be that of {1} or {2}"
        )
        if clash is not None:
            guess = guess or f"by {form}, which is not enough: {clash}"
        elif shared and shared in (set(image_keys), set(caption_keys)):
            return form
        else:
            matched = sum(key in shared for key in image_keys)
            if not best or matched > most:  # the first of equals
                best, most = form, matched
    if not best or (guess and not most):
        raise InputError(
            f"{captions.source} names the images of {source} {guess}. Name the images by their paths inside the source."
        )
    return best


def _clash(names: Sequence[str], keys: Sequence[str], shared: set[str], words: str) -> str | None:
    """Two different names of one key, in words; the same name twice is none."""
    seen: dict[str, str] = {}
    for name, key in zip(names, keys, strict=True):
        if seen.setdefault(key, name) != name and key in shared:
            return f"the {words.format(key, seen[key], name)}"
    return None


def _first(names: Sequence[str]) -> str:
    some = list(dict.fromkeys(names))
    return f"first: {', '.join(name[:80] for name in some[:_SHOWN])}{', ...' * (len(some) > _SHOWN)}"


def _path(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in SUFFIXES else name


_EXACT = "path"
_FORMS: Mapping[str, Callable[[str], str]] = {
    _EXACT: lambda name: name,
    "path without suffix": lambda name: _without_suffix(_path(name)),
    "file name": lambda name: _path(name).rpartition("/")[2],
    "file name without suffix": lambda name: _without_suffix(_path(name).rpartition("/")[2]),
}
