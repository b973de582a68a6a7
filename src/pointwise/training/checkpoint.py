"""What training leaves in its folder, and how it goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.training.held_out import Best
from pointwise.training.inputs import Pairs
from pointwise.training.loop import State
from pointwise.training.model import DualEncoder, load_model
from pointwise.training.options import Options

CHECKPOINT, LOG, MODEL = "checkpoint.safetensors", "log.jsonl", "model.safetensors"
_PLACE = ("step", "first", "mean")  # of a state, as numbers


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


def facts_of(model: DualEncoder, pairs: Pairs, options: Options, held_out: Pairs | None) -> dict[str, Any]:
    """Return what a run must have in common with the checkpoint that it goes on from."""
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


def save(model: DualEncoder, state: State, folder: Path, *, facts: Mapping[str, Any]) -> None:
    """Write the model and where its training stands to one file, whole or not at all."""
    more = {f"{key}.{name}": x for name, moments in state.moments.items() for key, x in moments.items()}
    place = {name: getattr(state, name) for name in _PLACE}
    header: dict[str, Any] = {"options": dict(facts), "state": place}
    if state.best is not None:
        more |= {f"best.{name}": x for name, x in state.best.weights.items()}
        header["best"] = {"step": state.best.step, "loss": state.best.loss}
    model.save(folder / CHECKPOINT, more=more, facts=header)


def restore(model: DualEncoder, state: State, folder: Path, *, facts: Mapping[str, Any]) -> None:
    """Give a model the weights of the checkpoint, and a state what it was then; refuse one of other facts."""
    path = folder / CHECKPOINT
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
        weights = {name: more[f"best.{name}"] for name in model.state_dict()}
        state.best = Best(header["best"]["step"], header["best"]["loss"], weights)


def cut_log(folder: Path, *, lines: int) -> None:
    """Leave so many lines in the log, as those after them come again."""
    path = folder / LOG
    kept = path.read_bytes().splitlines(keepends=True)[:lines] if path.exists() else []
    with atomic_write(path) as file:
        file.write(b"".join(kept))


def append_to_log(folder: Path, line: Mapping[str, Any]) -> None:
    """Write a line to the log."""
    try:
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write {folder / LOG}: {error.strerror or error}; mend that, and go on from the last checkpoint "
            "with resume=True (--resume), if there is one."
        ) from error


def last_good(folder: Path) -> str:
    """Say in words which checkpoint there is."""
    path = folder / CHECKPOINT
    if not path.exists():
        return "there is no checkpoint yet"
    return f"the last good checkpoint is {path}, of step {load_model(path)[2]['state']['step']}"


def _leaves(facts: Mapping[str, Any], of: str = "") -> dict[str, Any]:
    """All facts, with what is in one of them by names such as model.dim."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        flat |= _leaves(value, f"{of}{name}.") if isinstance(value, Mapping) else {f"{of}{name}": value}
    return flat


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
