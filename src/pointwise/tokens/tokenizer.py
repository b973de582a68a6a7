"""Tokenizers for texts of a model from scratch: CLIP's byte-pair encoding from an installed package, or plain bytes."""

import gzip
import html
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from pointwise._options import one_of, whole_number
from pointwise.errors import InputError, MissingExtra
from pointwise.training.inputs import Inputs

TOKENIZERS = ("clip", "bytes")
_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
# Each has the file beside its modules; these import torchvision, and so are not imported.
_PACKAGES = ("open_clip", "clip")
_MERGES = 49152 - 256 - 2
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


class Tokenizer:
    """Texts to ids: a start, the text cut to fit, an end; at most a context of them.

    The name is "clip", or "bytes" for UTF-8 as it is, which needs no package.

    Reference: Radford et al. (2021), CLIP. https://arxiv.org/abs/2103.00020. What its own code has ftfy
    mend in a text beforehand is left as it is, and its special tokens are no words.

    >>> ids, mask = Tokenizer("bytes", context=6)(["cat", "longer"])
    >>> ids.tolist()
    [[256, 99, 97, 116, 257, 0], [256, 108, 111, 110, 103, 257]]
    >>> mask[0].tolist()
    [True, True, True, True, True, False]
    """

    def __init__(self, name: str = "clip", *, context: int = 77) -> None:
        self.name = one_of(name, "tokenizer", TOKENIZERS)
        self.context = whole_number(context, "context", least=3)  # a text has a start and an end
        self._ids: Callable[[Sequence[str]], list[list[int]]] = _clip() if name == "clip" else _utf8
        self.vocabulary = 49408 if name == "clip" else 258
        self._start, self._end = self.vocabulary - 2, self.vocabulary - 1

    def __call__(self, texts: Sequence[str]) -> Inputs:
        """Return the ids int64 [n, t] of texts, t of the longest, and which are not padding."""
        rows = [[self._start, *ids[: self.context - 2], self._end] for ids in self._ids(texts)]
        ids = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.int64)
        for row, of_text in zip(ids, rows, strict=True):
            row[: len(of_text)] = torch.tensor(of_text)
        lengths = torch.tensor([len(row) for row in rows])
        return Inputs(ids, torch.arange(ids.shape[1]) < lengths[:, None])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many ids each text has, start and end counted, before it is cut to the context."""
        return [len(ids) + 2 for ids in self._ids(texts)]


def _utf8(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode("utf-8", "replace")) for text in texts]


def _clip() -> Callable[[Sequence[str]], list[list[int]]]:
    path = _vocabulary_file()
    if find_spec("tokenizers") is None:
        raise MissingExtra("tokenizers", extra="clip")
    from tokenizers import Regex, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Tokenizers
    from tokenizers.models import BPE

    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : _MERGES + 1]
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"CLIP's vocabulary {path} cannot be read ({error}); install its package again.") from None
    merges = [(first, second) for first, _, second in (line.partition(" ") for line in lines) if second]
    # CLIP counts printable bytes first, then those that borrow a letter beyond 255
    letters = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda letter: (ord(letter) > 255, ord(letter)))
    symbols = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    bpe = Tokenizers(BPE({symbol: i for i, symbol in enumerate(symbols)}, merges, end_of_word_suffix="</w>"))
    as_clip = [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    bpe.normalizer = normalizers.Sequence(as_clip)
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, of_bytes])

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in bpe.encode_batch([html.unescape(html.unescape(text)) for text in texts])]

    return ids


def _vocabulary_file() -> Path:
    for package in _PACKAGES:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (path := Path(folder) / _VOCABULARY).is_file():
                return path
    raise MissingExtra("CLIP's tokenizer (clip-anytorch or open_clip_torch)", extra="clip")
