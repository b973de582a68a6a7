"""Two processes with half of each batch do what one does with the whole."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_training import lines, train

from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.towers import TextTransformer, VisionTransformer

WORKER = Path(__file__)


def correlated():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(32, 1, 4, generator=generator)
    images, texts = (
        z @ torch.randn(4, width, generator=generator) + 0.5 * torch.randn(32, tokens, width, generator=generator)
        for width, tokens in ((6, 3), (5, 2))
    )
    mask = torch.ones(32, 2, dtype=torch.bool)
    mask[::3, 1] = False
    return Pairs(Inputs(images), Inputs(texts, mask))


def model(similarity, points):
    towers = FrozenTokens(width=6), FrozenTokens(width=5)
    return DualEncoder(*towers, similarity=similarity, points=points, dim=4, seed=1)


def gradients(similarity, points, micro_batch):
    """Loss and gradients of all pairs, of which this process has its share; and the weights after a few steps."""
    from pointwise.training.distributed import rank_and_world, sum_over_processes
    from pointwise.training.loss import backward

    rank, world = rank_and_world()
    one = model(similarity, points)
    share = torch.arange(32).tensor_split(world)[rank]
    loss = backward(one, correlated().rows(share), micro_batch=micro_batch, bfloat16=False)
    sum_over_processes([loss, *(p.grad for p in one.parameters())])
    return {"loss": loss, **{name: p.grad for name, p in one.named_parameters()}}


CASES = [("kme", 2), ("kme", "all"), ("wpse", 2), ("clip", 2)]
STEPS = {"steps": 6, "batch_size": 8, "learning_rate": 1e-3, "warmup": 2, "seed": 0}


TRAINED = correlated().rows(torch.arange(20))
MEASURED = {"held_out": correlated().rows(torch.arange(20, 32)), "held_out_every": 2}


def pictures():
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(0, 256, (16, 3, 8, 8), generator=generator)
    return Pairs(Inputs(colours.byte()), Inputs(colours[:, :, 0, 0]))


def from_scratch():
    towers = (
        VisionTransformer(image_size=8, patch=4, width=8, depth=1),
        TextTransformer(vocabulary=256, context=3, width=8, depth=1),
    )
    return DualEncoder(*towers, points=2, dim=4)


def work(folder):
    """What each of the processes does."""
    import torch.distributed as dist

    from pointwise.training.distributed import processes

    with processes(torch.device("cpu")):
        for similarity, points in CASES:
            for micro_batch in (32, 5):
                found = gradients(similarity, points, micro_batch)
                if dist.get_rank() == 1:
                    torch.save(found, folder / f"{similarity}-{points}-{micro_batch}.pt")
        train(model("kme", 2), correlated(), folder / "run", **STEPS)
        train(model("kme", 2), TRAINED, folder / "held-out", **STEPS, **MEASURED)
        train(from_scratch(), pictures(), folder / "crops", **STEPS, crop=0.5)
        try:
            train(model("kme", 2), correlated(), folder / "odd", **{**STEPS, "batch_size": 7})
        except ValueError as error:
            (folder / f"refused-{dist.get_rank()}").write_text(str(error))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes have worked."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    common |= {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(WORKER), str(folder)],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
    return folder


@pytest.mark.parametrize("micro_batch", [32, 5])
@pytest.mark.parametrize(("similarity", "points"), CASES)
def test_loss_and_gradients_are_those_of_one_process(two, similarity, points, micro_batch):
    got = torch.load(two / f"{similarity}-{points}-{micro_batch}.pt", weights_only=True)
    want = gradients(similarity, points, 32)
    assert got.keys() == want.keys()
    for name, x in want.items():
        torch.testing.assert_close(got[name], x, rtol=1e-5, atol=1e-6, msg=name)


def test_a_training_ends_where_that_of_one_process_ends(two, tmp_path):
    train(model("kme", 2), correlated(), tmp_path / "run", **STEPS)
    got, want = (load_file(folder / "run" / "model.safetensors") for folder in (two, tmp_path))
    assert len((two / "run" / "log.jsonl").read_text().splitlines()) == 6
    for name, x in want.items():
        torch.testing.assert_close(got[name], x, rtol=1e-5, atol=1e-5, msg=name)


def test_held_out_pairs_are_measured_once_for_all(two, tmp_path):
    train(model("kme", 2), TRAINED, tmp_path / "held-out", **STEPS, **MEASURED)
    got, want = (lines(folder / "held-out") for folder in (two, tmp_path))
    assert [line["step"] for line in got] == list(range(7))
    for line, of_one in zip(got, want, strict=True):
        assert ("held_out_loss" in line) == (line["step"] in (0, 2, 4, 6))
        assert line.get("held_out_loss", 0) == pytest.approx(of_one.get("held_out_loss", 0), abs=1e-5)
    models = [DualEncoder.load(folder / "held-out" / "model.safetensors") for folder in (two, tmp_path)]
    assert models[0].meta["held_out"]["step"] == models[1].meta["held_out"]["step"]
    for name, x in models[1].state_dict().items():
        torch.testing.assert_close(models[0].state_dict()[name], x, rtol=1e-5, atol=1e-5, msg=name)


def test_crops_are_those_of_one_process(two, tmp_path):
    train(from_scratch(), pictures(), tmp_path / "crops", **STEPS, crop=0.5)
    train(from_scratch(), pictures(), tmp_path / "whole", **STEPS)
    got, want, whole = (
        [line["loss"] for line in lines(folder)] for folder in (two / "crops", tmp_path / "crops", tmp_path / "whole")
    )
    assert got == pytest.approx(want, abs=1e-4)
    assert got != pytest.approx(whole, abs=1e-2)


def test_a_batch_that_two_cannot_share_is_refused_by_both(two):
    said = [(two / f"refused-{rank}").read_text() for rank in range(2)]
    assert said == ["batch_size is 7; it must be a multiple of 2, the number of processes."] * 2


if __name__ == "__main__":
    work(Path(sys.argv[1]))
