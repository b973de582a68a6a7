"""fit: the loop that fits a model to pairs. It yields the lines of a log and touches no disk."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from pointwise.errors import InputError
from pointwise.training.augment import boxes, cropped, generator_of
from pointwise.training.distributed import rank_and_world, sum_over_processes
from pointwise.training.inputs import Pairs
from pointwise.training.loss import backward, batch_of, held_out_loss, require_held_out
from pointwise.training.model import DualEncoder
from pointwise.training.options import Options
from pointwise.training.towers import VisionTransformer

_BETAS = (0.9, 0.98)
_LAST_SHARE = 0.02  # of the learning rate, at the end of the cosine: 1e-5 of 5e-4
_MEMORY = 0.98  # of the running mean of the loss that tells divergence
_TOO_MUCH = 2.0  # nats by which that mean may exceed the loss at the start, or of a model that knows nothing

Line = dict[str, float]


class Diverged(RuntimeError):
    """The loss is not a number, or stays above that of a model that knows nothing; training has stopped."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}. Give {advice}")
        self.problem, self.advice = problem, advice


class Best(NamedTuple):
    """The weights whose held-out loss is lowest so far, in the memory of the processor, and the step that made them."""

    step: int
    loss: float
    weights: dict[str, Tensor]


@dataclass
class State:
    """Where a training stands: beside the model's weights all that it takes to go on to the same bits.

    step: how many are done.
    first: loss of the first step.
    mean: running mean of the loss.
    moments: of each parameter, what AdamW keeps of it.
    best: on the held-out pairs.
    """

    step: int = 0
    first: float = math.nan
    mean: float = 0.0
    moments: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    best: Best | None = None

    def note(self, loss: float) -> None:
        """Note the loss of the next step: a plain mean of the first steps, which then forgets what is long past."""
        keep = min(_MEMORY, self.step / (self.step + 1))
        self.first = self.first if self.step else loss
        self.mean = keep * self.mean + (1 - keep) * loss


def fit(
    model: DualEncoder, pairs: Pairs, options: Options, *, held_out: Pairs | None = None, state: State | None = None
) -> Iterator[Line]:
    r"""Fit a model to pairs by symmetric InfoNCE, in place; with held-out pairs, it ends as it was best on them.

    AdamW (betas .9 and .98; no decay of biases, norms and scale), linear warm-up, then a cosine to a fiftieth of the
    rate. The batches are those of a permutation of the pairs for each epoch; it and the crops are decided by seed and
    step alone, and nothing else is random: training that goes on from a state ends with the bits of one that was never
    stopped, on a processor. Under torch.distributed each process takes its share of each batch and sees all negatives.

    A line for each step is yielded once it is taken: loss; log B - loss, the estimate of mutual information in nats;
    learning rate, scale, norm of the gradient, pairs a second. Held-out pairs are measured before the first step (line
    0), every ``held_out_every`` steps and after the last: ``held_out_loss``, the symmetric InfoNCE of all of them as
    one batch (of more than 4,096 in equal batches: ``held_out_batch``); ``held_out_mutual_information``, the log of
    that batch - loss; ``best_step``, of the lowest loss so far. After the last line the model has the weights of that
    step, and ``model.meta["held_out"]`` says so.

    Pairs stay where they are, and batches go to the device of the model. Crops are for towers that take pixels, which
    see another part of each picture, enlarged to the whole, at each step. None of the held-out pairs should be a copy
    of one that is trained on. A state to go on from belongs to a model that has its weights; it is brought up to date
    before each line.

    Raises:
        InputError: pairs or options do not fit each other or the model, or the first loss is not a number.
        Diverged: the loss, or that of the held-out pairs, is not a number or the first stays too large.

    Reference: van den Oord et al. (2018), https://arxiv.org/abs/1807.03748; as Radford et al. (2021),
    https://arxiv.org/abs/2103.00020, train.
    """
    pairs.require_paired()
    require_batch(options.batch_size, pairs.n, processes=rank_and_world()[1])
    if options.crop < 1 and not isinstance(model.image, VisionTransformer):
        raise InputError(
            f"crop is {options.crop}, but the model takes tokens of pictures that were encoded before, and cannot crop "
            "these; leave it out, or train from scratch."
        )
    if held_out is not None:
        require_held_out(held_out, pairs)
    model.meta.pop("held_out", None)  # of an earlier training
    return _steps(model, pairs, options, held_out, State() if state is None else state)


