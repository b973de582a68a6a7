"""Options: how a model is fitted, declared once for `fit`, `run` and the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from pointwise._options import number, whole_number

LARGEST_RATE = 1000.0  # beyond it AdamW's own numbers overflow before the loss can tell


def _option(default: Any, help: str, check: Callable[..., Any] | None = None) -> Any:
    return field(default=default, metadata={"help": help, "check": check})


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a model is fitted to pairs. What each option means is its help, which the command line shows too.

    Raises:
        InputError: one of them is out of range.

    >>> Options(steps=0)
    Traceback (most recent call last):
    pointwise.errors.InputError: steps is 0; it must be a whole number of at least 1.
    """

    steps: int = _option(2000, "Of the optimiser, in all.", whole_number)
    batch_size: int = _option(
        256, "Pairs of a step, over all processes; each is set against all others.", partial(whole_number, least=2)
    )
    micro_batch: int | None = _option(None, "Pairs in memory at once; the loss stays the same.", whole_number)
    learning_rate: float = _option(5e-4, "After the warm-up.", partial(number, above=0, most=LARGEST_RATE))
    weight_decay: float = _option(0.5, "Of AdamW.", partial(number, above=0, closed=True))
    warmup: int = _option(100, "Steps.", partial(whole_number, least=0))
    bfloat16: bool = _option(False, "Towers in bfloat16; heads and similarity stay in float32.")
    crop: float = _option(
        1.0, "From scratch: smallest share of a picture's area to see; 1: whole.", partial(number, above=0, most=1)
    )
    held_out_every: int = _option(100, "Steps between measurements of held-out pairs.", whole_number)
    checkpoint_every: int = _option(500, "Steps.", whole_number)
    seed: int = _option(0, "Of first weights, order, crops, held-out share.", partial(whole_number, least=0))

    def __post_init__(self) -> None:
        for one in fields(self):
            check, value = one.metadata["check"], getattr(self, one.name)
            if check is not None and not (value is None and one.default is None):
                object.__setattr__(self, one.name, check(value, one.name))
