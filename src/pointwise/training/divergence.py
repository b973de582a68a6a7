"""When a training is going nowhere, and why: told from the losses of its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

_MEMORY = 0.98  # of the running mean of the loss that tells divergence
_TOO_MUCH = 2.0  # nats by which that mean may exceed the loss at the start, or of a model that knows nothing

START: Mapping[str, float] = {"step": 0, "first": math.nan, "mean": 0.0}


def after(state: Mapping[str, float], loss: float) -> dict[str, float]:
    """Return the state after a step of this loss: the step, the first loss, and the running mean.

    >>> after(after(START, 3.0), 1.0)
    {'step': 2, 'first': 3.0, 'mean': 2.0}
    """
    done = state["step"]
    keep = min(_MEMORY, done / (done + 1))
    return {
        "step": done + 1,
        "first": state["first"] if done else loss,
        "mean": keep * state["mean"] + (1 - keep) * loss,
    }


def problem(line: Mapping[str, float], state: Mapping[str, float], *, batch_size: int, warmup: int) -> str | None:
    """Say in words what is wrong with a step, if something is."""
    if not math.isfinite(line["loss"]) or not math.isfinite(line["gradient_norm"]):
        return f"its loss is {line['loss']:.4g}, the norm of the gradient {line['gradient_norm']:.4g}"
    limit = max(state["first"], math.log(batch_size)) + _TOO_MUCH
    if line["step"] > warmup and state["mean"] > limit:
        return f"the running mean of the loss is {state['mean']:.2f} nats, above {limit:.2f}"
    return None
