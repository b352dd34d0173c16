"""The command `swarmscope`, run in this process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from swarmscope.cli import main

SEEN = ("PG", "SWARMSCOPE", "PROMETHEUS", "GITHUB")


def swarmscope(
    *arguments: str, cwd: Path | None = None, columns: int = 80, **environment: str
) -> Result:
    """Run the command; of our own environment it sees nothing that matters."""
    unset = dict.fromkeys(name for name in os.environ if name.startswith(SEEN))
    environment |= {"COLUMNS": str(columns)}
    with contextlib.chdir(cwd or "/"):
        return CliRunner().invoke(main, arguments, env=unset | environment)


def answer(*arguments: str, **settings: Any) -> str:
    """Return what a command printed that succeeded."""
    done = swarmscope(*arguments, **settings)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def complaint(*arguments: str, **settings: Any) -> str:
    """Return the one line that a command failed with."""
    done = swarmscope(*arguments, **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr
