"""Any database becomes one of ours: empty, locust-plugins' own, or half-way there."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from importlib import resources
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.histogram import PARTS
from swarmscope.runs.schema import migrations
from swarmscope.runs.schema.migrations import NEWEST, SCRIPTS, NewerSchema, migrate


def _columns(connection: Connection) -> dict[str, dict[str, str]]:
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name !~ '^(run|run_summary|histogram)$'"
    )
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        columns.setdefault(table, {})[column] = kind
    return columns


def _locust_plugins_schema() -> str:
    """Return the tables that the installed locust-plugins asks its users to create."""
    folder = resources.files("locust_plugins") / "dashboards" / "locust-timescale"
    dump = (folder / "timescale_schema.sql").read_text()
    dump = re.sub(r"(?m)^(SET|SELECT|CREATE EXTENSION|COMMENT ON EXTENSION).*$", "", dump)
    return re.sub(r"ALTER TABLE public\.\w+ OWNER TO postgres;", "", dump)


@pytest.fixture
def adopted(empty_database: str):
    """A database made for locust-plugins, with a finished run, a killed one and their requests."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(_locust_plugins_schema())
        killed = START + timedelta(hours=1)
        connection.execute(
            "INSERT INTO testrun (id, testplan, num_clients, env, end_time, exit_code) VALUES"
            " (%s, 'old.py', 5, 'dev', %s, 0), (%s, 'old.py', 5, 'dev', NULL, NULL)",
            [START, START + timedelta(seconds=100), killed],
        )
        for run in (START, killed):
            connection.execute(
                "INSERT INTO request (time, run_id, greenlet_id, loadgen, name, request_type,"
                " response_time, success, testplan)"
                " SELECT %s + i * interval '0.1 s', %s, 1, 'here', '/' || i %% 3, 'GET',"
                "   CASE WHEN i = 7 THEN NULL ELSE 5 + i %% 97 END, (i %% 10 > 0)::int, 'old.py'"
                " FROM generate_series(0, 999) i",
                [run, run],
            )
        connection.execute("INSERT INTO events VALUES (now(), 'old.py started by somebody')")
        yield connection


def test_an_empty_database_gets_every_version(empty_database):
    """All versions are applied, in order, and a second start finds nothing to do."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert migrate(connection) == list(SCRIPTS)
        before = _columns(connection)

        assert migrate(connection) == []
        assert _columns(connection) == before
        applied = connection.execute("SELECT version FROM schema_version ORDER BY 1").fetchall()
        assert applied == [(number,) for number in SCRIPTS]


def test_a_database_of_locust_plugins_is_adopted(adopted):
    """Its rows stay as they are, its runs get a status, and its listener can still write."""
    stock = _columns(adopted)
    before = adopted.execute("SELECT count(*), sum(response_time) FROM request").fetchone()

    migrate(adopted)

    ours = _columns(adopted)
    for table, columns in stock.items():
        for column, kind in columns.items():
            assert ours[table][column] == kind.replace("character varying", "text")
    assert adopted.execute("SELECT count(*), sum(response_time) FROM request").fetchone() == before
    statuses = adopted.execute("SELECT status FROM testrun ORDER BY id").fetchall()
    assert statuses == [("finished",), ("aborted",)]
    adopted.execute(
        "INSERT INTO testrun (id, testplan, num_clients, env) VALUES (now(), 'old.py', 1, %s)",
        ["an environment with a long name"],
    )


def test_adopted_runs_have_summaries(adopted):
    """The histograms of old runs are made from their rows; rows without a time are left out."""
    migrate(adopted)

    run = queries.find(adopted, "latest~1")
    rows = {(s.name, s.part): s for s in queries.summary(adopted, run.run_id)}

    assert run.complete
    assert (rows["", "response"].requests, rows["", "response"].failures) == (999, 100)
    assert {name for name, _ in rows} == {"", "/0", "/1", "/2"}
    assert sum(s.requests for (name, _), s in rows.items() if name) == 999
    exact = adopted.execute(
        "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY response_time), avg(response_time),"
        " max(response_time) FROM request WHERE run_id = %s",
        [run.run_id],
    ).fetchone()
    assert run.p95_ms == pytest.approx(exact[0], rel=0.025)
    assert (run.mean_ms, run.max_ms) == (pytest.approx(exact[1]), exact[2])


FORMER = """
    DROP INDEX request_run_time_idx, request_time_brin;
    DROP VIEW run, run_choice, histogram;
    ALTER TABLE testrun RENAME COLUMN ramp_up_complete TO ramp_complete;
    ALTER TABLE request RENAME COLUMN service_ms TO app_ms;
    ALTER TABLE request RENAME COLUMN start_delay_ms TO late_ms;
    ALTER TABLE run_worker RENAME COLUMN clock_skewed TO implausible;
    ALTER TABLE histogram_closed DROP CONSTRAINT histogram_closed_part_check;
    ALTER TABLE histogram_open DROP CONSTRAINT histogram_open_part_check;
    UPDATE histogram_closed SET part = CASE part WHEN 'response' THEN 'total'
        WHEN 'service' THEN 'app' WHEN 'uncorrected' THEN 'raw' ELSE part END;
    UPDATE histogram_open SET part = CASE part WHEN 'response' THEN 'total'
        WHEN 'service' THEN 'app' WHEN 'uncorrected' THEN 'raw' ELSE part END;
    ALTER TABLE histogram_closed ADD CONSTRAINT histogram_closed_part_check
        CHECK (part IN ('total', 'queue', 'app', 'receiving', 'outside', 'raw')) NOT VALID;
    ALTER TABLE histogram_open ADD CONSTRAINT histogram_open_part_check
        CHECK (part IN ('total', 'queue', 'app', 'receiving', 'outside', 'raw')) NOT VALID;
    ALTER TABLE testrun DROP COLUMN hosts, DROP COLUMN services;
    DROP TABLE run_service, server_call, statement_count, call_count, profile;
    DROP TABLE resource_series, resource_demand;
    ALTER TABLE testrun DROP COLUMN resources, DROP COLUMN branch, DROP COLUMN commit_hash,
        DROP COLUMN scenario_hash, DROP COLUMN machine;
    DROP TABLE database_sample, database_statement, database_lock_wait;
    ALTER TABLE server_capture DROP COLUMN counted;
    ALTER TABLE request DROP COLUMN cpu_ms, DROP COLUMN db_ms, DROP COLUMN pool_ms,
        DROP COLUMN http_ms, DROP COLUMN cache_ms, DROP COLUMN db_calls, DROP COLUMN http_calls,
        DROP COLUMN cache_calls;
    DELETE FROM schema_version WHERE version >= 14;
    CREATE VIEW histogram AS SELECT * FROM histogram_closed UNION ALL SELECT * FROM histogram_open;
    CREATE VIEW run AS SELECT id AS run_id, ramp_complete FROM testrun;
    CREATE VIEW run_summary AS SELECT id, s.* FROM testrun CROSS JOIN LATERAL summary(id) s;
