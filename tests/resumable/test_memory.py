"""What is made, or read, part by part needs the memory of some parts and not of all."""

from __future__ import annotations

import os
import sys

import pytest
import torch

import pointwise as pw
from pointwise.tokens.token_file import save_index, save_tokens
from pointwise.training.inputs import Inputs, Pairs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")


def size(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def test_a_folder_of_shards_needs_the_memory_of_some(server, tmp_path):
    """24 shards of 2 MB each."""
    assert server("memory_of_a_folder", str(tmp_path))["result"] < 24e6
    assert len(pw.load(tmp_path / "much")) == 24 * 16


def test_making_tokens_needs_less_memory_than_all_of_them(server, tmp_path):
    """Of 100 MB of tokens in 24 parts; memory grows by what freed parts leave behind."""
    assert server("memory_of_tokens", str(tmp_path))["result"] < 40e6
    assert size(tmp_path / "many") > 100e6


def test_training_needs_less_memory_than_the_tokens(server, tmp_path):
    """Of 64 MB of tokens, all of which are read once, memory grows by less than a third."""
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(96, *shape, generator=generator).half() for shape in ((256, 160), (3, 4)))
    names = [f"{number}.part.safetensors" for number in range(8)]
    for number, name in enumerate(names):
        places = range(96 * number, 96 * (number + 1))
        words = [str(place) for place in places]
        save_tokens(
            tmp_path / name, Pairs(Inputs(images), Inputs(texts)), ids=words, captions=words, meta={}, places=places
        )
    save_index(tmp_path, names, {})
    assert size(tmp_path) > 62e6
    assert server("memory_of_training", str(tmp_path / names[0]), str(tmp_path))["result"] < 20e6
