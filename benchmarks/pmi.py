"""How near does a learned similarity come to pointwise mutual information, where the truth is known?

    python benchmarks/pmi.py discrete                    # encoders, sampled batches
    python benchmarks/pmi.py discrete --latents 64
    python benchmarks/pmi.py discrete --population       # the loss of infinitely many pairs
    python benchmarks/pmi.py discrete --free --population  # and one embedding for each value
    python benchmarks/pmi.py circle
    python benchmarks/pmi.py scenes                      # symbols of 112 scenes and of what 45 captions mean
    python benchmarks/pmi.py pictures                    # pictures of these scenes, and convolutions
    python benchmarks/pmi.py many-scenes                 # symbols of 0.1 million scenes, 1.3 million captions

Rows are similarities of m points of d numbers: at equal parameters m d is --width, at equal width d is. Error is
|S - PMI - c| over independent x and y, c the mean difference; gap is the held-out symmetric InfoNCE, less that of the
true PMI on the same items; I is estimated by mean S of pairs - log mean e^S of unpaired. Nats; mean ± standard
deviation of the seeds, which draw the law's tables, the weights at the start, and the pairs. Nothing is chosen by the
truth: the rate is that of the lowest held-out loss on a seed of its own (--first 99 --seeds 1 --rates .003 .01 .02).

Discrete, circle and scenes are evaluated without sampling: by sums over all values, of the circle over 64 angles, at
which sums are integrals to rounding. Their batches hold few different values, so that InfoNCE of a batch is summed over
its table of counts: of a million pairs it costs no more than of 64. The row named counts is the logarithm of all counts
of the run: what sampling allows without a model.

With --out FILE each run is a line of JSON there, and runs that have a line are not made again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import pointwise as pw
from pmi_laws import ManyScenes, Pictures, Table, circle, discrete, loss, scenes
from pointwise.training.inputs import Inputs
from pointwise.training.model import DualEncoder

LARGE_BATCHES = {"width": 32, "batch": 1 << 20, "steps": 3000, "rates": [0.01]}
SMALL_BATCHES = {"width": 64, "batch": 128, "steps": 2500, "rates": [0.003]}
LAWS = {
    "discrete": (discrete, {**LARGE_BATCHES, "steps": 5000}),
    "circle": (circle, LARGE_BATCHES),
    "scenes": (scenes, LARGE_BATCHES),
    "pictures": (Pictures, {**SMALL_BATCHES, "width": 32, "batch": 256, "steps": 1500}),
    "many-scenes": (ManyScenes, SMALL_BATCHES),
}
FIGURES = ("mean error", "max error", "gap", "I estimated", "I", "scale")


def fit(law, model, steps, rate):
    """Adam with a warm-up and a cosine; the logarithm of the scale moves eight times as fast."""
    others = [p for name, p in model.named_parameters() if name != "log_scale"]
    optimizer = torch.optim.Adam([{"params": others}, {"params": [model.log_scale], "lr": 8 * rate}], lr=rate)
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(1, (t + 1) / warmup) * (1 + math.cos(math.pi * t / steps)) / 2
    )
    for _ in range(steps):
        optimizer.zero_grad()
        law.loss(model).backward()
        optimizer.step()
        model.clamp_scale()
        schedule.step()


def figures(s, held):
    """Mean and largest error, gap of the loss, and the estimate of mutual information and the truth on these items."""
    difference = s - held.pmi
    error = (difference - (held.unpaired * difference).sum()).abs()
    gap = loss(s, held.joint) - loss(held.pmi, held.joint)
    information = [
        (held.joint * t).sum() - torch.logsumexp((t + held.unpaired.log()).flatten(), 0) for t in (s, held.pmi)
    ]
    largest = error[held.unpaired > 0].max()
    return [float(f) for f in ((held.unpaired * error).sum(), largest, gap, information[0], information[1])]


def measure(options, similarity, m, d, *, rate, seed):
    """Return the figures of one training and, of laws that batches are counted of, those of the counts."""
    law = LAWS[options.law][0](options, seed)
    model = DualEncoder(*law.towers, similarity=similarity, points=m, dim=d, seed=seed)
    nn.init.constant_(model.log_scale, math.log(options.scale))
    held = law.held()
    fit(law, model, options.steps, rate)
    with torch.no_grad():
        s = torch.cat([model(Inputs(rows), held.y) for rows in held.x.x.split(100)]).double()
    counted = [*figures(law.plug_in(), held), math.nan] if isinstance(law, Table) and law.batch else None
    return [*figures(s, held), float(model.scale.detach())], counted


def configurations(options) -> Iterator[tuple[str, int, int]]:
    for m, similarities in ((1, ("clip", "kme")), (4, ("kme",)), (8, ("kme", "wpse")), (16, ("kme",))):
        for similarity in similarities:
            if m in options.points and similarity in options.similarities:
                yield similarity, m, options.width // m
                if m > 1 and not options.only:
                    yield similarity, m, options.width


def row(name, m, d, rate, results):
    values = np.array(results)
    mean, spread = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else values[0] * math.nan
    cells = [f"{a:.4f} ± {b:.4f}" for a, b in zip(mean[:4], spread[:4], strict=True)]
    print(f"| {name} | {m} | {d} | {rate} | {' | '.join(cells)} | {mean[4]:.4f} | {mean[5]:.1f} | {len(values)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("law", choices=LAWS)
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--free", action="store_true", help="one embedding for each value, of discrete")
    parser.add_argument("--population", action="store_true", help="the loss of infinitely many pairs")
    parser.add_argument("--scale", type=float, default=1 / 0.07, help="at the start")
    parser.add_argument("--width", type=int)
    parser.add_argument("--points", type=int, nargs="*", default=[1, 4, 8, 16])
    parser.add_argument("--similarities", nargs="*", default=["clip", "kme", "wpse"])
    parser.add_argument("--only", action="store_true", help="equal parameters alone")
    parser.add_argument("--first", type=int, default=0, help="seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rates", type=float, nargs="*", help="of Adam")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name, value in LAWS[options.law][1].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    torch.set_num_threads(1)
    apart = ("out", "seeds", "first")
    shown: dict[str, Any] = {name: value for name, value in vars(options).items() if name not in apart}
    print(f"pointwise {pw.__version__}, torch {torch.__version__}: {shown}\n")
    print(f"| similarity | m | d | rate | {' | '.join(FIGURES)} | seeds |\n|{'---|' * (5 + len(FIGURES))}", flush=True)

    known = {}
    if options.out is not None and options.out.exists():
        known = {json.dumps(run["key"]): run for run in map(json.loads, options.out.read_text().splitlines())}
    settings = {name: shown[name] for name in ("law", "latents", "free", "population", "scale", "batch", "steps")}
    for similarity, m, d in configurations(options):
        for rate in options.rates:
            runs = []
            for seed in range(options.first, options.first + options.seeds):
                key = {**settings, "similarity": similarity, "m": m, "d": d, "rate": rate, "seed": seed}
                if json.dumps(key) not in known:
                    start = time.perf_counter()
                    result, counted = measure(options, similarity, m, d, rate=rate, seed=seed)
                    seconds = round(time.perf_counter() - start, 1)
                    run = {"key": key, "figures": result, "counts": counted, "seconds": seconds}
                    known[json.dumps(key)] = run
                    if options.out is not None:
                        with options.out.open("a") as file:
                            file.write(json.dumps(run) + "\n")
                runs.append(known[json.dumps(key)])
            row(similarity, m, d, rate, [run["figures"] for run in runs])
            if similarity == "clip" and runs[0]["counts"] is not None:
                row("counts", "", "", "", [run["counts"] for run in runs])


if __name__ == "__main__":
    main()
