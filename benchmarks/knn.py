"""How fast, and in how much memory, are the kNN metrics, against prdc, scikit-learn and faiss in the same run?

    pip install prdc==0.2 scikit-learn faiss-cpu==1.15.1
    python benchmarks/knn.py                 # 10,000 x 10,000 x 1,024, float32, k = 5
    python benchmarks/knn.py --large         # 50,000 x 50,000 x 1,024, ours alone, peak memory

Each contender is a process of its own, so that its peak memory is its own; rounds interleave them, and ratios are
taken within a round, because machines drift. What each does:

- pointwise: all 15 kNN metrics, per sample, exact (neighbour tables at 15 within and 5 across, and ball counts).
- pointwise tables: the four neighbour tables at 15, exact: what the last two compute.
- prdc: its four metrics.
- scikit-learn: NearestNeighbors(algorithm="brute"), the four tables at 15 neighbours.
- faiss: IndexFlatL2, the four tables at 15 neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CONTENDERS = ("pointwise", "pointwise tables", "prdc", "scikit-learn", "faiss")
REACH = {"prdc": 5.0, "scikit-learn": 3.0, "faiss": 1.3}
K, DEPTH = 5, 15


def job(name, real, fake):
    """The work of one contender, imports done beforehand."""
    if name == "pointwise":
        import pointwise as pw
        from pointwise.metrics.registry import METRICS

        rows = [row for row in METRICS.values() if row.summary == "neighborhoods"]

        def run():
            hoods = pw.neighborhoods(real, fake, k=K)
            return {row.name: row.function(hoods).value for row in rows}

    elif name == "pointwise tables":
        import torch

        from pointwise.neighbors.passes import Prepared, across, within

        def run():
            x = Prepared(torch.from_numpy(real))
            y = Prepared(torch.from_numpy(fake), like=x)
            radii_x, radii_y = (within(table, DEPTH).distances[:, [K - 1]] for table in (x, y))
            across(x, y, DEPTH, radii_x=radii_x, radii_y=radii_y)

    elif name == "prdc":
        from prdc import compute_prdc

        def run():
            return {key: float(value) for key, value in compute_prdc(real, fake, nearest_k=K).items()}

    elif name == "scikit-learn":
        from sklearn.neighbors import NearestNeighbors

        def run():
            for reference in (real, fake):
                index = NearestNeighbors(n_neighbors=DEPTH + 1, algorithm="brute").fit(reference)
                for queries in (real, fake):
                    index.kneighbors(queries, n_neighbors=DEPTH + (queries is reference))

    else:
        import faiss

        def run():
            for reference in (real, fake):
                index = faiss.IndexFlatL2(reference.shape[1])
                index.add(reference)
                for queries in (real, fake):
                    index.search(queries, DEPTH + (queries is reference))

    return run


def memory(field):
    """VmRSS or VmHWM of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise RuntimeError(field)


def contender(name, folder, warm):
    real, fake = np.load(folder / "real.npy"), np.load(folder / "fake.npy")
    run = job(name, real, fake)
    if warm:  # imports, thread pools and code generation are not what is asked about
        small = job(name, real[:600].copy(), fake[:600].copy())
        small()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": memory("VmHWM") - before, "result": result}))


def measure(name, folder, threads):
    environment = os.environ | {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    done = subprocess.run(
        [sys.executable, __file__, "--contender", name, "--folder", str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return json.loads(done.stdout.splitlines()[-1])


def write_inputs(folder, n, d, seed=0):
    rng = np.random.default_rng(seed)
    np.save(folder / "real.npy", rng.standard_normal((n, d), dtype=np.float32))
    np.save(folder / "fake.npy", rng.standard_normal((n, d), dtype=np.float32) * np.float32(1.05))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--d", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--large", action="store_true", help="50,000 x 50,000, pointwise alone")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        contender(arguments.contender, arguments.folder, warm=True)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.large:
            write_inputs(folder, 50_000, arguments.d)
            outcome = measure("pointwise", folder, arguments.threads)
            inputs = 2 * 50_000 * arguments.d * 4 / 1e6
            print(
                f"50,000 x 50,000 x {arguments.d}: all kNN metrics in {outcome['seconds']:.1f} s, peak "
                f"{outcome['peak_mb']:.0f} MB above the {inputs:.0f} MB of inputs"
            )
            print(outcome["result"])
            return
        write_inputs(folder, arguments.n, arguments.d)
        rounds = [
            {name: measure(name, folder, arguments.threads) for name in CONTENDERS} for _ in range(arguments.rounds)
        ]
    ours = rounds[0]["pointwise"]["result"]
    theirs = rounds[0]["prdc"]["result"]
    agreement = ", ".join(f"{name} {ours[name]:.6f} / {theirs[name]:.6f}" for name in theirs)
    print(
        f"N = M = {arguments.n:,}, d = {arguments.d:,}, float32, k = {K}, {arguments.threads} threads, "
        f"{arguments.rounds} rounds, medians. pointwise / prdc: {agreement}\n"
    )
    print("| contender | seconds (min to max) | times slower than pointwise | reach | peak MB above inputs |")
    print("|---|---|---|---|---|")
    for name in CONTENDERS:
        seconds = [outcome[name]["seconds"] for outcome in rounds]
        ratio = statistics.median(outcome[name]["seconds"] / outcome["pointwise"]["seconds"] for outcome in rounds)
        peak = max(outcome[name]["peak_mb"] for outcome in rounds)
        reach = f">= {REACH[name]}" if name in REACH else ""
        print(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) "
            f"| {ratio:.2f} | {reach} | {peak:.0f} |"
        )


if __name__ == "__main__":
    main()
