"""The launcher's settings: from the environment, ``.env`` or defaults, read once."""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dotenv import dotenv_values

from swarmscope.home import HOME
from swarmscope.stack.errors import StackError
from swarmscope.stack.ports import MAX_PORT, PORTS, ListeningPort
from swarmscope.stack.project import App, Project
from swarmscope.stack.project_keys import MAX_WORKERS

SERVICES = ("postgres", "prometheus", "grafana", "app", "locust-worker", "locust")
BY_HAND = (
    "LOCUST_HOST", "LOCUST_LOCUSTFILE", "LOCUST_RESOURCES", "LOCUST_SERVICES",
    "LOCUST_SLO_FAIL_RATIO", "LOCUST_SLO_P95", "SWARMSCOPE_APP_DATABASE_URL",
)  # fmt: skip
SCENARIOS = ("locustfile.py", "locustfiles")  # where they are unless a setting says
LOOPBACK = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "*")  # for ZeroMQ and PostgreSQL alike
HOSTS_WITH_LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0", "::")  # that include 127.0.0.1
MAX_HOME_BYTES = 700  # bytes; PostgreSQL truncates paths at 1,024, and files lie deep in the home
DRAIN_S = 30.0  # Locust's own default


@dataclass(frozen=True)
class StackSettings:
    """The settings of `up`. `environment` is the merged one, which services inherit.

    *directory* is where `up` was called; *project* is where the apps run, whose ports are filled in
    in *apps*. *only* are the services to run here; the workers' master, at *master_host*, may be
    elsewhere.
    """

    directory: Path
    project: Path
    home: Path
    grafana_home: Path | None
    locust_workers: int
    locust_drain_s: float
    ports: Mapping[str, int]
    listeners: Sequence[ListeningPort]
    apps: Sequence[App]
    environment: Mapping[str, str]
    only: frozenset[str]
    master_bind_host: str
    master_host: str
    master_port: int
    postgres_bind_host: str

    def url(self, port: str, path: str = "") -> str:
        """Return the address of the service at the port of that setting."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    @property
    def target(self) -> str:
        """The address under test: the app's, unless LOCUST_HOST names another."""
        elsewhere = self.environment.get("LOCUST_HOST") or (self.apps and self.apps[0].url)
        return elsewhere or self.url("API_PORT")

    @property
    def services(self) -> str:
        """The services of a run, by their names in Prometheus: the project's, unless set."""
        names = ",".join(app.name for app in self.apps)
        return self.environment.get("LOCUST_SERVICES") or names


def read_settings(
    directory: Path,
    environ: Mapping[str, str],
    only: Iterable[str] = SERVICES,
    project: Project | None = None,
) -> StackSettings:
    """Return the settings for *directory* and *project*; raises `StackError` naming a bad one."""
    project = project or Project(directory, (), {})
    environment = _from_file(project, directory) | merged_environment(directory, environ)
    _check_host(environment)
    grafana_home = environment.get("GRAFANA_HOME")
    ports = {
        name: _number(environment, name, port.default, MAX_PORT) for name, port in PORTS.items()
    }
    apps = [_app(app, n, environment, ports) for n, app in enumerate(project.apps)]
    master_bind_host = _address(environment, "LOCUST_MASTER_BIND_HOST")
    master_host, master_port = _master(environment, master_bind_host, ports, only)
    return StackSettings(
        directory=directory,
        project=project.directory,
        home=home_directory(directory, environment),
        grafana_home=_path(directory, grafana_home) if grafana_home else None,
        locust_workers=_number(environment, "LOCUST_WORKERS", _cores(), MAX_WORKERS),
        locust_drain_s=_seconds(environment, "LOCUST_DRAIN_TIME", DRAIN_S),
        ports=ports,
        listeners=_listeners(ports, apps),
        apps=apps,
        environment=environment,
        only=frozenset(only),
        master_bind_host=master_bind_host,
        master_host=master_host,
        master_port=master_port,
        postgres_bind_host=_address(environment, "POSTGRES_BIND_HOST"),
    )


def locust_environment(
    directory: Path, environ: Mapping[str, str], project: Project
) -> dict[str, str]:
    """Return what a project says to a Locust started by hand: scenarios, services, SLO, …"""
    settings = read_settings(directory, environ, project=project)
    values = {
        **settings.environment,
        "LOCUST_HOST": settings.target,
        "LOCUST_SERVICES": settings.services,
    }
    return {name: values[name] for name in BY_HAND if name in values}


def _from_file(project: Project, directory: Path) -> dict[str, str]:
    """Return the project's settings as environment variables, paths as *directory* sees them."""
    values = dict(project.environment)
    there = [name for name in SCENARIOS if (project.directory / name).exists()]
    scenarios = values.get("LOCUST_LOCUSTFILE") or next(iter(there), None)
    if scenarios:
        to_project = os.path.relpath(project.directory, directory)
        paths = [os.path.normpath(Path(to_project, path.strip())) for path in scenarios.split(",")]
        values["LOCUST_LOCUSTFILE"] = ",".join(paths)
    return values


