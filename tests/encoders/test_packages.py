"""A package that is not there, or does not import, is one sentence; weights have one hash."""

import sys
import types

import pytest
import torch

from pointwise.encoders.packages import import_package, sha256_of_weights
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
