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
from pointwise.similarity import checkpoint
from pointwise.similarity.distributed import rank_and_world, sum_over_processes
from pointwise.similarity.gradients import backward
from pointwise.similarity.inputs import Pairs
from pointwise.similarity.model import DualEncoder

_BETAS = (0.9, 0.98)
_LAST_SHARE = 0.02  # of the learning rate, at the end of the cosine: 1e-5 of 5e-4
LARGEST_RATE = 1000.0  # beyond it AdamW's own numbers overflow before the loss can tell
_MEMORY = 0.98  # of the running mean of the loss that tells divergence
_TOO_MUCH = 2.0  # nats by which that mean may exceed the loss at the start, or of a model that knows nothing


class Diverged(RuntimeError):
    """The loss is not a number, or stays above that of a model that knows nothing; training has stopped."""


def train(
    model: DualEncoder,
    pairs: Pairs,
    folder: str | Path,
    *,
    steps: int,
    batch_size: int = 256,
    micro_batch: int | None = None,
    learning_rate: float = 5e-4,
    weight_decay: float = 0.5,
    warmup: int = 100,
    bfloat16: bool = False,
    checkpoint_every: int = 500,
    resume: bool = False,
    seed: int = 0,
    progress: Callable[[Mapping[str, float]], object] | None = None,
) -> DualEncoder:
    r"""Fit a model to pairs by symmetric InfoNCE, and return it.

    AdamW (betas .9 and .98; no decay of biases, norms and scale), linear warm-up, then a cosine to a fiftieth of the
    rate. The batches are those of a permutation of the pairs for each epoch, which seed and epoch alone decide, and
    nothing else is random: training that is resumed ends with the bits of one that was never stopped, on a processor.

    In the folder: ``log.jsonl``, a line a step (loss; log B - loss, the estimate of mutual information in nats;
    learning rate, scale, norm of the gradient, pairs a second); ``checkpoint.safetensors``, replaced every
    ``checkpoint_every`` steps; ``model.safetensors``, when done. Under torch.distributed each process takes its share
    of each batch and sees all negatives, and the first process writes.

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
        checkpoint_every: steps.
        resume: go on from the checkpoint in the folder.
        seed: of the order of the pairs.
        progress: called after each step with the line of the log.

    Raises:
        InputError: an option is out of range; the folder has a checkpoint and resume is False, or none and it is True;
            or the checkpoint was made with other options, pairs or model.
        Diverged: the loss is not a number or stays too large; the message names the last good checkpoint.

    Reference: van den Oord et al. (2018), https://arxiv.org/abs/1807.03748; as Radford et al. (2021),
    https://arxiv.org/abs/2103.00020, train.
    """
    folder, n, (rank, world) = Path(folder), len(pairs.images.x), rank_and_world()
    require_batch(batch_size, n, processes=world)
    _require(pairs, learning_rate, steps=steps, checkpoint_every=checkpoint_every, micro_batch=micro_batch or 1)
    checkpoint.require_folder(folder, resume=resume)
    checkpoint.make_folder(folder)
    options = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "warmup": warmup,
        "bfloat16": bfloat16,
        "seed": seed,
        "pairs_sha256": pairs.sha256(),
        "model": json.loads(json.dumps(model.config())),
    }
    optimizer = _optimizer(model, learning_rate, weight_decay)
    state = {"step": 0, "first": math.nan, "mean": 0.0}
    if resume:
        state = checkpoint.resume(model, optimizer, folder, options=options)
    if rank == 0:
        checkpoint.keep_lines(folder / checkpoint.LOG, int(state["step"]))

    parameters = list(model.parameters())
    model.train()
    for step in range(int(state["step"]), steps):
        begun = time.perf_counter()
        places = order_of(n, batch_size, step, seed=seed).tensor_split(world)[rank]
        batch = pairs.rows(places).to(model.log_scale.device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule(step, steps=steps, warmup=warmup)

        optimizer.zero_grad(set_to_none=True)
        loss = backward(model, batch, micro_batch=micro_batch or batch_size, bfloat16=bfloat16)
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
        state = _next(state, line["loss"])
        if problem := _problem(line, state, batch_size=batch_size, warmup=warmup):  # before it spoils the weights
            raise Diverged(
                f"training diverged at step {step + 1}: {problem}; {checkpoint.last_good(folder)}. Give another folder "
                f"and a lower learning rate than {learning_rate:g}, a longer warm-up, or a larger batch."
            )

        optimizer.step()
        model.clamp_scale()
        line["pairs_per_second"] = batch_size / (time.perf_counter() - begun)
        if rank == 0:
            with (folder / checkpoint.LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            if (step + 1) % checkpoint_every == 0 or step + 1 == steps:
                checkpoint.save(model, optimizer, folder, options=options, state=state)
        if progress is not None:
            progress(line)
    model.eval()
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
    if not 2 <= batch_size <= n:
        raise InputError(f"batch_size is {batch_size}; it must be from 2 to {n}, the number of pairs.")
    if batch_size % processes:
        raise InputError(f"batch_size is {batch_size}; it must be a multiple of {processes}, the number of processes.")


def _require(pairs: Pairs, learning_rate: float, **at_least_one: int) -> None:
    images, texts = len(pairs.images.x), len(pairs.texts.x)
    if images != texts:
        raise InputError(f"there are {images} images and {texts} texts; there must be one text for each image.")
    for name, value in at_least_one.items():
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")
    if not 0 < learning_rate <= LARGEST_RATE:
        raise InputError(f"learning_rate is {learning_rate}; it must be above 0 and at most {LARGEST_RATE:g}.")


def _optimizer(model: DualEncoder, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=_BETAS)


def _next(state: Mapping[str, float], loss: float) -> dict[str, float]:
    """The state after a step of this loss: the step, the first loss, and the running mean."""
    done = state["step"]
    keep = min(_MEMORY, done / (done + 1))
    return {
        "step": done + 1,
        "first": state["first"] if done else loss,
        "mean": keep * state["mean"] + (1 - keep) * loss,
    }


def _problem(line: Mapping[str, float], state: Mapping[str, float], *, batch_size: int, warmup: int) -> str | None:
    """What is wrong with a step, in words."""
    if not math.isfinite(line["loss"]) or not math.isfinite(line["gradient_norm"]):
        return f"its loss is {line['loss']:.4g}, the norm of the gradient {line['gradient_norm']:.4g}"
    limit = max(state["first"], math.log(batch_size)) + _TOO_MUCH
    if line["step"] > warmup and state["mean"] > limit:
        return f"the running mean of the loss is {state['mean']:.2f} nats, above {limit:.2f}"
    return None
