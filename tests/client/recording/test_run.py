"""A run's life, seen in the database after real Locust processes lived it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import requests
from support.locust import Field, scenario
from support.processes import clean_environment
from support.target import Target
from support.waiting import poll_until

SWARMSCOPE = Path(sys.executable).parent / "swarmscope"
RUN = "SELECT status, complete, target_users, peak_users, workers FROM run ORDER BY started"


def one_machine(field: Field, workers: int) -> tuple[object, ...]:
    """Return the options for a master with *workers* forked workers."""
    ports = ("--master-bind-port", field.master_port, "--master-port", field.master_port)
    return ("--processes", workers, *ports)


def test_every_ui_run_is_whole(field: Field, target: Target, tmp_path):
    """Three runs started and stopped from the UI of one master: all closed, all samples stored.

    Requests take 50 ms, so that each stop finds some in flight: sent = counted = stored.
    """
    file = scenario(tmp_path, path="/slow/50", wait=0.01)
    before = target.answered()
    master = field.master(file, 2)
    for users in (2, 4, 3):
        earlier = target.answered()
        master.start(users)
        poll_until(lambda e=earlier: target.answered() > e + 10, "requests")
        master.stop()
        poll_until(lambda: master.state()["state"] == "stopped", "the swarm to stop")
    sent = target.answered() - before
    last = target.answered() - earlier
    # on a busy machine Locust counts a worker's late report of an earlier run, too
    poll_until(lambda: master.done() >= last, "all requests of the last run to be counted")
    assert master.end() == 0

    assert field.query(RUN) == [("finished", True, n, n, 2) for n in (2, 4, 3)]
    assert field.value("SELECT count(*) FROM request") == sent
    assert field.value("SELECT requests FROM testrun ORDER BY id DESC LIMIT 1") == last
    assert field.value("SELECT sum(requests) FROM testrun") == sent
    outside = "SELECT count(*) FROM request JOIN testrun ON id = run_id WHERE time NOT BETWEEN id"
    assert field.value(f"{outside} AND end_time") == 0
    assert field.waiting() == []


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="TERM", marks=pytest.mark.proof),
    ],
)
def test_a_signal_ends_a_run_in_order(field: Field, target: Target, tmp_path, number):
    """Requests in flight when the signal comes are recorded, and the run is closed."""
    before = target.answered()
    file = scenario(tmp_path, path="/slow/300")
    locust = field.headless(file, "-u", 4, "-r", 100, *one_machine(field, 2))
    poll_until(lambda: target.answered() > before + 8, "requests")
    if number == signal.SIGINT:
        os.killpg(locust.process.pid, number)  # as a terminal does: the shipper is not in the group
        locust.process.wait(60)
    else:
        locust.end(number)
    # the terminal is free when the leader has ended; workers may still hand over to the shipper
    poll_until(lambda: field.query(RUN) == [("finished", True, 4, 4, 2)], "the run to be complete")
    sent = target.answered() - before
    assert field.value("SELECT count(*) FROM request") == sent
    assert field.query("SELECT exit_code FROM testrun") == [(0,)]


def test_users_changed_in_the_ui_are_noted(field: Field, target: Target, tmp_path):
    """Editing a running swarm is no new run; its highest target and peak are kept."""
    locust = field.with_ui(scenario(tmp_path))
    for users in (2, 5, 3):
        locust.start(users)
    locust.stop()
    locust.end()
    assert field.query(RUN) == [("finished", True, 5, 5, 1)]
    assert field.value("SELECT num_clients FROM testrun") == 5
    counts = [n for (n,) in field.query("SELECT user_count FROM user_count ORDER BY time")]
    assert counts[-1] == 0
    kinds = field.query("SELECT kind FROM events ORDER BY time")
    assert kinds[0] == ("started",)
    assert kinds[-1] == ("stopped",)


def test_a_killed_master_leaves_an_aborted_run(field: Field, target: Target, tmp_path):
    """All that lives is killed at once: the next start delivers what is left and closes the run."""
    before = target.answered()
    file = scenario(tmp_path)
    options = ("-u", 4, "-r", 100, *one_machine(field, 2))
    locust = field.headless(file, *options, REAL_SHIPPER="1")
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 100, "samples in the database")
    shippers = field.shippers()
    for pid in shippers:
        os.kill(pid, signal.SIGSTOP)  # so that samples are left over, however fast it delivers
    answered = target.answered()
    written = sum(path.stat().st_size for path in field.waiting())
    poll_until(lambda: target.answered() > answered + 100, "more requests")
    poll_until(lambda: sum(p.stat().st_size for p in field.waiting()) > written + 2000, "samples")
    os.killpg(locust.process.pid, signal.SIGKILL)
    for pid in shippers:
        os.kill(pid, signal.SIGKILL)
    assert field.waiting()
    seen = field.value("SELECT count(*) FROM request")

    second = field.with_ui(file)
    poll_until(lambda: len(field.waiting()) == 0, "the old journals to be delivered")
    assert field.query("SELECT status, complete, lost_workers FROM run") == [("aborted", False, 2)]
    stored = field.value("SELECT count(*) FROM request")
    assert seen < stored <= target.answered() - before
    assert field.value("SELECT requests FROM testrun") == stored
    assert field.value("SELECT end_time - id < interval '1 minute' FROM testrun")
    second.end()


def test_what_could_not_be_delivered_is_delivered_by_hand(field: Field, target: Target, tmp_path):
    """The database stays away: Locust says what is left and where; ``swarmscope ship`` delivers."""
    before = target.answered()
    away = {"PGPORT": "1"}
    options = ("-u", 2, "-r", 100, "-t", "2s", "--drain-time", 2.5)
    locust = field.headless(scenario(tmp_path), *options, **away)
    assert locust.process.wait(60) == 0
    assert "kB left" in locust.text()  # the progress line
    assert f"'swarmscope ship {field.journals}'" in locust.text()
    poll_until(lambda: not field.shippers(), "the shipper to give up")
    assert len(field.waiting()) == 1

    ship = [SWARMSCOPE, "ship", field.journals, "--database", field.database]
    done = subprocess.run(
        list(map(str, ship)), env=clean_environment(), capture_output=True, text=True, check=True
    )
    sent = target.answered() - before
    assert f"{sent:,} samples delivered" in done.stdout
    assert field.value("SELECT count(*) FROM request") == sent
    assert field.query(RUN) == [("finished", True, 2, 2, 1)]


def test_ship_says_in_one_line_what_is_wrong(tmp_path):
    """No database, no directory: one line each, exit status 1."""
    for arguments in (["ship", str(tmp_path), "--database", "host=127.0.0.1 port=1"], ["ship"]):
        done = subprocess.run(
            [SWARMSCOPE, *arguments],
            env=clean_environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_newer_schema_is_left_alone(field: Field, target: Target, tmp_path):
    """One line says so; no shipper is started again and again; the samples wait."""
    with psycopg.connect(field.database) as connection:
        connection.execute("INSERT INTO schema_version VALUES (9999)")
    locust = field.headless(scenario(tmp_path), "-u", 1, "-t", "4s")
    assert locust.process.wait(60) == 0
    assert locust.text().count("schema version 9999") == 1
    assert field.value("SELECT count(*) FROM request") == 0
    assert len(field.waiting()) == 1


def test_no_secret_reaches_log_or_database(field: Field, tmp_path):
    """Passwords and tokens of the command line are neither printed nor stored."""
    more = """
