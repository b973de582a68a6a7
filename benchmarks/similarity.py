"""How fast, and in how much memory, are the similarities of point sets, against the plain einsum?

    python benchmarks/similarity.py             # throughput, where the einsum fits
    python benchmarks/similarity.py --memory    # forward and backward at 256 x 256 samples of 50 and 77 points, d = 512

Forward and backward, with gradients of points, log-weights and scale, in float32. The plain form is the equation: one
einsum for all inner products [n, b, m, l], on the unit sphere, and one logsumexp (or weighted sum). Both run in one
process, in turn; seconds are medians of the rounds and the ratio is the median of each round's. They are seconds of the
processor, by default of one thread: those of the clock, and of threads that wait for each other, tell more of what else
the machine does.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path

import torch

import pointwise as pw
from pointwise.kernels.functions import info_nce, kme_similarity, wpse_similarity

SHAPES = ((256, 4, 4, 64), (256, 8, 8, 256), (512, 8, 8, 64), (64, 50, 77, 512), (128, 50, 77, 512))


def plain_kme(x, y, a, b, scale):
    kernel = scale * (torch.einsum("nid,bjd->nbij", x, y) - 1)
    return torch.logsumexp(kernel + a[:, None, :, None] + b[None, :, None, :], dim=(2, 3))


def our_kme(x, y, a, b, scale):
    return kme_similarity(x, y, log_wx=a, log_wy=b, scale=scale)


def plain_wpse(x, y, a, b, scale):
    inner = torch.einsum("nid,bjd->nbij", x, y)
    kernel = 0.667 * inner + 0.333 * torch.exp((inner - 1) / 0.25)
    weighted = kernel * a[:, None, :, None] * b[None, :, None, :]
    return scale * weighted.mean(dim=(2, 3))


def our_wpse(x, y, a, b, scale):
    return wpse_similarity(x, y, wx=a, wy=b, scale=scale)


def point_sets(batch, m, length, d):
    generator = torch.Generator().manual_seed(0)
    x, y = (
        torch.nn.functional.normalize(torch.randn(batch, points, d, generator=generator), dim=2)
        for points in (m, length)
    )
    y[:, 0] = x[:, 0]
    weights = [torch.randn(batch, points, generator=generator) - math.log(points) for points in (m, length)]
    inputs = [x, y, *weights, torch.tensor(1 / 0.07)]
    return [tensor.requires_grad_() for tensor in inputs]


def step(similarity, inputs):
    x, y, *others = inputs
    x, y = (torch.nn.functional.normalize(points, dim=2) for points in (x, y))  # gradients along the sphere
    loss = info_nce(similarity(x, y, *others))
    return loss.detach(), torch.autograd.grad(loss, inputs)


def compare(name, plain, own, shape, rounds):
    batch, m, length, d = shape
    inputs = point_sets(*shape)
    seconds = {plain: [], own: []}
    results = {}
    for _ in range(rounds + 1):
        for method, times in seconds.items():
            start = time.process_time()
            results[method] = step(method, inputs)
            times.append(time.process_time() - start)
    off = max(float((a - b).norm() / b.norm()) for a, b in zip(results[own][1], results[plain][1], strict=True))
    first, second = seconds[plain][1:], seconds[own][1:]  # the first round warms up
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    print(
        f"| {name} | {batch} | {m} x {length} | {d} | {statistics.median(first):.3f} | {statistics.median(second):.3f} "
        f"| {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) | {off:.0e} |",
        flush=True,
    )


def peak_mb():
    return next(int(line.split()[1]) / 1000 for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))


def memory(name, own, shape):
    batch, m, length, d = shape
    step(own, point_sets(2, m, length, d))  # what libraries set up once
    inputs = point_sets(*shape)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = peak_mb(), time.process_time()
    step(own, inputs)
    seconds = time.process_time() - start
    array = batch * batch * m * length * 4 / 1e6
    print(
        f"| {name} | {batch} | {m} x {length} | {d} | {seconds:.1f} | {peak_mb() - before:.0f} | {array:.0f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"pointwise {pw.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    if arguments.memory:
        print("| similarity | batch | points | d | seconds | peak MB above the inputs | one n x b x m x l array, MB |")
        print("|---|---|---|---|---|---|---|")
        for name, own in (("kme", our_kme), ("wpse", our_wpse)):
            memory(name, own, (256, 50, 77, 512))
        return
    print(
        "| similarity | batch | points | d | plain einsum, s | pointwise, s | times faster (range) | gradients differ |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, plain, own in (("kme", plain_kme, our_kme), ("wpse", plain_wpse, our_wpse)):
        for shape in SHAPES:
            compare(name, plain, own, shape, arguments.rounds)


if __name__ == "__main__":
    main()
