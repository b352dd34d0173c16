"""The options, frozen: flags before variables, libpq's own means beside both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from locust import events

from swarmscope.client.frozen_options import freeze, plan_name
from swarmscope.client.recording.run_links import grafana_link

RUN = "2023-11-14T22:13:20.250000Z"


def parsed(**more: object) -> SimpleNamespace:
    """Return what Locust's parser leaves when no option is given."""
    defaults = {
        "override_plan_name": "",
        "locustfile": "scenario.py",
        "grafana_url": "http://grafana/d/swarmscope-swarm",
        "test_env": "",
        "test_version": "",
        "description": "",
        "ips": 0,
        "pghost": "localhost",
        "pgport": "",
        "pguser": "",
        "pgpassword": "",
        "pgdatabase": "",
        "journal_dir": "",
        "journal_limit": 1,
        "drain_time": 30.0,
        "web_allowed_hosts": "",
        "prometheus_url": "",
        "services": "",
        "resources": "",
        "keep_journals": False,
    }
    return SimpleNamespace(**{**defaults, **more})


@pytest.mark.parametrize(
    ("given", "environ", "connection"),
    [
        ({}, {}, {"PGHOST": "localhost"}),
        ({"pghost": "db", "pgport": "1"}, {"PGHOST": "db"}, {"PGHOST": "db", "PGPORT": "1"}),
        ({}, {"PGSERVICE": "runs"}, {}),
        ({}, {"PGHOSTADDR": "10.0.0.1"}, {}),
        ({"pghost": "db"}, {"PGSERVICE": "runs"}, {"PGHOST": "db"}),
        ({"pghost": "localhost"}, {"PGSERVICE": "runs", "PGHOST": "localhost"},
         {"PGHOST": "localhost"}),
        ({"pguser": "me", "pgdatabase": "runs"}, {},
         {"PGHOST": "localhost", "PGUSER": "me", "PGDATABASE": "runs"}),
    ],
)  # fmt: skip
def test_flags_become_libpqs_variables(given, environ, connection):
    """A flag that was not given does not hide what a service file says."""
    assert freeze(parsed(**given), environ).connection == connection


@pytest.mark.parametrize(
    ("given", "environ", "found"),
    [
        ({}, {}, True),
        ({"pghost": ""}, {"PGHOST": "", "PGSERVICE": ""}, True),
        ({}, {"PGHOST": "localhost"}, False),
        ({}, {"PGSERVICE": "runs"}, False),
        ({"pghost": "db"}, {}, False),
        ({"pgdatabase": "runs"}, {}, False),
    ],
)
def test_where_nothing_names_a_database_it_is_that_of_the_home(tmp_path, given, environ, found):
    """A swarm from a terminal beside `swarmscope up` needs no variable; one that is set holds."""
    url = "postgresql://swarmscope@127.0.0.1:1/swarmscope?passfile=/p"
    (tmp_path / "database.url").write_text(url + "\n")
    environ = environ | {"SWARMSCOPE_HOME": str(tmp_path)}

    assert freeze(parsed(**given), environ).database == (url if found else "")


def test_it_is_known_whether_anything_names_a_database(tmp_path):
    """If not, libpq's defaults are a guess, and the log says so."""
    nowhere = {"SWARMSCOPE_HOME": str(tmp_path)}

    assert not freeze(parsed(), nowhere).knows_database
    assert freeze(parsed(pgport="1"), nowhere).knows_database
    assert freeze(parsed(), nowhere | {"PGSERVICE": "runs"}).knows_database
    (tmp_path / "database.url").write_text("postgresql://swarmscope@127.0.0.1:1/swarmscope\n")
    assert freeze(parsed(), nowhere).knows_database


def test_the_link_leads_to_the_grafana_of_the_home(tmp_path):
    """What a flag says holds; with a database of one's own, no Grafana is known."""
    environ = {"SWARMSCOPE_HOME": str(tmp_path)}
    (tmp_path / "database.url").write_text("postgresql://swarmscope@127.0.0.1:1/swarmscope\n")
    (tmp_path / "grafana.url").write_text("http://127.0.0.1:3100/d/swarmscope-swarm\n")

    def link(**given: str) -> str:
        return freeze(parsed(**{"grafana_url": "", **given}), environ).grafana_url

    assert link() == "http://127.0.0.1:3100/d/swarmscope-swarm"
    assert link(grafana_url="http://mine/d/swarmscope-swarm") == "http://mine/d/swarmscope-swarm"
    assert link(pghost="db") == ""
    (tmp_path / "grafana.url").unlink()
    assert link() == ""


