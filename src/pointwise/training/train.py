"""train: one loop that fits a model to pairs, and goes on to the last bit where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointwise.errors import InputError
from pointwise.training import checkpoint, divergence
from pointwise.training.augment import boxes, cropped
from pointwise.training.distributed import rank_and_world, sum_over_processes
from pointwise.training.gradients import backward
from pointwise.training.held_out import measure, require_held_out
from pointwise.training.inputs import Pairs, SomePairs
from pointwise.training.model import DualEncoder
from pointwise.training.vision import VisionTransformer

_BETAS = (0.9, 0.98)
_LAST_SHARE = 0.02  # of the learning rate, at the end of the cosine: 1e-5 of 5e-4
LARGEST_RATE = 1000.0  # beyond it AdamW's own numbers overflow before the loss can tell


class Diverged(RuntimeError):
    """The loss is not a number, or stays above that of a model that knows nothing; training has stopped."""


def train(
    model: DualEncoder,
    pairs: Pairs | SomePairs,
    folder: str | Path,
    *,
    steps: int,
    batch_size: int = 256,
    micro_batch: int | None = None,
    learning_rate: float = 5e-4,
    weight_decay: float = 0.5,
    warmup: int = 100,
    bfloat16: bool = False,
    crop: float = 1.0,
    held_out: Pairs | SomePairs | None = None,
    held_out_every: int = 100,
    checkpoint_every: int = 500,
    resume: bool = False,
    seed: int = 0,
    progress: Callable[[Mapping[str, float]], object] | None = None,
) -> DualEncoder:
    r"""Fit a model to pairs by symmetric InfoNCE, and return it: with held-out pairs, at the step that is best on them.

    AdamW (betas .9 and .98; no decay of biases, norms and scale), linear warm-up, then a cosine to a fiftieth of the
    rate. The batches are those of a permutation of the pairs for each epoch; it and the crops are decided by seed and
    step alone, and nothing else is random: training that is resumed ends with the bits of one that was never stopped,
    on a processor.

    In the folder: ``log.jsonl``, a line a step (loss; log B - loss, the estimate of mutual information in nats;
    learning rate, scale, norm of the gradient, pairs a second); ``checkpoint.safetensors``, replaced every
    ``checkpoint_every`` steps; ``model.safetensors``, when done. Under torch.distributed each process takes its share
    of each batch and sees all negatives, and the first process writes.

    Held-out pairs are measured before the first step (line 0 of the log), every ``held_out_every`` steps and after the
    last: ``held_out_loss``, the symmetric InfoNCE of all of them as one batch (of more than 4,096 in equal batches:
    ``held_out_batch``); ``held_out_mutual_information``, the log of that batch - loss; ``best_step``, of the lowest
    loss so far. The model that is returned and written has the weights of that step, and ``model.meta["held_out"]``
    says so.

    Args:
        model: on the device to train on.
        pairs: n of them; they stay where they are, and batches go to the device of the model.
        folder: is made where it does not exist.
        steps: of the optimiser, in all.
        batch_size: B, pairs of a step over all processes; each is contrasted with all others.
        micro_batch: pairs that go through the towers at once where memory does not allow the whole batch; the loss
            and its gradients are still those of the whole batch.
        learning_rate: at the end of the warm-up.
        weight_decay: of AdamW.
        warmup: steps.
        bfloat16: the towers under autocast; heads and similarity stay in float32.
        crop: the smallest share of the area of a picture that a step may see of it; 1 for whole pictures. Only for
            towers that take pixels, which then see another part, enlarged to the whole, at each step.
        held_out: pairs that are not trained on, and of which none is a copy of one that is, as `split` chooses them.
        held_out_every: steps.
        checkpoint_every: steps.
        resume: go on from the checkpoint in the folder.
        seed: of the order of the pairs, and of the crops.
        progress: called after each step with the line of the log.

    Raises:
        InputError: an option is out of range; the first loss is not a number; the folder has a checkpoint and resume is
            False, or none and it is True; or the checkpoint was made with other options, pairs or model.
        Diverged: the loss, or that of the held-out pairs, is not a number or the first stays too large; the message
            names the last good checkpoint.

    Reference: van den Oord et al. (2018), https://arxiv.org/abs/1807.03748; as Radford et al. (2021),
    https://arxiv.org/abs/2103.00020, train.
    """
    folder, (rank, world) = Path(folder), rank_and_world()
    require_batch(batch_size, pairs.n, processes=world)
    at_once = batch_size if micro_batch is None else micro_batch
    _require(pairs, learning_rate, steps=steps, checkpoint_every=checkpoint_every, micro_batch=at_once)
    _require_crop(crop, model)
    if held_out is not None:
        require_held_out(held_out, pairs, every=held_out_every)
    checkpoint.require_folder(folder, resume=resume)
    checkpoint.make_folder(folder)
    model.meta.pop("held_out", None)  # of an earlier training
    options = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "warmup": warmup,
        "bfloat16": bfloat16,
        "crop": crop,
        "seed": seed,
        "model": json.loads(json.dumps(model.config())),
        "held_out_sha256": None if held_out is None else held_out.sha256(),
        "held_out_every": None if held_out is None else held_out_every,
        "pairs_sha256": pairs.sha256(),
    }
    optimizer = _optimizer(model, learning_rate, weight_decay)
    state, best = dict(divergence.START), None
    if resume:
        state, best = checkpoint.resume(model, optimizer, folder, options=options)
    kept = int(state["step"]) + (best is not None)  # with held-out pairs the first line is that of no step
    write = checkpoint.open_log(folder, lines=kept, writes=rank == 0)
    if held_out is not None and best is None:
        best, found = measure(model, held_out, None, step=0, micro_batch=at_once, bfloat16=bfloat16)
        if not math.isfinite(best.loss):
            raise InputError(
                f"the held-out loss is {best.loss:g} before the first step: the held-out pairs or the weights hold NaN "
                "or inf, or make points that are; leave such pairs out."
            )
        write({"step": 0, **found})

    parameters = list(model.parameters())
    model.train()
    for step in range(int(state["step"]), steps):
        begun = time.perf_counter()
        places = order_of(pairs.n, batch_size, step, seed=seed).tensor_split(world)[rank]
        batch = pairs.rows(places).to(model.log_scale.device)
        if crop < 1:
            shown = boxes(batch_size, step, smallest=crop, seed=seed).tensor_split(world)[rank]
            batch = batch._replace(images=cropped(batch.images, shown))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule(step, steps=steps, warmup=warmup)

        optimizer.zero_grad(set_to_none=True)
        loss = backward(model, batch, micro_batch=at_once, bfloat16=bfloat16)
        gradients = [p.grad for p in parameters if p.grad is not None]
        sum_over_processes([loss, *gradients])
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm() if gradients else loss
        line = {
            "step": step + 1,
            "loss": float(loss),
            "mutual_information": math.log(batch_size) - float(loss),
            "learning_rate": optimizer.param_groups[0]["lr"],
            "scale": float(model.scale.detach()),
            "gradient_norm": float(norm),
        }
        if step == 0 and not math.isfinite(line["loss"]):
            raise InputError(
                f"the loss is {line['loss']:g} before the first step: the pairs or the weights hold NaN or inf, or "
                "make points that are; leave such pairs out."
            )
        state = divergence.after(state, line["loss"])
        if problem := divergence.problem(line, state, batch_size=batch_size, warmup=warmup):
            raise _diverged(problem, step + 1, folder, learning_rate)  # before it spoils the weights
        optimizer.step()
        model.clamp_scale()
        line["pairs_per_second"] = batch_size / (time.perf_counter() - begun)

        if held_out is not None and ((step + 1) % held_out_every == 0 or step + 1 == steps):
            best, found = measure(model, held_out, best, step=step + 1, micro_batch=at_once, bfloat16=bfloat16)
            line |= found
            if not math.isfinite(line["held_out_loss"]):
                raise _diverged(f"the held-out loss is {line['held_out_loss']:g}", step + 1, folder, learning_rate)
        write(line)
        if rank == 0 and ((step + 1) % checkpoint_every == 0 or step + 1 == steps):
            checkpoint.save(model, optimizer, folder, options=options, state=state, best=best)
        if progress is not None:
            progress(line)
    model.eval()
    if held_out is not None and best is not None:
        model.load_state_dict(best.weights)
        model.meta["held_out"] = best.said(held_out.n)
    if rank == 0:
        model.save(folder / checkpoint.MODEL)
    return model


def order_of(n: int, batch_size: int, step: int, *, seed: int) -> Tensor:
    """Return the places of the pairs of a step: a slice of the epoch's permutation, whose last n mod B are left out.

    >>> [order_of(5, 2, step, seed=0).tolist() for step in range(3)]
    [[1, 4], [3, 2], [3, 1]]
    """
    epoch, place = divmod(step, n // batch_size)
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randperm(n, generator=generator)[place * batch_size : (place + 1) * batch_size]


def schedule(step: int, *, steps: int, warmup: int) -> float:
    """Return the share of the learning rate at a step: linear warm-up, then a cosine to a fiftieth.

    >>> [round(schedule(step, steps=9, warmup=4), 2) for step in (0, 3, 4, 8)]
    [0.25, 1.0, 1.0, 0.02]
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return _LAST_SHARE + (1 - _LAST_SHARE) * (1 + math.cos(math.pi * done)) / 2


