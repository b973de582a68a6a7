"""The public surface is what is written here: names, the order of arguments, and options by keyword only."""

import doctest
import inspect
import re
import subprocess
import sys
import types
from operator import attrgetter
from pathlib import Path

import pytest

import pointwise

NAMES = {
    "what is measured": "FeatureTable load concat encode encode_to read_captions match_captions",
    "comparisons": "evaluate compare Reference Evaluation Comparison Score METRICS",
    "pieces": "neighborhoods Neighborhoods knn Neighbors entropy cross_entropy",
    "two modalities": "mid GaussianPair KmePmi clip_score ref_clip_score r_precision info_nce_score",
    "people": "agreement Agreement",
    "similarities": "kme_similarity wpse_similarity clip_similarity info_nce pmi_calibration Calibration "
    "retrieval Retrieval zero_shot prompts prompt_ensemble linear_probe",
    "modules": "encoders failures synthetic judgments training",
    "errors and version": "InputError MissingExtra __version__",
}
LISTED = [name for names in NAMES.values() for name in names.split()]

# Written as Python: an argument of the same name, kind and default must be there (`...`: whatever default).
# More options may be there.
PROMISED = {
    "FeatureTable": lambda features, *, text=None, ids=None, modes=None, captions=None, meta=...: ...,
    "FeatureTable.save": lambda self, path: ...,
    "load": lambda path: ...,
    "concat": lambda tables: ...,
    "compare": lambda real, generators, *, metrics=None, k=5, cover=3, dimension="ambient", duplicates="raise",
    device=None, engine="auto", seed=0: ...,
    "Comparison.difference": lambda self, first, second: ...,
    "Comparison.to_json": lambda self, path: ...,
    "Comparison.from_json": lambda path: ...,
    "Comparison.to_dataframe": lambda self: ...,
    "Reference": lambda real, *, ridge=0.0, reduce=None, debias=False, pairs=None, learned=None, kept=None,
    progress=None: ...,
    "Reference.save": lambda self, path: ...,
    "Score.difference": lambda self, other: ...,
    "evaluate": lambda real, fake, *, metrics=None, k=5, cover=3, dimension="ambient", duplicates="raise", device=None,
    engine="auto", seed=0: ...,
    "Evaluation.to_dict": lambda self: ...,
    "Evaluation.to_json": lambda self, path: ...,
    "Evaluation.from_json": lambda path: ...,
    "Evaluation.to_dataframe": lambda self: ...,
    "Score.interval": lambda self, level=0.95: ...,
    "Score.by_mode": lambda self: ...,
    "knn": lambda queries, reference, k, *, exclude_self=False, engine="auto", device=None: ...,
    "entropy": lambda x, *, k=5: ...,
    "cross_entropy": lambda x, y, *, k=5: ...,
    "neighborhoods": lambda real, fake, *, k=5, cover=3: ...,
    "GaussianPair": lambda *, ridge=0.0: ...,
    "GaussianPair.update": lambda self, x, y: ...,
    "GaussianPair.merge": lambda self, other: ...,
    "GaussianPair.mutual_information": lambda self, *, debias=False: ...,
    "GaussianPair.pmi": lambda self, x, y, *, debias=False: ...,
    "KmePmi.fit": lambda x, y, *, seed=0: ...,
    "KmePmi.calibrated": lambda model, x, y: ...,
    "KmePmi.pmi": lambda self, x, y: ...,
    "agreement": lambda scores, human: ...,
    "mid": lambda real, text, fake, *, ridge=0.0, debias=False: ...,
    "clip_score": lambda image, text, *, scale=2.5: ...,
    "ref_clip_score": lambda image, text, references: ...,
    "r_precision": lambda image, text, *, negatives=99, seed=0: ...,
    "info_nce_score": lambda image, text: ...,
    "kme_similarity": lambda x, y, *, log_wx=None, log_wy=None, scale, engine="auto": ...,
    "wpse_similarity": lambda x, y, *, wx=None, wy=None, scale, linear=0.667, gaussian=0.333, sigma=0.5: ...,
    "clip_similarity": lambda x, y, *, scale: ...,
    "info_nce": lambda similarity: ...,
}  # fmt: skip

