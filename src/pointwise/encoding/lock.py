"""A lock on a folder that dies with the process that holds it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOCK = "lock"
_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Make the folder if need be, and hold it: yields False at once where another process, or thread, has it.

    The lock is the kernel's (flock), so that a killed process leaves none behind. Where there is no such thing, on
    Windows and some network disks, it is as if nobody else were there. The holder may remove the folder.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    while True:
        with suppress(FileExistsError):
            os.mkdir(folder)
        if sys.platform == "win32":
            yield True
            return
        try:
            place = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            if os.path.islink(folder):
                raise
            continue  # its holder has removed the folder in between
        try:
            if not _locked(place):
                yield False
                return
            if _is_still(folder / LOCK, place):
                yield True
                return
        finally:
            os.close(place)


def _locked(place: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True


def _is_still(path: Path, place: int) -> bool:
    """Whether the file that was locked is the one that others find, and not one that its last holder has removed."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(place))
    except FileNotFoundError:
        return False