def _app(app: App, number: int, environment: Mapping[str, str], ports: Mapping[str, int]) -> App:
    """Return the project's *number*th app with its ports and what *environment* overrides."""
    first = number == 0  # whose ports are settings
    return replace(
        app,
        port=ports["API_PORT"] + number if first or not app.port else app.port,
        metrics_port=ports["API_METRICS_PORT"] + number
        if first or not app.metrics_port
        else app.metrics_port,
        env={name: environment.get(name, value) for name, value in app.env.items()},
    )


def merged_environment(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* on top of ``.env``, without what is empty, which counts as unset."""
    file = directory / ".env"
    try:
        values = dotenv_values(file) if file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"cannot read {file}: {error}") from error
    return {name: value for name, value in {**values, **environ}.items() if value}


def home_directory(directory: Path, environment: Mapping[str, str]) -> Path:
    """Return the directory of everything that `up` creates."""
    home = _path(directory, environment.get("SWARMSCOPE_HOME") or HOME)
    if len(os.fsencode(home)) > MAX_HOME_BYTES:
        raise StackError(
            f"SWARMSCOPE_HOME={home}: choose a path of at most {MAX_HOME_BYTES} bytes:"
            " PostgreSQL and others do not support longer ones"
        )
    if any(character in str(home) for character in "\n\r%"):  # supervisord expands %
        raise StackError(f"SWARMSCOPE_HOME={home}: choose a path without % or line breaks")
    return home


def _path(directory: Path, value: str) -> Path:
    return Path(os.path.abspath(directory / Path(value).expanduser()))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number(environment: Mapping[str, str], name: str, default: int, largest: int) -> int:
    value = environment.get(name) or str(default)
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= largest:
        raise StackError(f"{name}={value}: must be a whole number from 1 to {largest}")
    return int(value)


def _address(environment: Mapping[str, str], name: str) -> str:
    """Return the IPv4 address to listen at, in a form for Locust and PostgreSQL."""
    value = environment.get(name) or LOOPBACK
    try:
        return value if value in EVERYWHERE else str(ipaddress.IPv4Address(value))
    except ValueError as error:
        raise StackError(
            f"{name}={value}: must be an IPv4 address of this machine, or 0.0.0.0 for all"
        ) from error


def _master(
    environment: Mapping[str, str], bind_host: str, ports: Mapping[str, int], only: Iterable[str]
) -> tuple[str, int]:
    """Return where workers find their master: the one that is started too, or the one named."""
    port = ports["LOCUST_MASTER_BIND_PORT"]
    if "locust" in only:
        return _near(bind_host), port
    host = environment.get("LOCUST_MASTER_NODE_HOST") or LOOPBACK
    return host, _number(environment, "LOCUST_MASTER_NODE_PORT", port, MAX_PORT)


def _near(bind_host: str) -> str:
    """Return the address at which this machine reaches a server bound to *bind_host*."""
    return LOOPBACK if bind_host in EVERYWHERE else bind_host


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach *host*, an IPv4 address or ``*``."""
    return host not in EVERYWHERE and ipaddress.IPv4Address(host).is_loopback


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    value = environment.get(name) or str(default)
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise StackError(f"{name}={value}: must be a number of seconds")
    return seconds


def _check_host(environment: Mapping[str, str]) -> None:
    """Raise `StackError` if the API's address is one that the stack does not connect to."""
    host = environment.get("API_HOST") or HOSTS_WITH_LOOPBACK[0]
    if host not in HOSTS_WITH_LOOPBACK:
        expected = ", ".join(HOSTS_WITH_LOOPBACK)
        raise StackError(
            f"API_HOST={host}: must be one of {expected}: the stack connects to 127.0.0.1"
        )


def _listeners(ports: Mapping[str, int], apps: Sequence[App]) -> list[ListeningPort]:
    """Return who listens where; raises `StackError` if two would listen at one port."""
    listeners = [listener for n, app in enumerate(apps) for listener in _listeners_of(app, n)]
    listeners += [
        ListeningPort(ports[name], port.service, port.what, name)
        for name, port in PORTS.items()
        if port.service != "app"
    ]
    taken: dict[int, str] = {}
    for port, _, _, setting in listeners:
        if other := taken.get(port):
            raise StackError(f"{setting} and {other} are both {port}: change one of them")
        taken[port] = setting
    return listeners


def _listeners_of(app: App, number: int) -> list[ListeningPort]:
    if app.url or not app.listens:
        return []
    assert app.port
    assert app.metrics_port
    settings = [f"[services.{app.name}] {key}" for key in ("port", "metrics_port")]
    port, metrics_port = settings if number else ("API_PORT", "API_METRICS_PORT")
    listeners = [ListeningPort(app.port, "app", app.name, port)]
    if not app.metrics:
        what = f"{app.name}'s metrics"
        listeners.append(ListeningPort(app.metrics_port, "app", what, metrics_port))
    return listeners
