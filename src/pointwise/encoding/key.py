"""What a table of features depends on, as one number: its items' content, and all that is known of its encoders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.errors import InputError
from pointwise.tables.digest import sha256_of

_FORM = "pointwise.encode/1"  # another number where the same encoder and items would make another table


def settings_of(image: Encoder | None, text: TextEncoder | None) -> dict[str, Any]:
    """Return name and meta of the encoder of the features, and after ``text_`` those of the encoder of their texts.

    Raises:
        InputError: the meta of an encoder cannot be written as JSON.
    """
    settings: dict[str, Any] = {}
    encoders: list[tuple[str, Encoder | TextEncoder | None]] = [("", image), ("text_", text)]
    if image is None:
        encoders = [("", text)]
    for prefix, encoder in encoders:
        if encoder is not None:
            settings |= {f"{prefix}{name}": value for name, value in {"encoder": encoder.name, **encoder.meta}.items()}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(settings, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the meta of encoder {settings['encoder']!r} must be writable as JSON ({error}); "
            "keep plain strings, numbers, lists and dicts in it."
        ) from None
    return plain


def key_of(settings: Mapping[str, Any], items_sha256: str) -> str:
    """Return the key of the table, or of a part of it, that these encoders make of these items."""
    return sha256_of(_FORM, dict(settings), items_sha256)


def differences(there: Mapping[str, Any], settings: Mapping[str, Any], items_sha256: str) -> list[str]:
    """Say in what the table with the meta ``there`` differs from one of these encoders and items, a phrase for each."""
    if "items_sha256" not in there:
        return ["it does not say what it was made from"]
    found = [
        f"{name} is {there[name]!r} there and {settings[name]!r} here"
        for name in settings
        if name in there and there[name] != settings[name]
    ]
    found += [f"it has no {name}, which is {value!r} here" for name, value in settings.items() if name not in there]
    if "text_encoder" in there and "text_encoder" not in settings:
        found.append(f"text_encoder is {there['text_encoder']!r} there and there is none here")
    if there["items_sha256"] != items_sha256:
        found.append("the items (their content, names, modes, captions or order) are others")
    return found or ["it was made by another version of pointwise"]
