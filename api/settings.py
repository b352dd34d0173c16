"""The API's settings, one ``API_*`` variable each; a bad one prevents the start."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

WORKER_CLASSES = ("sync", "gthread", "gevent")
DATABASE_SCHEMES = ("sqlite", "postgresql", "postgres", "postgresql+psycopg")


def available_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """The settings; ``.env.example`` describes them."""

    database_url: str
    host: str = "127.0.0.1"
    port: int = 5000
    metrics_port: int = 9102
    workers: int = field(default_factory=available_cpus)
    worker_class: str = "gevent"
    threads: int = 16  # of a gthread worker; other classes ignore them

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings; an unset or empty variable means the default.

        Raises ValueError with one line that names the variable.
        """
        given = {name: text for name, text in environment.items() if text}
        database_url = given.get("API_DATABASE_URL") or _default_database_url(given)
        return cls(
            database_url=_checked_database_url(database_url),
            host=given.get("API_HOST", cls.host),
            port=_number(given, "API_PORT", cls.port, largest=65535),
            metrics_port=_number(given, "API_METRICS_PORT", cls.metrics_port, largest=65535),
            workers=_number(given, "API_WORKERS", available_cpus(), largest=1000),
            worker_class=_worker_class(given.get("API_WORKER_CLASS", cls.worker_class)),
            threads=_number(given, "API_THREADS", cls.threads, largest=1000),
        )


def _default_database_url(given: Mapping[str, str]) -> str:
    home = Path(given.get("SWARMSCOPE_HOME", ".swarmscope")).resolve()
    return f"sqlite:///{home}/api/api.sqlite3"


def _checked_database_url(url: str) -> str:
    """Return *url*; no message contains it, as it may have a password."""
    scheme, _, rest = url.partition(":")
    if scheme not in DATABASE_SCHEMES or not rest.startswith("//"):
        raise ValueError("API_DATABASE_URL must start with postgresql:// or sqlite:///")
    if scheme == "sqlite":
        _make_directory(rest.removeprefix("///") if rest.startswith("///") else "")
    else:
        _check_port(url)
    return url


def _make_directory(path: str) -> None:
    if not path or path.startswith(":"):
        raise ValueError("API_DATABASE_URL must name a file that all workers share")
    directory = Path(path).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"API_DATABASE_URL: cannot make its directory: {error}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ValueError(f"API_DATABASE_URL: its directory {directory} is not writable")


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError("API_DATABASE_URL has a bad port or host") from error


def _worker_class(name: str) -> str:
    if name not in WORKER_CLASSES:
        raise ValueError(f"API_WORKER_CLASS must be one of {', '.join(WORKER_CLASSES)}: {name!r}")
    return name


def _number(given: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = given.get(name, str(default))
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= largest:
        raise ValueError(f"{name} must be a whole number from 1 to {largest}: {text!r}")
    return int(text)
