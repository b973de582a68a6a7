"""What tests of training share: a model of a few weights, the lines of a log, and a run that stops where it is told."""

import json

from pointwise.training.folder import run
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.options import Options


def model(**options):
    return DualEncoder(FrozenTokens(width=6), FrozenTokens(width=5), **{"points": 2, "dim": 4, "seed": 1, **options})


def train(model, pairs, folder, *, held_out=None, resume=False, progress=None, **options):
    """The run of a training in a folder, with its options one by one."""
    return run(folder, model, pairs, Options(**options), held_out=held_out, resume=resume, progress=progress)


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Stop(Exception):
    pass


def stop_at(step):
    def progress(line):
        if line["step"] == step:
            raise Stop

    return progress
