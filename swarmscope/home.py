"""Finds the home of `swarmscope up` from wherever a command is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

HOME = ".swarmscope"
TOLD_BY = "database.url"  # a home in which a stack was started has it


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """Return ``SWARMSCOPE_HOME``, else the nearest `HOME` of a stack here or above, else that here.

    One that belongs to another user is none of ours: it would choose where samples go. Where it
    stands in our way, SystemExit says so.
    """
    if given := environ.get("SWARMSCOPE_HOME"):
        return Path(given)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if _is_stack(directory / HOME) and _is_ours(directory / HOME, directory / HOME / TOLD_BY):
            return directory / HOME
    if os.path.lexists(HOME) and not _is_ours(Path(HOME)):
        raise SystemExit(
            f"{here / HOME} belongs to another user, who could read and change what is stored:"
            " SWARMSCOPE_HOME names another place"
        )
    return Path(HOME)


def _is_stack(home: Path) -> bool:
    return os.path.lexists(home / TOLD_BY)


def _is_ours(*paths: Path) -> bool:
    """Return whether *paths* are ours, and where they lead.

    Whose file a link leads to proves nothing alone: anybody may link to a file of ours.
    """
    try:
        found = [status for path in paths for status in (path.lstat(), path.stat())]
    except OSError:
        return False
    return all(status.st_uid == os.geteuid() for status in found)
