"""Models of pairs and how they are trained."""

from importlib import import_module as _import_module
from typing import Any

_PLACES = {
    "Inputs": "inputs",
    "Pairs": "inputs",
    "PointSet": "inputs",
    "DualEncoder": "model",
    "FrozenTokens": "towers",
    "VisionTransformer": "towers",
    "TextTransformer": "towers",
    "Options": "options",
    "State": "loop",
    "fit": "loop",
    "run": "folder",
}
__all__ = list(_PLACES)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'pointwise.training' has no attribute {name!r}")
    # When it is first used: models are needed without the trainer.
    return getattr(_import_module(f"pointwise.training.{_PLACES[name]}"), name)
