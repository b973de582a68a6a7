"""fit and run: it learns, goes on to the last bit, splits batches exactly, and stops before it spoils anything."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_training import Stop, lines, model, stop_at, train

from pointwise.errors import InputError
from pointwise.kernels.functions import info_nce
from pointwise.training.augment import boxes, cropped
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.loop import Diverged, State, fit, order_of, schedule
from pointwise.training.loss import backward
from pointwise.training.model import DualEncoder
from pointwise.training.options import Options
from pointwise.training.towers import TextTransformer, VisionTransformer

OPTIONS = {"steps": 20, "batch_size": 16, "learning_rate": 1e-2, "warmup": 4, "checkpoint_every": 10, "seed": 3}


def correlated(n=64, dtype=torch.float32):
    """Pairs that share a latent of four dimensions; the texts have two tokens, or one and padding."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, 1, 4, generator=generator, dtype=dtype)
    images, texts = (
        z @ torch.randn(4, width, generator=generator, dtype=dtype)
        + 0.1 * torch.randn(n, tokens, width, generator=generator, dtype=dtype)
        for width, tokens in ((6, 3), (5, 2))
    )
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[::3, 1] = False
    return Pairs(Inputs(images), Inputs(texts, mask))


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
def test_it_learns_and_says_so(similarity, tmp_path):
    trained = train(model(similarity=similarity), correlated(), tmp_path / "run", **{**OPTIONS, "steps": 60})
    log = lines(tmp_path / "run")
    assert [line["step"] for line in log] == list(range(1, 61))
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert all(line["mutual_information"] == pytest.approx(math.log(16) - line["loss"]) for line in log)
    assert set(log[0]) == {
        *("step", "loss", "mutual_information", "learning_rate", "scale", "gradient_norm", "pairs_per_second")
    }
    assert not trained.training
    kept = DualEncoder.load(tmp_path / "run" / "model.safetensors").state_dict()
    assert all(torch.equal(x, trained.state_dict()[name]) for name, x in kept.items())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors",
        "log.jsonl",
        "model.safetensors",
    ]


