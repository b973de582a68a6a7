"""Numbers as a person reads them."""

import math


def readable(value: float, *, error: float = math.nan) -> str:
    """Return a value with two digits of its error, or about four digits of its own where the error is not known."""
    if not math.isfinite(value):
        return str(value)
    if 0 < error < math.inf and abs(value) < 1e6:
        places = min(max(1 - math.floor(math.log10(error)), 0), 5)
        return f"{round(value, places) + 0.0:.{places}f}"  # + 0.0: no minus before a zero
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}" if 0.01 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"
