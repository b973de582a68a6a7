"""How often the interval of MID holds the mean over redraws of both tables, and what its error is made of.

    python benchmarks/mid_coverage.py [--draws 1000] [--pairs 300]

Real and generated pairs are drawn anew each time: of the law that the real ones have, of a looser one, and of one where
image and text have nothing in common. Beside the whole error stands that of the scored pairs alone, which takes the
fitted Gaussian for known, and the paired error of the difference of two generators that are scored by one Gaussian.
"""

import argparse
import math

import numpy as np

import pointwise as pw

LAWS = ("as the real", "looser", "unrelated")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=300)
    options = parser.parse_args()
    print(f"{options.draws} draws of {options.pairs} real and {options.pairs} generated pairs; error over true spread")
    print(f"{'columns':8} {'debias':7} {'generated pairs':22} {'whole':>6} {'holds':>6} {'alone':>6} {'holds':>6}")
    for d in (16, 32):
        for debias in (False, True):
            for law, (values, errors, alone) in drawn(options, d, debias).items():
                whole, apart = (rates(values, each) for each in (errors, alone))
                numbers = "" if np.isnan(apart[0]) else f" {apart[0]:6.2f} {apart[1]:6.1%}"
                print(f"{d:2} + {d:2}  {debias!s:7} {law:22} {whole[0]:6.2f} {whole[1]:6.1%}{numbers}")


def drawn(options, d, debias):
    """{law: (values, whole errors, errors of the scored pairs alone)} over all draws, and of one difference."""
    found = {law: [] for law in (*LAWS, "looser - as the real")}
    for seed in range(options.draws):
        rng = np.random.default_rng(seed)
        texts = rng.normal(size=(2, options.pairs, d))
        noise = rng.normal(size=(4, options.pairs, d))
        reference = pw.Reference(pw.FeatureTable(texts[0] + noise[0], text=texts[0]), debias=debias)
        images = (texts[1] + noise[1], texts[1] + 1.5 * noise[2], math.sqrt(2) * noise[3])
        scores = [
            pw.evaluate(reference, pw.FeatureTable(image, text=texts[1]), metrics=["mid"])["mid"] for image in images
        ]
        for law, score in zip(LAWS, scores, strict=True):
            alone = score.per_sample.std(ddof=1) / math.sqrt(options.pairs)
            found[law].append((score.value, score.standard_error, alone))
        difference = scores[1].difference(scores[0])
        found["looser - as the real"].append((difference.value, difference.standard_error, math.nan))
    return {law: np.array(rows).T for law, rows in found.items()}


def rates(values, errors):
    """Root mean square of the errors over the true spread, and how often 1.96 of them hold the mean of all values."""
    held = np.abs(values - values.mean()) < 1.96 * errors
    return math.sqrt(np.mean(errors**2)) / values.std(ddof=1), held.mean()


if __name__ == "__main__":
    main()
