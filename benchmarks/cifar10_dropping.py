"""What does each metric say when a generator leaves out classes? CIFAR-10 test images stand in for generated ones.

    python benchmarks/cifar10_dropping.py

Real: 500 training images per class. Generated: 500 test images per class, from which 0, 1, 3 or 5 classes are dropped:
in ten random orders, so that each row averages over which classes they are. Nothing else changes, so fidelity should
stay and the diversity between classes should fall.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import pointwise as pw
from pointwise.encoding import encode
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
    parser.add_argument("--orders", type=int, default=10, help="random orders in which classes are dropped")
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
    orders = [np.random.default_rng(seed).permutation(classes) for seed in range(options.orders)]
    reference = pw.Reference(real)
    whole = pw.evaluate(reference, test, metrics=METRICS, k=options.k)
    print(f"real: {real}; encoder {real.meta['encoder']}; k = {options.k}; {options.orders} orders")
    print(
        "The row of 0 gives the value and half its 95% interval; the others the mean over the orders and, in brackets,"
    )
    print("their smallest and largest value.\n")
    print(f"| dropped | generated | {' | '.join(METRICS)} |")
    print(f"|---:|---:|{'---:|' * len(METRICS)}")
    print(f"| 0 | {len(test)} | {' | '.join(with_interval(whole[name]) for name in METRICS)} |")
    notes: list[str] = []
    rises, same_by_class = [whole["rce"].value] * options.orders, True
    for dropped in sorted(set(options.dropped) - {0}):
        evaluations = []
        for order in orders:
            fake = test[~np.isin(test.modes, order[:dropped])]
            evaluations.append(pw.evaluate(reference, fake, metrics=METRICS, k=options.k))
        cells = [over_orders([evaluation[name].value for evaluation in evaluations]) for name in METRICS]
        print(f"| {dropped} | {len(fake)} | {' | '.join(cells)} |")
        now = [evaluation["rce"].value for evaluation in evaluations]
        risen = sum(after > before for before, after in zip(rises, now, strict=True))
        inside = (
            whole["pce"].interval()[0] <= np.mean([e["pce"].value for e in evaluations]) <= whole["pce"].interval()[1]
        )
        notes.append(
            f"{dropped} dropped: rce rose in {risen} of {options.orders} orders since the row above; "
            f"mean pce {'inside' if inside else 'OUTSIDE'} the interval of 0 dropped."
        )
        rises = now
        before = whole["pce"].by_mode()
        same_by_class &= all(
            abs(score.value - before[mode].value) < 1e-9
            for evaluation in evaluations
            for mode, score in evaluation["pce"].by_mode().items()
        )
    print("\n" + "\n".join(f"- {note}" for note in notes))
    verdict = "the same as before in every order" if same_by_class else "changed"
    print(f"- pce of every class that is still there is {verdict}.")


def with_interval(score: pw.Score) -> str:
    low, high = score.interval()
    return f"{score.value:.4g} ± {(high - low) / 2:.2g}"


def over_orders(values: list[float]) -> str:
    return f"{np.mean(values):.4g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