@pytest.mark.parametrize(
    ("locustfile", "name"),
    [
        ("locustfile.py", "locustfile.py"),
        ("./loadtest/", "loadtest"),
        ("loadtest/a.py, loadtest/b.py", "loadtest/a.py,loadtest/b.py"),
        (str(Path.cwd() / "loadtest/a.py"), "loadtest/a.py"),
        ("../env/lib/python3.11/site-packages/swarmscope/shipped/locustfiles", "locustfiles"),
        ("/tmp/scratch/locustfile.py", "locustfile.py"),
        ("https://scenarios.example/a.py", "https://scenarios.example/a.py"),
        ("", ""),
    ],
)
def test_a_plan_has_the_same_name_wherever_it_is_installed(locustfile, name):
    """Its path as seen from here, or the last part of one that leads elsewhere."""
    assert plan_name(locustfile) == name


def test_the_password_is_taken_out_of_what_locust_sends_around():
    """Locust sends its parsed options to every worker, in clear."""
    options = parsed(pgpassword="hush")
    frozen = freeze(options, {})
    assert frozen.connection["PGPASSWORD"] == "hush"
    assert frozen.secrets == ("hush",)
    assert options.pgpassword == ""


def test_secret_options_of_a_scenario_are_known():
    """By their names, or because the scenario says so: their values are shown nowhere."""

    def add_arguments(parser) -> None:
        parser.add_argument("-k", "--login-password")
        parser.add_argument("--realm", is_secret=True)
        parser.add_argument("--colour")

    events.init_command_line_parser.add_listener(add_arguments)
    try:
        frozen = freeze(parsed(login_password="hush", realm="mine", colour="red"), {})
    finally:
        events.init_command_line_parser.remove_listener(add_arguments)
    assert frozen.secrets == ("hush", "mine")


def test_what_is_frozen_stays():
    """Later changes of Locust's options change nothing."""
    options = parsed(pgpassword="hush")
    frozen = freeze(options, {})
    before = dict(frozen.connection)
    vars(options).update(pghost="evil", pgport="1", journal_dir="/elsewhere", pgpassword="")
    assert frozen.connection == before
    with pytest.raises(TypeError):
        frozen.connection["PGHOST"] = "evil"


@pytest.mark.parametrize(
    ("given", "environ", "directory"),
    [
        ({}, {}, Path.cwd() / ".swarmscope/journals"),
        ({}, {"SWARMSCOPE_HOME": "/home/x"}, Path("/home/x/journals")),
        ({"journal_dir": "/elsewhere"}, {"SWARMSCOPE_HOME": "/home/x"}, Path("/elsewhere")),
    ],
)
def test_journals_lie_in_the_home(given, environ, directory):
    """The option goes before the home, the home before the working directory."""
    assert freeze(parsed(**given), environ).journal_directory == directory


@pytest.mark.parametrize(
    ("url", "before", "after"),
    [
        ("http://g/d/swarm", "http://g/d/swarm?", ""),
        ("http://g/d/swarm?", "http://g/d/swarm?", ""),
        ("http://g/d/swarm?orgId=1", "http://g/d/swarm?orgId=1&", ""),
        ("http://g/d/swarm?orgId=1&", "http://g/d/swarm?orgId=1&", ""),
        ("http://g/d/swarm#panel", "http://g/d/swarm?", "#panel"),
        ("http://me:hush@g/d/swarm?auth_token=hush", "http://g/d/swarm?auth_token=***&", ""),
    ],
)
def test_links_work_with_any_url(url, before, after):
    """Run and range are added whatever stands in the URL already."""
    chosen = "var-run=2023-11-14T22%3A13%3A20.250000Z&from=1700000000250&to="
    assert grafana_link(url, RUN) == f"{before}{chosen}now{after}"
    assert grafana_link(url, RUN, 1_700_000_010.0) == f"{before}{chosen}1700000011000{after}"
