"""Reads files of ``/proc`` and ``/sys``: what is absent, hidden or of another form is None."""

from __future__ import annotations

import re
from pathlib import Path


def text(path: Path) -> str | None:
    """Return the content of a file."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().decode("latin-1")
    except OSError:  # it may also be that opening works and reading does not
        return None


def number(path: Path) -> float | None:
    """Return the number that is all of a file, ``max`` as infinity."""
    content = (text(path) or "").strip()
    try:
        return float("inf") if content == "max" else float(int(content))
    except ValueError:
        return None


def numbers(path: Path) -> list[int]:
    """Return the numbers that are all of a file, none if there is anything else."""
    words = (text(path) or "").split()
    return [int(word) for word in words] if all(word.isdecimal() for word in words) else []


def field(content: str | None, name: str) -> float | None:
    """Return the number behind *name* at the start of a line, as in ``MemTotal: 16301 kB``."""
    found = re.search(rf"^{re.escape(name)}:?[ \t]+(\d+)", content or "", re.MULTILINE)
    return None if found is None else float(found[1])


def pressure_seconds(path: Path) -> float | None:
    """Return how long some task has waited, by a file of pressure stall information.

    Source: Documentation/accounting/psi.rst; ``total`` is in microseconds.
    """
    found = re.search(r"^some .*total=(\d+)", text(path) or "", re.MULTILINE)
    return None if found is None else int(found[1]) / 1e6
