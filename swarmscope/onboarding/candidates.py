"""Which Flask app a project means to serve: every candidate that its files show, the best first."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from swarmscope.onboarding.app_definitions import AppDefinition, app_definitions
from swarmscope.onboarding.start_commands import (
    FLASK_APP,
    TARGET,
    StartCommand,
    read_text,
    start_commands,
    start_files,
)

SKIPPED = frozenset(
    {
        *("__pycache__", "build", "dist", "docs", "env", "migrations", "node_modules"),
        *("site-packages", "test", "tests", "venv"),
    }
)
SOURCE_ROOTS = ("src", "lib")  # an installed project is imported without them
MAX_DEPTH = 4  # directories below the project's
MAX_FILES = 3000
HINTS = (b"Flask", b"create_app", b"make_app", b"OpenAPI")
FLASK_ENVIRONMENTS = (".flaskenv", ".env")
USUAL = ("wsgi", "app", "application", "main")  # names of modules, the best first
DEVELOPMENT = ("dev", "debug", "manage", "run", "run_dev", "runserver")


@dataclass(frozen=True)
class Candidate:
    """An app as gunicorn names it, ``module:app`` or ``module:create_app()``.

    *root* is the directory to import it from, relative to the project's, "" for that itself;
    *where* says what shows it, for people.
    """

    target: str
    root: str
    where: str
    needs: tuple[str, ...] = ()
    is_local: bool = False


class ProjectFiles:
    """The files of a project that say which app it serves, read once."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        """Read nothing yet; *environ* may name the app in ``FLASK_APP``."""
        self.directory, self.environ = directory, environ

    @cached_property
    def modules(self) -> dict[tuple[str, str], Path]:
        """The project's Python files by the directory to import from and the dotted name."""
        return {_module(self.directory, path): path for path in _own_files(self.directory)}

    @cached_property
    def commands(self) -> list[StartCommand]:
        """The commands that start the app."""
        return start_commands(self.directory)

    @cached_property
    def definitions(self) -> dict[tuple[str, str], list[AppDefinition]]:
        """What each module that mentions Flask defines."""
        return {
            name: found
            for name, path in self.modules.items()
            if _may_define(path) and (found := app_definitions(path))
        }

    def candidates(self) -> list[Candidate]:
        """Return all candidates, the best first, each target once."""
        found: dict[tuple[str, str], Candidate] = {}
        for each in (*self._of_commands(), *self._of_flask_app(), *self._of_source()):
            found.setdefault((each.target, each.root), each)
        return list(found.values())

    def named(self, target: str, where: str) -> list[Candidate]:
        """Return candidates for a *target* as people name it, from each directory that has it."""
        module, _, name = target.partition(":")
        module = re.sub(r"\.py$", "", module).strip("./").replace("/", ".")
        roots = sorted((root for root, has in self.modules if has == module), key=len)
        return [
            Candidate(f"{module}:{call}", root, where)
            for root in roots or [""]
            for call in self._calls(root, module, name)
        ]

    def _calls(self, root: str, module: str, name: str) -> Iterable[str]:
        """Return what to write after the colon for *name*, or for what the module defines."""
        defined = self.definitions.get((root, module), [])
        if not name:
            return [d.call for d in defined if not d.needs and not d.is_local][:1] or ["app"]
        return [next((d.call for d in defined if d.name == name), name)]

    def _of_commands(self) -> Iterator[Candidate]:
        for command in self.commands:
            if command.target and (TARGET.fullmatch(command.target) or command.words[0] == "flask"):
                text = f"{self._shown(command.file)}: {' '.join(command.words)}"
                yield from self.named(command.target, text)

    def _of_flask_app(self) -> Iterator[Candidate]:
        texts = {"the environment": f"FLASK_APP={self.environ.get('FLASK_APP', '')}"}
        files = [self.directory / name for name in FLASK_ENVIRONMENTS]
        texts |= {
            self._shown(path): read_text(path) for path in (*files, *start_files(self.directory))
        }
        for where, text in texts.items():
            for value in FLASK_APP.findall(text):
                yield from self.named(value, f"{where}: FLASK_APP={value}")

    def _of_source(self) -> Iterator[Candidate]:
        for name in sorted(self.definitions, key=self._rank):
            root, module = name
            for found in self.definitions[name]:
                where = f"{self._shown(self.modules[name])}:{found.line}"
                target = f"{module}:{found.call}"
                yield Candidate(target, root, where, found.needs, found.is_local)

    def _rank(self, name: tuple[str, str]) -> tuple[int, int, bool, bool, str]:
        """Order modules: a usual name, near the top, before a runner for development.

        Of equals, the one named as the project's directory is first, then packages: a single file
        beside them is more often a helper, such as a stand-in for another service.
        """
        root, module = name
        stem = module.rpartition(".")[2]
        usual = USUAL.index(stem) if stem in USUAL else len(USUAL) + (stem in DEVELOPMENT)
        depth = module.count(".") + len(Path(root).parts)
        is_file = self.modules[name].name != "__init__.py"
        return usual, depth, stem != self.directory.name, is_file, module

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()


def python_files(directory: Path, skipped: Collection[str]) -> Iterator[list[Path]]:
    """Yield a project's Python files, folder by folder: no hidden ones, no environments.

    *skipped* are names of folders that are left out, too.
    """
    for folder, folders, files in os.walk(directory):
        here = Path(folder)
        depth = len(here.relative_to(directory).parts)
        folders[:] = sorted(
            name
            for name in folders
            if depth < MAX_DEPTH
            and not (name in skipped or name.startswith("."))
            and not (here / name / "pyvenv.cfg").exists()
        )
        yield [here / name for name in sorted(files) if name.endswith(".py")]


def _own_files(directory: Path) -> list[Path]:
    """Return a project's Python files without its tests; of a very large project, some of them."""
    found: list[Path] = []
    for files in python_files(directory, SKIPPED):
        found += files
        if len(found) >= MAX_FILES:
            break
    return found


def _module(directory: Path, path: Path) -> tuple[str, str]:
    """Return the directory to import a file from, and the dotted name it has there."""
    root = path.parent
    while root != directory and (root / "__init__.py").exists():
        root = root.parent
    parts = path.relative_to(root).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
    return "" if root == directory else root.relative_to(directory).as_posix(), ".".join(parts)


def _may_define(path: Path) -> bool:
    """Return whether a file mentions Flask or a factory, or is ``wsgi.py``; most do not."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return path.name == "wsgi.py" or any(hint in text for hint in HINTS)
