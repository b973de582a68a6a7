"""Dependencies run one way: every module imports only from floors above its own.

Every import statement counts, wherever it stands: one inside a function binds as much as one at the top, and one under
``if TYPE_CHECKING`` is knowledge of another floor too. Only names built at run time (importlib) go unseen.
"""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import pointwise

PACKAGE = Path(__file__).parents[1] / "src" / "pointwise"

# The rooms of the house, from the ground up. A room imports from itself and from the lines before its own,
# so the rooms of one line know nothing of each other.
ORDER = [
    # 0 the ground
    ["errors"],
    ["_types"],
    ["_options", "_text"],
    ["_arrays", "_products", "_files"],
    ["terms"],
    ["score"],
    # 1 what is measured
    ["tables", "synthetic"],
    ["items"],
    # 2 how it is made from images and captions
    ["encoders", "resumable"],
    ["encoding"],
    # 3 the expensive work, once
    ["neighbors"],
    ["summaries"],
    # 4 the mathematics, and the training arm
    ["metrics", "kernels"],
    ["training"],
    ["tokens"],
    ["_retrieval"],
    ["pmi"],
    # 5 comparisons
    ["reference"],
    ["provenance", "document"],
    ["evaluation"],
    ["_evaluate", "comparison"],
    ["_compare"],
    # 6 uses
    ["failures"],
    ["diagnosis"],
    ["_agreement"],
    ["judgments"],
    ["demo"],
    # the door: the public names
    ["pointwise"],
    # 7 faces
    ["report", "wrappers"],
    ["cli"],
    ["__main__"],
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def violations(package):
    """Return a sentence for each module that is on no floor and each import that does not point to a floor above."""
    found = []
    for file in sorted(package.rglob("*.py")):
        module = ".".join(["pointwise", *file.relative_to(package).with_suffix("").parts]).removesuffix(".__init__")
        room = _room(module)
        if room not in RANK:
            found.append(f"{module} is on no floor")
            continue
        for line, target in _imports(file, module, package):
            other = _room(target)
            if other != room and RANK.get(other, len(ORDER)) >= RANK[room]:
                found.append(f"{module}:{line} imports {target}, which is not on a floor above it")
    return found


def _room(module):
    return [*module.split("."), "pointwise"][1]


def _imports(file, module, package):
    """Yield line and full name of each import of something of ours."""
    parent = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            steps = parent.split(".")[: len(parent.split(".")) - max(0, node.level - 1)] if node.level else []
            source = ".".join([*steps, *filter(None, [node.module])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            if source == "pointwise":  # a public name comes through the door, a module does not
                names = [name if _is_module(package, name) else "pointwise" for name in names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "pointwise")


def _is_module(package, name):
    path = package / name.split(".")[1]
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_every_module_imports_only_from_floors_above_its_own():
    assert violations(PACKAGE) == []


def test_no_module_is_passed_over():
    seen = {file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py")}
    assert {"__init__.py", "errors.py", "tables/table.py", "metrics/__init__.py"} <= seen


def house(root, module, source):
    """Write a made-up package of four floors, with this source for one of its modules."""
    for path in ["__init__.py", "score.py", "tables/table.py", "metrics/entropy.py", "kernels/losses.py", module]:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(source if path == module else "")
    return root


@pytest.mark.parametrize(
    ("module", "source", "target"),
    [
        ("tables/table.py", "import pointwise.metrics.entropy", "pointwise.metrics.entropy"),
        ("tables/table.py", "import os, pointwise.metrics as m", "pointwise.metrics"),
        ("tables/table.py", "from pointwise.metrics import entropy", "pointwise.metrics.entropy"),
        ("tables/table.py", "from pointwise import metrics", "pointwise.metrics"),
        ("tables/table.py", "from ..metrics.entropy import entropy", "pointwise.metrics.entropy.entropy"),
        ("tables/table.py", "from .. import metrics", "pointwise.metrics"),
        ("tables/__init__.py", "from ..metrics import entropy", "pointwise.metrics.entropy"),
        ("tables/table.py", "def f():\n    from pointwise.metrics import entropy", "pointwise.metrics.entropy"),
        (
            "tables/table.py",
            "if TYPE_CHECKING:\n    from pointwise.metrics import entropy",
            "pointwise.metrics.entropy",
        ),
        ("tables/table.py", "try:\n    import pointwise.cli\nexcept ImportError: ...", "pointwise.cli"),
        ("tables/table.py", "from pointwise import FeatureTable", "pointwise"),
        ("tables/table.py", "import pointwise as pw", "pointwise"),
        ("tables/table.py", "from pointwise.attic import box", "pointwise.attic.box"),
        ("metrics/entropy.py", "from pointwise.kernels import functions", "pointwise.kernels.functions"),
        ("kernels/losses.py", "from pointwise.metrics import entropy", "pointwise.metrics.entropy"),
        ("score.py", "from .tables import table", "pointwise.tables.table"),
        ("__init__.py", "from pointwise.cli import main", "pointwise.cli.main"),
        ("__init__.py", "from .cli import main", "pointwise.cli.main"),
    ],
)
def test_an_import_against_the_order_is_found(tmp_path, module, source, target):
    name = f"pointwise.{module.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
    line = source.count("\n", 0, source.index("import ")) + 1 if "except" not in source else 2
    assert violations(house(tmp_path, module, source)) == [
        f"{name}:{line} imports {target}, which is not on a floor above it"
    ]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tables/table.py", "import numpy as np\nfrom torch import nn\nfrom pointwise_extras import thing"),
        (
            "tables/table.py",
            "from pointwise.tables.formats import save\nfrom . import formats",
        ),
        (
            "metrics/entropy.py",
            "from pointwise.tables import FeatureTable\nfrom pointwise import score\nfrom .. import tables",
        ),
        ("__init__.py", "from pointwise.score import Score as Score\nfrom .tables.table import FeatureTable"),
        ("cli/main.py", "import pointwise as pw\nfrom pointwise import FeatureTable"),
    ],
)
def test_an_import_in_the_order_passes(tmp_path, module, source):
    assert violations(house(tmp_path, module, source)) == []


def test_a_module_on_no_floor_is_found(tmp_path):
    assert violations(house(tmp_path, "utils/misc.py", "")) == ["pointwise.utils.misc is on no floor"]


# Imported here, since some of what they import uses the global random generator as it is loaded.
MODULES = {
    module.name: importlib.import_module(module.name)
    for module in pkgutil.walk_packages(pointwise.__path__, "pointwise.")
    if module.name != "pointwise.__main__"
}


def hidden_modules():
    """Return every module whose place in its package is taken by something else of its name, a function say."""
    found = []
    for name, module in MODULES.items():
        package, _, last = name.rpartition(".")
        if getattr(MODULES.get(package, pointwise), last) is not module:
            found.append(name)
    return found


def test_no_module_is_hidden_by_a_thing_of_its_own_name():
    assert hidden_modules() == []


def test_a_hidden_module_is_found(monkeypatch):
    monkeypatch.setattr(pointwise.metrics, "mmd", print)
    assert hidden_modules() == ["pointwise.metrics.mmd"]


# Each click option is a parameter; evaluate and compare have what a comparison may be asked for, encode and encode_to
# what an encoding may, all by keyword.
MANY = {
    "evaluate",
    "compare",
    "encode",
    "encode_to",
    "cli.agreement.agreement",
    "cli.compare.compare",
    "cli.train.train_command",
}


def test_no_function_has_more_than_eight_parameters_but_for_a_reason():
    many = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len([a for a in arguments if a.arg not in ("self", "cls")]) > 8:
                    module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
                    many.add(f"{module}.{node.name}" if module.startswith("cli") else node.name)
    assert many == MANY
    assert len(inspect.signature(pointwise.evaluate).parameters) <= 10
    assert len(pointwise.cli.compare.compare.params) <= 14
