"""Checks on Locust's command line: real swarms, and what is refused before they start."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import locust_plugins
import pytest
from locust import log
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.locust import Field, locust_field, scenario

from swarmscope.client import checks
from swarmscope.client.events import announce
from swarmscope.formatting import digits, percent

TWO_ENDPOINTS = """
    @task
    def fail(self):
        self.client.get("/status/500", name="/fails")
"""
SHORT = ("--users", 4, "--spawn-rate", 4, "--run-time", "4s")


@dataclass(frozen=True)
class Seen:
    """A swarm that is over: its status, log, JUnit's file and GitHub's."""

    field: Field
    status: int
    log: str
    junit: Path
    summary: Path


@pytest.fixture(scope="module")
def judged(cluster, target, tmp_path_factory) -> Iterator[Seen]:
    """A master and a worker; checks that hold, one that does not, and one of nothing there."""
    directory = tmp_path_factory.mktemp("judged")
    with (
        fresh_runs_database(cluster) as database,
        locust_field(directory, target.url, database) as field,
    ):
        file = scenario(directory, more=TWO_ENDPOINTS)
        junit, summary = directory / "junit.xml", directory / "summary.md"
        bind = ("--master-bind-host", "127.0.0.1", "--master-bind-port", field.master_port)
        master = field.headless(
            file, "--master", *bind, "--expect-workers", 1, *SHORT,
            "--check-p50", 60_000, "--check-p95", "GET /fast=60000", "--check-p95", "GET /none=9",
            "--check-service-p95", "GET /fails=0", "--check-queue-p95", 60_000,
            "--check-db-calls", "GET /fast=5",
            "--check-fail-ratio", 0.9, "--check-rps", 1, "--check-avg-response-time", 60_000,
            "--check-junit", junit, "--slo-p95", 50_000, "--slo-fail-ratio", 0.9,
            GITHUB_STEP_SUMMARY=str(summary),
        )  # fmt: skip
        field.worker(file)
        status = master.process.wait(90)
        yield Seen(field, status, master.text(), junit, summary)


def table(text: str) -> list[str]:
    """Return the rows of the outcomes' table, with single spaces."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    start = lines.index("check limit value requests span result")
    return lines[start + 1 : lines.index("", start)]


def test_one_table_says_what_held(judged):
    """The master judges once the worker has delivered; locust-plugins' checks are among them."""
    rows = table(judged.log)

    assert judged.status == 3
    assert [re.sub(r" (≤|≥) .* ", " … ", row) for row in rows] == [
        "p50 … pass",
        "p95 of GET /fast … pass",
        "p95 of GET /none … judged",
        "service p95 of GET /fails … FAIL",
        "queue p95 … pass",
        "db calls/request of GET /fast … judged",
        "requests/s … pass",
        "failure ratio … pass",
        "mean response time … pass",
    ]
    assert "no requests of 'GET /none'; there are GET /fails, GET /fast" in judged.log
    assert "no response had 'db' in Server-Timing: nothing used it" in judged.log
    assert "CHECK FAILED" not in judged.log


def test_a_swarm_that_ends_soon_after_ramp_up_is_judged_as_a_whole(judged):
    """The column says of what, and a line below the table says why."""
    rows = table(judged.log)

    assert "after ramp-up" not in " ".join(rows)
    assert re.search(r"^Note: Whole run: only [\d.]+ s and [\d,]+ requests after", judged.log, re.M)


def test_the_status_is_stored_with_the_run(judged):
    """What Locust's process ended with is what the database says."""
    assert judged.field.value("SELECT exit_code FROM testrun") == 3


def test_files_for_ci_systems_say_the_same(judged):
    """Nine cases, one failure, two errors; the same rows in Markdown."""
    suites = ElementTree.parse(judged.junit).getroot()

    assert suites.attrib == {"tests": "9", "failures": "1", "errors": "2"}
    assert judged.summary.read_text().count("| pass |") == 6
    assert judged.summary.read_text().count("### ") == 1


