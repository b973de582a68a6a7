"""What each metric says when a generator leaves out classes: CIFAR-10 test images stand in for generated ones.

Real: 500 training images per class. Generated: 500 test images per class, from which the first 0, 1, 3 or 5 classes
are dropped. Nothing else changes, so fidelity should stay and the diversity between classes should fall.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import pointwise as pw
from pointwise.encoders import encode
from real_data import CACHE, balanced, cifar10

METRICS = ("pce", "rce", "re", "recall_cover", "precision_cover", "recall", "coverage", "frechet")


def encoded(split: str, *, per_class: int, encoder: str, cache: Path) -> pw.FeatureTable:
    """The table of one split, from the cache folder where an earlier run left it."""
    path = cache / f"cifar10-{split}-{per_class}-{encoder.replace(':', '-')}.safetensors"
    if path.exists():
        return pw.load(path)
    images, labels, names = cifar10(split, cache=cache)
    rows = balanced(labels, per_class)
    table = encode(
        images[rows],
        encoder=encoder,
        progress=lambda done, n: print(f"\r{split}: {done}/{n} images", end="", file=sys.stderr),
    )
    print(file=sys.stderr)
    modes = np.asarray(names)[labels[rows]]
    table = pw.FeatureTable(table.features, ids=rows, modes=modes, meta={**table.meta, "source": f"CIFAR-10 {split}"})
    table.save(path)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dropped", type=int, nargs="+", default=[0, 1, 3, 5], help="numbers of classes to drop")
    parser.add_argument("--per-class", type=int, default=500, help="images per class in each table")
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the fetched data and the tables")
    options = parser.parse_args()

    real, test = (
        encoded(split, per_class=options.per_class, encoder=options.encoder, cache=options.cache)
        for split in ("train", "test")
    )
    classes = np.unique(test.modes)
    print(f"real: {real}; encoder {real.meta['encoder']}; k = {options.k}; value ± standard error\n")
    print(f"| dropped | generated | {' | '.join(METRICS)} |")
    print(f"|---:|---:|{'---:|' * len(METRICS)}")
    for dropped in options.dropped:
        fake = test[~np.isin(test.modes, classes[:dropped])]
        evaluation = pw.evaluate(real, fake, metrics=METRICS, k=options.k)
        print(f"| {dropped} | {len(fake)} | {' | '.join(cell(evaluation[name]) for name in METRICS)} |")


def cell(score: pw.Score) -> str:
    """Value and standard error; the value alone where the error is not known."""
    return f"{score.value:.4g}" + ("" if np.isnan(score.standard_error) else f" ± {score.standard_error:.2g}")


if __name__ == "__main__":
    main()
