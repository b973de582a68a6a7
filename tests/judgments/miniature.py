"""Miniature sets of human judgments in the very formats of the published ones: pictures and sentences are made here.

Each function writes one set to a folder and returns what it wrote, so that tests can work out by hand what must come
of it. From a test of another folder: ``from judgments.miniature import write_foil``.
"""

import json
import pickle
from itertools import product

import numpy as np
from PIL import Image, ImageDraw
from scipy.io import savemat

VOTES = 48
COLOURS = {
    "red": (220, 30, 30),
    "teal": (0, 128, 128),
    "gold": (255, 200, 0),
    "navy": (0, 0, 128),
    "pink": (255, 150, 180),
}
SHAPES = ("dog", "cat", "box", "sun")
THINGS = list(product(COLOURS, SHAPES))  # 20 of them: (colour, shape)


def draw(path, thing, *, seed=0):
    """A picture of 24 x 20 pixels: the shape of a thing, in its colour, on grey of some brightness."""
    colour, shape = thing
    rng = np.random.default_rng([seed, THINGS.index(thing)])
    image = Image.new("RGB", (24, 20), tuple([int(rng.integers(90, 200))] * 3))
    pen = ImageDraw.Draw(image)
    x, y = (int(place) for place in rng.integers(1, 6, size=2))
    box = (x, y, x + 14, y + 12)
    if shape == "sun":
        pen.ellipse(box, fill=COLOURS[colour])
    elif shape == "box":
        pen.rectangle(box, fill=COLOURS[colour])
    elif shape == "cat":
        pen.polygon([(x, y + 12), (x + 7, y), (x + 14, y + 12)], fill=COLOURS[colour])
    else:
        pen.line([(x, y), (x + 14, y + 12)], fill=COLOURS[colour], width=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95) if path.suffix == ".jpg" else image.save(path)


def sentences(thing):
    """Five captions of a thing, all different, short enough for the tiny models."""
    colour, shape = thing
    return [
        f"{colour} {shape}",
        f"the {colour} {shape}",
        f"the {shape} {colour}",
        f"{shape} {colour} a",
        f"a {shape} {colour}",
    ]


def likeness(thing, other):
    """What people see in common: 0, 1 or 2."""
    return sum(left == right for left, right in zip(thing, other, strict=True))


