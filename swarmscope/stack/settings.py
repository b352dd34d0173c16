"""The launcher's settings: from the environment, ``.env`` or defaults, read once."""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from swarmscope.home import HOME
from swarmscope.stack.errors import StackError

SERVICES = ("postgres", "prometheus", "grafana", "api", "locust-worker", "locust")
PORTS = {  # setting: (default, what listens there)
    "API_PORT": (5000, "the API"),
    "API_METRICS_PORT": (9102, "the API's metrics"),
    "LOCUST_WEB_PORT": (8089, "the Locust UI"),
    "LOCUST_MASTER_BIND_PORT": (5557, "Locust's master, for its workers"),
    "GRAFANA_PORT": (3000, "Grafana"),
    "LOCUST_METRICS_PORT": (9646, "Locust's metrics"),
    "PROMETHEUS_PORT": (9090, "Prometheus"),
    "POSTGRES_PORT": (54329, "PostgreSQL"),
}
LISTENERS = {  # setting of a port: its service
    "API_PORT": "api",
    "API_METRICS_PORT": "api",
    "LOCUST_WEB_PORT": "locust",
    "LOCUST_MASTER_BIND_PORT": "locust",
    "GRAFANA_PORT": "grafana",
    "LOCUST_METRICS_PORT": "locust",
    "PROMETHEUS_PORT": "prometheus",
    "POSTGRES_PORT": "postgres",
}
MAX_PORT = 65535
LOOPBACK = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "*")  # for ZeroMQ and PostgreSQL alike
HOSTS_WITH_LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0", "::")  # that include 127.0.0.1
MAX_WORKERS = 256
MAX_HOME_BYTES = 700  # bytes; PostgreSQL truncates paths at 1,024, and files lie deep in the home
DRAIN_S = 30.0  # Locust's own default


@dataclass(frozen=True)
class StackSettings:
    """The settings of `up`. `environment` is the merged one, which services inherit.

    *directory* is where `up` was called, *only* are the services to run here; the workers' master,
    at *master_host*, may be elsewhere.
    """

    directory: Path
    home: Path
    grafana_home: Path | None
    locust_workers: int
    locust_drain_s: float
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    only: frozenset[str]
    master_bind_host: str
    master_host: str
    master_port: int
    postgres_bind_host: str

    def url(self, port: str, path: str = "") -> str:
        """Return the address of the service at the port of that setting."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"


def read_settings(
    directory: Path, environ: Mapping[str, str], only: Iterable[str] = SERVICES
) -> StackSettings:
    """Return the settings for *directory*; raises `StackError` with the name of a bad one."""
    environment = merged_environment(directory, environ)
    _check_host(environment)
    grafana_home = environment.get("GRAFANA_HOME")
    ports = _ports(environment)
    master_bind_host = _address(environment, "LOCUST_MASTER_BIND_HOST")
    master_host, master_port = _near(master_bind_host), ports["LOCUST_MASTER_BIND_PORT"]
    if "locust" not in only:
        master_host = environment.get("LOCUST_MASTER_NODE_HOST") or LOOPBACK
        master_port = _number(environment, "LOCUST_MASTER_NODE_PORT", master_port, MAX_PORT)
    return StackSettings(
        directory=directory,
        home=home_directory(directory, environment),
        grafana_home=_path(directory, grafana_home) if grafana_home else None,
        locust_workers=_number(environment, "LOCUST_WORKERS", _cores(), MAX_WORKERS),
        locust_drain_s=_seconds(environment, "LOCUST_DRAIN_TIME", DRAIN_S),
        ports=ports,
        environment=environment,
        only=frozenset(only),
        master_bind_host=master_bind_host,
        master_host=master_host,
        master_port=master_port,
        postgres_bind_host=_address(environment, "POSTGRES_BIND_HOST"),
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


def _ports(environment: Mapping[str, str]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for name, (default, _) in PORTS.items():
        port = _number(environment, name, default, MAX_PORT)
        for other, taken in ports.items():
            if port == taken:
                raise StackError(f"{name} and {other} are both {port}: change one of them")
        ports[name] = port
    return ports