def _steps(model: DualEncoder, pairs: Pairs, options: Options, held_out: Pairs | None, state: State) -> Iterator[Line]:
    (rank, world), size, seed = rank_and_world(), options.batch_size, options.seed
    optimizer, parameters = _optimizer(model, options, state), list(model.parameters())
    if held_out is not None and state.best is None:
        line = {"step": 0, **_measure(model, held_out, options, state)}
        if not math.isfinite(line["held_out_loss"]):
            raise InputError(_not_finite("held-out loss", line["held_out_loss"], "held-out pairs"))
        yield line

    model.train()
    for step in range(state.step, options.steps):
        begun = time.perf_counter()
        # Seed and step alone decide what a step sees, and each process takes its part of that: so neither a stop nor
        # the number of processes changes any batch.
        batch = pairs.rows(order_of(pairs.n, size, step, seed=seed).tensor_split(world)[rank])
        batch = batch.to(model.log_scale.device)
        if options.crop < 1:
            shown = boxes(size, step, smallest=options.crop, seed=seed).tensor_split(world)[rank]
            batch = batch._replace(images=cropped(batch.images, shown))
        rate = options.learning_rate * schedule(step, steps=options.steps, warmup=options.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate

        optimizer.zero_grad(set_to_none=True)
        loss = backward(model, batch, micro_batch=options.micro_batch or size, bfloat16=options.bfloat16)
        gradients = [p.grad for p in parameters if p.grad is not None]
        # Each process has its share of the loss, and the gradients of that share: their sums are those of the batch.
        sum_over_processes([loss, *gradients])
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm() if gradients else loss
        line = {
            "step": step + 1,
            "loss": float(loss),
            "mutual_information": math.log(size) - float(loss),
            "learning_rate": rate,
            "scale": float(model.scale.detach()),
            "gradient_norm": float(norm),
        }
        if step == 0 and not math.isfinite(line["loss"]):
            raise InputError(_not_finite("loss", line["loss"], "pairs"))
        state.note(line["loss"])
        if problem := _problem(line, state, options):
            raise _diverged(problem, step + 1, options)  # before the step, which would spoil the weights
        optimizer.step()
        model.clamp_scale()
        state.step = step + 1
        line["pairs_per_second"] = size / (time.perf_counter() - begun)

        if held_out is not None and (state.step % options.held_out_every == 0 or state.step == options.steps):
            line |= _measure(model, held_out, options, state)
            if not math.isfinite(line["held_out_loss"]):
                raise _diverged(f"the held-out loss is {line['held_out_loss']:g}", step + 1, options)
        yield line  # here weights and state fit each other: a caller may keep both
    model.eval()
    if held_out is not None and state.best is not None:
        best, most = state.best, batch_of(held_out.n)
        model.load_state_dict(best.weights)
        about = {"pairs": held_out.n, "batch": most, "step": best.step, "loss": best.loss}
        model.meta["held_out"] = {**about, "mutual_information": math.log(most) - best.loss}


def _measure(model: DualEncoder, held_out: Pairs, options: Options, state: State) -> Line:
    """What the log says of held-out pairs; the state keeps the weights if none were better on them."""
    micro_batch, most = options.micro_batch or options.batch_size, batch_of(held_out.n)
    loss = held_out_loss(model, held_out, micro_batch=micro_batch, bfloat16=options.bfloat16)
    if state.best is None or loss < state.best.loss:
        weights = {name: x.detach().to("cpu", copy=True) for name, x in model.state_dict().items()}
        state.best = Best(state.step, loss, weights)
    information = {"held_out_loss": loss, "held_out_mutual_information": math.log(most) - loss}
    return {**information, "held_out_batch": most, "best_step": state.best.step}


def order_of(n: int, batch_size: int, step: int, *, seed: int) -> Tensor:
    """Return the places of the pairs of a step: a slice of the epoch's permutation, whose last n mod B are left out.

    >>> [order_of(5, 2, step, seed=0).tolist() for step in range(3)]
    [[1, 4], [3, 2], [3, 1]]
    """
    epoch, place = divmod(step, n // batch_size)
    return torch.randperm(n, generator=generator_of(f"{seed} {epoch}"))[place * batch_size : (place + 1) * batch_size]


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
    if batch_size > n:
        raise InputError(f"batch_size is {batch_size}; it must be from 2 to {n}, the number of pairs to train on.")
    if batch_size % processes:
        raise InputError(f"batch_size is {batch_size}; it must be a multiple of {processes}, the number of processes.")


def _optimizer(model: DualEncoder, options: Options, state: State) -> torch.optim.AdamW:
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for p in named.values() if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in named.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, betas=_BETAS)
    for name, p in named.items():  # AdamW fills these, and writes in place: the state is up to date after each step
        optimizer.state[p] = state.moments.setdefault(name, {})
    return optimizer


def _problem(line: Line, state: State, options: Options) -> str | None:
    """What is wrong with a step, in words, if something is."""
    if not math.isfinite(line["loss"]) or not math.isfinite(line["gradient_norm"]):
        return f"its loss is {line['loss']:.4g}, the norm of the gradient {line['gradient_norm']:.4g}"
    limit = max(state.first, math.log(options.batch_size)) + _TOO_MUCH
    if line["step"] > options.warmup and state.mean > limit:
        return f"the running mean of the loss is {state.mean:.2f} nats, above {limit:.2f}"
    return None


def _diverged(problem: str, step: int, options: Options) -> Diverged:
    advice = f"a lower learning rate than {options.learning_rate:g}, a longer warm-up, or a larger batch."
    return Diverged(f"training diverged at step {step}: {problem}", advice)


def _not_finite(what: str, value: float, pairs: str) -> str:
    return (
        f"the {what} is {value:g} before the first step: the {pairs} or the weights hold NaN or inf, or make points "
        "that are; leave such pairs out."
    )
