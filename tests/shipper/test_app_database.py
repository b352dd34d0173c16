"""What PostgreSQL's sessions do: sampled from real ones, whose number and state is known."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support.database_servers import running_postgresql
from support.waiting import poll_until

from swarmscope.machine import cpu
from swarmscope.machine.cgroups import Cgroups
from swarmscope.shipper import app_database
from swarmscope.shipper.app_database import (
    ACTIVITIES,
    AppDatabase,
    NotPostgreSQL,
    parameters,
    safe_reason,
)
from swarmscope.shipper.database_windows import LockWindow, StatementTexts, StatementWindow

ENDLESS = "DO $$ BEGIN LOOP END LOOP; END $$"


@pytest.fixture
def shop(empty_database: str) -> str:
    """A database with a table of stock; returns its superuser's connection string."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE stock (item int PRIMARY KEY, left_over int)")
        connection.execute("INSERT INTO stock SELECT i, 100 FROM generate_series(1, 9) i")
    return empty_database


@pytest.fixture
def session(shop: str) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """Return what opens a session in the shop, until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(psycopg.connect(shop)))


@pytest.fixture
def meanwhile(session) -> Iterator[Callable[[str], psycopg.Connection[Any]]]:
    """Return what executes a statement in a session and a thread of its own."""
    begun: list[tuple[psycopg.Connection[Any], threading.Thread]] = []

    def execute(statement: str) -> psycopg.Connection[Any]:
        connection = session()

        def work() -> None:
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement)

        begun.append((connection, threading.Thread(target=work)))
        begun[-1][1].start()
        return connection

    yield execute
    for connection, thread in begun:
        connection.cancel()
        thread.join()


@pytest.fixture
def app(shop: str) -> Iterator[AppDatabase]:
    """The sampler's own session."""
    with contextlib.closing(AppDatabase(shop)) as app:
        yield app


def update(item: int) -> str:
    return f"UPDATE stock SET left_over = left_over - 1 WHERE item = {item}"


def test_who_waits_for_a_row_is_counted_once_each(app, session, meanwhile):
    """Three wait for one row, two for another: the first of each by its transaction's end."""
    holder = session()
    holder.execute(update(1))
    holder.execute(update(2))
    for item in (1, 1, 1, 2, 2):
        meanwhile(update(item))

    def found():
        sample, blocked = app.sample()
        return (sample, blocked) if sample.lock == 5 else None

    sample, blocked = poll_until(found, "five that wait")

    assert (sample.locks_contended, sample.on_cpu, sample.idle_in_transaction) == (2, 0, 1)
    assert [(one.waiting, one.relation, one.blocking_state) for one in blocked] == [
        (3, "stock", "idle in transaction"),
        (2, "stock", "idle in transaction"),
    ]
    assert blocked[0].query == update(1)
    assert blocked[1].blocking_query == update(2)


def test_locks_of_no_row_have_their_own_names(app, session, meanwhile):
    """A table that is locked, and an advisory lock."""
    holder = session()
    holder.execute("LOCK TABLE stock")
    holder.execute("SELECT pg_advisory_lock(7)")
    meanwhile("SELECT * FROM stock")
    meanwhile("SELECT pg_advisory_xact_lock(7)")

    def found():
        sample, blocked = app.sample()
        return blocked if sample.lock == 2 else None

    assert {(one.waiting, one.relation) for one in poll_until(found, "both")} == {
        (1, "stock"),
        (1, ""),
    }


def test_rows_of_a_window_are_without_literals(app, session, meanwhile):
    """Sessions that wait for different rows by one statement are added up."""
    holder = session()
    holder.execute("UPDATE stock SET left_over = 0 WHERE item IN (1, 2)")
    for item in (1, 1, 2):
        meanwhile(update(item))
    window = LockWindow(StatementTexts())
    poll_until(lambda: app.sample()[0].lock == 3, "three that wait")
    sample, blocked = app.sample()
    window.add(blocked)
    window.add([])

    (row,) = window.rows(sample.time)
    assert (row.relation, row.waiting, row.max_waiting) == ("stock", 1.5, 3)
    assert row.statement == "UPDATE stock SET left_over = left_over - ? WHERE item = ?"
    assert row.blocking_statement == "UPDATE stock SET left_over = ? WHERE item IN (?, …)"
    assert window.rows(sample.time) == []


def test_a_statement_that_computes_is_on_the_cpu(app, meanwhile, monkeypatch):
    """And the CPU time of the server's processes grows, as it is on this machine."""
    monkeypatch.setattr(app_database, "CPU_EVERY_S", 0.0)
    meanwhile(ENDLESS)
    poll_until(lambda: app.sample()[0].on_cpu == 1, "the statement to begin")
    before, _ = app.sample()
    assert before.cores == cpu.figures(Path("/"), Cgroups()).cpus

    def grown():
        after, _ = app.sample()
        assert (after.lock, after.locks_contended) == (0, 0)
        return after.cpu_s > before.cpu_s + 0.2

    poll_until(grown, "CPU time")


def test_a_client_that_is_slow_to_read_is_not_the_database(app, meanwhile):
    """A sleep is neither: it is `other`."""
    meanwhile("SELECT pg_sleep(60)")
    sample = poll_until(lambda: (s := app.sample()[0]).other == 1 and s, "the sleep")
    assert (sample.on_cpu, sample.io, sample.lock, sample.client) == (0, 0, 0, 0)


