"""The command `swarmscope`, in this process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

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
