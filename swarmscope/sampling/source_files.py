"""Source files in profiles: short names, the same on every machine, and whose code it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import swarmscope

_LIBRARY = re.compile(r".*/(?:(?:site|dist)-packages|python3\.\d+)/")
_OURS = f"{Path(swarmscope.__file__).parent}{os.sep}"  # also where it is not installed as a library


def short(file: str) -> str:
    """Return a file's path from its library's directory, or from the one that gunicorn runs in."""
    if _LIBRARY.match(file):
        return _LIBRARY.sub("", file)
    return file.removeprefix(os.getcwd() + os.sep)


def is_app(file: str, package: str) -> bool:
    """Return whether a file is the application's own: no library's, not Python's, none of ours.

    *package* holds the application, which may itself be installed as a library.
    """
    if not file or file.startswith(("<", _OURS)):
        return False
    return not _LIBRARY.match(file) or short(file).split(os.sep)[0] == package
