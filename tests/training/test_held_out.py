"""Held-out pairs: their loss against the plain one, and that the best weights are kept, to the last bit."""

from __future__ import annotations

import math

import pytest
import torch
from small_training import Stop, lines, model, stop_at, train

from pointwise.errors import InputError
from pointwise.kernels.functions import info_nce
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.loop import Diverged
from pointwise.training.loss import batch_of, held_out_loss
from pointwise.training.model import DualEncoder, FrozenTokens, load_model
from pointwise.training.towers import TextTransformer, VisionTransformer

OPTIONS = {"steps": 20, "batch_size": 16, "learning_rate": 0.1, "warmup": 2, "checkpoint_every": 7, "seed": 3}
EVERY = {"held_out_every": 3}
MEASURED = [0, 3, 6, 9, 12, 15, 18, 20]


def noisy(n=60, seed=0):
    """Pairs with so much noise that a model soon learns the noise of those that it is trained on."""
    shared, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    mixes = [torch.randn(2, width, generator=shared) for width in (6, 5)]
    z = torch.randn(n, 1, 2, generator=own)
    images, texts = (
        z @ mix + 0.7 * torch.randn(n, tokens, mix.shape[1], generator=own)
        for mix, tokens in zip(mixes, (3, 2), strict=True)
    )
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[::3, 1] = False
    return Pairs(Inputs(images), Inputs(texts, mask))


ALL = noisy()
TRAINED, OUT = (ALL.some(places) for places in (torch.arange(40), torch.arange(40, 60)))


def plain_loss(model, pairs):
    with torch.no_grad():
        return float(info_nce(model(*pairs).double()))


# ---- the loss


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
@pytest.mark.parametrize("points", [2, "all"])
@pytest.mark.parametrize("at_once", [1, 70, 1 << 22])
def test_it_is_that_of_the_whole_set_as_one_batch(at_once, points, similarity):
    one, pairs = model(similarity=similarity, points=points), noisy(23)
    want = plain_loss(one, pairs)
    for micro_batch in (4, 100):
        found = held_out_loss(one, pairs, micro_batch=micro_batch, entries=at_once)  # rows of S: 1, 3, all
        assert found == pytest.approx(want, abs=1e-6)
    assert one.training


def test_a_set_that_is_too_large_for_one_batch_is_cut_into_equal_ones():
    one, pairs = model(), noisy(23)  # 7, 7, 7, and two are left out
    drawn = torch.randperm(23, generator=torch.Generator().manual_seed(0))
    parts = [plain_loss(one, pairs.rows(drawn[start : start + 7])) for start in (0, 7, 14)]
    assert held_out_loss(one, pairs, micro_batch=5, largest_batch=8) == pytest.approx(sum(parts) / 3, abs=1e-6)
    assert batch_of(23, largest=8) == 7


def test_pairs_that_stand_in_a_folder_by_their_kind_are_not_contrasted_with_their_kind_alone():
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(8, 6, generator=generator).repeat_interleave(8, dim=0)
    x = (3 * kinds + 0.5 * torch.randn(64, 6, generator=generator))[:, None]
    one = DualEncoder(FrozenTokens(width=6), FrozenTokens(width=6), points=1, dim=8, similarity="clip")
    one.text_head.load_state_dict(one.image_head.state_dict())
    pairs = Pairs(Inputs(x), Inputs(x))
    of_a_kind = sum(plain_loss(one, pairs.rows(some)) for some in torch.arange(64).split(8)) / 8
    of_any = [
        sum(plain_loss(one, pairs.rows(some)) for some in torch.randperm(64, generator=generator).split(8)) / 8
        for _ in range(20)
    ]
    loss = held_out_loss(one, pairs, micro_batch=8, largest_batch=8)
    assert min(of_any) < loss < max(of_any) < of_a_kind / 2


def test_points_that_are_not_finite_have_no_loss():
    pairs = noisy(8)
    pairs.images.x[5, 1, 2] = math.inf
    assert math.isnan(held_out_loss(model(), pairs, micro_batch=3, bfloat16=False))


