"""Finds the home of `swarmscope up` from wherever a command is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

HOME = ".swarmscope"
TOLD_BY = "database.url"  # a home in which a stack was started has it


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """Return ``SWARMSCOPE_HOME``, else the nearest `HOME` of a stack here or above, else that here.

    One that belongs to another user is none of ours: it would choose where samples go.
    """
    if given := environ.get("SWARMSCOPE_HOME"):
        return Path(given)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if _is_ours(directory / HOME):
            return directory / HOME
    return Path(HOME)


def _is_ours(home: Path) -> bool:
    """Return whether *home* holds a stack, and nobody else can have put there what it holds.

    Whose file a link leads to proves nothing: anybody may link to a file of ours.
    """
    try:
        found = [home.lstat(), home.stat(), (home / TOLD_BY).lstat()]
    except OSError:
        return False
    return all(status.st_uid == os.geteuid() for status in found)
