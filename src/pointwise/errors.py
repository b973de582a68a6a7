"""The two errors that a user of pointwise meets."""


class InputError(ValueError):
    """Something given to pointwise cannot be used; the message says what, its value, what is allowed and what to do."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, as a part of a sentence."""
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def ordinal(number: int) -> str:
    """The number as a word of order for messages: 1st, 2nd, 3rd, 4th ... 11th ... 21st."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


class MissingExtra(ImportError):
    """An optional dependency is needed and not installed; the message has the line that installs it."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} is not installed. Install it with: pip install 'pointwise[{extra}]'")
