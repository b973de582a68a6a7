"""A model in the hub's format: the folder where it lies, and the hashes of what is in it."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pointwise.errors import InputError

_SAFE, _TORCH = "model.safetensors", "pytorch_model.bin"
_FETCHED = ["*.json", "*.txt", "*.model", "model*.safetensors"]
_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")
_TOKENIZER = (*_VOCABULARIES, "*token*.json", "merges.txt")
_REASONS = {
    "GatedRepoError": "its terms must be accepted there first, by a person who is logged in here",
    "HFValidationError": "it is no id of a model",
    "LocalEntryNotFoundError": "there is no connection, or it is switched off",
    "RepositoryNotFoundError": "there is no such model, or it is private",
}


def model_folder(place: str) -> Path:
    """Return the folder of a model: the one at this path, or else the hub's model of this id in the local cache.

    What the cache lacks is fetched from the hub: configuration, tokenizer and weights, the latter as safetensors where
    there are any.
    """
    folder = Path(os.path.expanduser(place))
    if not os.path.isdir(folder):  # False also for a name that is too long
        if os.path.exists(folder) or place.startswith((".", "~")) or folder.is_absolute() or len(folder.parts) > 2:
            raise InputError(f"{place} is not a folder; give the folder that has the model's config.json and weights.")
        folder = _from_hub(place)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{place} has no config.json, so it is no model folder; give the folder that has the model's config.json "
            "and weights."
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights: safetensors if there are any, else those of PyTorch."""
    for name in (_SAFE, _TORCH):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = _listed(index)
            missing = [shard for shard in shards if not (folder / shard).is_file()]
            if missing:
                raise InputError(
                    f"{folder} lacks {len(missing)} of the {len(shards)} weight files that {index.name} lists, "
                    f"{missing[0]} the first; fetch the model again."
                )
            return [folder / shard for shard in shards]
    raise InputError(
        f"{folder} has a config.json but no weights: there is no {_SAFE} nor {_TORCH} in it; copy one of them there."
    )


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files that a tokenizer is made from, sorted by name."""
    # Without a vocabulary transformers would make up a tokenizer that knows no word.
    if not any(file for pattern in _VOCABULARIES for file in folder.glob(pattern)):
        raise InputError(
            f"{folder} has no vocabulary of a tokenizer (tokenizer.json, vocab.txt, vocab.json or a .model file); copy "
            "the tokenizer's files there."
        )
    return sorted({file for pattern in _TOKENIZER for file in folder.glob(pattern) if file.is_file()})


def sha256(files: Iterable[Path]) -> str:
    """Return the SHA-256 of the contents of files, one after the other; of one file that is what ``sha256sum`` says."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _listed(index: Path) -> list[str]:
    """The names of the weight files in the index of a model that was saved in several."""
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise InputError(f"{index} is no index of weight files; fetch the model again.") from None


def _from_hub(identifier: str) -> Path:
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    try:
        folder = Path(snapshot_download(identifier, allow_patterns=_FETCHED))
        if not list(folder.glob("model*.safetensors")):
            folder = Path(snapshot_download(identifier, allow_patterns=[*_FETCHED, "pytorch_model*.bin"]))
    except (OSError, ValueError) as error:  # the hub's own errors are kinds of these
        reason = type(error).__name__
    else:
        return folder
    config = None if reason == "HFValidationError" else try_to_load_from_cache(identifier, "config.json")
    if isinstance(config, str):  # in the cache by other means, and perhaps without files that are not needed here
        return Path(config).parent
    raise InputError(
        f"the model {identifier!r} is neither a folder here nor in the local cache of the model hub, and could not "
        f"be fetched from the hub ({_REASONS.get(reason, reason)}); check its spelling, or give the "
        "path of a folder that has it."
    )