def test_towers_are_as_in_use_and_are_left_as_they_were():
    towers = (
        VisionTransformer(image_size=8, patch=4, width=8, depth=1),
        TextTransformer(vocabulary=20, context=4, width=8, depth=1),
    )
    one = DualEncoder(*towers, points=2, dim=4)
    one.image.blocks[0].dropout.p = 0.9  # nothing is dropped when a model is used
    generator = torch.Generator().manual_seed(0)
    pairs = Pairs(
        Inputs(torch.randint(0, 256, (9, 3, 8, 8), generator=generator).byte()),
        Inputs(torch.randint(0, 20, (9, 4), generator=generator)),
    )
    losses = [held_out_loss(one.train(), pairs, micro_batch=size, bfloat16=False) for size in (4, 9)]
    assert one.training
    assert losses[0] == pytest.approx(plain_loss(one.eval(), pairs), abs=1e-5)
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    half = held_out_loss(one, pairs, micro_batch=4, bfloat16=True)
    assert half == pytest.approx(losses[0], abs=0.1)
    assert half != losses[0]
    assert not one.training


# ---- in a training


def test_the_log_has_it_and_the_model_is_the_best(tmp_path):
    trained = train(model(), TRAINED, tmp_path, **OPTIONS, **EVERY, held_out=OUT)
    log = lines(tmp_path)
    assert [line["step"] for line in log] == list(range(21))
    found = {line["step"]: line for line in log if "held_out_loss" in line}
    assert list(found) == MEASURED
    assert set(log[0]) == {"step", "held_out_loss", "held_out_mutual_information", "held_out_batch", "best_step"}
    held_out = OUT.rows(torch.arange(20))
    assert found[0]["held_out_loss"] == pytest.approx(plain_loss(model(), held_out), abs=1e-6)
    for step, line in found.items():
        assert line["held_out_batch"] == 20
        assert line["held_out_mutual_information"] == math.log(20) - line["held_out_loss"]
        past = [found[other]["held_out_loss"] for other in MEASURED if other <= step]
        assert found[line["best_step"]]["held_out_loss"] == min(past)
    best = log[-1]["best_step"]
    assert 0 < best < 20  # the pairs are noisy enough for it to learn by heart
    assert not trained.training
    assert trained.meta["held_out"] == {
        "pairs": 20,
        "batch": 20,
        "step": best,
        "loss": found[best]["held_out_loss"],
        "mutual_information": found[best]["held_out_mutual_information"],
    }
    assert plain_loss(trained, held_out) == pytest.approx(found[best]["held_out_loss"], abs=1e-6)
    kept = DualEncoder.load(tmp_path / "model.safetensors")
    assert kept.meta == trained.meta
    assert all(torch.equal(x, trained.state_dict()[name]) for name, x in kept.state_dict().items())


def test_measuring_changes_nothing_of_the_training(tmp_path):
    train(model(), TRAINED, tmp_path / "with", **OPTIONS, **EVERY, held_out=OUT)
    plain = train(model(), TRAINED, tmp_path / "without", **OPTIONS)
    last, more, _ = load_model(tmp_path / "with" / "checkpoint.safetensors")
    for name, x in plain.state_dict().items():
        assert torch.equal(x, last.state_dict()[name]), name
        assert f"best.{name}" in more
    logs = [[line["loss"] for line in lines(tmp_path / run) if "loss" in line] for run in ("with", "without")]
    assert logs[0] == logs[1]
    assert "held_out" not in plain.meta


