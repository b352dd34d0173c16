"""The services under test: how each is started, and where Prometheus scrapes it."""

from __future__ import annotations

import re
import shlex

from swarmscope.stack.app_python import AppPython, find_python, lend
from swarmscope.stack.errors import StackError
from swarmscope.stack.gunicorn_command import without_conf
from swarmscope.stack.layout import Home
from swarmscope.stack.project import App
from swarmscope.stack.services import Service
from swarmscope.stack.settings import LOOPBACK, StackSettings
from swarmscope.stack.slo import limit

SERVE = "python:swarmscope.server.serve"  # gunicorn's conf file
PROBED = "/swarmscope-is-it-up"  # where no `ready` is set; any answer will do


def app_service(app: App, settings: StackSettings, home: Home) -> Service:
    """Return the service that runs *app*; raises `StackError` if its Python cannot."""
    python = find_python(app, settings.project, settings.environment)
    complaint = python and python.complaint()
    if app.wsgi and complaint:
        assert python
        raise StackError(f"{app.name}'s environment ({python.title}) {complaint}")
    measured = None if complaint else python
    words, conf = _words(app), None
    if measured:
        words, _, conf = without_conf(words)
    environment = {**app.env, **_addresses(app)}
    if python:
        lent = lend(home, app, python)
        environment |= python.environment({**settings.environment, **app.env}, lent)
    if measured:
        environment |= _measuring(app, settings, conf)
        wanted = "1" if app.profiles else "0"
        environment |= {
            "SWARMSCOPE_PROFILES": settings.environment.get("SWARMSCOPE_PROFILES") or wanted,
            "SWARMSCOPE_PROFILES_TOKEN_FILE": str(home.secret_path("profiles_token")),
        }
    return Service(
        name=app.name,
        command=_served(app, settings, python) if app.wsgi else tuple(words),
        check=_check(app),
        url=f"http://{LOOPBACK}:{app.port}" if app.listens else None,
        environment=environment,
        directory=settings.project,
        is_app=True,
    )


def _check(app: App) -> str:
    if not app.listens:
        return "lasts:2"
    return f"http:{app.port}{app.ready}" if app.ready else f"answer:{app.port}{PROBED}"


def _bind_host(settings: StackSettings) -> str:
    return settings.environment.get("API_HOST") or LOOPBACK


def _words(app: App) -> list[str]:
    """Return the words of a command, with its port for ``$PORT``."""
    return shlex.split(re.sub(r"\$(PORT\b|\{PORT\})", str(app.port), app.command or ""))


def _served(app: App, settings: StackSettings, python: AppPython | None) -> tuple[str, ...]:
    assert python
    assert app.wsgi
    gunicorn = (str(python.program), "-m", "gunicorn", "-c", SERVE)
    return (*gunicorn, "--bind", _bound(app, settings), app.wsgi)


def _bound(app: App, settings: StackSettings) -> str:
    host = _bind_host(settings)
    return f"[{host}]:{app.port}" if ":" in host else f"{host}:{app.port}"


def _addresses(app: App) -> dict[str, str]:
    """Return the app's ports, under our names for the sample and under everybody's."""
    return {
        "PORT": str(app.port),
        "API_PORT": str(app.port),
        "API_METRICS_PORT": str(app.metrics_port),
    }


def _measuring(app: App, settings: StackSettings, conf: str | None) -> dict[str, str]:
    """Return what `swarmscope.server.serve` reads, and what makes a command's gunicorn load it."""
    values = {
        "SWARMSCOPE_METRICS_PORT": str(app.metrics_port),
        "SWARMSCOPE_METRICS_HOST": _bind_host(settings),
        "SWARMSCOPE_EXCLUDE": ",".join((*app.exclude, *([] if app.ready else [PROBED]))),
    }
    if own := app.gunicorn or conf:
        values["SWARMSCOPE_GUNICORN_CONF"] = str(settings.project / own)
    if (p95_ms := limit(settings.environment, "LOCUST_SLO_P95")) is not None:
        values["SWARMSCOPE_SLO_P95_MS"] = f"{p95_ms:g}"
    if app.command:
        given = {**settings.environment, **app.env}.get("GUNICORN_CMD_ARGS", "")
        added = f"--config {SERVE} --bind {_bound(app, settings)}"
        values["GUNICORN_CMD_ARGS"] = f"{given} {added}".strip()
    return values
