"""A process's exit status: a failed check is never 0, and errors in tasks keep Locust's own 1."""

from __future__ import annotations

import re
import signal

import pytest
from support.command import swarmscope
from support.locust import Field, scenario
from support.target import Target
from support.waiting import poll_until

QUITTING = """
from locust import events

@events.quitting.add_listener
def decide(environment, **_):
    {does}
"""
RAISES_IN_ITS_TASK = """
    @task
    def broken(self):
        self.client.get("/fast")
        {"ok": True}["nope"]
"""
SHORT = ("-u", 2, "-r", 2, "-t", "2s")


@pytest.mark.parametrize(
    "does",
    [
        "raise SystemExit(0)",
        pytest.param("environment.process_exit_code = 0", marks=pytest.mark.proof),
        pytest.param(
            "from locust.exception import StopUser; raise StopUser", marks=pytest.mark.proof
        ),
    ],
)
def test_nobody_turns_a_failed_check_into_0(field: Field, tmp_path, does):
    """A listener of the scenario, as Locust's documentation prints it, has no last word."""
    file = scenario(tmp_path, more=QUITTING.format(does=does))
    locust = field.headless(file, *SHORT, "--check-avg-response-time", 0.0001)

    assert locust.process.wait(60) == 3, locust.text()
    assert "FAIL" in locust.text()


def test_a_scenario_may_still_fail_a_run_whose_checks_held(field: Field, tmp_path):
    """Its own status stands where no check failed."""
    file = scenario(tmp_path, more=QUITTING.format(does="environment.process_exit_code = 7"))
    locust = field.headless(file, *SHORT, "--check-avg-response-time", 60_000)

    assert locust.process.wait(60) == 7, locust.text()


def test_errors_in_tasks_are_counted_stored_and_keep_status_1(field: Field, target, tmp_path):
    """`--check-fail-ratio` judges requests that failed, not tasks that raised."""
    file = scenario(tmp_path, path="/fast", more=RAISES_IN_ITS_TASK.replace("@task", "@task(5)"))
    locust = field.headless(file, *SHORT, "--check-fail-ratio", 0.5)  # two requests can judge it

    assert locust.process.wait(60) == 1, locust.text()
    rows = field.query("SELECT error, sum(count)::int FROM task_error GROUP BY error")
    ((error, count),) = rows
    assert error.startswith("KeyError('nope') at scenario.py:")
    assert count > 0
    assert f"{count} errors in tasks" in locust.text()
    assert field.value("SELECT exit_code FROM testrun") == 1
    shown = swarmscope("show", "latest", "--database", field.database, columns=200).stdout
    assert re.search(rf"^task errors +{count}: KeyError\('nope'\) at scenario\.py:", shown, re.M)
    checked = swarmscope("check", "--fail-ratio", "50%", "--whole", "--database", field.database)
    assert checked.exit_code == 0
    assert f"{count} errors in tasks." in checked.stdout


def test_each_worker_journals_its_own(field: Field, tmp_path):
    """As many are stored as there were, whatever the master misses in its last moment."""
    file = scenario(tmp_path, more=RAISES_IN_ITS_TASK.replace("@task", "@task(5)"))
    two = ("--processes", 2, "--master-bind-host", "127.0.0.1")
    ports = ("--master-bind-port", field.master_port, "--master-port", field.master_port)
    reported = ("-t", "6s")  # workers send their counts every 3 s
    locust = field.headless(file, *SHORT, *reported, *two, *ports, "--check-rps", 0.1)

    assert locust.process.wait(90) == 1, locust.text()
    ((workers, count),) = field.query(
        "SELECT count(DISTINCT worker)::int, sum(count)::int FROM task_error"
    )
    assert workers == 2
    assert count == locust.text().count("ERROR/locust.user.task: 'nope'")
    assert re.search(r"^at least \d+ errors in tasks$", locust.text(), re.MULTILINE)


def test_sigterm_judges_once(field: Field, target: Target, tmp_path):
    """One table, one report, one line of Locust's own end, and no traceback."""
    report = tmp_path / "report.html"
    checks = ("--check-avg-response-time", 0.0001, "--swarm-report", report)
    locust = field.headless(scenario(tmp_path), "-u", 2, "-r", 2, *checks)
    before = target.answered()
    poll_until(lambda: target.answered() > before + 10, "requests")

    assert locust.end(signal.SIGTERM) == 3, locust.text()
    text = locust.text()
    assert text.count("FAIL") == 1, text
    assert text.count("Shutting down (exit code 3)") == 1
    assert text.count("Report of this run: " + str(report)) == 1
    assert "Traceback" not in text
