"""Writing a file whole or not at all, reading one, and saying in one sentence why that failed."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pointwise.errors import InputError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of ``path`` when the block ends well, and leaves no trace when it fails.

    The bytes go to a hidden file in the same folder, reach the disk, and are then renamed: a reader sees the old file
    or the new one, never a part. A link is followed: the file that it points to is replaced.
    """
    require_writable(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".pointwise-{secrets.token_hex(8)}.tmp")  # short, as the target may not be
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        with suppress(OSError):  # as of a disk that is read only, on which nothing was left
            temporary.unlink()


@contextmanager
def reading(start: str) -> Iterator[None]:
    """Begin what is wrong with a file that is read with these words, such as "cannot load a.npz"."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{start}: {error}") from None
    except OSError as error:
        raise InputError(f"{start}: {error.strerror or error}.") from None


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise the InputError that `atomic_write` would start with: to be asked before long work for this path."""
    target = Path(os.path.realpath(path))
    problem = ""
    try:
        if target.is_dir():
            problem = "it is a folder; give the name of a file in it."
        elif target.exists() and not target.is_file():
            problem = "it is a device or a pipe, which cannot be replaced as a whole; give the name of a regular file."
        elif not target.parent.exists():
            problem = f"the folder {target.parent} does not exist; create it first."
        elif not target.parent.is_dir():
            problem = f"{target.parent} is a file, not a folder."
    except OSError as error:  # a name that is too long, say
        problem = _reason(error)
    if problem:
        raise InputError(f"cannot write {path}: {problem}")


def _reason(error: OSError) -> str:
    words = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return f"there is no space left for it ({words}); free some, or write elsewhere. What was there is unchanged."
    if error.errno in _NO_PERMISSION:
        return f"permission was denied ({words}); write to a folder that is yours. What was there is unchanged."
    return f"{words}. What was there is unchanged."
