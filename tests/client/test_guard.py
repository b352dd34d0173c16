"""Other people's web pages and the Locust UI: what a foreign page may send, and what it gets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests
from support.databases import fresh_runs_database
from support.locust import Field, Locust, locust_field, scenario
from support.target import Target
from support.waiting import poll_until

EVIL = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
START = {"user_count": "1", "spawn_rate": "1"}
ARGUMENT = """
from locust import events

@events.init_command_line_parser.add_listener
def add_argument(parser):
    parser.add_argument("--flavour", default="plain")
"""


@pytest.fixture(scope="module")
def guarded(cluster, target, tmp_path_factory) -> Iterator[Locust]:
    """Run Locust with its UI and our listener."""
    directory = tmp_path_factory.mktemp("guarded")
    with (
        fresh_runs_database(cluster) as database,
        locust_field(directory, target.url, database) as field,
    ):
        password = ("--pgpassword", "open-sesame")
        yield field.with_ui(scenario(directory, more=ARGUMENT), *password)


def post(locust: Locust, path: str, form: dict[str, str], **headers: str) -> requests.Response:
    """Send a form as a browser would."""
    return requests.post(f"{locust.url}{path}", data=form, headers=headers, timeout=10)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1:1"},  # another port is another site
        {"Origin": "null"},  # a sandboxed frame
        {"Origin": "http://[broken"},
        {"Host": "[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},  # a name that an attacker lets point to 127.0.0.1
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/swarm", "/stop", "/stats/reset", "/user"])
def test_a_foreign_page_changes_nothing(guarded: Locust, path, headers):
    """A request that another page may have sent is refused before Locust sees it."""
    answer = post(guarded, path, START if path == "/swarm" else {}, **headers)
    assert answer.status_code == 403
    assert answer.json()["message"].startswith("Refused: ")
    assert guarded.state()["state"] == "ready"


@pytest.mark.parametrize(
    "field",
    [
        "pghost",
        "pgport",
        "pgpassword",
        "html_file",
        "csv_prefix",
        "json_file",
        "logfile",
        "grafana_url",
        "journal_dir",
        "timescale",
        "swarmscope_run",
        "swarmscope_plan",
        "tags",
        "description",
        "stop_timeout",
    ],
)
def test_the_ui_changes_a_few_options_only(guarded: Locust, field):
    """No form may set where credentials go or what files are written."""
    answer = post(guarded, "/swarm", {**START, field: "x"})
    assert answer.status_code == 403
    assert field in answer.json()["message"]


def test_a_multipart_form_is_no_way_around(guarded: Locust):
    """Locust reads multipart forms too: they are refused as a whole."""
    answer = requests.post(
        f"{guarded.url}/swarm", files={"pghost": (None, "evil.example")}, timeout=10
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/stats/requests", "/stats/report", "/exceptions"])
def test_a_name_that_points_here_reads_nothing(guarded: Locust, path):
    """To a browser a page under such a name is of one origin with ours (DNS rebinding)."""
    answer = requests.get(f"{guarded.url}{path}", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 403
    assert "--web-allowed-hosts" in answer.json()["message"]
    own = requests.get(f"{guarded.url}{path}", headers={"Host": "localhost:8089"}, timeout=10)
    assert own.status_code == 200


def test_no_other_page_can_read(guarded: Locust):
    """Answers carry no CORS header, so browsers keep them from other pages."""
    for path in ("/", "/stats/requests", "/no-such-page"):
        answer = requests.get(f"{guarded.url}{path}", headers=EVIL, timeout=10)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_the_page_holds_no_password(guarded: Locust):
    """Locust prints custom options into its page; the database's are not among them."""
    page = requests.get(guarded.url, timeout=10).text
    assert "flavour" in page
    assert "open-sesame" not in page
    assert "pghost" not in page


def test_the_own_page_starts_and_stops(guarded: Locust, target: Target):
    """The UI's own requests pass, a scenario's argument among their fields."""
    own = {"Origin": guarded.url, "Sec-Fetch-Site": "same-origin"}
    form = {**START, "host": target.url, "run_time": "", "profile": "", "flavour": "sweet"}
    assert post(guarded, "/swarm", form, **own).json()["success"]
    poll_until(lambda: guarded.state()["user_count"] == 1, "a user")
    assert post(guarded, "/stop", {}, **own).json()["success"]
    poll_until(lambda: guarded.state()["state"] == "stopped", "the swarm to stop")


@pytest.mark.parametrize(
    "listener",
    ["ours", pytest.param("stock", marks=pytest.mark.xfail(strict=True, reason="tried: it does"))],
)
def test_a_foreign_page_gets_no_credentials(field: Field, listener):
    """A page that redirects the database connection gets nobody to connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        locust = field.with_ui(scenario(field.directory, listener=listener), PGPASSWORD="secret")
        form = {**START, "pghost": "127.0.0.1", "pgport": str(trap.getsockname()[1])}
        answer = post(locust, "/swarm", form, **EVIL)
        trap.settimeout(3)
        with pytest.raises(TimeoutError):
            trap.accept()
    assert answer.status_code == 403
