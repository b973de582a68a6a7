"""The two errors that a user of pointwise meets."""

from __future__ import annotations


class InputError(ValueError):
    """Something given to pointwise cannot be used; the message says what, its value, what is allowed and what to do."""


class MissingExtra(ImportError):
    """An optional dependency is needed and not installed; the message has the line that installs it."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} is not installed. Install it with: pip install 'pointwise[{extra}]'")
