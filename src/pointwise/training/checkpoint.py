"""What training leaves in its folder, and how it goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pointwise._files import atomic_write
from pointwise.errors import InputError
from pointwise.training.held_out import Best
from pointwise.training.model import DualEncoder, load_model, save_model

CHECKPOINT, LOG, MODEL = "checkpoint.safetensors", "log.jsonl", "model.safetensors"


def require_folder(folder: str | Path, *, resume: bool) -> None:
    """Raise an InputError where a folder has a checkpoint and resume is False, or has none and it is True."""
    kept = Path(folder) / CHECKPOINT
    if resume and not kept.exists():
        raise InputError(f"there is no {kept} to go on from; leave out resume=True (--resume) to begin.")
    if not resume and kept.exists():
        raise InputError(f"{kept} is there; go on from it with resume=True (--resume), or give another folder.")


def make_folder(folder: str | Path) -> None:
    """Make a folder for a training, if it is not there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}; give another.") from error


def save(
    model: DualEncoder,
    optimizer: torch.optim.AdamW,
    folder: Path,
    *,
    options: Mapping[str, Any],
    state: Mapping[str, Any],
    best: Best | None,
) -> None:
    """Write model, optimiser, state and the best weights so far to one file, whole or not at all."""
    more = {
        f"{key}.{name}": optimizer.state[p][key]
        for name, p in model.named_parameters()
        for key in optimizer.state.get(p, ())
    }
    words: dict[str, Any] = {"options": dict(options), "state": dict(state)}
    if best is not None:
        more |= {f"best.{name}": x for name, x in best.weights.items()}
        words["best"] = {"step": best.step, "loss": best.loss}
    save_model(model, folder / CHECKPOINT, more=more, words=words)


def resume(
    model: DualEncoder, optimizer: torch.optim.AdamW, folder: Path, *, options: Mapping[str, Any]
) -> tuple[dict[str, Any], Best | None]:
    """Give model and optimiser what they had at the checkpoint; return the state and the best weights of that time.

    Raises:
        InputError: the checkpoint cannot be read, or was made with other options.
    """
    path = folder / CHECKPOINT
    kept, more, words = load_model(path)
    if "state" not in words:
        raise InputError(f"{path} holds a model without the state of its training; give the folder of a training.")
    then, now = _leaves(words["options"]), _leaves(options)
    for name in now | then:
        if then.get(name) != now.get(name):
            raise InputError(
                f"{path} was made with another {name}: {_short(then.get(name))}, and now it is "
                f"{_short(now.get(name))}; resume with the same, or give another folder."
            )
    model.load_state_dict(kept.state_dict())
    for name, p in model.named_parameters():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if (held := more.get(f"{key}.{name}")) is not None:
                optimizer.state[p][key] = held if key == "step" else held.to(p.device)
    best = None
    if "best" in words:
        weights = {name: more[f"best.{name}"] for name in model.state_dict()}
        best = Best(words["best"]["step"], words["best"]["loss"], weights)
    return words["state"], best


def open_log(folder: Path, *, lines: int, writes: bool) -> Callable[[Mapping[str, Any]], None]:
    """Leave so many lines in the log, as those after them come again, and return what writes the next ones to it."""
    path = folder / LOG

    def write(line: Mapping[str, Any]) -> None:
        if writes:
            try:
                with path.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
            except OSError as error:
                raise InputError(
                    f"cannot write {path}: {error.strerror or error}; mend that, and go on from the last checkpoint "
                    "with resume=True (--resume), if there is one."
                ) from error

    if writes:
        kept = path.read_bytes().splitlines(keepends=True)[:lines] if path.exists() else []
        with atomic_write(path) as file:
            file.write(b"".join(kept))
    return write


def last_good(folder: Path) -> str:
    """Say in words which checkpoint there is."""
    path = folder / CHECKPOINT
    if not path.exists():
        return "there is no checkpoint yet"
    return f"the last good checkpoint is {path}, of step {load_model(path)[2]['state']['step']}"


def _leaves(options: Mapping[str, Any], of: str = "") -> dict[str, Any]:
    """All that options say, with what is in one of them by names such as model.dim."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= _leaves(value, f"{of}{name}.") if isinstance(value, Mapping) else {f"{of}{name}": value}
    return found


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
