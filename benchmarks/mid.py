"""How fast, and in how much memory, is MID, against the plain recipe of its official code?

    python benchmarks/mid.py                  # 30,000 pairs, 512 + 512 and 768 + 768 columns
    python benchmarks/mid.py --streaming      # ours alone at 30,000 and 300,000 pairs that come in batches

The plain recipe, written here for the comparison: all features kept, converted to float64, covariances from the centred
features, log-determinants by SVD, explicit inverses, one score per pair. Both fit on (x, y) and score (x', y), in one
process, in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

import pointwise as pw

BATCH = 4096


def plain_recipe(x, y, fake):
    x, y, fake = x.double(), y.double(), fake.double()
    z, fake_z = torch.cat([x, y], dim=1), torch.cat([fake, y], dim=1)
    logs, squares = [], []
    for reference, evaluated in ((x, fake), (y, y), (z, fake_z)):
        mean = reference.mean(dim=0)
        covariance = (reference - mean).T @ (reference - mean) / (len(reference) - 1)
        logs.append(torch.linalg.svdvals(covariance).log().sum())
        shifted = evaluated - mean
        squares.append(((shifted @ torch.linalg.inv(covariance)) * shifted).sum(dim=1))
    information = (logs[0] + logs[1] - logs[2]) / 2
    return information + (squares[0] + squares[1] - squares[2]) / 2


def ours(x, y, fake):
    return pw.mid(x, y, fake)


def pairs(n, d, seed):
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(n, d, generator=generator)
    return text + torch.randn(n, d, generator=generator), text


def compare(d, n, rounds):
    x, y = pairs(n, d, seed=0)
    fake = x + 0.3 * torch.randn(n, d, generator=torch.Generator().manual_seed(1))
    seconds = {plain_recipe: [], ours: []}
    results = {}
    for _ in range(rounds):
        for method, times in seconds.items():
            start = time.perf_counter()
            results[method] = method(x, y, fake)
            times.append(time.perf_counter() - start)
    off = float((torch.from_numpy(results[ours].per_sample) - results[plain_recipe]).abs().max())
    ratio = statistics.median(a / b for a, b in zip(seconds[plain_recipe], seconds[ours], strict=True))
    plain, own = (statistics.median(seconds[method]) for method in (plain_recipe, ours))
    print(f"| {n:,} | {d} + {d} | {plain:.2f} | {own:.2f} | {ratio:.1f} | {off:.1e} |", flush=True)


def peak_mb():
    return next(int(line.split()[1]) / 1000 for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))


def stream(d, n):
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()
    start = time.perf_counter()
    pair = pw.GaussianPair()
    for batch in range(0, n, BATCH):
        pair.update(*pairs(min(BATCH, n - batch), d, seed=batch))
    information = pair.mutual_information()
    print(
        f"| {n:,} | {d} + {d} | {time.perf_counter() - start:.1f} | {peak_mb() - before:.0f} | {information:.2f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=30_000)
    parser.add_argument("--d", type=int, nargs="+", default=[512, 768])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streaming", action="store_true")
    arguments = parser.parse_args()
    if arguments.streaming:
        print("| pairs | columns | seconds, making the data included | peak MB above start | information |")
        print("|---|---|---|---|---|")
        stream(arguments.d[0], 30_000)
        stream(arguments.d[0], 300_000)
        return
    print("| pairs | columns | plain recipe, s | pointwise, s | times faster | largest difference of a score |")
    print("|---|---|---|---|---|---|")
    for d in arguments.d:
        compare(d, arguments.n, arguments.rounds)


if __name__ == "__main__":
    main()
