"""Images: a folder, a .zip or .tar, or an array of pictures, read one at a time as 8-bit RGB."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pointwise._types import Column, Pixels
from pointwise.errors import InputError, first_line
from pointwise.items.archives import ARCHIVES, DAMAGED, TARS, Files, files_of

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_LARGEST_FILE = 1 << 30  # bytes: nothing that unpacks to more is read, so that a small archive cannot fill the memory
_BROKEN = (*DAMAGED, SyntaxError)  # Pillow, of a broken PNG


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Pictures that are read when asked for: ``images[i]`` is uint8 [h, w, 3], RGB.

    How a file becomes RGB: the first frame; EXIF orientation applied; palette and grey spread to RGB; transparent
    pixels laid over white; CMYK converted without a colour profile; of 16 bits the high 8 kept.
    """

    source: str  # where they come from, for messages and provenance
    _: KW_ONLY
    ids: Column  # [n], the path of each inside its source with "/" between folders, or its row number
    modes: Column | None = None  # [n], the top folder that each lies in, where there are folders
    reading_order: Sequence[int]  # the positions 0..n-1 in the order in which reading all of them is quick
    _content: Callable[[int], bytes]  # of image i as it is kept, which its digest is of
    _decode: Callable[[bytes], Pixels]
    _hashed: dict[int, bytes] = field(default_factory=dict)  # the content that was hashed last, until it is decoded

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Pixels:
        """Return image i, uint8 [h, w, 3], or raise an InputError that names it."""
        i = range(len(self))[i]
        with self._naming(i):
            return self._decode(self._hashed.pop(i) if i in self._hashed else self._content(i))

    def digest(self, i: int) -> str:
        """Return the SHA-256 of image i as it is kept: of its file, not decoded, or of its shape and bytes in an array.

        Where image i is read next, it is decoded from the very bytes that were hashed, whatever became of its file.
        """
        i = range(len(self))[i]
        self._hashed.clear()
        with self._naming(i):
            self._hashed[i] = self._content(i)
        return hashlib.sha256(self._hashed[i]).hexdigest()

    def __repr__(self) -> str:
        modes = "" if self.modes is None else f", {len(np.unique(self.modes))} modes"
        return f"Images({len(self)} from {self.source}{modes})"

    @contextmanager
    def _naming(self, i: int) -> Iterator[None]:
        """Turn whatever a damaged file raises into an InputError that names it."""
        from PIL import Image, UnidentifiedImageError

        bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
        try:
            yield
        except (*_BROKEN, *bombs) as error:
            reason = first_line(error)
            if isinstance(error, bombs):
                reason = f"more pixels than the {Image.MAX_IMAGE_PIXELS} taken as safe: {reason}"
            if isinstance(error, UnidentifiedImageError):  # it names an object in memory
                reason = "it is in no format that Pillow knows, or its beginning is damaged"
            raise InputError(
                f"{self.source}: {self.ids[i]} cannot be read as an image: {reason}. "
                "Mend or remove it, or go on without such files: --skip-bad, or skip_bad=True."
            ) from None


def open_images(source: str | Path | Pixels) -> Images:
    """Open a folder, a .zip or .tar (also compressed), or an array of images, without decoding any yet.

    Files with an image suffix count, at any depth, sorted by path; others, hidden ones and ``__MACOSX`` are left out.
    The top folder that a file lies in is its mode; where all files lie directly in the source there are no modes.
    The folders that all images of an archive share are its wrapping: neither a mode nor part of the ids. Archives are
    read in memory and never unpacked to disk. An array is uint8 [n, h, w, 3], or grey as [n, h, w] or [n, h, w, 1]; in
    a file, .npy.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, "an array")
    path = Path(source)
    name = path.name.lower()
    if not os.path.exists(path):  # False also where it may not be asked
        raise InputError(f"{source} does not exist; give a folder, a .zip or .tar of images, or an .npy of them.")
    if os.path.isdir(path) or name.endswith(ARCHIVES):
        return _from_files(files_of(path))
    if name.endswith(".npy"):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except _BROKEN as error:
            raise InputError(
                f"{path} cannot be read as an .npy array: {first_line(error)}. Write it again with numpy.save."
            ) from None
        return _from_array(array, str(path))
    if name.endswith(SUFFIXES):
        raise InputError(f"{source} is a single image; give the folder, .zip or .tar that holds the images.")
    raise InputError(
        f"{source} is not a source of images; give a folder, a .zip, a .tar ({', '.join(TARS)}), "
        "or an .npy of uint8 [n, h, w, 3]."
    )


def is_images(source: str | Path) -> bool:
    """Say whether this path holds images rather than a table of features.

    A folder does unless the first of its folders that holds either kind of file holds .parquet shards; an .npy does if
    it is uint8 with three or four axes. A path that cannot be read is no image source.
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
        with suppress(*_BROKEN):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return bool(array.dtype == np.uint8 and array.ndim in (3, 4))
        return False
    return os.path.exists(path) and name.endswith((*ARCHIVES, *SUFFIXES))


