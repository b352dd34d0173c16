"""The page in Locust's UI: what it is given says what the database says, and harms nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import requests
from click.testing import CliRunner
from support.databases import database_of_roles
from support.locust import Locust, locust_field, scenario
from support.profiles import PAY, profile
from support.swarm import Stack, running_stack
from support.waiting import poll_until

from swarmscope.cli import main
from swarmscope.runs import assembly, captures, document, queries, server_series
from swarmscope.runs.document import Document
from swarmscope.runs.profiles import storage
from swarmscope.runs.resources.model import ResourceKey

SCENARIO = Path(__file__).parents[2] / "dashboards/_scenario.py"
USERS = 6
NAMED = '{"swarm": {"use": "sum(locust_users)", "limit": 12}, "none": {"use": "sum(nothing)"}}'
LOGIN = """
from flask_login import UserMixin, login_user
from locust import events

class Person(UserMixin):
    id = "someone"

@events.init.add_listener
def ask_who_it_is(environment, **_):
    app = environment.web_ui.app
    app.secret_key = "known to this test"
    environment.web_ui.login_manager.user_loader(lambda name: Person())

    @app.get("/let-me-in")
    def let_in():
        login_user(Person())
        return "welcome"
"""


def get(url: str, **more: Any) -> requests.Response:
    return requests.get(url, timeout=30, **more)


@dataclass(frozen=True)
class Seen:
    """A swarm that is over, and what the page was given while it was on."""

    stack: Stack
    running: Document
    tags: list[str]  # of ten pages that asked at once
    readers: int  # processes that read for them

    @property
    def pages(self) -> str:
        return f"{self.stack.locust}/both-ends"


@pytest.fixture(scope="module")
def seen(cluster, tmp_path_factory) -> Iterator[Seen]:
    """Let ten pages look at a swarm that was started from the UI."""
    directory = tmp_path_factory.mktemp("seen")
    with (
        database_of_roles(cluster) as database,
        running_stack(
            directory, database.owner, SCENARIO, workers=1, captures=True, LOCUST_RESOURCES=NAMED
        ) as stack,
    ):
        stack.start(USERS, USERS)
        running = poll_until(lambda: everything_is_there(stack), "both ends on the page", 60)
        tags, readers = ten_pages(stack)
        stack.stop()
        poll_until(stack.all_delivered, "the run to be complete", 60)
        yield Seen(stack, running, tags, readers)


def everything_is_there(stack: Stack) -> Document | None:
    answer = get(f"{stack.locust}/both-ends/run/latest.json")
    if answer.status_code != 200:
        return None
    made = document.decode(answer.content)
    parts = made.totals and made.totals.service and made.generator and made.points.users[-1]
    return made if parts and made.server else None


def ten_pages(stack: Stack) -> tuple[list[str], int]:
    url = f"{stack.locust}/both-ends/run/latest.json"
    with ThreadPoolExecutor(10) as pages:
        answers = list(pages.map(get, 10 * [url]))
    locust = psutil.Process(listener_of(stack.locust))
    readers = [p for p in locust.children() if "swarmscope.runs.page.reader" in p.cmdline()]
    return [answer.headers["ETag"] for answer in answers], len(readers)


def listener_of(url: str) -> int:
    port = int(url.rpartition(":")[2])
    found = psutil.net_connections("tcp4")
    return next(c.pid for c in found if c.status == "LISTEN" and c.laddr.port == port)


def captured(stack: Stack) -> bool:
    with psycopg.connect(stack.database) as connection:
        return connection.execute("SELECT count(*) FROM server_capture").fetchone() == (1,)


def test_resources_are_stored_with_the_run(seen):
    """The service's, the generator's, and the one that an option names by PromQL."""
    poll_until(lambda: captured(seen.stack), "the services' series to be stored", 60)
    with psycopg.connect(seen.stack.database) as connection:
        capture = captures.stored(connection, queries.find(connection, "latest").run_id)

    swarm = capture.resources[ResourceKey("", "setting", "swarm")]
    assert max(filter(None, swarm.used)) == USERS
    assert {*filter(None, swarm.places)} == {12}
    assert {("api", "python"), ("api", "backlog"), ("", "generator")} <= {
        (key.job, key.kind) for key in capture.resources
    }
    assert ("", "setting", "none") not in {(k.job, k.kind, k.detail) for k in capture.resources}


def test_it_tells_of_both_ends_while_the_swarm_is_on(seen):
    """Users, rates, the client's and the server's part, failures, saturation, the generator."""
    made = seen.running

    assert made.run.status == "running"
    assert not made.completeness.complete
    assert max(filter(None, made.points.users)) == USERS
    assert made.totals.requests > 0
    assert made.totals.service.p50_ms <= made.totals.response.max_ms
    assert max(made.generator.cpu_ratio) > 0
    assert {series.job for series in made.server.series} == {"api"}
    assert made.grafana_url.endswith("&to=now")


def test_ten_pages_cost_what_one_does(seen):
    """All that ask at once get one document, from one process."""
    assert len(seen.tags) == 10
    assert len(set(seen.tags)) == 1
    assert seen.readers == 1


def complete(seen: Seen) -> Document | None:
    made = document.decode(get(f"{seen.pages}/run/latest.json").content)
    return made if made.completeness.complete else None


def rounded(made: Document) -> Any:
    """Return what is in a document, its floats to twelve digits.

    PostgreSQL adds them in any order, and the last digits of a sum depend on it.
    """
    return json.loads(document.encode(made), parse_float=lambda text: float(f"{float(text):.12g}"))


def test_the_page_has_the_figures_of_show_and_of_the_summary(seen):
    """To the last digit that is certain, for the page, for `show --json` and for SQL."""
    made = poll_until(lambda: complete(seen), "the page to tell of the run's end", 30)
    answer = CliRunner().invoke(main, ["show", "--json", "--database", seen.stack.database])
    with psycopg.connect(seen.stack.database, autocommit=True) as connection:
        run = queries.find(connection, "latest")
        rows = queries.summary(connection, run.run_id)
        stored = assembly.assemble(connection, run.run_id)

    shown = document.decode(answer.stdout)
    of_prometheus = {"server": None, "services": [], "statements": None, "calls": None}
    of_prometheus |= {"findings": []}  # may not be stored yet
    made, shown, stored = (replace(one, **of_prometheus) for one in (made, shown, stored))
    assert rounded(made) == rounded(shown) == rounded(stored)
    assert made.run.id == seen.running.run.id
    assert made.completeness.complete
    total = next(row for row in rows if (row.name, row.part) == ("", "response"))
    assert made.totals.requests == run.requests == total.requests
    assert made.totals.response.p95_ms == run.p95_ms == total.p95_ms
    assert {e.name for e in made.endpoints} == {row.name for row in rows} - {""}
    assert sum(error.failures for error in made.errors) > 0
    assert [e.kind for e in made.events] == ["started", "ramp_up_complete", "trust", "stopped"]
    assert made.trust.text in [e.text for e in made.events]


def test_profiles_come_apart_from_the_document(seen):
    """As they are stored; a run that does not exist is not found there either."""
    with psycopg.connect(seen.stack.database, autocommit=True) as connection:
        run = queries.find(connection, "latest")
        span = run.started, run.started + timedelta(seconds=5)
        taken = profile(("/tests", 1_234, PAY))
        storage.store(connection, run.run_id, "profiled", *span, taken)

    shown = get(f"{seen.pages}/run/{run.run}/profiles.json").json()

    found = [one for one in shown["windows"] if one["service"] == "profiled"]
    assert [one["stacks"] for one in found] == [[["/tests", [0, 1], 1_234]]]
    assert found[0]["label"] == "0:00 to 0:15"
    assert get(f"{seen.pages}/run/1999/profiles.json").status_code == 404


def test_runs_are_listed(seen):
    """As `swarmscope runs --json` lists them."""
    listed = CliRunner().invoke(main, ["runs", "--json", "--database", seen.stack.database])

    runs = poll_until(
        lambda: [r for r in get(f"{seen.pages}/runs.json").json() if r["complete"]], "the run", 30
    )
    assert runs == json.loads(listed.stdout)


def test_answers_are_short(seen):
    """Compressed for who can take it, and left out for who has it already; never cached blindly."""
    url = f"{seen.pages}/run/{seen.running.run.id}.json"

    packed = get(url)
    plain = get(url, headers={"Accept-Encoding": "identity"})
    again = get(url, headers={"If-None-Match": packed.headers["ETag"]})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content
    assert (again.status_code, again.content) == (304, b"")
    assert "no-cache" in packed.headers["Cache-Control"]
    assert not [name for name in packed.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("run", ["1999", "x%00", "latest~7", "a" * 300, "..%2f..%2fetc%2fpasswd"])
def test_a_run_that_is_not_there(seen, run):
    """A sentence says so."""
    answer = get(f"{seen.pages}/run/{run}.json")

    assert answer.status_code == 404
    if "/" not in requests.utils.unquote(run):
        assert answer.json()["message"].startswith("there is no run")


def test_the_ui_links_to_the_page(seen):
    """Locust's own page has a link to ours, which is all of one piece."""
    assert '<a href="/both-ends"' in get(seen.stack.locust).text
    page = get(seen.pages)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Both ends" in page.text


