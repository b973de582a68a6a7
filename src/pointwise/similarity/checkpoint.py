"""What training leaves in its folder, and how it goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pointwise.data.files import atomic_write
from pointwise.errors import InputError
from pointwise.similarity.model import DualEncoder, load_model, save_model

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
) -> None:
    """Write model, optimiser and state to one file, whole or not at all."""
    moments = {
        f"{key}.{name}": optimizer.state[p][key]
        for name, p in model.named_parameters()
        for key in optimizer.state.get(p, ())
    }
    save_model(model, folder / CHECKPOINT, more=moments, words={"options": dict(options), "state": dict(state)})


def resume(
    model: DualEncoder, optimizer: torch.optim.AdamW, folder: Path, *, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Give model and optimiser what they had at the checkpoint, and return the state of the training then.

    Raises:
        InputError: the checkpoint cannot be read, or was made with other options.
    """
    path = folder / CHECKPOINT
    kept, moments, words = load_model(path)
    if "state" not in words:
        raise InputError(f"{path} holds a model without the state of its training; give the folder of a training.")
    for name, value in options.items():
        if (then := words["options"].get(name)) != value:
            raise InputError(
                f"{path} was made with another {name}: {_short(then)}, and now it is {_short(value)}; "
                "resume with the same, or give another folder."
            )
    model.load_state_dict(kept.state_dict())
    for name, p in model.named_parameters():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if (held := moments.get(f"{key}.{name}")) is not None:
                optimizer.state[p][key] = held if key == "step" else held.to(p.device)
    state: dict[str, Any] = words["state"]
    return state


def keep_lines(log: Path, steps: int) -> None:
    """Leave in the log the lines up to a step: those after it come again."""
    lines = log.read_bytes().splitlines(keepends=True)[:steps] if log.exists() else []
    with atomic_write(log) as file:
        file.write(b"".join(lines))


def last_good(folder: Path) -> str:
    """Say in words which checkpoint there is."""
    path = folder / CHECKPOINT
    if not path.exists():
        return "there is no checkpoint yet"
    return f"the last good checkpoint is {path}, of step {load_model(path)[2]['state']['step']}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
