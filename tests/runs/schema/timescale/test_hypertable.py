"""The same database on TimescaleDB: a hypertable, its figures, and what is deleted from it."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib import resources

import psycopg
import pytest
from support.attacks import PASSWORDS
from support.stored_runs import Sample, store_run
from support.timescale import chunks

from swarmscope.runs import queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import maintenance, timescale
from swarmscope.runs.schema.migrations import migrate
from swarmscope.runs.schema.roles import OWNER, connect_as_owner, prepare

pytestmark = pytest.mark.compose


def hypertables(connection: Connection) -> list[tuple[str, int]]:
    return connection.execute(
        "SELECT hypertable_name, num_chunks::int FROM timescaledb_information.hypertables"
    ).fetchall()


def test_requests_are_a_hypertable(owner):
    """The owner, no superuser, makes `request` a hypertable, and a second start changes nothing."""
    assert hypertables(owner) == [("request", 0)]
    assert migrate(owner) == []
    assert hypertables(owner) == [("request", 0)]


def test_compression_follows_the_licence(owner):
    """Switched on with the licensed edition, silently left with the Apache one."""
    found = owner.execute(
        "SELECT compression_enabled FROM timescaledb_information.hypertables"
    ).fetchall()

    assert found == [(timescale.licensed(owner),)]


def test_figures_are_the_same_as_on_plain_postgresql(owner):
    """Summary, points over time and raw rows of a run."""
    run = store_run(owner, [Sample(i / 10, 10 + i % 7, failed=i % 10 == 0) for i in range(300)])

    (row,) = (s for s in queries.summary(owner, run) if s.name == "")
    points = owner.execute(
        "SELECT sum(requests)::int, max(max_ms) FROM latency(%s, %s, now(), 1)", [run, run]
    ).fetchone()

    assert (row.requests, row.failures, row.max_ms) == (300, 30, 16)
    assert row.p50_ms == pytest.approx(13, rel=0.025)
    assert points == (300, 16)
    assert owner.execute("SELECT count(*) FROM request").fetchone() == (300,)


def test_pruning_drops_chunks(owner):
    """Whole days go as chunks, the limit's own day row by row."""
    now = datetime.now(UTC)
    for days in (40, 35, 30.5, 29.5, 1):
        store_run(owner, [Sample(i, 5) for i in range(50)], start=now - timedelta(days=days))
    before = chunks(owner)
    limit = now - timedelta(days=30.5) + timedelta(seconds=20)

    gone = maintenance.prune(owner, datetime.now(UTC) - limit)

    assert gone == pytest.approx(120, abs=2)
    assert owner.execute("SELECT count(*) FROM request").fetchone() == (250 - gone,)
    assert chunks(owner) == before - 2
    assert [run.requests for run in queries.runs(owner, 10)] == [50] * 5


def test_locust_plugins_own_hypertable_is_adopted(superuser):
    """A database set up by locust-plugins' scripts on TimescaleDB, with rows, by its superuser."""
    folder = resources.files("locust_plugins") / "dashboards" / "locust-timescale"
    database = f"test_{secrets.token_hex(6)}"
    now = datetime.now(UTC)
    with psycopg.connect(superuser, autocommit=True) as admin, ExitStack() as stack:
        admin.execute(f"CREATE DATABASE {database}")
        stack.callback(admin.execute, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        with psycopg.connect(superuser, dbname=database, autocommit=True) as inside:
            for name in ("timescale_schema.sql", "zz_hypertable.sql"):
                script = (folder / name).read_text().replace("SET default_with_oids = false;", "")
                inside.execute(
                    script + ";RESET ALL;SELECT set_config('search_path','public',false)"
                )
            inside.execute(
                "INSERT INTO testrun (id, testplan, num_clients, env, end_time)"
                " VALUES (%s, 'p', 1, '', %s)",
                [now - timedelta(days=9), now - timedelta(days=2)],
            )
            inside.execute(
                "INSERT INTO request (time, run_id, greenlet_id, loadgen, name, request_type,"
                " response_time, success, testplan) SELECT id + i * interval '1 h', id, 1, '', '/',"
                " 'GET', 5, 1, 'p' FROM testrun, generate_series(0, 159) i"
            )
        prepare(admin, PASSWORDS, database)
        with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
            migrate(owner)

            assert chunks(owner) >= 1
            assert queries.find(owner, "latest").requests == 160
            assert maintenance.prune(owner, timedelta(days=5)) == pytest.approx(96, abs=1)
