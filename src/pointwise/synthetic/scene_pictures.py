"""The pictures of scenes: what matters is drawn so that it can be told apart whatever the background and the noise."""

from typing import Any

import numpy as np

from pointwise._types import Integers, Pixels
from pointwise.synthetic.scene_sentences import SHAPES

SMALLEST_CELL = 10  # pixels: below it the small shapes fall together
NOISE = 12  # every value of every pixel moves by at most this
BACKGROUND = (200, 243)  # lightest value of an object before noise: 160, in its darkest channel
_INK = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 220),
    "yellow": (240, 205, 40),
    "purple": (140, 50, 180),
    "cyan": (60, 200, 215),
    "pink": (250, 150, 190),
    "brown": (130, 85, 40),
}
_RADIUS = (0.27, 0.43)  # of a small and a large object, in cells


def paint(kinds: Integers, *, values: tuple[int, int, int], pixels: int, rng: np.random.Generator) -> Pixels:
    """Return pictures uint8 [n, pixels, pixels, 3] of scenes [n, cells], the kind of object in each cell or -1.

    A kind counts through the ``values``, so many shapes, colours and sizes, sizes fastest. The generator is that of the
    background, the place inside the cell and the noise, none of which depends on the kinds.
    """
    n, cells = kinds.shape
    grid = round(cells**0.5)
    cell = pixels // grid
    stamps = [[_stamp(shape, round(2 * radius * cell)) for radius in _RADIUS] for shape in range(len(SHAPES) - 1)]
    inks = [*_INK.values()]
    pictures = np.empty((n, pixels, pixels, 3), dtype=np.uint8)
    for i, scene in enumerate(kinds):
        background = rng.integers(*BACKGROUND, endpoint=True)
        noise = rng.integers(-NOISE, NOISE, size=(pixels, pixels, 3), dtype=np.int16, endpoint=True)
        shifts = rng.random((cells, 2))
        picture = np.full((pixels, pixels, 3), background, dtype=np.int16)
        for place in np.flatnonzero(scene >= 0):
            shape, colour, size = np.unravel_index(scene[place], values)
            stamp = stamps[shape][size]
            corner = np.array(divmod(int(place), grid)) * cell
            top, left = corner + (shifts[place] * (cell - len(stamp) + 1)).astype(int)
            picture[top : top + len(stamp), left : left + len(stamp)][stamp] = inks[colour]
        pictures[i] = np.clip(picture + noise, 0, 255)
    return pictures


def _stamp(shape: int, side: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the pixels [side, side] that a shape of this width covers."""
    middle = (np.arange(side) + 0.5) * 2 / side - 1
    v, u = np.meshgrid(middle, middle, indexing="ij")
    across, down = abs(u), abs(v)
    inside = {
        "circle": u**2 + v**2 <= 1,
        "square": np.ones((side, side), dtype=bool),
        "triangle": across <= (v + 1) / 2 + 1 / side,
        "cross": np.minimum(across, down) <= 0.34,
        "diamond": across + down <= 1,
        "ring": (u**2 + v**2 <= 1) & (u**2 + v**2 >= 0.25),
    }
    return inside[SHAPES[shape][0]]
