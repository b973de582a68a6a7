"""The names of types that many modules share."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # NumPy, torch, or anything with __dlpack__
Column: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # one value a row: ids, modes or captions
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]  # [h, w, 3], or a stack of such
Progress: TypeAlias = Callable[[str, int, int], object]  # what is under way, steps done, steps in all
Steps: TypeAlias = Callable[[int, int], object]  # steps done, steps in all
Say: TypeAlias = Callable[[str], object]  # takes a sentence for the user
