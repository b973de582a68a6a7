"""Images: a folder, a .zip or .tar, or an array of pictures, read one at a time as 8-bit RGB."""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import struct
import tarfile
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pointwise.arrays import Column
from pointwise.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_HASHED_AT_ONCE = 1 << 20  # bytes
_LARGEST_FILE = 1 << 30  # bytes: nothing that unpacks to more is read, so that a small archive cannot fill the memory
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, RuntimeError)
_BROKEN_BYTES = (*_BROKEN, struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError)  # what damaged bytes raise


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Pictures that are read when asked for: ``images[i]`` is uint8 [h, w, 3], RGB.

    Args:
        source: where they come from, for messages and provenance.
        ids: [n], the path of each inside its source with "/" between folders, or its row number.
        modes: [n], the top folder that each lies in, where there are folders.
        reading_order: the positions 0..n-1 in the order in which reading all of them is quick.

    How a file becomes RGB: the first frame; EXIF orientation applied; palette and grey spread to RGB; transparent
    pixels laid over white; CMYK converted without a colour profile; of 16 bits the high 8 kept.
    """

    source: str
    _: KW_ONLY
    ids: Column
    modes: Column | None
    reading_order: Sequence[int]
    _read: Callable[[int], Pixels]
    _digest: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Pixels:
        """Return image i, uint8 [h, w, 3].

        Raises:
            InputError: it cannot be read: damaged, cut short, too large, or of a kind that has no 8-bit RGB form.
        """
        return self._read(range(len(self))[i])

    def digest(self, i: int) -> str:
        """Return the SHA-256 of image i as it is kept: of its file, not decoded, or of its shape and bytes in an array.

        Raises:
            InputError: its bytes cannot be read.

        >>> images = open_images(np.array([0, 255, 0], dtype=np.uint8).reshape(3, 1, 1))
        >>> images.digest(0) == images.digest(1), images.digest(0) == images.digest(2)
        (False, True)
        """
        return self._digest(range(len(self))[i])

    def __repr__(self) -> str:
        modes = "" if self.modes is None else f", {len(np.unique(self.modes))} modes"
        return f"Images({len(self)} from {self.source}{modes})"


def open_images(source: str | Path | Pixels) -> Images:
    """Open a folder, a .zip or .tar (also compressed), or an array of images, without decoding any yet.

    Files with an image suffix count, at any depth, sorted by path; others, hidden ones and ``__MACOSX`` are left out.
    The top folder that a file lies in is its mode; where all files lie directly in the source there are no modes.
    The folders that all images of an archive share are its wrapping: neither a mode nor part of the ids. Archives are
    read in memory and never unpacked to disk.

    Args:
        source: a path, or an array: uint8 [n, h, w, 3], or grey as [n, h, w] or [n, h, w, 1]; in a file, .npy.

    Raises:
        InputError: the source cannot be read, holds no images, holds some in sub-folders and some beside them, is an
            array of another kind, or is an archive with a member that points outside of it.

    >>> import numpy as np
    >>> images = open_images(np.zeros((5, 8, 8), dtype=np.uint8))
    >>> len(images), images[0].shape
    (5, (8, 8, 3))
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "an array")
    path = Path(source)
    name = path.name.lower()
    if not os.path.exists(path):  # False also where it may not be asked
        raise InputError(f"{source} does not exist; give a folder, a .zip or .tar of images, or an .npy of them.")
    if os.path.isdir(path):
        return _from_folder(path)
    if name.endswith(".zip"):
        return _from_zip(path)
    if name.endswith(_TARS):
        return _from_tar(path)
    if name.endswith(".npy"):
        return _from_npy(path)
    if name.endswith(SUFFIXES):
        raise InputError(f"{source} is a single image; give the folder, .zip or .tar that holds the images.")
    raise InputError(
        f"{source} is not a source of images; give a folder, a .zip, a .tar ({', '.join(_TARS)}), "
        "or an .npy of uint8 [n, h, w, 3]."
    )