def test_the_samplers_own_session_does_not_count(app, session):
    """Connections of all databases do, activities of the app's only."""
    before = app.sample()[0].connections
    session()
    with psycopg.connect(make_conninfo(str(app._connection.info.dsn), dbname="postgres")) as other:
        other.execute("SELECT 1")  # idle in transaction
        sample, _ = app.sample()
    assert sample.connections == before + 2
    assert sample.max_connections == 97
    assert sample.idle_in_transaction == sample.on_cpu == 0


@pytest.fixture
def role(shop: str) -> Iterator[str]:
    """A role without rights; returns its connection string."""
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("CREATE ROLE swarmscope_sampler LOGIN PASSWORD 'choose-one'")
        given = {"user": "swarmscope_sampler", "password": "choose-one"}
        yield make_conninfo(**{**conninfo_to_dict(shop), **given, "passfile": ""})
        connection.execute("DROP ROLE swarmscope_sampler")


def test_without_pg_monitor_activities_are_not_known(role, shop, session, root):
    """Connections are, and the statement of the page makes the rest known."""
    session().execute("SELECT 1")
    (page,) = re.findall(r"```sql\n(.*?)```", (root / "docs/database.md").read_text(), re.S)
    (grant,) = re.findall(r"GRANT pg_monitor TO \w+;", page)
    with contextlib.closing(AppDatabase(role)) as app:
        sample, blocked = app.sample()
        assert app.has_hidden_sessions
        assert blocked == []
        assert {getattr(sample, name) for name in ACTIVITIES} == {None}
        assert sample.connections > 0

        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute(grant)
        sample, _ = app.sample()
        assert not app.has_hidden_sessions
        assert (sample.idle_in_transaction, sample.on_cpu) == (1, 0)


def test_statements_of_a_window(empty_database):
    """By what they took in it: ours, and those of other databases, are left out."""
    with running_postgresql() as server, psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        admin.execute("SELECT 'before'")
        with contextlib.closing(AppDatabase(server)) as app:
            window = StatementWindow(StatementTexts(), app)
            for seconds in (0.01, 0.02):
                admin.execute(f"SELECT pg_sleep({seconds})")
            admin.execute("SELECT 'before' FROM generate_series(1, 3)")
            app.sample()
            rows = window.rows(app.sample()[0].time)

            assert [(row.statement, row.calls, row.rows) for row in rows] == [
                ("SELECT pg_sleep(?)", 2, 2),
                ("SELECT ? FROM generate_series(?, …)", 1, 3),
            ]
            assert rows[0].seconds >= 0.03
            admin.execute("SELECT pg_stat_statements_reset()")
            admin.execute("SELECT pg_sleep(0)")
            after = {row.statement: row.calls for row in window.rows(app.sample()[0].time)}
            assert after["SELECT pg_sleep(?)"] == 1

    with contextlib.closing(AppDatabase(empty_database)) as app:  # without the extension
        assert StatementWindow(StatementTexts(), app).rows(app.sample()[0].time) == []


def test_what_names_no_postgresql_is_not_repeated():
    """A password may be in it."""
    assert parameters("postgresql+psycopg://me:pw@db/shop")["dbname"] == "shop"
    for url in ("mysql://me:secret@db/shop", "postgresql://me:sec ret@db/shop"):
        with pytest.raises(NotPostgreSQL) as raised:
            parameters(url)
        assert "sec" not in str(raised.value)


def test_the_runs_databases_own_variables_are_not_taken(shop, monkeypatch):
    """PGPASSWORD, PGHOST and PGOPTIONS name the runs database."""
    for name in ("PGHOST", "PGPORT", "PGPASSWORD", "PGPASSFILE", "PGOPTIONS"):
        monkeypatch.setenv(name, "-c nothing=1" if name == "PGOPTIONS" else "/nowhere")
    with contextlib.closing(AppDatabase(shop)) as app:
        assert app.sample()[0].database == app.name


def test_a_server_elsewhere_has_no_known_cores(shop, monkeypatch):
    """Where its processes cannot be seen."""
    monkeypatch.setattr(app_database, "processes_of", lambda backend: None)
    with contextlib.closing(AppDatabase(shop)) as app:
        sample, _ = app.sample()
    assert replace(sample, cores=None, cpu_s=None) == sample


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:pa55/w0rd@127.0.0.1:1/shop",
        "postgresql://shop:pa55@w0rd@127.0.0.1:1/shop",
        "postgresql+psycopg://shop:pa55:w0rd#@127.0.0.1:1/shop",
        "postgresql://shop:pa55%20w0rd?@127.0.0.1:1/shop",
    ],
)
def test_no_half_of_a_password_is_shown(url):
    """Of one that is not encoded as it must be, libpq takes a half for a host or a port."""
    with pytest.raises((psycopg.Error, NotPostgreSQL)) as caught:
        AppDatabase(url)

    said = safe_reason(caught.value, url)
    assert "pa55" not in said
    assert "w0rd" not in said


def test_what_a_server_says_writes_to_no_terminal():
    error = psycopg.OperationalError("\x1b]0;owned\x07 no")
    assert safe_reason(error, "postgresql://shop@127.0.0.1/shop") == r"\x1b]0;owned\x07 no"
