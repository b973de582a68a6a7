"""run: a training in a folder, with its log, a checkpoint that it goes on from, and the model at the end."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.training.distributed import rank_and_world
from pointwise.training.inputs import Pairs
from pointwise.training.loop import Best, Diverged, Line, State, fit
from pointwise.training.model import DualEncoder, load_model
from pointwise.training.options import Options

CHECKPOINT, LOG, MODEL = "checkpoint.safetensors", "log.jsonl", "model.safetensors"
_PLACE = ("step", "first", "mean")  # of a state, as numbers


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
    require_folder(folder, resume=resume)
    make_folder(folder)
    facts = _facts(model, pairs, options, held_out)
    if resume:
        _restore(model, state, folder / CHECKPOINT, facts=facts)
    if first:
        _cut_log(folder / LOG, lines=state.step + (state.best is not None))  # held-out pairs have a line of no step
    try:
        for line in lines:
            step = int(line["step"])
            if first:
                _append(folder / LOG, line)
                if step and (step % options.checkpoint_every == 0 or step == options.steps):
                    _save(model, state, folder / CHECKPOINT, facts=facts)
            if progress is not None and step:
                progress(line)
    except Diverged as error:
        path, good = folder / CHECKPOINT, "there is no checkpoint yet"
        if path.exists():
            good = f"the last good checkpoint is {path}, of step {load_model(path)[2]['state']['step']}"
        raise Diverged(f"{error.problem}; {good}", f"another folder and {error.advice}") from None
    if first:
        model.save(folder / MODEL)
    return model


def require_folder(folder: str | Path, *, resume: bool) -> None:
    """Raise an InputError where a folder has a checkpoint and resume is False, or has none and it is True."""
    kept = Path(folder) / CHECKPOINT
    if resume and not kept.exists():
        raise InputError(f"there is no {kept} to go on from; leave out resume=True (--resume) to begin.")
    if not resume and kept.exists():
        raise InputError(f"{kept} is there; go on from it with resume=True (--resume), or give another folder.")


def make_folder(folder: str | Path) -> None:
    """Make a folder for a training, if it is not there."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}; give another.") from error


def _facts(model: DualEncoder, pairs: Pairs, options: Options, held_out: Pairs | None) -> dict[str, Any]:
    """What a run must have in common with the checkpoint that it goes on from."""
    facts = asdict(options)
    every = facts.pop("held_out_every")
    for name in ("micro_batch", "checkpoint_every"):  # the steps are the same without them
        del facts[name]
    return facts | {
        "model": json.loads(json.dumps(model.config())),
        "held_out_sha256": None if held_out is None else held_out.sha256(),
        "held_out_every": None if held_out is None else every,
        "pairs_sha256": pairs.sha256(),
    }


def _save(model: DualEncoder, state: State, path: Path, *, facts: Mapping[str, Any]) -> None:
    """Write the model and where its training stands to one file, whole or not at all."""
    more = {f"{key}.{name}": x for name, moments in state.moments.items() for key, x in moments.items()}
    header: dict[str, Any] = {"options": dict(facts), "state": {name: getattr(state, name) for name in _PLACE}}
    if state.best is not None:
        more |= {f"best.{name}": x for name, x in state.best.weights.items()}
        header["best"] = {"step": state.best.step, "loss": state.best.loss}
    model.save(path, more=more, facts=header)


def _restore(model: DualEncoder, state: State, path: Path, *, facts: Mapping[str, Any]) -> None:
    """Give a model the weights of the checkpoint, and a state what it was then; refuse one of other facts."""
    kept, more, header = load_model(path)
    if "state" not in header:
        raise InputError(f"{path} holds a model without the state of its training; give the folder of a training.")
    then, now = _leaves(header["options"]), _leaves(facts)
    for name in now | then:
        if then.get(name) != now.get(name):
            raise InputError(
                f"{path} was made with another {name}: {_short(then.get(name))}, and now it is "
                f"{_short(now.get(name))}; resume with the same, or give another folder."
            )
    model.load_state_dict(kept.state_dict())
    for name in _PLACE:
        setattr(state, name, header["state"][name])
    for name, p in model.named_parameters():
        # AdamW counts steps on the processor, wherever the parameter is
        held = {key: more[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in more}
        state.moments[name] = {key: x if key == "step" else x.to(p.device) for key, x in held.items()}
    if "best" in header:
        state.best = Best(**header["best"], weights={name: more[f"best.{name}"] for name in model.state_dict()})


def _cut_log(path: Path, *, lines: int) -> None:
    """Leave so many lines in the log, as those after them come again."""
    kept = path.read_bytes().splitlines(keepends=True)[:lines] if path.exists() else []
    with atomic_write(path) as file:
        file.write(b"".join(kept))


def _append(path: Path, line: Line) -> None:
    try:
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; mend that, and go on from the last checkpoint with "
            "resume=True (--resume), if there is one."
        ) from error


def _leaves(facts: Mapping[str, Any], of: str = "") -> dict[str, Any]:
    """All facts, with what is in one of them by names such as model.dim."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        flat |= _leaves(value, f"{of}{name}.") if isinstance(value, Mapping) else {f"{of}{name}": value}
    return flat


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
