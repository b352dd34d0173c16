"""Sampling the app's database while a run is running, and what it costs when that is not there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support.databases import fresh_database
from support.locust import scenario
from support.waiting import free_port, poll_until

from swarmscope.journal.segments import segment_path
from swarmscope.runs.resources import database
from swarmscope.shipper import database_thread
from swarmscope.shipper.database_thread import DatabaseThread


@pytest.fixture
def shop(cluster) -> Iterator[str]:
    with fresh_database(cluster) as shop:
        yield shop


@pytest.fixture
def sampling(tmp_path, runs_database, monkeypatch) -> Iterator[Callable[[str], DatabaseThread]]:
    """Return what starts a thread that samples the database at a URL."""
    monkeypatch.setattr(database_thread, "INTERVAL_S", 0.05)
    monkeypatch.setattr(database_thread, "RETRY_S", 0.1)
    with contextlib.ExitStack() as threads:
        yield lambda url: threads.enter_context(
            contextlib.closing(DatabaseThread(tmp_path, runs_database, {}, url))
        )


@pytest.fixture
def run(tmp_path, connection) -> datetime:
    """A run that is running, led by a process whose journal is in the directory."""
    journal, started = uuid4(), datetime.now(UTC)
    segment_path(tmp_path, journal.hex, 0).touch()
    connection.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env, status, journal_id)"
        " VALUES (%s, 'x', 1, '', 'running', %s)",
        [started, journal],
    )
    return started


def finish(connection, run: datetime) -> None:
    connection.execute("UPDATE testrun SET status = 'finished' WHERE id = %s", [run])


def test_a_run_is_sampled_while_it_is_running(sampling, shop, connection, run, monkeypatch):
    """With the locks that sessions waited for, and no session is left in the app's database."""
    with psycopg.connect(shop) as holder, psycopg.connect(shop) as waiter:
        holder.execute("SELECT pg_advisory_xact_lock(5)")
        waiter.execute("SET lock_timeout = '2s'")
        sampling(shop)
        poll_until(lambda: database.samples(connection, run), "the first sample")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            waiter.execute("SELECT pg_advisory_xact_lock(5)")
    finish(connection, run)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'swarmscope sampler'"
    poll_until(lambda: connection.execute(sessions).fetchone() == (0,), "its session to end")

    found = database.samples(connection, run)
    assert found[0].database == conninfo_to_dict(shop)["dbname"]
    assert {one.lock for one in found} == {0, 1}
    (wait,) = poll_until(
        lambda: database.lock_waits(connection, run, [(run, datetime.now(UTC))]), "the wait"
    )
    assert wait.statement == wait.blocking_statement == "SELECT pg_advisory_xact_lock(?)"
    assert (wait.relation, wait.max_waiting) == ("", 1)
    assert wait.blocking_state == "idle in transaction"


def test_a_run_that_others_lead_is_left_to_them(sampling, shop, connection, run, tmp_path):
    """Each of several shippers samples the runs of its own journals."""
    (segment,) = tmp_path.iterdir()
    segment.rename(segment_path(tmp_path, uuid4().hex, 0))
    sampler = sampling(shop)
    poll_until(lambda: sampler._connection, "its connection")
    sampler.close()
    assert database.samples(connection, run) == []


def test_a_database_that_is_away_costs_one_line(sampling, connection, run, caplog):
    """Without its password, however often it is tried."""
    with caplog.at_level(logging.WARNING):
        sampler = sampling(f"postgresql://me:pass%20word@127.0.0.1:{free_port()}/shop")
        tried = sampler._retry_at
        poll_until(lambda: sampler._retry_at > tried + 0.3, "the next attempts")
    assert caplog.text.count("Cannot sample the app's database") == 1
    assert "pass" not in caplog.text
    assert "word" not in caplog.text
    assert database.samples(connection, run) == []


def test_other_databases_are_not_known(sampling, connection, run, caplog):
    """A URL of MySQL is refused in one line."""
    sampler = sampling("mysql://me:secret@127.0.0.1/shop")
    poll_until(lambda: sampler._retry_at > 0, "the attempt")
    assert "SWARMSCOPE_APP_DATABASE_URL is not a URL of PostgreSQL" in caplog.text
    assert "secret" not in caplog.text


def test_a_role_without_rights_is_noted_with_the_run(sampling, shop, connection, run, caplog):
    """Once, and what is known is stored."""
    connection.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'x'")
    given = {**conninfo_to_dict(shop), "user": "nobody_special", "password": "x", "passfile": ""}
    try:
        with psycopg.connect(shop) as other:
            other.execute("SELECT 1")
            sampler = sampling(make_conninfo(**given))
            poll_until(lambda: len(database.samples(connection, run)) > 2, "samples")
            sampler.close()
    finally:
        connection.execute("DROP ROLE nobody_special")

    notes = connection.execute("SELECT text FROM events WHERE run_id = %s AND kind = 'note'", [run])
    ((note,),) = notes.fetchall()
    assert 'GRANT pg_monitor TO "nobody_special"' in note
    assert caplog.text.count("is not known") == 1
    assert {one.on_cpu for one in database.samples(connection, run)} == {None}
    assert all(one.connections > 1 for one in database.samples(connection, run))


def test_a_locust_with_the_variable_has_the_database_sampled(field, cluster):
    """By its shipper; the URL is in no table and no log."""
    with fresh_database(cluster) as shop:
        url = {**conninfo_to_dict(shop), "application_name": "a-secret-of-the-url"}
        file = scenario(field.directory)
        environment = {"SWARMSCOPE_APP_DATABASE_URL": make_conninfo(**url)}
        locust = field.headless(file, "-u", 1, **environment)
        poll_until(lambda: field.query("SELECT FROM database_sample"), "a sample", 60)
        assert locust.end() == 0, locust.text()

    run = field.value("SELECT id FROM testrun")
    found = database.samples(field._connection, run)
    assert found
    assert {one.database for one in found} == {url["dbname"]}
    assert "a-secret" not in locust.text()
    assert "a-secret" not in field.value("SELECT r::text FROM testrun r")
