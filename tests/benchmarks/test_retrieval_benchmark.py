"""benchmarks/retrieval.py on made-up pictures: no concept on both sides, and a run from tokens to tables."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pointwise.training.inputs import Inputs

FOLDER = Path(__file__).parents[2] / "benchmarks"
CODES = [f"{one}{other}a" for one in "bcdfg" for other in "klmnprst"]
MODULES = ("real_data", "picture_pairs", "retrieval")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small problems: where a machine is busy threads would mostly wait for each other
    yield importlib.import_module("retrieval")
    torch.set_num_threads(threads)
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def pairs(script):
    return sys.modules["picture_pairs"]


@pytest.fixture
def items(pairs):
    """Forty emoji in two styles, fifty drawings, of which ten have names of emoji, and thirty stamps."""
    names = [f"{animal} {place}" for animal in ("cat", "dog", "cow", "pig") for place in "in at on by up".split()] * 2
    names = [f"{name} {i // 20}x" for i, name in enumerate(names)]
    source = ["emoji"] * 80 + ["clip art"] * 50 + ["stamps"] * 30
    ids = [f"animals/{i}-{style}.png" for style in ("google", "twitter") for i in range(40)]
    ids += [f"animals/{i}.png" for i in range(80)]
    captions = [f"{name}: four legs" for name in names] * 2
    captions += [f"{name}: drawing" for name in names[:10]] + [f"tree {CODES[i]}: leaf" for i in range(40)]
    captions += [f"A house of {CODES[i]}." for i in range(30)]
    generator = torch.Generator().manual_seed(0)
    words = Inputs(torch.randn(320, 3, 6, generator=generator).half(), torch.ones(320, 3, dtype=torch.bool))
    pictures = Inputs(torch.randn(160, 4, 64, generator=generator).half())
    places = np.arange(160)
    return pairs.Items(np.array(source), np.array(ids), np.array(captions), pictures, words, places, places + 160)


@pytest.mark.parametrize(
    ("source", "id_", "caption", "wanted"),
    [
        ("emoji", "people/1.png", "woman running facing right: fast", "running"),
        ("emoji", "people/2.png", "man running: fast", "running"),
        ("emoji", "people/3.png", "person: adult", "person"),
        ("emoji", "people/4.png", "family: man, woman, boy", "family"),
        ("emoji", "places/5.png", "seven-thirty: clock", "clock"),
        ("emoji", "places/6.png", "one o’clock: clock", "clock"),
        ("emoji", "flags/7.png", "isle of man flag", "flag"),
        ("clip art", "signs/flags/asia/8.png", "Cambodia: asia", "flag"),
        ("clip art", "a/9.png", "Tasto_11: unsorted", "tasto"),
        ("clip art", "a/10.png", "Led square v2 03: light", "led square"),
        ("clip art", "a/11.png", "Jack-O-Lantern: pumpkin", "jack o lantern"),
        ("clip art", "a/12.png", "2000: year", "2000"),
        ("stamps", "a/13.png", "A red kangaroo.", "red kangaroo"),
        ("stamps", "a/14.png", "This is a dog!", "dog"),
    ],
)
def test_concepts_are_names_without_gender_direction_hour_and_number(pairs, source, id_, caption, wanted):
    assert pairs.concept(source, id_, caption) == wanted


def test_groups_join_styles_sources_captions_and_pictures_that_are_nearly_the_same(pairs, items):
    group = pairs.groups(items, pairs.alike(items))
    assert (group[:40] == group[40:80]).all()  # two styles
    assert (group[80:90] == group[:10]).all()  # emoji and drawings of one name
    assert len(set(group.tolist())) == 40 + 40 + 30
    items.images.x[159] = items.images.x[0] * 1.01
    items.captions[158] = items.captions[100].upper()
    joined = pairs.groups(items, pairs.alike(items))
    assert joined[159] == joined[0]
    assert joined[158] == joined[100]
    assert len(set(joined.tolist())) == 40 + 40 + 30 - 2


@pytest.mark.parametrize("validation", [True, False])
def test_no_concept_is_in_two_parts(pairs, items, validation):
    group = pairs.groups(items, pairs.alike(items))
    held = {"emoji": 8, "clip art": 9, "stamps": 5}
    found = pairs.split(items, group, 3, trained_on=list(held), held=held, validation=validation)
    assert {name: len(rows) for name, rows in found.held.items()} == held
    assert all((items.source[rows] == name).all() for name, rows in found.held.items())
    assert all(len(set(group[rows].tolist())) == len(rows) for rows in (*found.held.values(), found.validation))
    parts = [
        set(group[rows].tolist()) for rows in (found.training, found.validation, np.concatenate([*found.held.values()]))
    ]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(set(group.tolist()))
    assert bool(parts[1]) == validation
    other = pairs.split(items, group, 4, trained_on=list(held), held=held, validation=validation)
    assert set(other.training.tolist()) != set(found.training.tolist())


def test_a_source_that_is_not_trained_on_is_held_out_whole(pairs, items):
    group = pairs.groups(items, pairs.alike(items))
    found = pairs.split(items, group, 0, trained_on=["emoji"], held={"emoji": 8, "stamps": 30}, validation=False)
    assert found.held["stamps"].tolist() == list(range(130, 160))
    assert set(items.source[found.training].tolist()) == {"emoji"}
    assert len(found.training) == 2 * (40 - 8)


def test_parts_of_captions_keep_the_name_and_half_of_the_keywords(pairs):
    part = pairs._part("dog: pet, animal, leash", np.random.default_rng(0))
    name, _, words = part.partition(": ")
    assert name == "dog"
    assert len(words.split(", ")) == 2
    assert set(words.split(", ")) < {"pet", "animal", "leash"}
    assert pairs._part("A dog.", np.random.default_rng(0)) == "A dog."


def test_recall_and_differences_are_of_the_same_queries(script):
    runs = [{"held": {"emoji": {"groups": [5, 6, 7, 8], "ranks": [[1, 20, 3, 9], [11, 2, 30, 1]]}}}]
    assert script.hits(runs, "emoji", 0, 10).tolist() == [1, 0, 1, 1]
    assert script.hits(runs, "emoji", script.BOTH, 10).tolist() == [0.5, 0.5, 0.5, 1]
    two = [{"held": {"emoji": {"groups": [1, 2], "ranks": [[1, 1], [1, 1]]}}}] * 2
    assert script.share(two, "emoji", script.BOTH, 1).startswith("1.000 (1.000 to 1.000, ± 0.000)")


def test_a_difference_is_significant_where_its_interval_leaves_out_zero(script):
    good = [{"held": {"emoji": {"groups": list(range(20)), "ranks": [[1] * 18 + [11] * 2] * 2}}}] * 2
    bad = [{"held": {"emoji": {"groups": list(range(20)), "ranks": [[11] * 18 + [1] * 2] * 2}}}] * 2
    # 18 of 20 concepts gain 1 and 2 lose 1: 0.8, and twice the same, with error sqrt(20/19 * (18*0.2^2 + 2*1.8^2)) / 20
    assert script.difference(good, bad, "emoji", 10) == "+0.800 (+0.530 to +1.070; 2 of 2 seeds above)"
    assert script.difference(good, good, "emoji", 10).endswith("0 of 2 seeds above, not significant)")


def test_a_miniature_run_prints_every_table_and_is_not_done_twice(script, items, monkeypatch, tmp_path, capsys):
    small = {
        "emoji": {"trained_on": ["emoji"], "held": {"emoji": 8, "stamps": 30}},
        "all": {"trained_on": ["emoji", "clip art", "stamps"], "held": {"emoji": 8, "clip art": 9, "stamps": 5}},
    }
    monkeypatch.setattr(script, "PROTOCOLS", small)
    monkeypatch.setattr(script, "MODELS", {"emoji": [("clip", 8), ("kme", 8)], "all": [("wpse", 2)]})
    monkeypatch.setattr(script, "load_items", lambda folder: items)
    monkeypatch.setattr(script, "WIDTH", 16)
    monkeypatch.setattr(script, "BATCH", 16)
    monkeypatch.setattr(script, "SETTINGS", {key: value | {"steps": 3} for key, value in script.SETTINGS.items()})
    out = tmp_path / "runs"
    arguments = [str(tmp_path), "--seeds", "2", "--out", str(out)]
    script.main(arguments)
    first = capsys.readouterr().out
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.part.safetensors")}
    script.main(arguments)
    assert capsys.readouterr().out == first
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.part.safetensors")} == kept
    assert len(kept) == 2 * 3
    monkeypatch.setitem(script.SETTINGS, ("all", "wpse"), script.SETTINGS["all", "wpse"] | {"learning_rate": 2e-3})
    script.main([*arguments[:2], "1", *arguments[3:]])
    assert "5 of the runs in" not in first
    assert capsys.readouterr().out.count("4 of the runs in") == 1  # of the second seed, and one of another rate
    assert len(list(out.glob("*.part.safetensors"))) == 2 * 3 + 1
    assert first.count("| chance |") == 2 + 3
    assert first.count(" less ") == 1
    assert "| chance | | 0.333 | 0.033 | 0.167 | 0.333 |" in first  # of 30 stamps
