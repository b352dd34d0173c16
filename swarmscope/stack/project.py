"""Reads ``swarmscope.toml``: a project's app, the services beside it, its scenarios and its SLO."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from swarmscope.runs.resources import named
from swarmscope.stack.errors import StackError
from swarmscope.stack.project_keys import APP, KEYS, RESOURCE, SOURCES, ProjectKey
from swarmscope.stack.toml_lines import line_of

FILE = "swarmscope.toml"
TAKEN = ("database", "grafana", "locust", "postgres", "prometheus", "supervisord")
TABLES = [*KEYS, "services", "resources"]
ONLY_STARTED = ("env", "exclude", "gunicorn", "metrics_port", "port", "profiles", "python", "ready")
NOT_A_PROJECT = (
    f"no {FILE} here, and no [tool.swarmscope] in pyproject.toml: `swarmscope init` writes one for"
    " your app, `swarmscope demo` starts the sample"
)


@dataclass(frozen=True)
class App:
    """A service under test: *wsgi* is served, *command* started, or it runs already at *url*.

    *metrics* is where Prometheus scrapes it, ``HOST:PORT`` or a URL. A command that
    serves nothing is not one that *listens*: it is only kept running.
    """

    name: str
    wsgi: str | None = None
    command: str | None = None
    url: str | None = None
    gunicorn: str | None = None
    metrics: str | None = None
    python: str | None = None
    port: int | None = None
    metrics_port: int | None = None
    ready: str | None = None
    exclude: tuple[str, ...] = ()
    profiles: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    listens: bool = True


@dataclass(frozen=True)
class Project:
    """A parsed file: the app, first of *apps*, and the services beside it.

    *environment* holds those of its settings that a variable overrides, under that variable's name.
    *file* is the file's name.
    """

    directory: Path
    apps: tuple[App, ...]
    environment: Mapping[str, str]
    file: str = FILE


def read_project(directory: Path) -> Project | None:
    """Return the project in *directory*, None if there is none.

    Raises `StackError` with file and line of what is wrong in it.
    """
    if (directory / FILE).is_file():
        return _Reader(directory / FILE, ()).project()
    if (directory / "pyproject.toml").is_file():
        reader = _Reader(directory / "pyproject.toml", ("tool", "swarmscope"))
        if reader.tables is not None:
            return reader.project()
    return None


def safe_name(text: str) -> str:
    """Return *text* as a service's name: ``My Shop 2`` is ``my-shop-2``."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).lstrip("-0123456789").rstrip("-") or "app"
    return f"{name}-app" if _is_taken(name) else name


def _is_taken(name: str) -> bool:
    return name in TAKEN or name.startswith("locust-worker")


