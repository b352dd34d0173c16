"""What a project has already: its scenarios for Locust, and its gunicorn configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from swarmscope.onboarding.candidates import MAX_DEPTH
from swarmscope.onboarding.start_commands import StartCommand, read_text

GUNICORN_CONF = "gunicorn.conf.py"
USUAL_SCENARIOS = ("locustfile.py", "locustfiles")
USER = re.compile(r"^class \w+\([^)]*User\b", re.M)
IMPORTS_LOCUST = re.compile(r"^\s*(?:from|import) (?:locust|swarmscope\.client)\b", re.M)
OTHERS = ("__pycache__", "build", "dist", "node_modules", "site-packages")


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
    found = [path for path in _python_files(directory) if _is_scenario(path)]
    if not found:
        return None
    first = min(found, key=lambda path: (not _is_usual(directory, path), len(path.parts), path))
    beside = [path for path in found if path.parent == first.parent]
    if first.parent == directory or (len(beside) == 1 and first.parent.name != USUAL_SCENARIOS[1]):
        return first.relative_to(directory).as_posix()
    return first.parent.relative_to(directory).as_posix() + "/"


def _is_usual(directory: Path, path: Path) -> bool:
    return path.relative_to(directory).parts[0] in USUAL_SCENARIOS


def _is_scenario(path: Path) -> bool:
    text = read_text(path)
    return bool(IMPORTS_LOCUST.search(text) and USER.search(text))


def _python_files(directory: Path) -> Iterable[Path]:
    """Yield the Python files of a project, tests too, without environments."""
    for folder, folders, files in os.walk(directory):
        here = Path(folder)
        deep = len(here.relative_to(directory).parts) >= MAX_DEPTH
        folders[:] = [
            name
            for name in sorted(folders)
            if not (deep or name.startswith(".") or name in OTHERS)
            and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in files if name.endswith(".py"))
