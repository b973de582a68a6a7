"""What holds for every test: no global random generator is touched, and hypothesis does not judge by the clock."""

import random

import hypothesis
import numpy as np
import pytest
import torch

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def global_generators_stay_untouched():
    before = _global_generators()
    yield
    touched = [name for name, state in _global_generators().items() if state != before[name]]
    assert not touched, f"the global random generator of {touched} was used; give the code a seed or a generator"


def _global_generators():
    return {
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002 - read, not used
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
