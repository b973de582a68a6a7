"""Reference: the real side of all comparisons, prepared once."""

import json
from pathlib import Path
from typing import Any

import torch

from pointwise._arrays import on_device
from pointwise._types import Array, Progress
from pointwise.errors import InputError
from pointwise.neighbors.passes import Prepared, sweep_named
from pointwise.pmi.pmi import KmePmi
from pointwise.reference.halves import HALVES
from pointwise.reference.options import Options
from pointwise.summaries.gaussian import GaussianPair
from pointwise.tables.table import FeatureTable, as_table
from pointwise.tables.tensors import load_arrays, save_arrays

_KIND = "reference"


class Reference:
    """The real samples that generators are compared with, and all that can be worked out of them alone, once.

    Every part is made when a comparison first needs it and serves all further ones: neighbours, moments, kernel sums,
    the Gaussian of the real pairs, and what is learned from them. Only what depends on another option, a larger k say,
    is made again.

    Args:
        real: table or array [N, d].
        ridge: for mid, added to the diagonal of the covariances of the real pairs; see `GaussianPair`.
        reduce: for mid, each side in this many of its principal axes over the real pairs; see `GaussianPair`.
        debias: for mid, without the mean error of the fit, which plain values have more of the fewer the real pairs.
        pairs: for mid, a Gaussian fitted before, of more pairs than the real table has, say; its own ridge and reduce
            hold.
        learned: for kme_pmi, what was learned before, in place of learning from the real pairs.
        kept: a file that `save` wrote, from which parts are taken.
        progress: called with (what is under way, steps done, steps in all), by every comparison with this reference.

    Raises:
        InputError: the table or an option cannot be used, or the file was made of another table.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> reference = Reference(rng.normal(size=(200, 3)))
    >>> reference
    Reference(200 x 3 float64)
    """

    def __init__(
        self,
        real: FeatureTable | Array,
        *,
        ridge: float = 0.0,
        reduce: int | None = None,
        debias: bool = False,
        pairs: GaussianPair | None = None,
        learned: KmePmi | None = None,
        kept: str | Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.table = as_table(real, name="real")
        self.debias = debias
        self.progress: Progress | None = progress
        self.ridge, self.reduce = ridge, reduce
        self.given: set[str] = set()  # halves that were not worked out of the table, which serve whatever the options
        self._features: dict[str, torch.Tensor] = {}
        self._prepared: dict[str, Prepared] = {}
        self._halves: dict[str, Any] = {} if kept is None else _taken(kept, self)
        for name, half in (("gaussian_pair", pairs), ("learned_pair", learned)):
            if half is not None:
                self._halves[name] = half
                self.given.add(name)
        fitted = GaussianPair(ridge=ridge, reduce=reduce)
        if "gaussian_pair" in self.given:
            if ridge or reduce is not None:
                whose = "pairs" if pairs is not None else f"the Gaussian that was kept in {kept}"
                raise InputError(f"{whose} has its own ridge and reduce; leave ridge and reduce out beside it.")
            fitted = self._halves["gaussian_pair"]
        fitted.require_plain(debias=debias)

    @property
    def has_pairs(self) -> bool:
        """Whether pairs can be scored by it: the table carries text, or their Gaussian or PMI is here already."""
        return self.table.text is not None or bool({"gaussian_pair", "learned_pair"} & self._halves.keys())

    def has(self, name: str, options: Options) -> bool:
        """Whether a half is here that serves for these options."""
        return name in self._halves and HALVES[name].fits(self._halves[name], self, options)

    def save(self, path: str | Path) -> None:
        """Write what was worked out so far to a .safetensors file, whole or not at all.

        It holds no features: `Reference(real, kept=path)` takes it up with the same table, and refuses another.

        Raises:
            InputError: the path cannot be written.
        """
        arrays: dict[str, Any] = {}
        words: dict[str, Any] = {}
        for name, half in self._halves.items():
            own, words[name] = HALVES[name].store(half)
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        about = {"features": self.table.fingerprint(), "text": self.table.text_fingerprint or ""}
        about |= {"halves": json.dumps(words), "given": json.dumps(sorted(self.given))}
        save_arrays(path, arrays, kind=_KIND, words=about)

    def features(self, device: str | torch.device | None) -> torch.Tensor:
        """Return the features on a device, ready for arithmetic; moved once."""
        key = str(self.table.features.device if device is None else device)
        if key not in self._features:
            (self._features[key],) = on_device(self.table.features, device=device)
        return self._features[key]

    def prepared(self, options: Options) -> Prepared:
        """Return the features as the search takes them, placed once for all generators."""
        features, sweep = self.features(options.device), sweep_named(options.engine)
        key = f"{features.device} {type(sweep).__name__}"
        if key not in self._prepared:
            self._prepared[key] = Prepared(features, sweep=sweep)
        return self._prepared[key]

    def half(self, name: str, options: Options) -> Any:
        """Return what a summary takes of the real side alone: that which is here, or a new one if it does not fit."""
        if not self.has(name, options):
            self._halves[name] = HALVES[name].make(self, options)
        return self._halves[name]

    def made(self) -> dict[str, int]:
        """Return which halves are here, by name, with a number that changes when one is made anew."""
        return {name: id(half) for name, half in self._halves.items()}

    def __repr__(self) -> str:
        made = f", with {', '.join(self._halves)}" if self._halves else ""
        return f"Reference({str(self.table).removeprefix('FeatureTable(').removesuffix(')')}{made})"


def as_reference(real: Reference | FeatureTable | Array) -> Reference:
    """Return a reference itself, or that of a table or array."""
    return real if isinstance(real, Reference) else Reference(real)


def _taken(path: str | Path, reference: Reference) -> dict[str, Any]:
    """The halves that a file holds, once it is certain that it is of this table."""
    arrays, words = load_arrays(path, kind=_KIND, called="a reference")
    table = reference.table
    for what, given in (("features", table.fingerprint()), ("text", table.text_fingerprint or "")):
        if words[what] != given:
            raise InputError(
                f"{path} was worked out of another table: the {what} of this one ({len(table)} rows, fingerprint "
                f"{given[:12] or 'none'}) are not those of the file (fingerprint {words[what][:12] or 'none'}). Give "
                "that table, or another path, where it is worked out anew."
            )
    reference.given |= set(json.loads(words["given"]))
    halves = {}
    for name, about in json.loads(words["halves"]).items():
        own = {key.partition(".")[2]: array for key, array in arrays.items() if key.partition(".")[0] == name}
        halves[name] = HALVES[name].restore(own, about, reference)
    return halves
