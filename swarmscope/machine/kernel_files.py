"""Reads files of ``/proc`` and ``/sys``: what is absent, hidden or of another form is None."""

from __future__ import annotations

import os
import re
from os import PathLike

CHUNK_BYTES = 65536


def text(path: str | PathLike[str]) -> str | None:
    """Return the content of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # half the time of `open`
    except OSError:
        return None
    try:
        content = b""
        while chunk := os.read(descriptor, CHUNK_BYTES):
            content += chunk
        return content.decode("latin-1")
    except OSError:  # there, and cannot be read: pressure that is switched off
        return None
    finally:
        os.close(descriptor)


def number(path: str | PathLike[str]) -> float | None:
    """Return the number that is all of a file, ``max`` as infinity."""
    content = (text(path) or "").strip()
    try:
        return float("inf") if content == "max" else float(int(content))
    except ValueError:
        return None


def numbers(path: str | PathLike[str]) -> list[int]:
    """Return the numbers that are all of a file, none if there is anything else."""
    words = (text(path) or "").split()
    return [int(word) for word in words] if all(word.isdecimal() for word in words) else []


def field(content: str | None, name: str) -> float | None:
    """Return the number behind *name* at the start of a line, as in ``MemTotal: 16301 kB``."""
    found = re.search(rf"^{re.escape(name)}:?[ \t]+(\d+)", content or "", re.MULTILINE)
    return None if found is None else float(found[1])


def pressure_seconds(path: str | PathLike[str]) -> float | None:
    """Return how long some task has waited, by a file of pressure stall information.

    Source: Documentation/accounting/psi.rst; ``total`` is in microseconds.
    """
    found = re.search(r"^some .*total=(\d+)", text(path) or "", re.MULTILINE)
    return None if found is None else int(found[1]) / 1e6