def test_the_command_finds_what_the_swarm_found(judged):
    """`swarmscope check` of the same run has the same values, to the last digit shown."""
    asked = ["--p50", "60000", "--p95", "GET /fast=60000", "--service-p95", "GET /fails=0"]
    done = swarmscope("check", "latest", *asked, "--database", judged.field.database, columns=100)

    rows = table(judged.log)
    assert done.exit_code == 3
    assert table(done.stdout + "\n")[:3] == [rows[0], rows[1], rows[3]]


def test_the_objective_of_the_options_is_stored_with_the_run(judged):
    """A check without limits, the document and `show` judge by it."""
    done = swarmscope("check", "--database", judged.field.database, columns=100)
    shown = json.loads(swarmscope("show", "--json", "--database", judged.field.database).stdout)
    text = swarmscope("show", "--database", judged.field.database, columns=120).stdout

    assert done.exit_code == 0
    assert [row.split(" whole")[0] for row in table(done.stdout + "\n")[:2]] == [
        f"p95 ≤ 50,000 ms {digits(shown['totals']['response']['p95_ms'])} ms"
        f" {shown['totals']['requests']:,}",
        f"failure ratio ≤ 90% {percent(shown['totals']['fail_ratio'])}"
        f" {shown['totals']['requests']:,}",
    ]
    assert shown["objective"] == {
        "quantile": 0.95, "limit_ms": 50_000, "fail_ratio": 0.9, "met": True, "reason": "",
    }  # fmt: skip
    assert "met (p95 within 50,000 ms, at most 90% failed)" in text


def test_what_nobody_can_tell_has_a_status_of_its_own(cluster, target, tmp_path):
    """The database is away until the drain time is over: 4, with the reason, within bounds."""
    with locust_field(tmp_path, target.url, "host=127.0.0.1 port=1") as field:
        short = ("--users", 1, "--run-time", "1s", "--drain-time", 1, "--check-p95", 1000)
        locust = field.headless(scenario(tmp_path), *short)
        status = locust.process.wait(60)

    assert status == 4
    assert "Not judged: the runs database cannot be reached" in locust.text()
    assert table(locust.text()) == ["p95 ≤ 1,000 ms – after ramp-up not judged"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--timescale", "--check-p95", "soon"], "--check-p95 'soon' is not a number of ms"),
        (["--timescale", "--check-p99", "GET /="], "--check-p99 'GET /=' is not"),
        (["--timescale", "--check-queue-p95=-1"], "--check-queue-p95 '-1'"),
        (["--check-fail-ratio", "7"], "--check-fail-ratio '7.0'"),
        (["--check-rps", "nan"], "--check-rps 'nan'"),
        (["--check-capacity-users", "-3"], "--check-capacity-users '-3'"),
        (["--check-p95", "5"], "--check-p95 needs --timescale"),
        (["--timescale", "--keep-journals", "--check-p95", "5"], "--check-p95 needs samples that"),
        (["--check-junit", "report.xml"], "--check-junit report.xml: there is no check"),
        (["--check-rps", "1", "--check-junit", "/dev/null/x"], "--check-junit: /dev/null/x cannot"),
    ],
)
def test_nonsense_stops_the_start(parser, given, line):
    """One line, with the option's name."""
    environment = Environment(parsed_options=parser.parse_args(given))
    environment.create_local_runner()

    with pytest.raises(SystemExit) as refusal:
        checks.wanted(environment)
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)


def test_the_web_ui_changes_no_check(parser):
    """No field in its form; what was asked for is read when Locust starts, and stays."""
    parsed = parser.parse_args(["--timescale", "--check-p95", "5", "--check-p95", "GET /a=b=7"])
    environment = Environment(parsed_options=parsed)
    environment.create_local_runner()
    found = checks.wanted(environment)
    parsed.check_p95.clear()

    assert [(t.limit, t.endpoint) for t in found.all] == [(5.0, ""), (7.0, "GET /a=b")]
    assert not {name for name in parser.args_included_in_web_ui if name.startswith("check")}


