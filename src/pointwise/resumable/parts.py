"""Parts under their keys in a folder that one process holds: found again, made, removed. It knows no content."""

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from pointwise._types import Column
from pointwise.errors import InputError
from pointwise.tables.tensors import load_arrays, save_arrays

if sys.platform != "win32":
    import fcntl

LOCK = "pointwise.lock"
SUFFIX = ".part.safetensors"
_PART = re.compile(r"[0-9a-f]{64}" + re.escape(SUFFIX))
_UNFINISHED = ".pointwise-"  # how the names of files begin that atomic_write leaves when it is killed

Content: TypeAlias = tuple[Mapping[str, Column], Mapping[str, Any]]  # the arrays of a part, and its meta


class Parts:
    """Arrays and meta under keys: a key is the SHA-256, in hex, of all that its part depends on.

    A part appears whole or not at all; one that is damaged counts as not there, and so is made again.
    The folder is held by this process, see `held`; files of another kind count as not there.
    """

    def __init__(self, folder: Path, *, kind: str) -> None:
        self.folder, self.kind = folder, kind

    def keys(self) -> set[str]:
        """Return the keys of the parts that are there, whatever they are of."""
        return {path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")}

    def path(self, key: str) -> Path:
        """Return the file of the part of this key."""
        return self.folder / f"{key}{SUFFIX}"

    def load(self, key: str) -> Content | None:
        """Return arrays and meta of the part of this key; None where it is not there, or damaged."""
        try:
            arrays, words = load_arrays(self.path(key), kind=self.kind, called="a part")
            return arrays, json.loads(words["meta"])
        except InputError:
            return None

    def save(self, key: str, content: Content) -> None:
        """Keep a part."""
        arrays, meta = content
        save_arrays(self.path(key), arrays, kind=self.kind, words={"meta": json.dumps(meta)})

    def remove(self, *, keep: Collection[str] = ()) -> None:
        """Remove all parts but those of these keys."""
        for key in self.keys().difference(keep):
            self.path(key).unlink()


@contextmanager
def held(folder: Path, *, kind: str, purpose: str, path: str | Path, also: Collection[str] = ()) -> Iterator[Parts]:
    """Make and hold the folder of parts; what is half written in it goes, and without parts it is gone afterwards.

    For messages, ``purpose`` is what is kept in the folder, with its verb ("tokens are"), and ``path`` that of what is
    made of the parts; ``also`` is what else a run puts into the folder.
    """
    if os.path.isfile(folder):  # False also for a name that is too long
        raise InputError(f"{folder} is a file, and {purpose} kept in a folder of this name; move it away.")
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # it is not there, or making a lock in it will say what is wrong
        names = []
    # Names that others use too are ours beside a lock, which is made first and removed last, or a part.
    ours = {LOCK, *also} if any(name == LOCK or _PART.fullmatch(name) for name in names) else set()
    for name in names:
        if name not in ours and not name.startswith(_UNFINISHED) and not _PART.fullmatch(name):
            raise InputError(
                f"{folder} is where {purpose} kept, and nothing else can be, but {name} is in it; move that away, or "
                "give another name."
            )
    with _locked(folder, path):
        for unfinished in folder.glob(f"{_UNFINISHED}*"):
            remove(unfinished)
        parts = Parts(folder, kind=kind)
        try:
            yield parts
        finally:
            if not parts.keys():
                with suppress(OSError):  # the lock last, so that nobody begins in a folder that is being removed
                    for left in sorted(folder.iterdir(), key=lambda left: left.name == LOCK):
                        remove(left)
                    folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def _locked(folder: Path, path: str | Path) -> Iterator[None]:
    """Make the folder if need be, and lock it until this process ends; an InputError where another process has it.

    The lock is the kernel's, so that a killed process leaves none. Where there is no such thing, on Windows and some
    network disks, it is as if nobody else were there.
    """
    while True:
        try:
            with suppress(FileExistsError):
                os.mkdir(folder)
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and os.path.isdir(folder.parent) and not os.path.islink(folder):
                continue  # its holder has removed the folder in between
            raise InputError(
                f"cannot write {path}: {folder} beside it, where the work is kept until it is done, cannot be made "
                f"({error.strerror or error}); write to a folder that is yours."
            ) from None
        if sys.platform == "win32":  # what is open cannot be removed there
            os.close(lock)
            yield
            return
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES):
                    raise InputError(
                        f"another process is writing {path} right now; wait for it, or give another name."
                    ) from None
            # A holder removes the file with the folder. Who has opened it before locks it after that, while others
            # lock a new one of its name; so what counts is to have locked the file that is there now.
            if _is_same(folder / LOCK, lock):
                yield
                return
        finally:
            os.close(lock)


def _is_same(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
