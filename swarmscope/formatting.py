"""Text for people: figures as the run page's `format.js` writes them, and control characters."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal

NOTHING = "–"
WAITING = "Waiting for "  # begins a line of progress on standard error; others there are errors

_HALF_UP = Context(prec=400, rounding=ROUND_HALF_UP)  # enough for any float

# Control characters of C0 and C1 (ECMA-48), but for tab, line feed and carriage return
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


def count(value: int | None) -> str:
    """Return a whole number with thousands separators, such as ``12,345``."""
    return NOTHING if value is None else f"{value:,}"


def digits(value: float | None) -> str:
    """Return a number with about three significant digits and no unit, such as ``31.2``."""
    if value is None:
        return NOTHING
    return f"{_rounded(value, 0 if value >= 100 else 1 if value >= 10 else 2):,}"


def percent(ratio: float | None) -> str:
    """Return a share in percent; what is not zero never looks like zero."""
    if ratio is None:
        return NOTHING
    if 0 < ratio < 0.0001:
        return "<0.01%"
    return f"{_rounded(ratio * 100, 2 if ratio < 0.1 else 1)}%"


def duration(seconds: float | None) -> str:
    """Return a time span as ``1:02:03`` or ``2:03``."""
    if seconds is None:
        return NOTHING
    minutes, s = divmod(int(seconds + 0.5), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def _rounded(value: float, places: int) -> Decimal:
    """Round half up, as JavaScript does; Python's own formats round half to even."""
    return Decimal(value).quantize(Decimal(1).scaleb(-places), context=_HALF_UP)


def errors_in_tasks(number: int) -> str:
    """Return how many exceptions tasks raised, in words."""
    return f"{count(number)} {'error' if number == 1 else 'errors'} in tasks"


def printable(text: str, keep: str = "") -> str:
    r"""Return *text* with unprintable characters escaped, as in ``\x1b``, but for *keep*."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def without_controls(block: bytes) -> bytes:
    r"""Return UTF-8 text with control characters escaped, except tabs and line breaks."""
    return _CONTROL.sub(lambda found: ascii(found[0].decode())[1:-1].encode(), block)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its type's name where there is no text.

    A database's message is its first line; detail, hint and the statement follow.
    """
    return str(error).strip().partition("\n")[0].rstrip() or type(error).__name__


def limits(quantile: float, limit_ms: float, fail_ratio: float) -> str:
    """Return an objective in words."""
    return f"p{quantile * 100:g} within {limit_ms:,g} ms, at most {fail_ratio * 100:g}% failed"
