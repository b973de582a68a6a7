"""run: a training in a folder, with its log, a checkpoint that it goes on from, and the model at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pointwise.training import checkpoint
from pointwise.training.distributed import rank_and_world
from pointwise.training.inputs import Pairs
from pointwise.training.loop import Diverged, Line, State, fit
from pointwise.training.model import DualEncoder
from pointwise.training.options import Options


def run(
    folder: str | Path,
    model: DualEncoder,
    pairs: Pairs,
    options: Options,
    *,
    held_out: Pairs | None = None,
    resume: bool = False,
    progress: Callable[[Line], object] | None = None,
) -> DualEncoder:
    """`fit` a model, keep in a folder what happens on the way, and return the model.

    In the folder: ``log.jsonl``, the lines; ``checkpoint.safetensors``, replaced every ``checkpoint_every`` steps;
    ``model.safetensors``, when done. Under torch.distributed the first process writes.

    With resume it goes on from the checkpoint in the folder, which must be of the same options, pairs and model;
    without, there must be none. progress is called after each step with its line. Of a training that diverges the
    message names the last good checkpoint.
    """
    folder, first, state = Path(folder), rank_and_world()[0] == 0, State()
    lines = fit(model, pairs, options, held_out=held_out, state=state)  # checks all, before anything is written
    checkpoint.require_folder(folder, resume=resume)
    checkpoint.make_folder(folder)
    facts = checkpoint.facts_of(model, pairs, options, held_out)
    if resume:
        checkpoint.restore(model, state, folder, facts=facts)
    if first:  # with held-out pairs the first line is that of no step
        checkpoint.cut_log(folder, lines=state.step + (state.best is not None))
    try:
        for line in lines:
            if first:
                checkpoint.append_to_log(folder, line)
            step = int(line["step"])
            if first and step and (step % options.checkpoint_every == 0 or step == options.steps):
                checkpoint.save(model, state, folder, facts=facts)
            if progress is not None and step:
                progress(line)
    except Diverged as error:
        problem = f"{error.problem}; {checkpoint.last_good(folder)}"
        raise Diverged(problem, f"another folder and {error.advice}") from None
    if first:
        model.save(folder / checkpoint.MODEL)
    return model
