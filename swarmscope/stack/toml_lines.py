"""Finds the line of a key in a TOML text, which `tomllib` does not report."""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = re.compile(r"\s*\[+([^\[\]]+)\]+\s*(?:#.*)?")
KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, path: Sequence[str]) -> int:
    """Return the number of the line that sets the key or begins the table at *path*.

    If nothing does, that of the nearest table around it, or 1::

        >>> line_of('[app]\\nport = "x"', ("app", "port"))
        2
    """
    table: list[str] = []
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.fullmatch(line):
            found = table = _split(header[1])
        elif key := KEY.match(line):
            found = table + _split(key[1])
        else:
            continue
        if len(found) > depth and found == list(path[: len(found)]):
            best, depth = number, len(found)
    return best


def _split(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]
