"""The kinds of Flask app that people have, unchanged, from our wheel to a page and a verdict.

Each project in ``kinds/`` has an environment of its own that holds none of ours; swarmscope has
one of the built wheel.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.environments import build_wheel, foreign_programs
from support.native import Native, native
from support.scraping import scrape
from support.waiting import poll_until

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

KINDS = Path(__file__).parent / "kinds"
COUNTED = "flask_http_request_total"
VERDICT = re.compile(
    r"The application can handle (at least )?[\d.,]+ requests per second from (at least )?[\d,]+"
    r"(, below [\d,]+)? users?|The application cannot meet p95 within [\d.,]+ ms"
    r"|Nothing is known about the application: "
)
EMBEDDED = re.compile(r'<script type="application/json" id="run-data">(.*?)</script>', re.S)

WORKER = """
[services.worker]
command = "celery -A make_celery worker --concurrency 1"
listens = false
"""


@dataclass(frozen=True)
class Kind:
    """A project: a rule that is called, the app if it must be named, what its README says to do.

    *beside* is what its owner adds to ``swarmscope.toml``.
    """

    rule: str
    app: str | None = None
    prepare: tuple[str, ...] = ()
    beside: str = ""


APPS = {
    "single_file": Kind("/projects/"),
    "factory": Kind("/threads/<int:thread_id>"),
    "blueprints": Kind("/", prepare=("flask", "--app", "flaskr", "init-db")),
    "restx": Kind("/todos/<int:id>"),
    "smorest": Kind("/pets/<pet_id>"),
    "sock": Kind("/"),
    "socketio": Kind("/"),
    "apscheduler": Kind("/"),
    "celery": Kind("/tasks/total", beside=WORKER),
    "httpbin": Kind("/uuid", app="httpbin:app"),
}


@pytest.fixture(scope="module")
def swarmscope(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return the command of our wheel, installed in an environment that was empty."""
    directory = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(directory)
    return (str(foreign_programs(directory / "env", "3.11", f"{wheel}[stack]") / "swarmscope"),)


@pytest.fixture
def project(
    request: pytest.FixtureRequest, tmp_path: Path, swarmscope: tuple[str, ...]
) -> Iterator[Native]:
    """Return a project as its owner has it, and how swarmscope is run there."""
    directory = tmp_path / request.param
    shutil.copytree(KINDS / request.param, directory)
    programs = foreign_programs(
        directory / ".venv", "3.11", "-r", str(directory / "requirements.txt")
    )
    if command := APPS[request.param].prepare:
        subprocess.run([programs / command[0], *command[1:]], cwd=directory, check=True)
    stack = replace(native(directory, directory / ".swarmscope"), swarmscope=swarmscope)
    yield stack
    stack.run("down")
    stack.kill_leftovers()


@pytest.mark.parametrize(("project", "kind"), APPS.items(), ids=APPS, indirect=["project"])
def test_a_verdict_in_one_command(project: Native, kind: Kind) -> None:
    """The report has both ends of it, and says what was printed."""
    process = project.popen("try", *([kind.app] if kind.app else []), "--run-time", "60s")
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed

    (data,) = EMBEDDED.findall((project.directory / "swarmscope-try.html").read_text())
    document = json.loads(data)
    assert VERDICT.match(document["verdict"]["text"])
    assert document["verdict"]["text"] in printed
    assert_both_ends(document, kind)


@pytest.mark.parametrize(("project", "kind"), APPS.items(), ids=APPS, indirect=["project"])
def test_what_was_sent_is_counted_and_stored(project: Native, kind: Kind) -> None:
    """By `init`, `up` and a swarm."""
    written = project.run("init", *(["--app", kind.app] if kind.app else []))
    assert written.returncode == 0, written.stdout + written.stderr
    with (project.directory / "swarmscope.toml").open("a") as file:
        file.write(kind.beside)
    started = project.run("up", "--detach", "--only", "postgres", "--only", "app")
    assert started.returncode == 0, started.stdout + started.stderr
    ran = project.run("locust", "--headless", "-u", "10", "-r", "10", "-t", "20s", "--json")
    sent = sum(each["num_requests"] for each in json.loads(ran.stdout))
    metrics = f"http://127.0.0.1:{project.environment['API_METRICS_PORT']}/metrics"
    poll_until(lambda: answered(metrics) >= sent, "all requests to be counted")

    stored = project.run("export", "latest").stdout.splitlines()[1:]
    assert sent > 0
    assert answered(metrics) == len(stored) == sent
    assert_both_ends(json.loads(project.run("show", "latest", "--json").stdout), kind)
    if kind.beside:
        results = project.directory / "results"
        poll_until(lambda: any(results.iterdir()), "a task to be done by the worker")


def answered(metrics: str) -> float:
    """Return the requests that a service counted, without the redirects on the way to an answer."""
    found = scrape(metrics)
    return found.total(COUNTED) - found.total(COUNTED, status="302")


def assert_both_ends(document: dict, kind: Kind) -> None:
    """The client's and the service's figures of a rule are there."""
    (endpoint,) = (each for each in document["endpoints"] if each["name"] == kind.rule)
    assert endpoint["requests"] > 0
    assert endpoint["response"]["p50_ms"] >= 0
    assert endpoint["service"]["p50_ms"] >= 0
