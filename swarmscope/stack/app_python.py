"""The Python that runs an app: which one it is, what it has, and what it is lent.

An app runs in its own environment. What `swarmscope.server` needs and is missing there is linked
into a directory at the end of its ``PYTHONPATH``, package by package: a whole ``site-packages``
would hide the app's own versions.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.project import App
from swarmscope.stack.shipped import shipped

PROBE_S = 120  # `uv run` may have to make the environment first
MIN_PYTHON = (3, 11)
MIN_VERSIONS = {  # as the extra `server` has them, and gunicorn's first with its hooks
    "flask": "2.3",
    "gunicorn": "20.1",
    "prometheus-client": "0.19",
    "prometheus-flask-exporter": "0.23",
}
NEEDED = ("flask", "gunicorn")
LENT = ("swarmscope", "prometheus-client", "prometheus-flask-exporter", "sqlparse")
PROBE = """
import json, sys
def version(name):
    try:
        from importlib.metadata import version
        return version(name)
    except ImportError:  # PackageNotFoundError is one
        return None
directory = sys.prefix if sys.prefix != sys.base_prefix else None
print(json.dumps([sys.version_info[:2], directory, {name: version(name) for name in sys.argv[1:]}]))
"""


@dataclass(frozen=True)
class AppPython:
    """A Python: its *program*, the *directory* of its environment if it is one, its packages.

    *title* is how the user knows it; *versions* are by distribution, None for what is missing.
    """

    program: Path
    title: str
    version: tuple[int, int]
    directory: str | None
    versions: Mapping[str, str | None]

    def complaint(self) -> str | None:
        """Return why an app cannot be served and measured in it, or None."""
        if self.version < MIN_PYTHON:
            return (
                f"is Python {_dotted(self.version)}; swarmscope's metrics need"
                f" {_dotted(MIN_PYTHON)} or later"
            )
        for name, lowest in MIN_VERSIONS.items():
            version = self.versions[name]
            if version is None and name in NEEDED:
                return f"has no {name}: {self._install(name)}"
            if version is not None and _numbers(version) < _numbers(lowest):
                needed = f"'{name}>={lowest}'"
                return f"has {name} {version}; {lowest} or later is needed: {self._install(needed)}"
        return None

    def _install(self, requirement: str) -> str:
        pip = self.program.with_name("pip")
        if pip.exists():
            return f"{self.title}/bin/pip install {requirement}"
        return f"uv pip install --python {self.title} {requirement}"

    def environment(self, environment: Mapping[str, str], lent: Path) -> dict[str, str]:
        """Return the variables that make a program run in it and see what is *lent*."""
        result = {
            "PATH": _joined(self.program.parent, environment.get("PATH", os.defpath)),
            "PYTHONPATH": _joined(environment.get("PYTHONPATH"), lent),
        }
        return result | ({"VIRTUAL_ENV": self.directory} if self.directory else {})


def _joined(*paths: str | Path | None) -> str:
    return os.pathsep.join(str(path) for path in paths if path)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def find_python(app: App, directory: Path, environment: Mapping[str, str]) -> AppPython | None:
    """Return the app's Python, asked what it has; None for a command that is not Python's.

    Raises `StackError` if it does not run.
    """
    program = _find(app, directory, environment)
    if program is None:
        return None
    command = [str(program), "-c", PROBE, *MIN_VERSIONS, *LENT]
    version, prefix, versions = json.loads(_run(command, app, directory, environment))
    at = Path(prefix) if prefix else program.parent.parent
    title = str(at.relative_to(directory) if at.is_relative_to(directory) else at)
    return AppPython(program, title, tuple(version), prefix, versions)


def _find(app: App, directory: Path, environment: Mapping[str, str]) -> Path | None:
    if app.python:
        return _named(app, app.python, directory, environment)
    if directory == shipped():  # the sample
        return Path(sys.executable)
    word = shlex.split(app.command)[0] if app.command else ""
    path = environment.get("PATH")
    if "/" in word and (found := _interpreter(str(directory / word))):
        return found
    active = environment.get("VIRTUAL_ENV")
    active = None if active and Path(active).resolve() == Path(sys.prefix).resolve() else active
    for name in (active, ".venv", "venv"):
        if name and (python := directory / name / "bin/python").exists():
            return python
    if (directory / "uv.lock").exists() and (uv := shutil.which("uv", path=path)):
        command = [uv, "run", "--quiet", "python", "-c", "import sys; print(sys.executable)"]
        return Path(_run(command, app, directory, environment))
    return _interpreter(shutil.which(word, path=path)) if word else Path(sys.executable)


def _named(app: App, python: str, directory: Path, environment: Mapping[str, str]) -> Path:
    """Return the program that ``[app] python`` names: a path, an environment, or one on PATH."""
    path = Path(os.path.abspath(directory / Path(python).expanduser()))
    if path.is_dir():
        path = path / "bin/python"
    if "/" not in python and not path.exists():
        path = Path(shutil.which(python, path=environment.get("PATH")) or path)
    if not path.exists():
        raise StackError(f"{app.name}'s python, {python}, does not exist: there is no {path}")
    return path


def _interpreter(program: str | None) -> Path | None:
    """Return the Python that runs *program*: itself, or that of its first line."""
    if program is None or not os.path.exists(program):
        return None
    if Path(program).name.startswith("python"):
        return Path(program)
    with open(program, "rb") as file:
        shebang = re.match(rb"#!\s*(/\S*python[\d.]*)\s*$", file.readline(1000))
    return Path(os.fsdecode(shebang[1])) if shebang else None


def _run(command: list[str], app: App, directory: Path, environment: Mapping[str, str]) -> str:
    """Return the last line that a command prints."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{app.name}'s python, {command[0]}, does not run: {error}") from error
    if done.returncode or not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise StackError(f"{app.name}'s python, {command[0]}, does not run: {last}")
    return done.stdout.strip().splitlines()[-1]


def lend(home: Home, app: App, python: AppPython) -> Path:
    """Link what *python* lacks of `LENT` into a directory of *home*; return that."""
    directory = home / "python" / app.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in LENT:
        module = name.replace("-", "_")
        spec = find_spec(module)
        if python.versions[name] is None and spec and spec.submodule_search_locations:
            (directory / module).symlink_to(next(iter(spec.submodule_search_locations)))
    return directory
