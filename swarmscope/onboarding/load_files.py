"""What a project has already: its scenarios for Locust, and its gunicorn configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from swarmscope.onboarding.candidates import python_files
from swarmscope.onboarding.start_commands import StartCommand, read_text
from swarmscope.stack.settings import SCENARIOS

GUNICORN_CONF = "gunicorn.conf.py"
USER = re.compile(r"^class \w+\([^)]*User\b", re.M)
IMPORTS_LOCUST = re.compile(r"^\s*(?:from|import) (?:locust|swarmscope\.client)\b", re.M)
NOT_OURS = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages"})


def gunicorn_conf(directory: Path, commands: Iterable[StartCommand]) -> str | None:
    """Return the path of gunicorn's conf file, None if it is the default one or there is none."""
    named = [(command, command.option("-c", "--config")) for command in commands]
    tried = [
        base / name for command, name in named if name for base in (directory, command.file.parent)
    ]
    tried += [directory / GUNICORN_CONF, *sorted(directory.glob(f"*/{GUNICORN_CONF}"))]
    found = next((path.resolve() for path in tried if path.is_file()), None)
    if found is None or not found.is_relative_to(directory) or found == directory / GUNICORN_CONF:
        return None
    return found.relative_to(directory).as_posix()


def scenarios(directory: Path) -> str | None:
    """Return where a project's locustfiles are: a file, or a directory with a ``/`` at its end."""
    files = chain.from_iterable(python_files(directory, NOT_OURS))
    found = [path for path in files if _is_scenario(path)]
    if not found:
        return None
    first = min(found, key=lambda path: (not _is_usual(directory, path), len(path.parts), path))
    beside = [path for path in found if path.parent == first.parent]
    if first.parent == directory or (len(beside) == 1 and first.parent.name != SCENARIOS[1]):
        return first.relative_to(directory).as_posix()
    return first.parent.relative_to(directory).as_posix() + "/"


def _is_usual(directory: Path, path: Path) -> bool:
    return path.relative_to(directory).parts[0] in SCENARIOS


def _is_scenario(path: Path) -> bool:
    text = read_text(path)
    return bool(IMPORTS_LOCUST.search(text) and USER.search(text))