def test_the_environment_may_ask_too(parser, monkeypatch):
    """One limit as it is, several in brackets."""
    monkeypatch.setenv("LOCUST_CHECK_P50", "30")
    monkeypatch.setenv("LOCUST_CHECK_P95", "[450, GET /tests=300]")
    found = checks.read(parser.parse_args(["--timescale"]))

    assert [(t.metric, t.limit, t.endpoint) for t in found.all] == [
        ("p50", 30.0, ""),
        ("p95", 450.0, ""),
        ("p95", 300.0, "GET /tests"),
    ]


@pytest.fixture
def ended(parser, monkeypatch):
    """Return what ends a process with given checks, requests and failures, and its status."""
    monkeypatch.setattr(log, "unhandled_greenlet_exception", False)  # that of an earlier test

    def end(
        *given: str,
        requests: int = 0,
        failures: int = 0,
        kpis: int = 0,
        users: int | None = None,
    ):
        environment = Environment(parsed_options=parser.parse_args(given))
        environment.create_local_runner()
        checks.attach(environment)
        for number in range(requests):
            environment.stats.log_request("GET", "/", 20, 1)
            if number < failures:
                environment.stats.log_error("GET", "/", "no")
        for _ in range(kpis):
            environment.stats.log_request("KPI", "end to end", 2000, 1)
            environment.stats.log_error("KPI", "end to end", "too late")
        if users is not None:
            announce(environment, "verdict", "an answer", {"users": users})
        environment.events.quitting.fire(environment=environment)
        return environment

    return end


@pytest.mark.parametrize(
    ("given", "counts", "status"),
    [
        (["--check-avg-response-time", "20"], {"requests": 10}, None),
        (["--check-avg-response-time", "19.9"], {"requests": 10}, 3),
        (["--check-fail-ratio", "0.1"], {"requests": 10, "failures": 1}, None),
        (["--check-fail-ratio", "0.05"], {"requests": 10, "failures": 1}, 3),
        (["--check-fail-ratio", "0.05"], {}, 4),
        (["--check-fail-ratio", "0.05"], {"requests": 19}, 4),
        (["--check-fail-ratio", "0.05"], {"requests": 20}, None),
        (["--check-capacity-users", "50"], {"users": 50}, None),
        (["--check-capacity-users", "50"], {"users": 49}, 3),
        (["--check-capacity-users", "50"], {}, 4),
        (["--check-capacity-users", "50", "--check-fail-ratio", "0"],
         {"requests": 9, "failures": 9}, 3),
        ([], {"requests": 1, "failures": 1}, None),
    ],
)  # fmt: skip
def test_without_a_database_locusts_own_count_is_judged(ended, given, counts, status):
    """As locust-plugins judges it; but where nothing was counted nothing holds."""
    assert ended(*given, **counts).process_exit_code == status


def test_figures_that_are_no_requests_are_not_judged(ended):
    """HTTP decides where there is any, unless somebody says what counts."""
    slow_figure = {"requests": 10, "kpis": 10}  # 20 ms each, and 2 s each

    def status(*more: str) -> int | None:
        options = ("--check-avg-response-time", "20", "--check-fail-ratio", "0")
        return ended(*options, *more, **slow_figure).process_exit_code

    assert status() is None
    assert status("--slo-requests", "*") == 3
    assert status("--slo-requests", "GET") is None
    assert status("--slo-requests", "KPI") == 3
    assert status("--slo-requests", "POST") == 4, "nothing that counts is nothing to judge"


def test_failures_that_are_judged_do_not_fail_the_process_again(ended):
    """As with locust-plugins: what is allowed to fail leaves the status alone."""
    allowed = ended("--check-fail-ratio", "0.5", requests=4, failures=1)
    unjudged = ended("--check-avg-response-time", "50", requests=4, failures=1)

    assert allowed.parsed_options.exit_code_on_error == 0
    assert "exit_code_on_error" not in vars(unjudged.parsed_options)


def test_locust_plugins_judges_nothing_beside_us():
    """One owner of the exit status; all of its options are judged here."""
    stock = {action.dest for action in _stock()._actions if action.dest.startswith("check_")}

    assert stock == {checks.attribute(metric) for metric in checks.COUNTED}


def _stock() -> LocustArgumentParser:
    parser = LocustArgumentParser()
    locust_plugins.add_arguments(parser)
    return parser
