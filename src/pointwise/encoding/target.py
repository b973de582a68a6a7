"""Where a table goes, a file or a folder of shards: what is there already, and putting a new one in its place."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pointwise._files import require_writable
from pointwise.errors import InputError
from pointwise.resumable.parts import remove
from pointwise.tables.table import FeatureTable, load

_FILES = (".npz", ".safetensors", ".parquet")
_SHARD = ".parquet"
_OVERWRITE = "give another name, or replace it: --overwrite, or overwrite=True."


class Target:
    """The place of a table, which must replace none of what it is made from, and ``work``, where it is made.

    Without suffix, or ending in "/", it is a folder of .parquet shards. What cannot be written is an InputError.
    """

    def __init__(self, path: str | Path, *, made_from: Iterable[object] = ()) -> None:
        self.path = Path(path)
        self._place = Path(os.path.realpath(path))  # a link is followed: what it points to is replaced
        self.work = self._place.parent / f"{self._place.name}.partial"
        suffix = self.path.suffix.lower()
        self.names = (f"table{self.path.suffix}", "replaced")  # what is made in it besides parts
        self.is_folder = str(path).endswith(("/", os.sep)) or not suffix
        if not self.is_folder and suffix not in _FILES:
            why = " (a .npy file would hold the features without ids and meta)" if suffix == ".npy" else ""
            raise InputError(
                f"cannot write {path}: the suffix {self.path.suffix!r} is not one of {', '.join(_FILES)}{why}; "
                "without a suffix, or with / at the end, it is a folder of .parquet shards."
            )
        if not self.is_folder:
            require_writable(path)
        elif problem := self._problem_of_folder():
            raise InputError(f"cannot write {path}: {problem}")
        for source in made_from:
            if isinstance(source, str | Path) and os.path.realpath(source) == str(self._place):
                raise InputError(f"{path} is what the table is made from; give the table another name.")

    def is_there(self) -> bool:
        """Say whether there is something, an empty folder aside."""
        return any(self._place.iterdir()) if self._place.is_dir() else self._place.exists()

    def meta(self) -> Mapping[str, Any]:
        """Return the meta of the table that is there; an InputError where shards are missing or it cannot be read."""
        try:
            if not self.is_folder:
                return load(self._place).meta
            shards = sorted(self._place.iterdir())
            meta = load(shards[0]).meta
        except InputError as error:
            raise InputError(f"{self.path} is already there and cannot be read ({error}); {_OVERWRITE}") from None
        if meta.get("shards", len(shards)) != len(shards):
            raise InputError(
                f"{self.path} is already there and holds {len(shards)} of its {meta['shards']} shards; {_OVERWRITE}"
            )
        return meta

    def refuse(self, differences: Iterable[str]) -> NoReturn:
        """Raise the InputError that says in what the table that is there differs from the one to be."""
        words = "; ".join(differences)
        raise InputError(f"{self.path} is already there and is another table: {words}. So {_OVERWRITE}")

    def put(self, tables: Iterable[FeatureTable], *, count: int = 1) -> None:
        """Put a table, or a folder of at most ``count``, in place, in one step."""
        made, replaced = (self.work / name for name in self.names)
        for left in (made, replaced):  # by a run that was killed
            if left.exists():
                remove(left)
        if self.is_folder:
            made.mkdir()
        for number, table in enumerate(tables):
            table.save(made / f"{number:0{max(5, len(str(count)))}d}{_SHARD}" if self.is_folder else made)
        try:
            if self.is_folder and self._place.is_dir():
                self._place.rename(replaced)
            try:
                made.replace(self._place)
            except OSError:
                if replaced.exists():
                    replaced.rename(self._place)
                raise
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror or error}. All is encoded, and kept in {self.work}: mend "
                "that and run the same again."
            ) from None

    def _problem_of_folder(self) -> str | None:
        place = self._place
        if not os.path.isdir(place.parent):
            return f"the folder {place.parent} does not exist; create it first."
        if os.path.exists(place) and not os.path.isdir(place):
            return (
                "it is a file, and a name without suffix means a folder of .parquet shards; give another name, or one "
                f"of the suffixes {', '.join(_FILES)}."
            )
        if os.path.ismount(place):
            return "it is a mount point, which cannot be replaced as a whole; give the name of a folder in it."
        try:
            names = sorted(os.listdir(place)) if os.path.exists(place) else []
        except OSError as error:
            return f"what is in it already cannot be listed ({error.strerror}); give another name."
        other = next((name for name in names if not name.endswith(_SHARD)), "")
        folder = "the folder holds other things than .parquet shards"
        return f"{folder} ({other} is the first); give the name of a new folder." if other else None
