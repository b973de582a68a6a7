"""The generators of the demo: real digits in two halves, a model of one, and the model made to fail."""

from __future__ import annotations

import sklearn.decomposition
import sklearn.model_selection  # noqa: F401

from pointwise.demo.digits import digits

GENERATORS = ["held-out", "model", "dropped", "shrunk", "invented", "copied"]


def test_every_seed_is_a_demo_of_its_own():
    first, again, other = digits(seed=0), digits(seed=0), digits(seed=1)
    assert list(first.generators) == GENERATORS
    for name in GENERATORS:
        assert first.generators[name].fingerprint() == again.generators[name].fingerprint()
        assert first.generators[name].fingerprint() != other.generators[name].fingerprint()
    assert not set(first.training.ids) & set(first.generators["held-out"].ids)
    assert len(first.training) + len(first.generators["held-out"]) == 1797
