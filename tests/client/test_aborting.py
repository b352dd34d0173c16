"""`--check-abort` on real swarms: what cannot pass is ended, says so, and never passes."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.locust import Field, Locust, locust_field, scenario
from support.waiting import poll_until

LONG = ("--users", 4, "--spawn-rate", 4, "--run-time", "120s", "--check-abort")
NOWHERE = "http://127.0.0.1:9"  # nothing listens there


@dataclass(frozen=True)
class Ended:
    """Three swarms: a failing one with a worker, one without a target, one that is well."""

    field: Field
    failing: Locust
    dead: Locust
    well: Locust
    junit: Path


@pytest.fixture(scope="module")
def ended(cluster, target, tmp_path_factory) -> Iterator[Ended]:
    directory = tmp_path_factory.mktemp("ended")
    with (
        fresh_runs_database(cluster) as database,
        locust_field(directory, target.url, database) as field,
    ):
        (directory / "failing").mkdir()
        file, failing = scenario(directory), scenario(directory / "failing", "/status/500")
        junit = directory / "junit.xml"
        bind = ("--master-bind-host", "127.0.0.1", "--master-bind-port", field.master_port)
        locusts = (
            field.headless(
                failing, "--master", *bind, "--expect-workers", 1, *LONG, "--check-p95", 60_000,
                "--check-fail-ratio", 0.01, "--check-junit", junit,
            ),
            field.with_ui(file, "--check-abort", "--host", NOWHERE),
            field.headless(
                file, *LONG, "--run-time", "12s", "--check-p95", 60_000, "--check-fail-ratio", 0.5
            ),
        )  # fmt: skip
        field.worker(failing)
        locusts[1].start(2)
        poll_until(lambda: locusts[1].state()["state"] == "stopped", "the end of a dead run", 60)
        for locust in (locusts[0], locusts[2]):
            locust.process.wait(90)
        yield Ended(field, *locusts, junit)


def run_of(ended: Ended, locust: Locust) -> str:
    (run,) = set(re.findall(r"run +(2\S+Z) of", locust.text()))
    return run


def test_what_cannot_pass_is_ended(ended):
    """Long before its time; in the log, in the table, and by the exit status."""
    log = ended.failing.text()
    reason = (
        r"Ended early: failure ratio ≤ 1% cannot be met any more \(([\d,]+) of \1 requests failed\)"
    )

    assert ended.failing.process.wait(1) == 3
    assert re.search(reason, log)
    assert re.search(r"failure ratio +≤ 1% +100.0% .* FAIL", log)
    assert re.search(r"p95 +≤ 60,000 ms .* not judged", log)
    assert "Not judged: the run was ended early." in log
    assert "--run-time limit reached" not in log


def test_an_early_end_is_stored_with_the_run(ended):
    """As an event and in the document; `check` finds the same, whatever is asked of it."""
    run, database = run_of(ended, ended.failing), ended.field.database
    shown = json.loads(swarmscope("show", run, "--json", "--database", database).stdout)
    brief = swarmscope("show", run, "--brief", "--database", database).stdout
    events = [event["kind"] for event in shown["events"]]
    lost = swarmscope("check", run, "--fail-ratio", "0.01", "--json", "--database", database)
    other = swarmscope("check", run, "--p95", "60000", "--database", database, columns=200)

    assert shown["ended_early"].startswith("Ended early: failure ratio ≤ 1%")
    assert f"ended          {shown['ended_early']}." in brief
    assert events.count("ended_early") == 1
    assert (lost.exit_code, json.loads(lost.stdout)["notes"][0]) == (3, f"{shown['ended_early']}.")
    assert other.exit_code == 4
    assert "Not judged: the run was ended early." in other.stdout


def test_files_for_ci_systems_know_it(ended):
    """One failure; the other limit is an error."""
    suites = ElementTree.parse(ended.junit).getroot()

    assert suites.attrib == {"tests": "2", "failures": "1", "errors": "1"}
    assert [e.get("message") for e in suites.iter("error")] == ["the run was ended early"]


def test_a_dead_target_ends_the_run_and_not_the_ui(ended):
    """No check is needed for that; the process says so with its status when it ends."""
    log = ended.dead.text()

    assert re.search(r"Ended early: no request reached the target for 1\d s \(.*refused", log)
    assert ended.dead.state()["state"] == "stopped"
    assert ended.dead.end(signal.SIGTERM) == 4
    assert "Note: Ended early: no request reached the target" in ended.dead.text()


def test_a_run_that_may_pass_is_left_alone(ended):
    """Until its time is over."""
    assert ended.well.process.wait(1) == 0
    assert "--run-time limit reached" in ended.well.text()
    assert "Ended early" not in ended.well.text()