from locust import events

@events.init_command_line_parser.add_listener
def add_argument(parser):
    parser.add_argument("--api-token", default="")
"""
    host = field.host.replace("http://", "http://me:open-sesame@")
    url = "http://me:open-sesame@grafana.example/d/swarmscope-swarm?token=open-sesame"
    locust = field.headless(
        scenario(tmp_path, path="/fast?page=1&sig=open-sesame", more=more),
        *("-u", 1, "-t", "1s", "--host", host, "--api-token", "open-sesame"),
        *("--grafana-url", url, "--description", "a plain description, open-sesame"),
        *("--test-env", "staging, key sk-open-sesame-1", "--test-version", "1 --token open-sesame"),
        *("--override-plan-name", "http://me:open-sesame@host/plan.py"),
        *("--check-p50", "GET /fast?page=1&sig=open-sesame=60000"),
    )
    assert locust.process.wait(60) == 0, locust.text()
    assert field.query("SELECT testplan, description, env, changeset_guid FROM testrun") == [
        ("http://host/plan.py", "a plain description, ***", "staging, key ***", "1 --token ***")
    ]
    assert field.query("SELECT DISTINCT name, testplan FROM request") == [
        ("/fast?page=1&sig=***", "http://host/plan.py")
    ]
    assert re.search(r"p50 of GET\s[\s\S]*/fast\?page=1&sig=\*\*\*", locust.text())
    for table in ("testrun", "request", "events", "histogram", "journal", "run_worker"):
        rows = field.query(f"SELECT row_to_json(t)::text FROM {table} t")
        assert rows
        assert not [row for (row,) in rows if "open-sesame" in row]
    ours = [line for line in locust.text().splitlines() if "swarmscope" in line]
    assert not [line for line in ours if "open-sesame" in line]


def test_the_log_links_to_the_run(field: Field, tmp_path):
    """At start the link's range is open, at the end it is the run's; both name it."""
    url = "http://localhost:3000/d/swarmscope-swarm"
    locust = field.headless(scenario(tmp_path), "-u", 1, "-t", "2s", "--grafana-url", url)
    assert locust.process.wait(60) == 0
    run = field.value("SELECT run FROM run").replace(":", "%3A")
    ((start, end),) = field.query(
        "SELECT floor(extract(epoch FROM id) * 1000)::bigint,"
        " floor(extract(epoch FROM end_time) * 1000)::bigint FROM testrun"
    )
    links = re.findall(r"http://localhost:3000/d/swarmscope-swarm\S*", locust.text())
    first, last = links[:2]  # the summary has another
    assert first == f"http://localhost:3000/d/swarmscope-swarm?var-run={run}&from={start}&to=now"
    assert last.rpartition("=")[0] == first.rpartition("=")[0]
    assert int(last.rpartition("=")[2]) == pytest.approx(end + 1000, abs=1)


def test_without_grafana_nothing_links_to_it(field: Field, tmp_path):
    """Neither the log nor the database; the page in Locust's own UI is always there."""
    locust = field.with_ui(scenario(tmp_path), "--autostart", "-u", 1, "-t", "1s")
    page = f"{locust.url}/both-ends"
    poll_until(lambda: f"Report of this run: {page}" in locust.text(), "the run's end")

    assert f"Follow this run: {page}\n" in locust.text()
    assert "/d/swarmscope-swarm" not in locust.text()
    assert requests.get(page, timeout=10).status_code == 200
    assert locust.end() == 0
    assert field.query("SELECT grafana_url FROM testrun") == [(None,)]


@pytest.mark.proof
def test_a_worker_that_was_away_belongs_to_its_run(field: Field, target: Target, tmp_path):
    """A worker stopped for longer than the master waits comes back: same run, nothing lost."""
    before = target.answered()
    master = field.master(scenario(tmp_path), 2)
    master.start(4)
    worker = field.started[-1]
    worker.process.send_signal(signal.SIGSTOP)
    poll_until(lambda: "missing" in str(master.state()["workers"]), "the worker to be missed")
    time.sleep(1.5)
    worker.process.send_signal(signal.SIGCONT)
    poll_until(lambda: "missing" not in str(master.state()["workers"]), "the worker to be back")
    done = master.done()
    poll_until(lambda: master.done() > done + 50, "requests")
    master.stop()
    master.end()
    poll_until(lambda: not field.waiting(), "the journals to be delivered")
    assert field.value("SELECT count(*) FROM request") == target.answered() - before
    assert field.query("SELECT status, complete, workers FROM run") == [("finished", True, 2)]
    kinds = {kind for (kind,) in field.query("SELECT kind FROM events")}
    assert {"worker_lost", "note"} <= kinds
