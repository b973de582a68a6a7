"""Folders, .zip and .tar alike: the files in them by name, none of which may lie outside."""

import bz2
import gzip
import lzma
import os
import posixpath
import stat
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from pointwise.errors import InputError, first_line

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVES = (".zip", *TARS)
# What opens a compressed tar, by its first bytes.
_PACKED: Mapping[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_LARGEST_HEADER = 1 << 24  # bytes: tarfile reads a header whole, and a small archive may hold one that unpacks to much
_LINKS = 40  # that lead from one to the next, as many as the kernel follows
DAMAGED = (  # what damaged bytes raise
    *(OSError, EOFError, ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, struct.error, zlib.error),
    *(lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
)


class Files(NamedTuple):
    """The files of a folder or an archive, at any depth, without hidden ones and ``__MACOSX``."""

    source: Path
    names: Sequence[str]  # their paths inside it with "/" between folders, sorted
    order: Sequence[str]  # the same in the order in which reading all of them is quick
    open: Callable[[str], Any]  # returns the binary stream of one of them

    def read(self, name: str, *, limit: int) -> bytes:
        """Return the bytes of one file; of a small archive that unpacks to much, no more than the limit is read."""
        try:
            with self.open(name) as stream:
                data: bytes = stream.read(limit + 1)
        except DAMAGED as error:
            raise InputError(f"{printable(name)} cannot be read ({first_line(error)}); mend or remove it.") from None
        if len(data) > limit:
            raise InputError(f"{printable(name)} unpacks to more than {limit} bytes, which is all that is read of one.")
        return data

    def ids(self, names: Sequence[str], *, of: Sequence[str]) -> list[str]:
        """Return names as valid Unicode, without the folders that all files ``of`` a kind share in an archive."""
        shared = "" if self.source.is_dir() else posixpath.commonpath([posixpath.dirname(name) for name in of])
        return [printable(name.removeprefix(f"{shared}/") if shared else name) for name in names]


def files_of(source: Path) -> Files:
    """Return the files of a folder (links are followed), a .zip or a .tar (also compressed), without reading them."""
    if source.is_dir():
        return _of_folder(source)
    try:
        return _of_zip(source) if source.name.lower().endswith(".zip") else _of_tar(source)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{source} cannot be read as an archive: {first_line(error)}. It may be damaged or cut short: copy or "
            "pack it again."
        ) from None


def printable(name: str) -> str:
    """Return a file name as valid Unicode: bytes in it that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _of_folder(folder: Path) -> Files:
    names = sorted(os.path.relpath(path, folder).replace(os.sep, "/") for path in _walk(str(folder), ()))
    return Files(folder, names=names, order=names, open=lambda name: _open_regular(os.path.join(folder, name)))


def _walk(folder: str, above: tuple[str, ...]) -> Iterator[str]:
    """The paths of the files in a folder and below; ``above`` is where the folders on the way to it really lie."""
    above = (*above, os.path.realpath(folder))
    if any(os.path.commonpath([above[-1], other]) == above[-1] for other in above[:-1]):
        return  # a link that leads back, so that walking it would never end
    try:
        entries = [entry for entry in os.scandir(folder) if not _hidden(entry.name)]
    except OSError as error:
        raise InputError(
            f"the folder {error.filename} cannot be read ({error.strerror}); change its permissions or take it away."
        ) from None
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry.path, above)
        else:
            yield entry.path


def _open_regular(path: str) -> Any:
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for another process to write
        raise OSError("it is no regular file")
    return open(path, "rb")


def _of_zip(path: Path) -> Files:
    archive = zipfile.ZipFile(path)
    stream: Any = archive.fp
    weakref.finalize(archive, stream.close)  # before the stream is collected and warns
    members = [(member.filename.replace("\\", "/"), member) for member in archive.infolist() if not member.is_dir()]
    return _of_members(path, members, archive.open, "header_offset")


def _of_tar(path: Path) -> Files:
    stream = _unpacked(path)
    try:
        archive = tarfile.open(fileobj=_headers_of(stream), mode="r:")
        members = [(each.name, each) for each in archive if each.isreg() or each.islnk() or each.issym()]
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
            count = len(archive.getmembers())
            raise tarfile.ReadError(f"after {count} members there is neither another nor the end mark")
    except BaseException:
        stream.close()
        raise
    archive.fileobj = stream  # for the files, which may be larger than headers
    weakref.finalize(archive, stream.close)
    plain = {posixpath.normpath(name): member for name, member in members}
    return _of_members(path, members, lambda it: archive.extractfile(_followed(it, plain)), "offset")


def _unpacked(path: Path) -> Any:
    """The stream of a .tar, whatever it is compressed by."""
    with open(path, "rb") as file:
        start = file.read(6)
    return next((opened for magic, opened in _PACKED.items() if start.startswith(magic)), open)(path, "rb")


def _headers_of(stream: Any) -> Any:
    """The stream of a tar while its headers are read, none of which may fill the memory."""

    def read(size: int) -> bytes:
        if size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"one of its headers unpacks to {size} bytes")
        data: bytes = stream.read(size)
        return data

    return SimpleNamespace(read=read, seek=stream.seek, tell=stream.tell)


def _followed(member: tarfile.TarInfo, members: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """The file that a member is, or that it links to."""
    link = member
    for _ in range(_LINKS):
        if link.isreg():
            return link
        folder = posixpath.dirname(link.name) if link.issym() else ""
        target = posixpath.normpath(posixpath.join(folder, link.linkname))
        if target not in members:
            raise tarfile.ReadError(f"it is a link to {printable(target)!r}, and there is no such file in the archive")
        link = members[target]
    raise tarfile.ReadError("it is a link that leads to no file")


def _of_members(
    path: Path, members: Sequence[tuple[str, Any]], open_member: Callable[[Any], Any], position: str
) -> Files:
    """Files of an archive, whose members are quick to read in the order of their positions; of one name the last."""
    plain = {}
    for name, member in members:
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or parts[0].endswith(":"):
            raise InputError(
                f"{path} has the member {name!r}, which points outside of the archive; such archives are not read. "
                "Pack the files again with relative paths."
            )
        plain[posixpath.normpath(name)] = member
    names = sorted(name for name in plain if not any(map(_hidden, name.split("/"))))
    order = sorted(names, key=lambda name: getattr(plain[name], position))
    return Files(path, names=names, order=order, open=lambda name: open_member(plain[name]))


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"