@pytest.mark.parametrize("killed_at", [3, 8, 15, 20])
def test_a_run_that_was_stopped_ends_with_the_same_best_weights(killed_at, tmp_path):
    whole = train(model(), TRAINED, tmp_path / "whole", **OPTIONS, **EVERY, held_out=OUT)
    with pytest.raises(Stop):
        train(model(), TRAINED, tmp_path / "parts", **OPTIONS, **EVERY, held_out=OUT, progress=stop_at(killed_at))
    resume = killed_at > 7  # there is a checkpoint
    again = model(seed=99 if resume else 1)
    resumed = train(again, TRAINED, tmp_path / "parts", **OPTIONS, **EVERY, held_out=OUT, resume=resume)
    for name, x in whole.state_dict().items():
        assert torch.equal(x, resumed.state_dict()[name]), name
    for name in ("checkpoint.safetensors", "model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    untimed = [[{**line, "pairs_per_second": 0} for line in lines(tmp_path / run)] for run in ("whole", "parts")]
    assert untimed[0] == untimed[1]


def test_a_model_that_gets_no_better_is_returned_as_it_was(tmp_path):
    good = train(model(), ALL, tmp_path / "good", **OPTIONS)
    before = {name: x.clone() for name, x in good.state_dict().items()}
    mismatched = Pairs(ALL.images, ALL.texts.rows(torch.arange(60).roll(7)))
    trained = train(good, mismatched, tmp_path / "worse", **OPTIONS, **EVERY, held_out=OUT)
    assert trained.meta["held_out"]["step"] == 0
    for name, x in before.items():
        assert torch.equal(x, trained.state_dict()[name]), name


def test_a_trained_model_can_be_trained_on(tmp_path):
    first = train(model(), TRAINED, tmp_path / "first", **OPTIONS, **EVERY, held_out=OUT)
    assert "held_out" not in train(first, TRAINED, tmp_path / "second", **OPTIONS).meta


# ---- what goes wrong


def test_a_run_goes_on_with_the_same_held_out_pairs_alone(tmp_path):
    train(model(), TRAINED, tmp_path, **OPTIONS, **EVERY, held_out=OUT)
    with pytest.raises(InputError, match=r"another held_out_sha256: \"[0-9a-f]{64}\", and now it is null"):
        train(model(), TRAINED, tmp_path, **OPTIONS, resume=True)
    with pytest.raises(InputError, match="another held_out_sha256"):
        train(model(), TRAINED, tmp_path, **OPTIONS, **EVERY, held_out=noisy(20, seed=4), resume=True)
    with pytest.raises(InputError, match="another held_out_every: 3, and now it is 4"):
        train(model(), TRAINED, tmp_path, **OPTIONS, held_out=OUT, held_out_every=4, resume=True)


@pytest.mark.parametrize(
    ("held_out", "every", "message"),
    [
        (OUT, 0, "held_out_every is 0; it must be a whole number of at least 1"),
        (ALL.some(torch.tensor([50])), 3, "there are 1 held-out pairs; there must be at least 2"),
        (Pairs(ALL.images, ALL.texts.rows(slice(59))), 3, "there are 60 images and 59 texts"),
        (
            Pairs(Inputs(ALL.images.x[:, :, :4]), ALL.texts),
            3,
            r"the held-out images are torch.float32 \[n, 3, 4\], but those trained on are torch.float32 \[n, 3, 6\]",
        ),
        (
            Pairs(ALL.images, Inputs(torch.zeros(60, 9, dtype=torch.int64))),
            3,
            r"the held-out texts are torch.int64 \[n, 9\], but .* torch.float32 \[n, 2, 5\]; make them the same way",
        ),
    ],
)
def test_pairs_that_cannot_be_measured_are_refused(held_out, every, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(model(), TRAINED, tmp_path / "run", **OPTIONS, held_out=held_out, held_out_every=every)
    assert not (tmp_path / "run").exists()


def test_held_out_pairs_with_nan_are_refused_before_the_first_step(tmp_path):
    spoilt = noisy(20)
    spoilt.texts.x[3] = math.nan
    with pytest.raises(InputError, match=r"the held-out loss is nan before the first step: .*leave such pairs out"):
        train(model(), TRAINED, tmp_path, **OPTIONS, held_out=spoilt)


def test_weights_whose_held_out_loss_is_not_a_number_do_not_reach_the_checkpoint(tmp_path):
    spoilt = noisy(20)

    def spoil(line):
        if line["step"] == 8:
            spoilt.images.x[3] = math.nan  # what weights that overflow do to points

    with pytest.raises(Diverged, match=r"at step 9: the held-out loss is nan; the last good checkpoint .* of step 7"):
        train(model(), TRAINED, tmp_path, **OPTIONS, **EVERY, held_out=spoilt, progress=spoil)
    assert [line["step"] for line in lines(tmp_path)] == list(range(9))
