"""The keys of ``swarmscope.toml``: what each may hold, and the variable that overrides it.

``docs/swarmscope-toml.md`` has the same table.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from swarmscope.runs.resources.presets import PRESETS
from swarmscope.stack.ports import MAX_PORT, PORTS

MAX_WORKERS = 256
SOURCES = ("wsgi", "command", "url")  # an app has one of them
Complaint = Callable[[Any], str | None]  # what is wrong with a value, None if nothing is


@dataclass(frozen=True)
class ProjectKey:
    """A key: its check, its default and meaning as the page has them, and its variable."""

    complaint: Complaint
    default: str
    meaning: str
    variable: str | None = None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string in quotes"
    return None if value.strip() and value.isprintable() else "must be one line, and not empty"


def _wsgi(value: Any) -> str | None:
    if complaint := _text(value):
        return complaint
    if re.match(r"[\w./-]+\.py\b", value):
        module = value.partition(".py")[0].strip("./").replace("/", ".")
        return f"names a file: name the module, such as {module}:app"
    return None if re.match(r"\w[\w.]*(:.+)?$", value) else 'must be like "shop:create_app()"'


def _command(value: Any) -> str | None:
    if complaint := _text(value):
        return complaint
    try:
        words = shlex.split(value)
    except ValueError as error:
        return f"{str(error).lower()}: check its quotes"
    if {"&&", "||", "|", ";", ">", "&"} & {*words}:
        return "there is no shell around it: write sh -c '...'"
    return None


def _url(value: Any) -> str | None:
    if complaint := _text(value):
        return complaint
    return None if _is_url(value) else 'must be like "https://staging.example"'


def _database(value: Any) -> str | None:
    if complaint := _text(value):
        return complaint
    is_known = re.match(r"postgres(ql)?(\+\w+)?://", value)
    return None if is_known else 'must be like "postgresql://user@db.example/shop"'


def _metrics(value: Any) -> str | None:
    if complaint := _text(value):
        return complaint
    if _is_url(value) or re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+", value):
        return None
    return 'must be like "10.0.0.7:9102" or "https://staging.example/metrics"'


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:  # an unbalanced bracket
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _path(value: Any) -> str | None:
    complaint = _text(value)
    return complaint or (None if value.startswith("/") else "must begin with /")


def _paths(value: Any) -> str | None:
    if not isinstance(value, list):
        return 'must be a list, such as ["/health"]'
    return next((text for path in value if (text := _path(path))), None)


def _variables(value: Any) -> str | None:
    if not isinstance(value, dict):
        return 'must be a table, such as { SHOP_DATABASE_URL = "sqlite:///shop.db" }'
    wrong = [name for name, text in value.items() if not isinstance(text, str)]
    return f"{wrong[0]} must be a string in quotes" if wrong else None


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _whole(largest: int) -> Complaint:
    def complaint(value: Any) -> str | None:
        right = type(value) is int and 1 <= value <= largest  # True is an int, too
        return None if right else f"must be a whole number from 1 to {largest}"

    return complaint


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _limit_ms(value: Any) -> str | None:
    right = _number(value) and 0 < value < float("inf")
    return None if right else "must be a number of ms above 0"


def _ratio(value: Any) -> str | None:
    return None if _number(value) and 0 <= value <= 1 else "must be a number from 0 to 1"


def _limit(value: Any) -> str | None:
    return None if _number(value) else _text(value)


_port = _whole(MAX_PORT)

APP = {
    "name": ProjectKey(
        _text,
        "that of the directory",
        "its name in Prometheus, Grafana, `status` and `logs`",
    ),
    "wsgi": ProjectKey(
        _wsgi, "", "the app, to be served with gunicorn: `shop:app`, `shop:create_app()`"
    ),
    "command": ProjectKey(_command, "", "or a program that serves it on `$PORT`"),
    "url": ProjectKey(_url, "", "or where it runs already; nothing is started"),
    "gunicorn": ProjectKey(_text, "`gunicorn.conf.py`, if there is one", "gunicorn's conf file"),
    "metrics": ProjectKey(
        _metrics,
        "",
        "with `command` or `url`: where its metrics are, `HOST:PORT` or a URL",
    ),
    "python": ProjectKey(
        _text,
        "`$VIRTUAL_ENV`, `.venv`, `venv`, `uv run`",
        "its Python, or the directory of its environment",
    ),
    "port": ProjectKey(_port, "`5000`", "the port that it listens on", "API_PORT"),
    "metrics_port": ProjectKey(_port, "`9102`", "the port of its metrics", "API_METRICS_PORT"),
    "ready": ProjectKey(
        _path, "any HTTP answer", "a URL path that answers 200 to 399 once it is ready"
    ),
    "exclude": ProjectKey(_paths, "`[]`", "URL paths that are not measured, such as health checks"),
    "profiles": ProjectKey(
        _flag, "`true`", "`false`: no profiles of it are taken, neither with runs nor by others"
    ),
    "env": ProjectKey(
        _variables, "`{}`", "its environment variables; `.env` and the environment win"
    ),
    "listens": ProjectKey(
        _flag,
        "`true`",
        "`false` for a command beside the app that serves nothing, such as a Celery worker",
    ),
}
DATABASE = ProjectKey(
    _database,
    "",
    "the app's PostgreSQL, to be sampled while a run is running: [the app's database](database.md)",
    "SWARMSCOPE_APP_DATABASE_URL",
)
RESOURCE = {  # of [resources.NAME]; checked together by `runs.resources.named`
    "use": ProjectKey(_text, "", "PromQL: how much of it is in use"),
    "limit": ProjectKey(_limit, "", "PromQL or a number: how much there is"),
    "waiting": ProjectKey(_text, "", "PromQL: how many requests, threads or jobs wait for it"),
    "preset": ProjectKey(
        _text, "", f"or the resources of a known exporter: {', '.join(f'`{n}`' for n in PRESETS)}"
    ),
    "match": ProjectKey(
        _text, "", 'with `preset`: label matchers, such as `instance="10.0.0.7:9187"`'
    ),
}
KEYS = {
    "app": APP | {"database": DATABASE},
    "load": {
        "locustfile": ProjectKey(
            _text,
            "`locustfile.py`, else `locustfiles`",
            "the scenarios: a file, a directory, or several, comma-separated",
            "LOCUST_LOCUSTFILE",
        ),
        "host": ProjectKey(_url, "the app's address", "the target of a swarm", "LOCUST_HOST"),
        "workers": ProjectKey(
            _whole(MAX_WORKERS), "one per CPU", "Locust's worker processes", "LOCUST_WORKERS"
        ),
    },
    "slo": {
        "p95_ms": ProjectKey(
            _limit_ms, "`450`", "the limit of the response time's p95, in ms", "LOCUST_SLO_P95"
        ),
        "fail_ratio": ProjectKey(
            _ratio, "`0.01`", "the share of requests that may fail", "LOCUST_SLO_FAIL_RATIO"
        ),
    },
    "ports": {
        port.key: ProjectKey(_port, f"`{port.default}`", f"the port of {port.what}", variable)
        for variable, port in PORTS.items()
        if port.key
    },
}