def write_flickr8k(folder, *, things=20, per_image=6):
    """Flickr8k with both its judgment sets.

    Returns:
        captions {id: caption}, expert [(image, caption id, ratings)], crowd [(image, caption id, share, yes, no)].
    """
    rng = np.random.default_rng(0)
    names = [f"{1000 + i}_{i:02x}ab.jpg" for i in range(things)]
    captions = {}
    for name, thing in zip(names, THINGS, strict=False):
        draw(folder / "Flicker8k_Dataset" / name, thing)
        # As in the published file, one image goes by another suffix among the captions.
        named = f"{name}.1" if name == names[3] else name
        captions |= {f"{named}#{i}": text for i, text in enumerate(sentences(thing))}
    ids = list(captions)
    expert, crowd = [], []
    for i, name in enumerate(names):
        others = rng.choice([j for j in range(len(ids)) if j // 5 != i], size=per_image, replace=False)
        for j in [*others, 5 * i]:  # the last is one of the image's own
            seen = likeness(THINGS[i], THINGS[j // 5])
            ratings = np.clip(1 + seen + rng.integers(0, 2, size=3), 1, 4)
            expert.append((name, ids[j], [int(rating) for rating in ratings]))
            answers = 3 + int(rng.integers(3))
            yes = int(rng.binomial(answers, (seen + 0.5) / 3))
            crowd.append((name, ids[j], yes / answers, yes, answers - yes))
    write_rows(folder / "Flickr8k.token.txt", captions.items())
    write_rows(folder / "ExpertAnnotations.txt", [(image, caption, *ratings) for image, caption, ratings in expert])
    write_rows(folder / "CrowdFlowerAnnotations.txt", crowd)
    return captions, expert, crowd


def write_rows(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def write_pascal50s(folder, *, things=12):
    """Pascal-50S, one pair of each of its four categories for every three images.

    Returns:
        [(image, first sentence, second sentence, category 1..4, its 48 references, its 48 winners)].
    """
    rng = np.random.default_rng(1)
    pairs = []
    for i in range(things):
        thing, category = THINGS[i], 1 + i % 4
        name = f"2008_{i:06d}.jpg"
        draw(folder / "VOC2010" / "JPEGImages" / name, thing)
        first = sentences(thing)[0]
        second = sentences(thing)[3] if category == 1 else sentences(THINGS[(7 * i + 3) % 20])[1]
        references = [
            f"{sentences(THINGS[j])[k]} {'abcdefghij'[m % 10]}" for m, (j, k) in enumerate(_references(i, rng))
        ]
        share = (0.5, 0.9, 0.8, 0.5)[category - 1]
        winners = np.where(rng.permutation(VOTES) < round(share * VOTES), 1, -1).tolist()
        pairs.append((name, first, second, category, references, winners))
    text = np.vectorize(lambda value: value, otypes=[object])
    new_input = np.zeros((1, len(pairs)), dtype=[("image", "O"), ("sent1", "O"), ("sent2", "O")])
    triplets = np.zeros((1, VOTES * len(pairs)), dtype=[("A", "O"), ("B", "O"), ("C", "O"), ("winner", "O")])
    for i, (name, first, second, _, references, winners) in enumerate(pairs):
        new_input[0, i] = (name, first, second)
        for j, (reference, winner) in enumerate(zip(references, winners, strict=True)):
            cells = (text([[sentence]]) for sentence in (f"{reference} ", first, second))  # blanks as published
            triplets[0, VOTES * i + j] = (*cells, np.array([[winner]]))
    kinds = {1: (6, 6), 2: (6, 7), 3: (6, 2), 4: (1, 2)}
    category = np.array([[pair[3] for pair in pairs]])
    new_data = np.array([kinds[pair[3]] for pair in pairs])
    savemat(folder / "pair_pascal.mat", {"new_input": new_input, "category": category, "new_data": new_data})
    savemat(folder / "consensus_pascal.mat", {"triplets": triplets})
    return pairs


def _references(i, rng):
    """Mostly of the thing itself, a few of a neighbour."""
    return [(i if rng.random() < 0.9 else (i + 1) % 20, int(rng.integers(5))) for _ in range(VOTES)]


def write_coco(folder, *, things):
    """Captions and images of COCO's validation set of 2014; the fourth image has six captions.

    Returns:
        [(image id, caption id, caption)].
    """
    rows = []
    for i in range(things):
        draw(folder / "val2014" / f"COCO_val2014_{40 + i:012d}.jpg", THINGS[i])
        texts = sentences(THINGS[i]) + (["one more cat"] if i == 3 else [])
        rows += [(40 + i, 700 + 10 * i + j, text) for j, text in enumerate(texts)]
    annotations = [{"image_id": image, "id": caption, "caption": text} for image, caption, text in rows]
    images = [{"id": 40 + i, "file_name": f"COCO_val2014_{40 + i:012d}.jpg"} for i in range(things)]
    (folder / "annotations").mkdir(exist_ok=True)
    content = {"info": {}, "images": images, "licenses": [], "annotations": annotations}
    (folder / "annotations" / "captions_val2014.json").write_text(json.dumps(content), encoding="utf-8")
    return rows


def write_foil(folder, *, things=16):
    """FOIL's test set over COCO: each second caption of an image has one or two foils.

    Returns:
        captions as of `write_coco`, annotations of the file.
    """
    captions = write_coco(folder, things=things)
    annotations = []
    for i, (image, caption, text) in enumerate(captions):
        if i % 2:
            continue
        shape = THINGS[image - 40][1]
        others = [other for other in SHAPES if other != shape]
        common = {"image_id": image, "id": caption}
        true = {"caption": text, "foil": False, "foil_word": "ORIG", "target_word": "ORIG"}
        annotations.append({**common, **true, "foil_id": 2 * caption})
        for k, other in enumerate(others[: 1 + i % 4 // 2]):
            foil = {"caption": text.replace(shape, other), "foil": True, "foil_word": other, "target_word": shape}
            annotations.append({**common, **foil, "foil_id": 2 * caption + 1 + k})
    content = {"info": {}, "images": [], "licenses": [], "annotations": annotations}
    (folder / "foilv1.0_test_2017.json").write_text(json.dumps(content), encoding="utf-8")
    return captions, annotations


def write_mid_amt(folder, *, things=20, prompted=12):
    """The judgments of MID's authors over COCO and images of two models.

    Returns:
        captions as of `write_coco`, {(image id, caption id, model): ratings of alignment}, samples of the file.
    """
    rng = np.random.default_rng(2)
    captions = write_coco(folder / "coco2014", things=things)
    samples, ratings = [], {}
    for i in range(things):
        image, caption, _ = next(row for row in captions if row[0] == 40 + i)
        for kind in (False, True, True):  # only the foils are looked at, and the first of each image
            samples.append({"image_id": image, "id": caption, "foil": kind, "caption": "a foil"})
        if i < prompted:
            models = ["lafite", "vqdiffusion"][: 1 + i % 2]
            for model in models:
                shown = THINGS[i] if rng.random() < 0.5 else THINGS[int(rng.integers(20))]
                draw(folder / "fakeim" / f"{image}_{caption}_{model}.png", shown, seed=1 + len(model))
                seen = likeness(THINGS[i], shown)
                ratings[image, caption, model] = np.clip(2 * seen + rng.integers(0, 3, size=3), 1, 5).tolist()
    stored = {
        f"{image}_{caption}_{model}": {"alignment": alignment, "quality": [3, 3, 4]}
        for (image, caption, model), alignment in ratings.items()
    }
    (folder / "amt").mkdir()
    (folder / "amt" / "amt_result_tot.pkl").write_bytes(pickle.dumps(stored))
    (folder / "sample_info.pkl").write_bytes(pickle.dumps(samples))
    return captions, ratings, samples