def require_batch(batch_size: int, n: int, *, processes: int = 1) -> None:
    """Raise an InputError unless n pairs make a batch, which the processes can share."""
    if n < 2:
        raise InputError(f"there are {n} pairs to train on; there must be at least 2, and many more to learn much.")
    if not 2 <= batch_size <= n:
        raise InputError(f"batch_size is {batch_size}; it must be from 2 to {n}, the number of pairs to train on.")
    if batch_size % processes:
        raise InputError(f"batch_size is {batch_size}; it must be a multiple of {processes}, the number of processes.")


def _require(pairs: Pairs | SomePairs, learning_rate: float, **at_least_one: int) -> None:
    pairs.require_paired()
    for name, value in at_least_one.items():
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")
    if not 0 < learning_rate <= LARGEST_RATE:
        raise InputError(f"learning_rate is {learning_rate}; it must be above 0 and at most {LARGEST_RATE:g}.")


def _require_crop(crop: float, model: DualEncoder) -> None:
    if not 0 < crop <= 1:
        raise InputError(f"crop is {crop}; it must be above 0 and at most 1, which leaves pictures whole.")
    if crop < 1 and not isinstance(model.image, VisionTransformer):
        raise InputError(
            f"crop is {crop}, but the model takes tokens of pictures that were encoded before, and cannot crop these; "
            "leave it out, or train from scratch."
        )


def _optimizer(model: DualEncoder, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=_BETAS)


def _diverged(problem: str, step: int, folder: Path, learning_rate: float) -> Diverged:
    return Diverged(
        f"training diverged at step {step}: {problem}; {checkpoint.last_good(folder)}. Give another folder and a lower "
        f"learning rate than {learning_rate:g}, a longer warm-up, or a larger batch."
    )