def is_images(source: str | Path) -> bool:
    """Say whether this path holds images rather than a table of features.

    A folder does unless the first of its folders that holds either kind of file holds .parquet shards; a .zip, a .tar
    and an image file do; an .npy does if it is uint8 [n, h, w, 3] or grey [n, h, w]. A path that cannot be read is no
    image source.
    """
    path = Path(source)
    name = path.name.lower()
    if os.path.isdir(path):
        for _, _, files in os.walk(path):
            suffixes = {Path(file).suffix.lower() for file in files if not file.startswith(".")}
            if ".parquet" in suffixes:
                return False
            if not suffixes.isdisjoint(SUFFIXES):
                return True
        return True
    if name.endswith(".npy"):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except _BROKEN:
            return False
        return bool(array.dtype == np.uint8 and array.ndim in (3, 4))
    return os.path.exists(path) and name.endswith((".zip", *_TARS, *SUFFIXES))


def resize(image: Pixels, *, height: int, width: int) -> Pixels:
    """Return the whole picture at this size by Pillow's bicubic filter, which antialiases what it shrinks."""
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _from_folder(folder: Path) -> Images:
    paths = {}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not _hidden(name) and not _loops(os.path.join(parent, name))]
        for file in files:
            relative = Path(parent, file).relative_to(folder).as_posix()
            if _is_image(relative):
                paths[relative] = os.path.join(parent, file)
    names = sorted(paths)

    def read(i: int) -> Pixels:
        with _naming(folder, names[i]), open(paths[names[i]], "rb") as stream:
            return _decode(stream)

    def digest(i: int) -> str:
        with _naming(folder, names[i]), open(paths[names[i]], "rb") as stream:
            return _sha256(stream, unpacked=False)

    return _named(folder, names, range(len(names)), read, digest)


def _from_zip(path: Path) -> Images:
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN_BYTES as error:
        _refuse_archive(path, error)
    members = {member.filename.replace("\\", "/"): member for member in archive.infolist() if not member.is_dir()}
    return _from_members(path, members, archive.open, position=None)


def _from_tar(path: Path) -> Images:
    try:
        archive = tarfile.open(path)  # stays open for as long as its images are read
        weakref.finalize(archive, archive.fileobj.close)
        members = {member.name: member for member in archive if member.isreg() or member.islnk() or member.issym()}
        _require_end(archive)
    except _BROKEN_BYTES as error:
        _refuse_archive(path, error)
    return _from_members(path, members, archive.extractfile, position=lambda member: member.offset)


def _require_end(archive: tarfile.TarFile) -> None:
    """Raise unless the members end in a block of zeros: tarfile takes a damaged header for the end and says nothing."""
    stream: Any = archive.fileobj
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"after {len(archive.getmembers())} members there is neither another nor the end mark")


def _from_members(
    path: Path,
    members: Mapping[str, Any],
    open_member: Callable[[Any], Any],
    *,
    position: Callable[[Any], int] | None,
) -> Images:
    """Images of an archive; where a position is given, members are quick to read only in the order of it."""
    inside = {_inside(path, name): member for name, member in members.items()}
    names = sorted(name for name in inside if _is_image(name))
    wanted = [inside[name] for name in names]
    shared = posixpath.commonpath([posixpath.dirname(name) for name in names]) if names else ""
    order = range(len(names)) if position is None else sorted(range(len(names)), key=lambda i: position(wanted[i]))

    def read(i: int) -> Pixels:
        with _naming(path, names[i]), open_member(wanted[i]) as stream:
            return _decode(_in_memory(stream))

    def digest(i: int) -> str:
        with _naming(path, names[i]), open_member(wanted[i]) as stream:
            return _sha256(stream, unpacked=True)

    return _named(path, [posixpath.relpath(name, shared) if shared else name for name in names], order, read, digest)


def _from_npy(path: Path) -> Images:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _BROKEN as error:
        raise InputError(
            f"{path} cannot be read as an .npy array: {_reason(error)}. Write it again with numpy.save."
        ) from None
    return _from_array(array, str(path))


