"""Bytes of a file as text, its lines, and what it holds as JSON; what is wrong is named by its line."""

import codecs
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pointwise.errors import InputError


def decoded(data: bytes) -> str:
    """Return bytes as text: UTF-8, with or without a byte order mark."""
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        return data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = start + error.start
        kind = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "not UTF-8"
        line = data.count(b"\n", 0, at) + 1
        raise InputError(
            f"it is {kind}: line {line} has the byte 0x{data[at]:02x} (byte {at} of the file); save it as UTF-8."
        ) from None


def lines_of(text: str, *, ends: str = "\r\n|\r|\n") -> Iterator[str]:
    """Yield the lines of a text one by one, each with its end, so that they are not all there at once."""
    start = 0  # not by str.splitlines, which also ends lines within captions
    for end in re.finditer(ends, text):
        yield text[start : end.end()]
        start = end.end()
    if start < len(text):
        yield text[start:]


def parse_json(text: str, *, first_line: int = 1) -> Any:
    """Return what a JSON text holds, which begins in this line of its file; no object may have a key twice."""
    try:
        return _DECODER.decode(text)
    except InputError as error:
        raise InputError(f"the JSON from line {first_line} on cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"line {first_line + error.lineno - 1} is not JSON ({error.msg}, character {error.colno}); "
            "mend it or write the file again."
        ) from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists without end
        raise InputError(f"the JSON from line {first_line} on cannot be read ({error}).") from None


def shortened(value: Any) -> str:
    """Return a value as it is written in a message, with its type."""
    text = repr(value)
    return f"{text[:60]}{'...' * (len(text) > 60)} of type {type(value).__name__}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys, which are the same in thousands of them, are kept once."""
    content = {sys.intern(key): value for key, value in pairs}
    if len(content) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise InputError(f"an object has the key {twice[:80]!r} more than once; which of them counts would be a guess.")
    return content


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
