"""Text that may be shown anywhere: what commands a terminal is spelt out."""

from __future__ import annotations

import re

# Control characters of C0 and C1 (ECMA-48), but for tab, line feed and carriage return
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


def spelt_out(text: str, keep: str = "") -> str:
    r"""Return *text* with all that is not printable spelt out, as in ``\x1b``, but for *keep*."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def without_controls(block: bytes) -> bytes:
    r"""Return UTF-8 text with its control characters spelt out, except tabs and line breaks."""
    return _CONTROL.sub(lambda found: ascii(found[0].decode())[1:-1].encode(), block)