def _from_array(array: Any, source: str) -> Images:
    found = f"{source} holds {array.dtype} {list(array.shape)}"
    if array.dtype != np.uint8:
        raise InputError(f"{found}; images must be uint8 [n, h, w, 3], 0 black and 255 white: scale, round, convert.")
    if array.ndim == 4 and array.shape[1] == 3 and array.shape[3] not in (1, 3):
        raise InputError(f"{found}; the colours must come last, [n, h, w, 3]: write x.transpose(0, 2, 3, 1).")
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise InputError(f"{found}; images must be [n, h, w, 3], or grey as [n, h, w] or [n, h, w, 1].")
    if 0 in array.shape:
        raise InputError(f"{found}: there are no pixels in it; give at least one image of at least one pixel.")
    count, height, width = array.shape[:3]

    def read(i: int) -> Pixels:
        return np.array(np.broadcast_to(array[i].reshape(height, width, -1), (height, width, 3)))

    def digest(i: int) -> str:
        return hashlib.sha256(f"{array.shape[1:]} ".encode() + array[i].tobytes()).hexdigest()

    return Images(source, ids=np.arange(count), modes=None, reading_order=range(count), _read=read, _digest=digest)


def _named(
    path: Path,
    names: Sequence[str],
    order: Sequence[int],
    read: Callable[[int], Pixels],
    digest: Callable[[int], str],
) -> Images:
    """Images of files: their paths inside the source are their ids, the top folders their modes."""
    if not names:
        raise InputError(f"{path} holds no images; files with these suffixes were looked for: {', '.join(SUFFIXES)}.")
    loose = [name for name in names if "/" not in name]
    if 0 < len(loose) < len(names):
        raise InputError(
            f"{path} holds {len(loose)} images beside its sub-folders (the first is {loose[0]}) and "
            f"{len(names) - len(loose)} in them. Sub-folders are modes: put every image into one, or none."
        )
    ids = [name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in names]
    modes = None if loose else np.asarray([name.split("/")[0] for name in ids])
    return Images(str(path), ids=np.asarray(ids), modes=modes, reading_order=order, _read=read, _digest=digest)


def _inside(archive: Path, name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or parts[0].endswith(":"):
        raise InputError(
            f"{archive} has the member {name!r}, which points outside of the archive; such archives are not read. "
            "Pack the images again with relative paths."
        )
    return posixpath.normpath(name)


def _is_image(relative: str) -> bool:
    return relative.lower().endswith(SUFFIXES) and not any(_hidden(part) for part in relative.split("/"))


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


@contextmanager
def _naming(source: Path, name: str) -> Iterator[None]:
    """Turn whatever a damaged file raises into an InputError that names it."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except (*_BROKEN_BYTES, *bombs) as error:
        size = f"more pixels than the {Image.MAX_IMAGE_PIXELS} taken as safe: " if isinstance(error, bombs) else ""
        raise InputError(
            f"{source}: {name} cannot be read as an image: {size}{_reason(error)}. "
            "Mend or remove it, or go on without such files: --skip-bad, or skip_bad=True."
        ) from None


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "UnidentifiedImageError":  # it names an object in memory
        return "it is in no format that Pillow knows, or its beginning is damaged"
    return str(error).rstrip(".") or type(error).__name__


def _in_memory(stream: Any) -> io.BytesIO:
    data = stream.read(_LARGEST_FILE + 1)
    _require_size(len(data))
    return io.BytesIO(data)


def _sha256(stream: Any, *, unpacked: bool) -> str:
    digest, size = hashlib.sha256(), 0
    while piece := stream.read(_HASHED_AT_ONCE):
        digest.update(piece)
        size += len(piece)
        if unpacked:
            _require_size(size)
    return digest.hexdigest()


def _require_size(size: int) -> None:
    if size > _LARGEST_FILE:
        raise ValueError(f"it unpacks to more than {_LARGEST_FILE} bytes")


def _decode(stream: Any) -> Pixels:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not concern the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(stream) as image:
            return np.array(_as_rgb(ImageOps.exif_transpose(image), png=image.format == "PNG"))


def _as_rgb(image: Image.Image, *, png: bool) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I;16") or (png and image.mode == "I"):  # older releases of Pillow say I for 16 bits
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels have 32 bits (mode {image.mode}), so black and white are not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
