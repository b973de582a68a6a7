"""How right the error of a difference of two generators is: stated over true spread, by redrawing.

    python benchmarks/differences.py [--draws 300] [--rows 500] [--columns 8]

Real samples and two generators are drawn anew each time from one normal law, or the second from a shrunken one. Beside
the paired error stands what the two printed errors give when they are added in squares.
"""

import argparse

import numpy as np

import pointwise as pw

NAMES = ("pce", "rce", "re", "kl_real_fake", "coverage", "recall_cover", "density", "frechet", "kid", "cmmd")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--columns", type=int, default=8)
    options = parser.parse_args()
    for spread in (1.0, 0.9):
        print(
            f"{options.draws} draws of {options.rows} x {options.columns}, the second generator {spread} times as wide"
        )
        print(f"{'metric':14} {'spread':>10} {'paired':>8} {'squares':>8} {'false':>6}")
        for name, (true, paired, squares, false) in measured(options, spread).items():
            print(f"{name:14} {true:10.4g} {paired:8.2f} {squares:8.2f} {false:6.1%}")


def measured(options, spread):
    """{metric: (true spread, paired error over it, quadrature over it, share of intervals that miss the truth)}."""
    differences, errors, apart, ends = ([] for _ in range(4))
    for seed in range(options.draws):
        rng = np.random.default_rng(seed)
        real, a, b = rng.normal(size=(3, options.rows, options.columns))
        comparison = pw.compare(real, {"a": a, "b": spread * b}, metrics=list(NAMES))
        scores = [comparison.difference("a", "b")[name] for name in NAMES]
        differences.append([score.value for score in scores])
        errors.append([score.standard_error for score in scores])
        apart.append([np.hypot(*(comparison[g][name].standard_error for g in "ab")) for name in NAMES])
        ends.append([score.interval() for score in scores])
    true = np.std(differences, axis=0, ddof=1)
    mean, ends = np.mean(differences, axis=0), np.asarray(ends)
    missed = ((ends[:, :, 0] > mean) | (ends[:, :, 1] < mean)).mean(axis=0)
    paired, squares = np.mean(errors, axis=0) / true, np.mean(apart, axis=0) / true
    return dict(zip(NAMES, zip(true, paired, squares, missed, strict=True), strict=True))


if __name__ == "__main__":
    main()
