"""The folder beside a table to be, where the parts that are already encoded wait for the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointwise._files import atomic_write
from pointwise.encoding.lock import LOCK, alone_in
from pointwise.encoding.parts import Part
from pointwise.errors import InputError
from pointwise.tables.tensors import load_arrays, save_arrays

MANIFEST = "manifest.json"
PART = ".part.safetensors"
_KIND = "encoded part"
UNFINISHED = ".pointwise-"  # what atomic_write leaves when it is killed


class Work:
    """The parts by their keys, and a manifest that says of which encoders they are and how large their batches were.

    Args:
        folder: held by this process; what is in it besides parts is removed.
        settings: of the encoders.
        batch: size of the batches as it was asked for.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, batch: int) -> None:
        self.folder = folder
        self._asked = {"settings": dict(settings), "batch_size": batch}
        there = _read_json(folder / MANIFEST)
        same = all(there.get(name) == value for name, value in self._asked.items())
        self.batch = int(there.get("batch", batch)) if same else batch
        for path in folder.iterdir():
            if path.name not in (LOCK, MANIFEST) and not path.name.endswith(PART):
                _remove(path)
        self._write_manifest()

    def keys(self) -> set[str]:
        """Return the keys of the parts that are there, of whichever encoder and items."""
        return {path.name.removesuffix(PART) for path in self.folder.glob(f"*{PART}")}

    def path(self, key: str) -> Path:
        """Return the file of the part of this key."""
        return self.folder / f"{key}{PART}"

    def remember(self, batch: int) -> None:
        """Note that batches are smaller from now on, for the runs to come."""
        if batch != self.batch:
            self.batch = batch
            self._write_manifest()

    def load(self, key: str, *, dim: int, text_dim: int | None) -> Part | None:
        """Return the part of this key; None where it is not there, or damaged."""
        try:
            arrays, words = load_arrays(self.path(key), kind=_KIND, called="an encoded part")
            told = json.loads(words["told"])
            text = arrays.get("text")
            shapes = [(array.ndim, array.shape[-1]) for array in (arrays["features"], text) if array is not None]
            if shapes != [(2, dim)] + ([] if text_dim is None else [(2, text_dim)]):
                return None
            return Part(
                torch.from_numpy(arrays["features"]),
                None if text is None else torch.from_numpy(text),
                {int(i): message for i, message in told["bad"].items()},
                told["truncated"],
            )
        except (InputError, LookupError, ValueError):
            return None

    def save(self, key: str, part: Part) -> None:
        """Keep a part, whole or not at all."""
        arrays: dict[str, np.ndarray[Any, np.dtype[Any]]] = {"features": part.features.numpy()}
        if part.text is not None:
            arrays["text"] = part.text.numpy()
        told = json.dumps({"bad": {str(i): message for i, message in part.bad.items()}, "truncated": part.truncated})
        save_arrays(self.path(key), arrays, kind=_KIND, words={"told": told})

    def _write_manifest(self) -> None:
        with atomic_write(self.folder / MANIFEST) as file:
            file.write(json.dumps({**self._asked, "batch": self.batch}, indent=1).encode())


@contextmanager
def held(folder: Path, *, path: Path) -> Iterator[None]:
    """Make and hold the folder for the table that is to be at ``path``; without parts in it, it is gone afterwards.

    Raises:
        InputError: it cannot be made, is not of a run like this one, or another process holds it.
    """
    if os.path.exists(folder) and not _is_ours(folder):  # False also for a name that is too long
        raise InputError(
            f"{folder} is where the work on {path} is kept until it is done, and it is there but holds something else; "
            "move it away, or give another name."
        )
    with ExitStack() as stack:
        try:
            alone = stack.enter_context(alone_in(folder))
        except OSError as error:
            raise InputError(
                f"cannot write {path}: {folder} beside it, where the work is kept until it is done, cannot be made "
                f"({error.strerror or error}); write to a folder that is yours."
            ) from None
        if not alone:
            raise InputError(f"another process is writing {path} right now; wait for it, or give another name.")
        try:
            yield
        finally:
            if not any(folder.glob(f"*{PART}")):
                _remove_folder(folder)


def clear(folder: Path) -> None:
    """Remove all parts, when they are of no more use; who holds the folder removes it then."""
    for path in folder.glob(f"*{PART}"):
        path.unlink()


def _remove_folder(folder: Path) -> None:
    """Remove the folder with all that is in it.

    Last goes the lock, so that no other process begins in a folder that is being removed; before it the manifest, by
    which the folder is known as one of ours should this process be killed.
    """
    with suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda path: (path.name == LOCK, path.name == MANIFEST)):
            _remove(path)
        folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_ours(folder: Path) -> bool:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:  # its holder has removed it in between
        return True
    except OSError:
        return False
    if MANIFEST in names:  # as other programs call files, too; or its holder has removed it in between
        return "settings" in _read_json(folder / MANIFEST) or not (folder / MANIFEST).exists()
    return all(name == LOCK or name.startswith(UNFINISHED) for name in names)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