MODULES = NAMES["modules"].split()
PUBLIC = {name: getattr(pointwise, name) for name in pointwise.__all__ if name not in MODULES}
CALLABLES = {
    name: thing
    for name, thing in PUBLIC.items()
    if callable(thing) and not (isinstance(thing, type) and issubclass(thing, Exception))
}


def broken_promises(thing, promised):
    """Return a sentence for each promised argument that differs, and for each further option that is not by keyword."""
    have = inspect.signature(thing).parameters
    want = inspect.signature(promised).parameters
    positional = [[p.name for p in args.values() if p.kind is not p.KEYWORD_ONLY] for args in (have, want)]
    broken = [f"takes {positional[0]}, not {positional[1]}, by position"] if positional[0] != positional[1] else []
    for name, argument in want.items():
        if name not in have:
            broken.append(f"{name} is missing")
        elif have[name].kind != argument.kind:
            broken.append(f"{name} is {have[name].kind.description}, not {argument.kind.description}")
        elif argument.default is not ... and have[name].default != argument.default:
            broken.append(f"{name} is {have[name].default!r} by default, not {argument.default!r}")
    return broken


def lacks_example(thing):
    return not any(test.examples for test in doctest.DocTestFinder().find(thing, "it"))


def test_the_list_of_names_is_frozen_and_in_groups():
    assert pointwise.__all__ == LISTED


def test_nothing_else_is_public():
    names = {name for name, thing in vars(pointwise).items() if not isinstance(thing, types.ModuleType)}
    assert {name for name in names if not name.startswith("_")} | {"__version__"} == set(LISTED) - set(MODULES)


def test_modules_are_imported_when_they_are_first_used():
    code = "import sys, pointwise; before = 'pointwise.judgments' in sys.modules; pointwise.judgments.load_judgments; "
    code += "assert not before; [getattr(pointwise.training, name) for name in pointwise.training.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="module 'pointwise' has no attribute 'nothing'"):
        _ = pointwise.nothing
    with pytest.raises(AttributeError, match=r"module 'pointwise\.training' has no attribute 'nothing'"):
        _ = pointwise.training.nothing


def test_documents_import_nothing_else():
    """Every import of ours in README and docs is a public name, or comes from a public module."""
    root = Path(__file__).parents[1]
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        for module, names in re.findall(r"^from (pointwise[\w.]*) import (.+)$", page.read_text(), flags=re.M):
            owner = pointwise if module == "pointwise" else getattr(pointwise, module.removeprefix("pointwise."))
            for name in names.split(", "):
                assert hasattr(owner, name), f"{page.name}: {module}.{name}"
                assert module in {"pointwise", *(f"pointwise.{m}" for m in MODULES)}, f"{page.name}: {module}.{name}"


@pytest.mark.parametrize("name", [name for name in PROMISED if name.split(".")[0] in PUBLIC])
def test_arguments_are_as_promised(name):
    assert broken_promises(attrgetter(name)(pointwise), PROMISED[name]) == []


@pytest.mark.parametrize(
    ("have", "broken"),
    [
        (lambda x, *, k=5, more=None: ..., []),
        (
            lambda x, k=5: ...,
            ["takes ['x', 'k'], not ['x'], by position", "k is positional or keyword, not keyword-only"],
        ),
        (lambda x, *, k=3: ..., ["k is 3 by default, not 5"]),
        (lambda x: ..., ["k is missing"]),
        (lambda y, *, k=5: ..., ["takes ['y'], not ['x'], by position", "x is missing"]),
        (lambda x, seed=0, *, k=5: ..., ["takes ['x', 'seed'], not ['x'], by position"]),
    ],
)
def test_a_broken_promise_is_found(have, broken):
    assert broken_promises(have, lambda x, *, k=5: ...) == broken


@pytest.mark.parametrize("name", CALLABLES)
def test_every_option_is_by_keyword(name):
    arguments = inspect.signature(CALLABLES[name]).parameters.values()
    assert [a.name for a in arguments if a.default is not a.empty and a.kind is not a.KEYWORD_ONLY] == []


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_thing_has_a_docstring_with_an_example(name):
    assert inspect.getdoc(CALLABLES[name]), f"{name} has no docstring"
    assert not lacks_example(CALLABLES[name]), f"{name} has no doctest"


def test_a_lacking_example_is_found():
    def documented():
        """Return one."""

    assert lacks_example(documented)
