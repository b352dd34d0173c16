"""The two sides of a comparison: each a revision of the project, and settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swarmscope.ab.environments import environment_for, requirements
from swarmscope.ab.worktrees import SHORT, Repository, version_here
from swarmscope.stack.app_python import find_python
from swarmscope.stack.errors import StackError
from swarmscope.stack.project import FILE, App, Project, read_project
from swarmscope.stack.project_keys import APP
from swarmscope.stack.settings import StackSettings, read_settings

HERE = "."  # as a revision: the working tree as it is
OF_APP = ("command", "gunicorn", "python", "wsgi")  # keys of [app] that can be set
MAX_VERSION = 36  # characters that the runs database has for a version
ORIGIN = """
import importlib.util, json, sys
spec = importlib.util.find_spec(sys.argv[1])
places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
print(json.dumps([place for place in places if place]))
"""


@dataclass(frozen=True)
class Wanted:
    """A side as it was asked for: a revision, and settings by variable or ``app.KEY``."""

    revision: str
    settings: Mapping[str, str]

    @property
    def title(self) -> str:
        """The side in words: its revision if that is not the working tree, and its settings."""
        given = " ".join(f"{name}={value}" for name, value in self.settings.items())
        if self.revision == HERE:
            return given or "the working tree"
        return f"{self.revision} {given}".strip()


@dataclass(frozen=True)
class Side:
    """A side that can be served: its *settings* name one stack, which holds its app alone."""

    title: str
    version: str
    settings: StackSettings


def parse_setting(text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``; raises ValueError with what is wrong."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*|app\.[a-z]+", name):
        raise ValueError(f"{text!r} is not like API_WORKERS=4 or app.gunicorn=FILE")
    key = name.removeprefix("app.")
    if name.startswith("app."):
        if key not in OF_APP:
            raise ValueError(f"{name}: of [app], {', '.join(OF_APP)} can be set")
        if complaint := APP[key].complaint(value):
            raise ValueError(f"{name}: {complaint}")
    return name, value


@dataclass(frozen=True)
class Place:
    """Where a side is prepared: the project in the working tree, and directories.

    *scratch* is an empty one for this side alone, *keep* holds environments for the next time;
    *environ* holds the ports that the side is served at.
    """

    here: Project
    scratch: Path
    keep: Path
    environ: Mapping[str, str]
    say: Callable[[str], None]


@contextmanager
def prepared(wanted: Wanted, place: Place) -> Iterator[Side]:
    """Check the revision out, find its Python and read its settings.

    The checkout is removed afterwards. Raises `StackError`.
    """
    given = {name: text for name, text in wanted.settings.items() if "." not in name}
    keys = {name[4:]: text for name, text in wanted.settings.items() if "." in name}
    environ = {**place.environ, **given, "SWARMSCOPE_HOME": str(place.scratch / "home")}
    place = replace(place, environ=environ)
    if wanted.revision == HERE:
        version = version_here(place.here.directory)
        yield Side(wanted.title, version[:MAX_VERSION], _settings(_with(keys, place.here), place))
        return
    repository = Repository.around(place.here.directory)
    commit = repository.commit(wanted.revision)
    with repository.checked_out(commit, place.scratch / "tree") as directory:
        project = _with(keys, _project(directory, wanted, place))
        apps = tuple(_with_python(app, project, wanted, place) for app in project.apps)
        environ.pop("PYTHONPATH", None)  # it is in each app's own
        settings = _settings(replace(project, apps=apps), place)
        yield Side(f"{wanted.title} ({commit[:SHORT]})", commit[:MAX_VERSION], settings)


def _with(keys: Mapping[str, str], project: Project) -> Project:
    """Return *project* with *keys* of its app, and without profiles, which cost time."""
    app, *beside = (app if app.url else replace(app, profiles=False) for app in project.apps)
    if app.url:
        raise StackError(f"{app.name} runs elsewhere, at {app.url}: nothing can be served by turns")
    changes: dict[str, Any] = {**keys}
    return replace(project, apps=(replace(app, **changes), *beside))


def _settings(project: Project, place: Place) -> StackSettings:
    return read_settings(place.here.directory, place.environ, ["app"], project)


def _project(directory: Path, wanted: Wanted, place: Place) -> Project:
    """Return the project of a revision; one without a file of its own gets the present one."""
    if not directory.is_dir():
        raise StackError(f"{wanted.revision} has no directory {directory.name}")
    project = read_project(directory)
    if project is None:
        place.say(f"{wanted.revision} has no {FILE}: that of the working tree is used.")
    return project or replace(place.here, directory=directory)


def _with_python(app: App, project: Project, wanted: Wanted, place: Place) -> App:
    """Return the *app* of a revision with its Python, which imports the revision's own modules."""
    here, there = place.here.directory, project.directory
    python = None if app.url else find_python(app, here, place.environ)
    if python is None:  # a program of another kind
        return app
    program = python.program
    if "app.python" not in wanted.settings and requirements(there) != requirements(here):
        program = environment_for(there, wanted.title, program, place.keep, place.say)
        program = program / "bin/python"
    places = [there, *filter(Path.is_dir, [there / "src"])]
    given = [values.get("PYTHONPATH") for values in (app.env, place.environ)]
    path = os.pathsep.join([*map(str, places), *filter(None, given)])
    found = replace(app, python=str(program), env={**app.env, "PYTHONPATH": path})
    if app.wsgi:
        _check_origin(found, there, wanted, place.environ)
    return found


def _check_origin(app: App, directory: Path, wanted: Wanted, environ: Mapping[str, str]) -> None:
    """Raise `StackError` if the app would be imported from elsewhere than *directory*."""
    assert app.wsgi
    assert app.python
    module = re.split(r"[.:]", app.wsgi)[0]
    done = subprocess.run(
        [app.python, "-c", ORIGIN, module],
        cwd=directory,
        env={**environ, **app.env},
        capture_output=True,
        text=True,
        check=False,
    )
    places = json.loads(done.stdout) if done.returncode == 0 else []
    elsewhere = [place for place in places if not Path(place).is_relative_to(directory)]
    if elsewhere:  # a module that is missing is the app's own error, which says more
        raise StackError(
            f"{wanted.title} would import {module} from {elsewhere[0]}, not from the revision:"
            " uninstall it there, or name another environment by --set app.python=PATH"
        )
