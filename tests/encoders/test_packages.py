"""A package that is not there, or does not import, is one sentence; weights have one hash; nothing global moves."""

import logging
import sys
import types

import pytest
import torch

from pointwise.encoders.packages import import_package, in_passes, loading, sha256_of_weights
from pointwise.errors import InputError, MissingExtra


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Install a made-up package ahead of the real ones."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, source: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))  # so that it is put back as it was,
        monkeypatch.delitem(sys.modules, name)  # and imported anew

    return install


def test_a_package_that_is_not_installed():
    with pytest.raises(MissingExtra, match=r"^nowhere is not installed. Install it with: pip install 'pointwise\[nowh"):
        import_package("nowhere")


def test_a_torchvision_that_does_not_fit_torch_is_named(installed):
    installed("torchvision", "raise RuntimeError('operator torchvision::nms does not exist')")
    installed("pictures", "")
    with pytest.raises(
        InputError,
        match=r"^pictures needs torchvision, which cannot be imported \(operator torchvision::nms does not exist\); "
        rf"install the torchvision made for torch {torch.__version__.replace('+', '.')}, from the index",
    ):
        import_package("pictures")


def test_a_package_that_breaks_by_itself(installed):
    installed("torchvision", "")
    installed("pictures", "from torchvision import something_old")
    with pytest.raises(
        InputError, match=r"^pictures is installed but cannot be imported \(cannot import name 'something_old' from .*"
    ):
        import_package("pictures")


def test_a_package_that_imports(installed):
    installed("torchvision", "")
    installed("pictures", "answer = 42")
    assert import_package("pictures").answer == 42


def test_loading_moves_no_generator_and_leaves_no_handler():
    before, handlers = torch.get_rng_state(), list(logging.getLogger().handlers)
    with loading("the network", "try again."):
        torch.nn.Linear(3, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert logging.getLogger().handlers == handlers


def test_a_failure_to_load_is_one_sentence():
    with pytest.raises(InputError, match=r"^the network cannot be loaded \(it is torn\); try again\.$"):
        with loading("the network", "try again."):
            raise RuntimeError("it is torn. Here is much more.\nAnd more.")
    with pytest.raises(InputError, match=r"^the network cannot be loaded \(Error in Linear: Missing key: a\); try"):
        with loading("the network", "try again."):
            raise RuntimeError("Error in Linear:\n\tMissing key: a\n\tUnexpected key: b")
    with pytest.raises(InputError, match=r"^the network cannot be loaded \(StopIteration\); try again\.$"):
        with loading("the network", "try again."):
            raise StopIteration
    with pytest.raises(InputError, match=r"^another sentence\.$"):
        with loading("the network", "try again."):
            raise InputError("another sentence.")


def test_the_hash_depends_on_names_types_shapes_and_values_and_not_on_the_order():
    state = {"a": torch.arange(6.0), "b": torch.tensor(True)}
    others = [
        {"a": state["a"], "c": state["b"]},
        {"a": state["a"].double(), "b": state["b"]},
        {"a": state["a"].reshape(2, 3), "b": state["b"]},
        {"a": -state["a"], "b": state["b"]},
        {"a": state["a"]},
    ]
    hashes = {sha256_of_weights(one) for one in [state, *others]}
    assert len(hashes) == 6
    assert sha256_of_weights({"b": state["b"], "a": state["a"]}) == sha256_of_weights(state)
    strided = torch.stack([state["a"], state["a"]], 1)[:, 0]
    assert sha256_of_weights({"a": strided, "b": state["b"]}) == sha256_of_weights(state)


def test_passes_are_put_together_in_order_and_are_fit_for_autograd():
    sizes = []

    def compute(items):
        sizes.append(len(items))
        return torch.tensor(items, dtype=torch.float64)[:, None]

    features = in_passes(compute, range(5), size=2, device=torch.device("cpu"), name="ours")
    assert sizes == [2, 2, 1]
    assert features.dtype == torch.float32
    assert features.flatten().tolist() == [0, 1, 2, 3, 4]
    (features * torch.ones(1, requires_grad=True)).sum().backward()


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(
        InputError, match=r"^ours gives features that are not finite for 2 of 3 items; its weights are d"
    ):
        in_passes(
            lambda items: 1 / torch.tensor(items)[:, None],
            [0.0, 1.0, -0.0],
            size=2,
            device=torch.device("cpu"),
            name="ours",
        )