def resize(image: Pixels, *, height: int, width: int) -> Pixels:
    """Return the whole picture at this size by Pillow's bicubic filter, which antialiases what it shrinks."""
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def images_in(
    files: Files, names: Sequence[str], *, ids: Column, modes: Column | None = None, reading_order: Sequence[int]
) -> Images:
    """Return the images that are these of the files."""
    limit = -1 if files.source.is_dir() else _LARGEST_FILE

    def content(i: int) -> bytes:
        with files.open(names[i]) as stream:
            data: bytes = stream.read(limit + 1 if limit >= 0 else -1)
        if len(data) > limit >= 0:
            raise ValueError(f"it unpacks to more than {limit} bytes")
        return data

    return Images(
        str(files.source), ids=ids, modes=modes, reading_order=reading_order, _content=content, _decode=_decoded
    )


def _from_files(files: Files) -> Images:
    """Files as images: their paths inside the source are their ids, the top folders their modes."""
    source = files.source
    names = [name for name in files.names if name.lower().endswith(SUFFIXES)]
    if not names:
        raise InputError(f"{source} holds no images; files with these suffixes were looked for: {', '.join(SUFFIXES)}.")
    ids = files.ids(names, of=names)
    loose = [id_ for id_ in ids if "/" not in id_]
    if 0 < len(loose) < len(names):
        raise InputError(
            f"{source} holds {len(loose)} images beside its sub-folders (the first is {loose[0]}) and "
            f"{len(names) - len(loose)} in them. Sub-folders are modes: put every image into one, or none."
        )
    row = {name: i for i, name in enumerate(names)}
    return images_in(
        files,
        names,
        ids=np.asarray(ids),
        modes=None if loose else np.asarray([name.split("/")[0] for name in ids]),
        reading_order=[row[name] for name in files.order if name in row],
    )


def _from_array(array: Any, source: str) -> Images:
    holds = f"{source} holds {array.dtype} {list(array.shape)}"
    if array.dtype != np.uint8:
        raise InputError(f"{holds}; images must be uint8 [n, h, w, 3], 0 black and 255 white: scale, round, convert.")
    if array.ndim == 4 and array.shape[1] == 3 and array.shape[3] not in (1, 3):
        raise InputError(f"{holds}; the colours must come last, [n, h, w, 3]: write x.transpose(0, 2, 3, 1).")
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise InputError(f"{holds}; images must be [n, h, w, 3], or grey as [n, h, w] or [n, h, w, 1].")
    if 0 in array.shape:
        raise InputError(f"{holds}: there are no pixels in it; give at least one image of at least one pixel.")
    count, height, width = array.shape[:3]
    start = f"{array.shape[1:]} ".encode()

    def decode(content: bytes) -> Pixels:
        pixels = np.frombuffer(content, dtype=np.uint8, offset=len(start)).reshape(height, width, -1)
        return np.array(np.broadcast_to(pixels, (height, width, 3)))

    return Images(
        source,
        ids=np.arange(count),
        reading_order=range(count),
        _content=lambda i: start + array[i].tobytes(),
        _decode=decode,
    )


def _decoded(content: bytes) -> Pixels:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not concern the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content)) as file:
            image = ImageOps.exif_transpose(file)
            # Older releases of Pillow say I for the 16 bits of a PNG.
            if image.mode.startswith("I;16") or (file.format == "PNG" and image.mode == "I"):
                image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                raise ValueError(f"its pixels have 32 bits (mode {image.mode}), so black and white are not known")
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.array(image.convert("RGB"))
