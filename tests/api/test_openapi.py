"""The description is true to what the API does, as schemathesis sees it through a real server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.gunicorn import running_gunicorn
from support.waiting import free_port

from api.testing_types import MAX_DESCRIPTION_CHARACTERS, MAX_NAME_CHARACTERS


@pytest.mark.parametrize("examples", [3, pytest.param(25, marks=pytest.mark.proof)])
def test_schemathesis_finds_nothing(tmp_path, root, examples):
    """Every check, good and bad input, wrong methods and headers; the same cases each time."""
    settings = {
        "API_DATABASE_URL": f"sqlite:///{tmp_path}/api.sqlite3",
        "API_METRICS_PORT": str(free_port()),
        "API_WORKERS": "1",
    }
    conf = ("-c", "api/gunicorn.conf.py", "api:create_app()")
    with running_gunicorn(*conf, log=tmp_path / "log", environment=settings) as server:
        done = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis",
                "run",
                f"{server.url}/openapi.json",
                "--checks=all",
                f"--max-examples={examples}",
                "--generation-deterministic",
                "--no-color",
            ],
            cwd=tmp_path,  # it may write there
            capture_output=True,
            text=True,
            timeout=100,
        )

    assert done.returncode == 0, done.stdout + server.log.read_text()
    assert "Operations:       4 selected / 4 total" in done.stdout
    assert "No issues found" in done.stdout
    assert "Traceback" not in server.log.read_text()


def test_every_route_is_described(app, client):
    """Nothing but the description itself is served without being described."""
    served = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    paths = client.get("/openapi.json").json["paths"]
    described = {(path, method) for path, methods in paths.items() for method in methods}

    assert served - described == {("/openapi.json", "get"), ("/metrics", "get")}
    assert described <= served


def test_the_limits_are_those_of_the_code(client):
    """The schema is made from the class that decodes the body."""
    description = client.get("/openapi.json").json
    schema = description["components"]["schemas"]["TestingType"]

    assert description["openapi"] == "3.1.0"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "description"]
    assert schema["properties"]["name"]["maxLength"] == MAX_NAME_CHARACTERS
    assert schema["properties"]["description"]["maxLength"] == MAX_DESCRIPTION_CHARACTERS