"""


def test_a_database_with_the_former_words_shows_the_same_figures(connection):
    """Version 14 renames columns, parts and details, in open windows as in closed ones."""
    parts = {"queue": 1.0, "service": 5.0, "receiving": 0.5, "outside": 3.5, "uncorrected": 9.0}
    start = store_run(connection, [Sample(i / 7, 10, parts=parts) for i in range(300)], ramp_s=5)
    run, summary = queries.by_id(connection, start), queries.summary(connection, start)
    level = {"app_p95_ms": 5.1, "users": 8}
    verdict = {"total": {"p95": 10.0}, "app": {"p95": 5.1}, "users": 8, "broken_part": "app"}
    connection.execute(FORMER)
    for kind, details in (("level", level), ("verdict", verdict), ("ramp_complete", {})):
        connection.execute(
            "INSERT INTO events (time, text, run_id, kind, details) VALUES (now(), '', %s, %s, %s)",
            [start, kind, Jsonb(details)],
        )

    assert migrate(connection) == [number for number in SCRIPTS if number >= 14]

    assert queries.by_id(connection, start) == run
    assert queries.summary(connection, start) == summary
    assert {row.part for row in summary} == set(PARTS)
    found = dict(connection.execute("SELECT kind, details FROM events").fetchall())
    assert found == {
        "level": {"service_p95_ms": 5.1, "users": 8},
        "verdict": {
            "response": {"p95": 10.0},
            "service": {"p95": 5.1},
            "users": 8,
            "broken_part": "service",
        },
        "ramp_up_complete": {},
    }
    assert connection.execute("SELECT to_regclass('run_summary')").fetchone() == (None,)


def test_several_starts_at_once_take_turns(empty_database):
    """Four migrators of one empty database: each version is applied by exactly one of them."""
    outcomes: list[Any] = []

    def start() -> None:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            try:
                outcomes.append(migrate(connection))
            except psycopg.Error as error:
                outcomes.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(outcomes, key=str) == [list(SCRIPTS), [], [], []]


def test_a_newer_schema_is_refused(connection):
    """A database of a newer swarmscope is left alone, with one line that says what to do."""
    connection.execute("INSERT INTO schema_version VALUES (%s)", [NEWEST + 1])
    connection.execute("DROP VIEW run")

    with pytest.raises(NewerSchema, match=rf"schema version {NEWEST + 1}.*upgrade swarmscope"):
        migrate(connection)

    assert connection.execute("SELECT to_regclass('run')").fetchone() == (None,)


def test_an_interrupted_migration_leaves_the_last_whole_version(empty_database, monkeypatch):
    """A version that fails half-way leaves nothing of itself, and the next start goes on there."""
    broken = migrations.SCRIPTS | {2: "CREATE TABLE half_way (); SELECT 1 / 0"}
    with psycopg.connect(empty_database, autocommit=True) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "SCRIPTS", broken)
            with pytest.raises(psycopg.errors.DivisionByZero):
                migrate(connection)
        assert "half_way" not in _columns(connection)
        assert migrations.version(connection) == 1

        assert migrate(connection) == list(SCRIPTS)[1:]


def test_views_of_an_older_release_are_replaced(connection):
    """Views and functions with other columns or arguments give way; what users built stays."""
    store_run(connection, [Sample(1, 10)])
    connection.execute("DROP VIEW run")
    connection.execute("CREATE VIEW run AS SELECT 'old' AS shape")
    connection.execute("DROP FUNCTION users_over_time")
    connection.execute("CREATE FUNCTION users_over_time(run text) RETURNS int RETURN 1")
    connection.execute("CREATE VIEW mine AS SELECT count(*) FROM testrun")

    migrate(connection)

    assert connection.execute("SELECT requests FROM run").fetchone() == (1,)
    arguments = connection.execute(
        "SELECT pronargs FROM pg_proc WHERE proname = 'users_over_time'"
    ).fetchall()
    assert arguments == [(4,)]
    assert connection.execute("SELECT * FROM mine").fetchone() == (1,)


def test_a_start_waits_for_no_reader(connection, runs_database):
    """A long query of a dashboard holds no start up, as long as the views have not changed."""
    with psycopg.connect(runs_database) as reader:
        reader.execute("SELECT * FROM run")  # its transaction stays open and holds the view
        connection.execute("SET lock_timeout = '2s'")

        assert migrate(connection) == []
