"""benchmarks/pmi.py: its laws are what they say, its figures are zero of the truth, and every law is trained on."""

from __future__ import annotations

import importlib
import math
import runpy
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
OPTIONS = Namespace(latents=5, free=False, population=False, batch=64)


@pytest.fixture
def laws(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("pmi_laws")
    sys.modules.pop("pmi_laws", None)


@pytest.fixture
def script(laws):
    return Namespace(**runpy.run_path(str(FOLDER / "pmi.py")))


@pytest.mark.parametrize("law", ["discrete", "circle", "scenes"])
def test_tables_hold_a_joint_law_and_its_pmi(laws, law):
    held = getattr(laws, law)(OPTIONS, 0).held()
    joint = held.joint
    assert float(joint.sum()) == pytest.approx(1, abs=1e-12)
    from_joint = (joint / joint.sum(1, keepdim=True) / joint.sum(0)).log()
    torch.testing.assert_close(held.pmi, from_joint, atol=1e-9, rtol=0)
    torch.testing.assert_close(held.unpaired, joint.sum(1, keepdim=True) * joint.sum(0))


def test_merged_captions_keep_all_information(laws):
    held = laws.scenes(OPTIONS, 0).held()
    assert held.joint.shape == (112, 45)  # 4 cells of 4 kinds: 16 of one object, 6 x 16 of two; 3 x 3 x 5 meanings
    assert float((held.joint * held.pmi).sum()) == pytest.approx(laws.FEW_SCENES.mutual_information(), abs=1e-12)


def test_held_pictures_have_the_law_of_their_scenes(laws):
    held = laws.Pictures(OPTIONS, 0).held()
    assert held.x.x.shape == (20 * 112, 3, 20, 20)
    assert float(held.joint.sum()) == pytest.approx(1, abs=1e-12)
    assert float((held.joint * held.pmi).sum()) == pytest.approx(laws.FEW_SCENES.mutual_information(), abs=1e-12)


def test_the_truth_has_no_error_whatever_the_constant(laws, script):
    held = laws.discrete(OPTIONS, 0).held()
    mean, largest, gap, estimate, information = script.figures(held.pmi + 3, held)
    assert max(abs(mean), largest, abs(gap)) < 1e-12
    assert estimate == pytest.approx(information, abs=1e-12)
    mean, largest, gap, _, _ = script.figures(held.pmi * 0.5, held)
    assert min(mean, largest, gap) > 1e-3


def test_the_loss_of_counts_is_that_of_the_pairs(laws):
    rows, columns = torch.tensor([0, 2, 2, 1]), torch.tensor([1, 1, 1, 0])
    s = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    joint = torch.zeros(3, 2)
    joint.index_put_((rows, columns), torch.full((4,), 0.25), accumulate=True)
    of_pairs = laws.info_nce(s[rows][:, columns]) - math.log(4)
    torch.testing.assert_close(laws.loss(s, joint), of_pairs)


@pytest.mark.parametrize("law", ["discrete", "circle", "scenes", "pictures", "many-scenes"])
def test_every_law_is_trained_on(laws, script, law, tmp_path, capsys, monkeypatch):
    out = tmp_path / "runs.jsonl"
    arguments = ["pmi.py", law, "--steps", "2", "--batch", "32", "--points", "1", "4", "--only", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--similarities", "clip", "kme", "--out", str(out)])
    threads = torch.get_num_threads()
    try:
        script.main()
        first = capsys.readouterr().out
        script.main()  # nothing is trained again
    finally:
        torch.set_num_threads(threads)
    assert capsys.readouterr().out == first
    assert len(out.read_text().splitlines()) == 3  # CLIP, KME of one point, KME of four
    assert [line.split("|")[1].strip() for line in first.splitlines() if "| kme |" in line] == ["kme", "kme"]
