"""The public surface is what is written here: names, the order of arguments, and options by keyword only."""

import doctest
import inspect
import types
from operator import attrgetter

import pytest

import pointwise

NAMES = [
    "METRICS",
    "Agreement",
    "Calibration",
    "Estimate",
    "Evaluation",
    "FeatureTable",
    "GaussianPair",
    "InputError",
    "KmePmi",
    "MissingExtra",
    "Neighborhoods",
    "Neighbors",
    "Retrieval",
    "Score",
    "SelfNeighbors",
    "__version__",
    "agreement",
    "clip_score",
    "clip_similarity",
    "concat",
    "cross_entropy",
    "encode",
    "encode_to",
    "entropy",
    "evaluate",
    "info_nce",
    "info_nce_score",
    "kme_similarity",
    "knn",
    "linear_probe",
    "load",
    "mid",
    "neighborhoods",
    "pmi_calibration",
    "prompt_ensemble",
    "prompts",
    "r_precision",
    "ref_clip_score",
    "retrieval",
    "self_neighbors",
    "wpse_similarity",
    "zero_shot",
]

# Written as Python: an argument of the same name, kind and default must be there (`...`: whatever default).
# More options may be there.
PROMISED = {
    "FeatureTable": lambda features, *, text=None, ids=None, modes=None, captions=None, meta=...: ...,
    "FeatureTable.save": lambda self, path: ...,
    "load": lambda path: ...,
    "concat": lambda tables: ...,
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

PUBLIC = {name: getattr(pointwise, name) for name in pointwise.__all__}
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


def test_the_list_of_names_is_frozen():
    assert sorted(pointwise.__all__) == sorted(NAMES)


def test_nothing_else_is_public():
    names = {name for name, thing in vars(pointwise).items() if not isinstance(thing, types.ModuleType)}
    assert {name for name in names if not name.startswith("_")} | {"__version__"} == set(NAMES)


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
