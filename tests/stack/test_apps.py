"""What is made of an app's settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from swarmscope.stack.apps import app_service
from swarmscope.stack.layout import Home
from swarmscope.stack.project import App, Project
from swarmscope.stack.services import Service
from swarmscope.stack.settings import read_settings


def service(directory: Path, app: App, **environ: str) -> Service:
    """Return the service of the only app of a project, which our own Python runs."""
    environ = {"PATH": os.environ["PATH"], **environ}
    settings = read_settings(directory, environ, project=Project(directory, (app,), {}))
    home = Home(directory / "home")
    home.make()
    return app_service(settings.apps[0], settings, home)


@pytest.mark.parametrize(
    ("command", "started", "conf"),
    [
        ("gunicorn a:b", "gunicorn a:b", None),
        ("gunicorn -c c.py a:b", "gunicorn a:b", "c.py"),
        ("python -m gunicorn --config=conf/c.py a:b", "python -m gunicorn a:b", "conf/c.py"),
        ("gunicorn -c python:conf a:b", "gunicorn -c python:conf a:b", None),
        ("serve -c c.py", "serve -c c.py", None),
        ("serve ${PORT} $PORT $PORTS", "serve 5000 5000 $PORTS", None),
    ],
)
def test_a_commands_words(tmp_path: Path, command: str, started: str, conf: str | None) -> None:
    """Gunicorn's conf file is loaded by ours, so both hold."""
    own = service(tmp_path, App("shop", command=command, python=sys.executable))

    assert " ".join(own.command) == started
    assert own.environment.get("SWARMSCOPE_GUNICORN_CONF") == (conf and str(tmp_path / conf))
    assert own.check == "answer:5000/swarmscope-is-it-up"


def test_a_command_that_cannot_be_measured_stays_as_it_is(tmp_path: Path) -> None:
    """Its conf file would be lost otherwise."""
    found = service(tmp_path, App("shop", command="sh gunicorn -c c.py"))

    assert found.command == ("sh", "gunicorn", "-c", "c.py")
    assert "GUNICORN_CMD_ARGS" not in found.environment


def test_gunicorns_own_arguments_are_kept(tmp_path: Path) -> None:
    """Those of the environment; ours come after them."""
    app = App("shop", command="gunicorn a:b", python=sys.executable, exclude=("/health",))
    environment = service(tmp_path, app, GUNICORN_CMD_ARGS="--threads 2").environment

    assert environment["GUNICORN_CMD_ARGS"] == (
        "--threads 2 --config python:swarmscope.server.serve --bind 127.0.0.1:5000"
    )
    assert environment["SWARMSCOPE_EXCLUDE"] == "/health,/swarmscope-is-it-up"
    assert environment["SWARMSCOPE_METRICS_PORT"] == "9102"


def test_profiles_are_switched_off_for_an_app_or_for_all(tmp_path: Path) -> None:
    """The environment goes first."""
    switched_off = App("shop", wsgi="a:b", profiles=False)

    def of(app: App, **environment: str) -> str:
        return service(tmp_path, app, **environment).environment["SWARMSCOPE_PROFILES"]

    assert of(switched_off) == "0"
    assert of(switched_off, SWARMSCOPE_PROFILES="1") == "1"
    assert of(App("shop", wsgi="a:b"), SWARMSCOPE_PROFILES="0") == "0"


def test_where_an_app_listens(tmp_path: Path) -> None:
    """API_HOST opens app and metrics to other machines."""
    app = App("shop", wsgi="a:b", ready="/health")
    found = service(tmp_path, app, API_HOST="0.0.0.0", API_PORT="5100")

    assert found.command[-3:] == ("--bind", "0.0.0.0:5100", "a:b")
    assert found.environment["SWARMSCOPE_METRICS_HOST"] == "0.0.0.0"
    assert found.environment["SWARMSCOPE_PROFILES"] == "1"
    token_file = Path(found.environment["SWARMSCOPE_PROFILES_TOKEN_FILE"])
    assert len(token_file.read_text()) == 32
    assert found.check == "http:5100/health"
    assert found.url == "http://127.0.0.1:5100"