@pytest.fixture(scope="module")
def lonely(target, tmp_path_factory) -> Iterator[Locust]:
    """Run Locust behind a login and a base path, with a runs database that is nowhere."""
    directory = tmp_path_factory.mktemp("lonely")
    nowhere = "host=127.0.0.1 port=1 user=nobody dbname=none password=hunter2"
    with locust_field(directory, target.url, nowhere) as field:
        options = ("--web-login", "--web-base-path", "/load")
        yield field.with_ui(scenario(directory, more=LOGIN), *options)


def test_only_who_is_logged_in_sees_it(lonely):
    """With --web-login every address of ours leads to the login."""
    for path in ("", "/runs.json", "/run/latest.json", "/run/latest/profiles.json"):
        answer = get(f"{lonely.url}/load/both-ends{path}", allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"][:11]) == (302, "/load/login")


def test_the_page_says_that_the_database_is_away(lonely):
    """The page comes all the same, a sentence without a password says why it is empty."""
    with requests.Session() as person:
        person.get(f"{lonely.url}/let-me-in", timeout=30).raise_for_status()
        page = person.get(f"{lonely.url}/load/both-ends", timeout=30)
        answer = person.get(f"{lonely.url}/load/both-ends/run/latest.json", timeout=30)
        index = person.get(f"{lonely.url}/load/", timeout=30)
        started = person.post(
            f"{lonely.url}/load/swarm", {"user_count": 2, "spawn_rate": 2}, timeout=30
        ).json()
        stats = f"{lonely.url}/load/stats/requests"
        poll_until(lambda: person.get(stats, timeout=30).json()["user_count"] == 2, "a swarm")
        still = person.get(f"{lonely.url}/load/both-ends/runs.json", timeout=30)
        person.post(f"{lonely.url}/load/stop", timeout=30)

    assert page.status_code == 200
    assert answer.status_code == still.status_code == 503
    assert "the runs database cannot be reached" in answer.json()["message"]
    assert "hunter2" not in answer.text
    assert 'href="/load/both-ends"' in index.text
    assert started["success"]


def test_the_services_series_are_kept(seen):
    """What Prometheus knew stays in the database, in names that say their units, bounded."""
    poll_until(lambda: captured(seen.stack), "the services' series to be stored", 60)
    shown = CliRunner().invoke(main, ["show", "--json", "--database", seen.stack.database])
    made = document.decode(shown.stdout)

    poll_until(lambda: complete(seen) == made, "the page to have them too", 30)
    series = {s.name: s.values for s in made.server.series}
    assert set(series) == server_series.RATES.keys() | server_series.GAUGES.keys()
    assert {len(values) for values in series.values()} == {len(made.server.t_s)}
    assert max(filter(None, series["requests_per_s"])) > 0
    assert max(filter(None, series["workers"])) == 2
    assert 0 < max(filter(None, series["worker_cpu_max_ratio"])) < 2
    assert max(filter(None, series["in_flight_requests"]), default=0) <= 2 * USERS