class _Reader:
    """Takes one file apart; *root* is the path of the table that holds all of ours."""

    def __init__(self, file: Path, root: tuple[str, ...]) -> None:
        self._file, self._root = file, root
        try:
            self._text = file.read_text(encoding="utf-8")
            found: Any = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise StackError(self._decoding(str(error))) from error
        except (OSError, UnicodeDecodeError) as error:
            raise StackError(f"cannot read {file}: {error}") from error
        for name in root:
            found = found.get(name) if isinstance(found, dict) else None
        self.tables: dict[str, Any] | None = found

    def _decoding(self, text: str) -> str:
        """Return tomllib's error in our form: ``swarmscope.toml:3: Invalid value (column 5)``."""
        what, line, column = (
            match.groups()
            if (match := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", text))
            else (text.removesuffix(" (at end of document)"), self._text.count("\n") + 1, 0)
        )
        return f"{self._file.name}:{line}: {what}" + (f" (column {column})" if column else "")

    def _error(self, text: str, *path: str) -> StackError:
        """Return an error that names the line of the key or table at *path*."""
        line = line_of(self._text, (*self._root, *path))
        return StackError(f"{self._file.name}:{line}: {text}")

    def project(self) -> Project:
        """Check everything and return it."""
        tables = self.tables
        if not isinstance(tables, dict):
            raise self._error("[tool.swarmscope] must be a table")
        for name, table in tables.items():
            if name not in TABLES:
                raise self._unknown(f"[{name}]", name, TABLES, name)
            if not isinstance(table, dict):
                raise self._error(f"{name} must be a table: [{name}]", name)
        for name in KEYS:
            self._check_keys(tables.get(name, {}), KEYS[name], name)
        apps = (self._app(tables), *self._services(tables.get("services", {})))
        environment = {
            key.variable: str(tables[table][name])
            for table, keys in KEYS.items()
            for name, key in keys.items()
            if key.variable and name in tables.get(table, {})
        }
        if resources := self._resources(tables.get("resources", {})):
            environment["LOCUST_RESOURCES"] = resources
        return Project(self._file.parent, apps, environment, self._file.name)

    def _resources(self, tables: Mapping[str, Any]) -> str:
        """Return the resources in *tables* as `--resources` has them; nothing if there are none."""
        for name, table in tables.items():
            path = ("resources", name)
            if isinstance(table, dict):
                self._check_keys(table, RESOURCE, *path)
            if found := named.complaint(name, table):
                key, why = found
                where = (*path, key) if key else path
                raise self._error(f"[resources.{name}]{' ' * bool(key)}{key}: {why}", *where)
        if len(tables) > named.MAX_NAMED:
            raise self._error(f"[resources]: at most {named.MAX_NAMED}", "resources")
        return json.dumps(tables, ensure_ascii=False) if tables else ""

    def _unknown(self, what: str, name: str, known: list[str], *path: str) -> StackError:
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}"
        return self._error(f"{what} is unknown; {hint}", *path)

    def _check_keys(
        self, table: Mapping[str, Any], keys: Mapping[str, ProjectKey], *path: str
    ) -> None:
        title = f"[{'.'.join(path)}]"
        for name, value in table.items():
            if name not in keys:
                raise self._unknown(f"{title} {name}", name, list(keys), *path, name)
            if complaint := keys[name].complaint(value):
                raise self._error(f"{title} {name}: {complaint}", *path, name)

    def _app(self, tables: Mapping[str, Any]) -> App:
        table = tables.get("app", {})
        name = table.get("name") or safe_name(self._file.parent.name)
        self._check_name(name, "app", "name")
        return self._checked({**table, "name": name}, "app")

    def _services(self, tables: Mapping[str, Any]) -> list[App]:
        apps = []
        for name, table in tables.items():
            path = ("services", name)
            if not isinstance(table, dict):
                raise self._error(f"services.{name} must be a table: [services.{name}]", *path)
            self._check_keys(table, {n: key for n, key in APP.items() if n != "name"}, *path)
            self._check_name(name, *path)
            apps.append(self._checked({**table, "name": name}, *path))
        names = [app.name for app in apps]
        if (app := (self.tables or {}).get("app", {}).get("name")) in names:
            raise self._error(f"{app} is the name of the app, too: choose another", "services", app)
        return apps

    def _check_name(self, name: str, *path: str) -> None:
        if not re.fullmatch("[a-z][a-z0-9-]*", name):
            raise self._error(f"{name!r} must be of a-z, 0-9 and -, and begin with a letter", *path)
        if _is_taken(name):
            raise self._error(f"{name} is a part of swarmscope: choose another name", *path)

    def _check_source(self, table: Mapping[str, Any], title: str, *path: str) -> None:
        given = [name for name in SOURCES if name in table]
        if not given:
            raise self._error(
                f'{title} needs one of {", ".join(SOURCES)}, such as wsgi = "shop:create_app()"',
                *path,
            )
        if len(given) > 1:
            raise self._error(f"{title} has {' and '.join(given)}: keep one", *path, given[1])

    def _checked(self, table: Mapping[str, Any], *path: str) -> App:
        """Return the app of a *table* whose keys are all right, if they go together."""
        title = f"[{'.'.join(path)}]"
        self._check_source(table, title, *path)
        for name in ONLY_STARTED if "url" in table else ():
            if name in table:
                raise self._error(
                    f"{title} {name} has no effect with url, which starts nothing: remove it",
                    *path,
                    name,
                )
        if not table.get("listens", True) and ("command" not in table or path == ("app",)):
            raise self._error(
                f"{title} listens = false is for a command beside the app", *path, "listens"
            )
        if "metrics" in table and "wsgi" in table:
            raise self._error(
                f"{title} metrics goes with command or url; with wsgi, choose the port of the"
                " metrics with metrics_port",
                *path,
                "metrics",
            )
        if "url" in table:
            table = {**table, "url": table["url"].rstrip("/")}
        values = {name: value for name, value in table.items() if name != "database"}
        return App(**{**values, "exclude": tuple(table.get("exclude", ()))})
