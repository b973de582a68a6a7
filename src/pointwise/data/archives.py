"""Folders, .zip and .tar alike: the files in them by name, none of which may lie outside."""

from __future__ import annotations

import os
import posixpath
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, NoReturn

from pointwise.errors import InputError

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DAMAGED = (  # what damaged bytes raise
    *(OSError, EOFError, ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, struct.error, zlib.error),
    *(zipfile.BadZipFile, tarfile.TarError),
)


@dataclass(frozen=True, eq=False)
class Files:
    """The files of a folder or an archive, at any depth, without hidden ones and ``__MACOSX``.

    Args:
        source: the folder or archive.
        names: their paths inside it with "/" between folders, sorted.
        order: the same names in the order in which reading all of them is quick.
        open: returns the binary stream of one of these names.
    """

    source: Path
    _: KW_ONLY
    names: Sequence[str]
    order: Sequence[str]
    open: Callable[[str], Any]

    def read(self, name: str, *, limit: int) -> bytes:
        """Return the bytes of one file; of a small archive that unpacks to much, no more than the limit is read.

        Raises:
            InputError: it has more than ``limit`` bytes, or it cannot be read.
        """
        try:
            with self.open(name) as stream:
                data: bytes = stream.read(limit + 1)
        except _DAMAGED as error:
            raise InputError(f"{printable(name)} cannot be read ({_reason(error)}); mend or remove it.") from None
        if len(data) > limit:
            raise InputError(f"{printable(name)} unpacks to more than {limit} bytes, which is all that is read of one.")
        return data


def files_of(source: Path) -> Files:
    """Return the files of a folder (links are followed), a .zip or a .tar (also compressed), without reading them.

    Raises:
        InputError: it cannot be read, or is an archive with a member that points outside of it.
    """
    if source.is_dir():
        return _of_folder(source)
    return _of_zip(source) if source.name.lower().endswith(".zip") else _of_tar(source)


def inside(archive: Path, name: str) -> str:
    """Return the path of a member in its plainest form: ``./cat//a.png`` is ``cat/a.png``.

    Raises:
        InputError: it points outside of the archive.
    """
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or parts[0].endswith(":"):
        raise InputError(
            f"{archive} has the member {name!r}, which points outside of the archive; such archives are not read. "
            "Pack the files again with relative paths."
        )
    return posixpath.normpath(name)


def printable(name: str) -> str:
    """Return a file name as valid Unicode: bytes in it that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _of_folder(folder: Path) -> Files:
    paths = {}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not _hidden(name) and not _loops(os.path.join(parent, name))]
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        for file in files:
            if not _hidden(file):
                paths[file if below == "." else f"{below}/{file}"] = os.path.join(parent, file)
    names = sorted(paths)
    return Files(folder, names=names, order=names, open=lambda name: open(paths[name], "rb"))


def _of_zip(path: Path) -> Files:
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGED as error:
        _refuse_archive(path, error)
    members = {member.filename.replace("\\", "/"): member for member in archive.infolist() if not member.is_dir()}
    return _of_members(path, members, archive.open, position=lambda member: member.header_offset)


def _of_tar(path: Path) -> Files:
    try:
        archive = tarfile.open(path)  # stays open for as long as its files are read
        weakref.finalize(archive, archive.fileobj.close)
        members = {member.name: member for member in archive if member.isreg() or member.islnk() or member.issym()}
        _require_end(archive)
    except _DAMAGED as error:
        _refuse_archive(path, error)
    return _of_members(path, members, archive.extractfile, position=lambda member: member.offset)


def _of_members(
    path: Path, members: dict[str, Any], open_member: Callable[[Any], Any], *, position: Callable[[Any], int]
) -> Files:
    """Files of an archive, whose members are quick to read in the order of their positions."""
    plain = {inside(path, name): member for name, member in members.items()}
    names = sorted(name for name in plain if not any(map(_hidden, name.split("/"))))
    order = sorted(names, key=lambda name: position(plain[name]))
    return Files(path, names=names, order=order, open=lambda name: open_member(plain[name]))


def _require_end(archive: tarfile.TarFile) -> None:
    """Raise unless the members end in a block of zeros: tarfile takes a damaged header for the end and says nothing."""
    stream: Any = archive.fileobj
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"after {len(archive.getmembers())} members there is neither another nor the end mark")


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _loops(folder: str) -> bool:
    """Whether a linked folder is one that it lies in, so that walking it would never end."""
    if not os.path.islink(folder):
        return False
    target = os.path.realpath(folder)
    return os.path.commonpath([target, os.path.realpath(os.path.dirname(folder))]) == target


def _refuse_folder(error: OSError) -> NoReturn:
    raise InputError(
        f"the folder {error.filename} cannot be read ({error.strerror}); change its permissions or take it away."
    ) from None


def _refuse_archive(path: Path, error: BaseException) -> NoReturn:
    raise InputError(
        f"{path} cannot be read as an archive: {_reason(error)}. It may be damaged or cut short: copy or pack it again."
    ) from None


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
