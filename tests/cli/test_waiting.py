"""Waiting for a run whose worker was killed: only while something may come, and never silently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import Sample, store_run

from swarmscope.cli.waiting import to_come
from swarmscope.runs import queries


@pytest.fixture
def killed(cluster) -> Iterator[str]:
    """Return a database with a run of two workers; one was killed, its journal is not read yet."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            samples = [Sample(11 + i / 50, 20, worker=f"w{i % 2}") for i in range(1000)]
            store_run(connection, samples, ramp_s=10)
            connection.execute(
                "UPDATE run_worker SET outcome = 'lost', stopped = NULL WHERE worker = 'w1'"
            )
        yield name


def read_to_the_end(database: str) -> None:
    """Let the killed worker's journal be delivered, as the shipper notes it."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO journal (id, worker, host, pid, position, finished)"
            " SELECT journal_id, worker, 'h', 1, 9, true FROM run_worker WHERE worker = 'w1'"
        )


def test_nothing_more_comes_of_a_killed_worker(killed, tmp_path: Path):
    """Once its journal is read, an hour's patience is not used; the run stays incomplete."""
    read_to_the_end(killed)
    judged = swarmscope("check", "--p95", "25", "--wait", "3600", "--database", killed)
    report = ("report", "--wait", "3600", "-o", str(tmp_path / "run.html"), "--database", killed)
    written = swarmscope(*report)
    assert judged.exit_code == 4
    assert "1 lost" in judged.output
    assert written.exit_code == 0
    assert "Waiting" not in judged.stderr + written.stderr


def test_a_wait_says_what_it_is_for(killed):
    """Every few seconds a line, and how much longer at most."""
    judged = swarmscope("check", "--p95", "25", "--wait", "6", "--database", killed)
    assert judged.exit_code == 4
    assert "Waiting for the samples of 1 of 2 workers, at most " in judged.stderr


def test_what_is_still_to_come(killed):
    """Of a run that is on, its end; of one that is complete, nothing."""
    with psycopg.connect(killed, autocommit=True) as connection:
        lost = to_come(connection, queries.find(connection, "latest"))
        connection.execute("UPDATE run_worker SET outcome = 'stopped', stopped = now()")
        complete = to_come(connection, queries.find(connection, "latest"))
        connection.execute("UPDATE testrun SET status = 'running', end_time = NULL")
        running = to_come(connection, queries.find(connection, "latest"))
    assert lost == "the samples of 1 of 2 workers"
    assert complete == ""
    assert running == "the end of the run"