@pytest.mark.parametrize("points", [2, "all"])
@pytest.mark.parametrize("killed_at", [10, 13])
def test_a_run_that_was_stopped_goes_on_to_the_last_bit(killed_at, points, tmp_path):
    whole = train(model(points=points), correlated(), tmp_path / "whole", **OPTIONS)
    with pytest.raises(Stop):
        train(model(points=points), correlated(), tmp_path / "parts", **OPTIONS, progress=stop_at(killed_at))
    assert len(lines(tmp_path / "parts")) == killed_at
    resumed = train(model(points=points, seed=99), correlated(), tmp_path / "parts", **OPTIONS, resume=True)
    for name, x in whole.state_dict().items():
        assert torch.equal(x, resumed.state_dict()[name]), name
    for name in ("checkpoint.safetensors", "model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    untimed = [[{**line, "pairs_per_second": 0} for line in lines(tmp_path / run)] for run in ("whole", "parts")]
    assert untimed[0] == untimed[1]


@pytest.mark.parametrize("stop", [1, 13, 20])
@pytest.mark.parametrize("held_out", [False, True])
def test_fit_goes_on_from_a_state_to_the_last_bit_and_touches_no_disk(stop, held_out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs, out = correlated().some(torch.arange(48)), correlated().some(torch.arange(48, 64)) if held_out else None
    options = Options(**OPTIONS, held_out_every=3)
    whole = model()
    wanted = list(fit(whole, pairs, options, held_out=out))
    stopped, state, lines = model(), State(), []
    for line in fit(stopped, pairs, options, held_out=out, state=state):
        lines.append(line)
        if line["step"] == stop:
            break
    assert state.step == stop
    later, kept = model(seed=99), copy.deepcopy(state)
    later.load_state_dict(stopped.state_dict())
    lines += fit(later, pairs, options, held_out=out, state=kept)
    untimed = [[{**line, "pairs_per_second": 0} for line in some] for some in (wanted, lines)]
    assert untimed[0] == untimed[1]
    assert all(torch.equal(x, later.state_dict()[name]) for name, x in whole.state_dict().items())
    assert whole.meta == later.meta
    assert list(tmp_path.iterdir()) == []


def test_fit_says_what_is_wrong_when_it_is_called_or_when_it_diverges():
    with pytest.raises(InputError, match="batch_size is 16; it must be from 2 to 8"):
        fit(model(), correlated(8), Options(**OPTIONS))
    spoilt = model()
    lines = fit(spoilt, correlated(), Options(**OPTIONS))
    for _ in range(5):
        next(lines)
    spoilt.image_head.projection.data.fill_(math.nan)
    with pytest.raises(Diverged, match=r"^training diverged at step 6: its loss is nan, .* nan\. Give a lower learn"):
        next(lines)


def test_what_is_done_is_not_done_again(tmp_path):
    train(model(), correlated(), tmp_path, **OPTIONS)
    before = (tmp_path / "model.safetensors").read_bytes()
    train(model(seed=99), correlated(), tmp_path, **OPTIONS, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert len(lines(tmp_path)) == 20


def test_the_seed_decides_the_order_and_nothing_else_does(tmp_path):
    runs = [train(model(), correlated(), tmp_path / str(i), **{**OPTIONS, "seed": i // 2}) for i in range(3)]
    states = [run.image_head.projection for run in runs]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


# ---- crops


def pictures(n=32):
    """Pictures that are one colour with some noise, and texts that say which."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(0, 256, (n, 3, 1, 1), generator=generator)
    noise = torch.randint(-40, 40, (n, 3, 8, 8), generator=generator)
    return Pairs(Inputs((colours + noise).clamp(0, 255).byte()), Inputs(colours.flatten(1)))


def from_scratch(seed=1):
    towers = (
        VisionTransformer(image_size=8, patch=4, width=8, depth=1, seed=seed),
        TextTransformer(vocabulary=256, context=3, width=8, depth=1, seed=seed),
    )
    return DualEncoder(*towers, points=2, dim=4, seed=seed)


def test_crops_are_those_of_seed_and_step_also_after_a_stop(tmp_path):
    cropping = {**OPTIONS, "crop": 0.5}
    whole = train(from_scratch(), pictures(), tmp_path / "whole", **cropping)
    with pytest.raises(Stop):
        train(from_scratch(), pictures(), tmp_path / "parts", **cropping, progress=stop_at(13))
    resumed = train(from_scratch(seed=7), pictures(), tmp_path / "parts", **cropping, resume=True)
    again = train(from_scratch(), pictures(), tmp_path / "again", **cropping)
    plain = train(from_scratch(), pictures(), tmp_path / "plain", **OPTIONS)
    for name, x in whole.state_dict().items():
        assert torch.equal(x, resumed.state_dict()[name]), name
        assert torch.equal(x, again.state_dict()[name]), name
    assert not torch.equal(whole.image.position, plain.image.position)
    with pytest.raises(InputError, match=r"another crop: 0\.5, and now it is 1\.0; resume with the same"):
        train(from_scratch(), pictures(), tmp_path / "whole", **OPTIONS, resume=True)


def test_a_step_sees_the_crops_of_its_batch_and_micro_batches_see_the_same(tmp_path):
    one = {**OPTIONS, "steps": 1, "crop": 0.4}
    train(from_scratch(), pictures(), tmp_path / "a", **one)
    train(from_scratch(), pictures(), tmp_path / "b", **one, micro_batch=5)
    batch = pictures().rows(order_of(32, 16, 0, seed=3))
    seen = cropped(batch.images, boxes(16, 0, smallest=0.4, seed=3))
    by_hand = from_scratch()
    loss = backward(by_hand, Pairs(seen, batch.texts), micro_batch=16, bfloat16=False)
    assert lines(tmp_path / "a")[0]["loss"] == float(loss)
    assert lines(tmp_path / "b")[0]["loss"] == pytest.approx(float(loss), abs=1e-5)


# ---- gradients


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
@pytest.mark.parametrize("points", [2, "all"])
@pytest.mark.parametrize("micro_batch", [1, 5, 16])
def test_micro_batches_give_the_gradients_of_the_whole_batch(micro_batch, points, similarity):
    batch = correlated(16)
    whole, parts = (model(similarity=similarity, points=points) for _ in range(2))
    loss = info_nce(whole(*batch))
    loss.backward()
    split = backward(parts, batch, micro_batch=micro_batch, bfloat16=False)
    torch.testing.assert_close(split, loss.detach(), rtol=1e-6, atol=1e-6)
    for (name, p), q in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert p.grad is not None, name
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-6, atol=1e-6)


def test_bfloat16_reaches_neither_heads_nor_similarity(tmp_path):
    batch = correlated(16)
    plain, half = model(), model()
    want = backward(plain, batch, micro_batch=16, bfloat16=False)
    got = backward(half, batch, micro_batch=5, bfloat16=True)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)  # these towers have no product


def test_only_matrices_decay(tmp_path):
    start = model().state_dict()
    first = {**OPTIONS, "steps": 1, "warmup": 0}
    decayed = train(model(), correlated(), tmp_path / "c", **first, weight_decay=0.5).state_dict()
    kept = train(model(), correlated(), tmp_path / "d", **first, weight_decay=0.0).state_dict()
    for name, x in start.items():
        shrunk = kept[name] - 1e-2 * 0.5 * x if x.ndim >= 2 else kept[name]
        torch.testing.assert_close(decayed[name], shrunk, rtol=1e-5, atol=1e-7)


# ---- order and rate


def test_an_epoch_has_each_pair_once_and_epochs_differ():
    epochs = [torch.cat([order_of(12, 4, step, seed=0) for step in range(start, start + 3)]) for start in (0, 3)]
    assert all(sorted(epoch.tolist()) == list(range(12)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_the_rate_warms_up_and_ends_at_a_fiftieth():
    rates = [schedule(step, steps=100, warmup=10) for step in range(100)]
    assert rates[:10] == [pytest.approx((step + 1) / 10) for step in range(10)]
    assert max(rates) == 1
    assert rates[-1] == pytest.approx(0.02)
    assert rates[10:] == sorted(rates[10:], reverse=True)


# ---- what goes wrong


def test_a_loss_that_is_not_a_number_stops_with_the_last_good_checkpoint(tmp_path):
    weights = {}

    def spoil(line):
        if line["step"] == 13:
            with torch.no_grad():
                spoilt.image_head.projection.fill_(math.nan)

    spoilt = model()
    with pytest.raises(
        Diverged,
        match=r"at step 14: its loss is nan, .*; the last good checkpoint is .*checkpoint.safetensors, of step 10",
    ):
        train(spoilt, correlated(), tmp_path, **OPTIONS, progress=spoil)
    weights = DualEncoder.load(tmp_path / "checkpoint.safetensors").state_dict()
    assert all(bool(x.isfinite().all()) for x in weights.values())
    assert not (tmp_path / "model.safetensors").exists()


def test_pairs_with_nan_are_not_blamed_on_the_learning_rate(tmp_path):
    spoilt = correlated()
    spoilt.images.x[:, 0, 0] = math.nan
    with pytest.raises(
        InputError, match=r"the loss is nan before the first step: the pairs or .* leave such pairs out"
    ):
        train(model(), spoilt, tmp_path, **OPTIONS)


def test_a_log_that_cannot_be_written_stops_with_a_sentence(tmp_path):
    def spoil(line):
        if line["step"] == 12:
            (tmp_path / "log.jsonl").unlink()
            (tmp_path / "log.jsonl").mkdir()

    with pytest.raises(
        InputError,
        match=r"cannot write .*log\.jsonl: Is a directory; mend that, and go on from the last checkpoint with",
    ):
        train(model(), correlated(), tmp_path, **OPTIONS, progress=spoil)


def test_one_pair_is_refused(tmp_path):
    with pytest.raises(InputError, match="there are 1 pairs to train on; there must be at least 2, and many more"):
        train(model(), correlated(1), tmp_path / "run", **OPTIONS)


def test_a_gradient_that_overflows_stops_before_the_step(tmp_path):
    first = model()
    first.image_head.projection.register_hook(lambda gradient: gradient * 1e30)
    with pytest.raises(
        Diverged, match=r"step 1: its loss is \d.*, the norm of the gradient inf; there is no checkpoint"
    ):
        train(first, correlated(), tmp_path, **OPTIONS)
    assert all(bool(p.isfinite().all()) for p in first.parameters())


def test_a_loss_that_stays_too_large_stops(tmp_path):
    with pytest.raises(Diverged, match=r"the running mean of the loss is \d+\.\d\d nats, above \d\.\d\d; .*than 500"):
        train(
            model(similarity="wpse"),
            correlated(),
            tmp_path,
            **{**OPTIONS, "steps": 300, "learning_rate": 500.0, "weight_decay": 0.0},
        )


def test_a_folder_with_a_checkpoint_is_not_overwritten(tmp_path):
    train(model(), correlated(), tmp_path, **OPTIONS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"checkpoint.safetensors is there; go on from it with resume=True"):
        train(model(), correlated(), tmp_path, **OPTIONS)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(InputError, match=r"there is no .*checkpoint.safetensors to go on from"):
        train(model(), correlated(), tmp_path / "other", **OPTIONS, resume=True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 30}, "another steps: 20, and now it is 30"),
        ({"seed": 4}, "another seed: 3, and now it is 4"),
        ({"learning_rate": 0.5}, "another learning_rate: 0.01, and now it is 0.5"),
    ],
)
def test_a_run_goes_on_with_the_same_options_alone(change, message, tmp_path):
    train(model(), correlated(), tmp_path, **OPTIONS)
    with pytest.raises(InputError, match=f"was made with {message}; resume with the same, or give another folder"):
        train(model(), correlated(), tmp_path, **{**OPTIONS, **change}, resume=True)


def test_a_run_goes_on_with_the_same_pairs_and_model_alone(tmp_path):
    train(model(), correlated(), tmp_path, **OPTIONS)
    with pytest.raises(InputError, match="another pairs_sha256"):
        train(model(), correlated(65), tmp_path, **OPTIONS, resume=True)
    with pytest.raises(InputError, match=r'another model\.similarity: "kme", and now it is "clip"; resume'):
        train(model(similarity="clip"), correlated(), tmp_path, **OPTIONS, resume=True)
    other = model()
    other.meta["image_encoder"] = "dino"
    with pytest.raises(InputError, match=r'another model\.meta\.image_encoder: null, and now it is "dino"'):
        train(other, correlated(65), tmp_path, **OPTIONS, resume=True)  # said before the pairs, which follow from it
    (tmp_path / "model.safetensors").replace(tmp_path / "checkpoint.safetensors")
    with pytest.raises(InputError, match="holds a model without the state of its training"):
        train(model(), correlated(), tmp_path, **OPTIONS, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 65}, "batch_size is 65; it must be from 2 to 64, the number of pairs"),
        ({"batch_size": 1}, "batch_size is 1; it must be a whole number of at least 2"),
        ({"warmup": -1}, "warmup is -1; it must be a whole number of at least 0"),
        ({"seed": 0.5}, "seed is 0.5; it must be a whole number of at least 0"),
        ({"steps": True}, "steps is True; it must be a whole number"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be a number of at least 0"),
        ({"steps": 0}, "steps is 0; it must be a whole number of at least 1"),
        ({"micro_batch": -1}, "micro_batch is -1; it must be a whole number of at least 1"),
        ({"micro_batch": 0}, "micro_batch is 0; it must be a whole number of at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0; it must be a whole number of at least 1"),
        ({"learning_rate": math.nan}, "learning_rate is nan; it must be a number above 0 and at most 1000"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be a number above 0"),
        ({"crop": 0.0}, "crop is 0.0; it must be a number above 0 and at most 1"),
        ({"crop": 1.5}, "crop is 1.5; it must be a number above 0 and at most 1"),
        ({"crop": math.nan}, "crop is nan; it must be a number above 0"),
        ({"crop": 0.5}, "crop is 0.5, but the model takes tokens of pictures that were encoded before"),
        ({"learning_rate": 1e38}, r"learning_rate is 1e\+38; it must be a number above 0 and at most 1000"),
    ],
)
def test_options_out_of_range_are_refused(change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(model(), correlated(), tmp_path / "run", **{**OPTIONS, **change})
    assert not (tmp_path / "run").exists()


def test_unpaired_inputs_are_refused(tmp_path):
    images, texts = correlated()
    with pytest.raises(InputError, match="there are 64 images and 63 texts"):
        train(model(), Pairs(images, texts.rows(slice(63))), tmp_path / "run", **OPTIONS)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot make the folder .*file/run: Not a directory"):
        train(model(), correlated(), tmp_path / "file" / "run", **OPTIONS)
