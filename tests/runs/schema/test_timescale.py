"""The same database on TimescaleDB, in a container: the Apache edition, or the licensed one."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support import attacks
from support.stored_runs import Sample, store_run
from support.waiting import poll_until

from swarmscope.runs import queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import maintenance, timescale
from swarmscope.runs.schema.migrations import migrate
from swarmscope.runs.schema.roles import OWNER, READER, connect_as_owner, prepare

pytestmark = pytest.mark.compose


STAND_IN = "compose-lab/timescaledb"
PASSWORDS = {OWNER: "owner", READER: "reader"}


def docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def image(root: Path) -> str:
    """Return the image that the Compose file names, or its stand-in; skip where neither is."""
    named = re.findall(r"image: (timescale/\S+)", (root / "docker-compose.yml").read_text())
    for candidate in [*named, STAND_IN] if shutil.which("docker") else []:
        with suppress(subprocess.CalledProcessError):
            docker("image", "inspect", candidate)
            return str(candidate)
    pytest.skip("no Docker engine with an image of TimescaleDB")


@pytest.fixture(scope="module")
def superuser(root) -> Iterator[str]:
    """A fresh TimescaleDB server; yields its superuser's connection string."""
    password = secrets.token_hex(8)
    container = docker(
        "run", "--detach", "--rm", "--publish", "127.0.0.1::5432",
        "--env", f"POSTGRES_PASSWORD={password}", "--env", "POSTGRES_DB=swarmscope", image(root),
    )  # fmt: skip
    try:
        port = docker("port", container, "5432/tcp").rsplit(":", 1)[1]
        where = f"host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres"
        poll_until(lambda: _accepts(where), "TimescaleDB to answer", seconds=60)
        yield where
    finally:
        docker("rm", "--force", "--volumes", container)


def _accepts(where: str) -> bool:
    try:
        psycopg.connect(where).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def database(superuser) -> Iterator[str]:
    """A database that is prepared and migrated as a start does it."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        with psycopg.connect(superuser, dbname=name, autocommit=True) as inside:
            _install_extensions(inside)
        prepare(admin, PASSWORDS, name)
        with connect_as_owner(admin, PASSWORDS[OWNER], name) as owner:
            migrate(owner)
            owner.execute(attacks.TRIGGER)
            owner.execute("CREATE SEQUENCE counter")
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _install_extensions(inside: Connection) -> None:
    """Install what an administrator may have, with routines that only superusers should call."""
    wanted = ["dblink", "file_fdw", "pg_buffercache", "pg_stat_statements", "postgres_fdw"]
    query = "SELECT name FROM pg_available_extensions WHERE name = ANY (%s)"
    for (name,) in inside.execute(query, [wanted]).fetchall():
        inside.execute(f"CREATE EXTENSION {name}")


@pytest.fixture
def owner(superuser, database) -> Iterator[Connection]:
    """The owner of the database, which holds no run."""
    where = psycopg.conninfo.make_conninfo(
        superuser, dbname=database, user=OWNER, password=PASSWORDS[OWNER]
    )
    with psycopg.connect(where, autocommit=True) as owner:
        owner.execute("TRUNCATE testrun, request, run_worker, histogram_open, histogram_closed")
        yield owner


def hypertables(connection: Connection) -> list[tuple[str, int]]:
    return connection.execute(
        "SELECT hypertable_name, num_chunks::int FROM timescaledb_information.hypertables"
    ).fetchall()


def chunks(connection: Connection) -> int:
    return connection.execute("SELECT count(*) FROM show_chunks('request')").fetchall()[0][0]


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


@pytest.fixture
def licensed(owner) -> Connection:
    """The owner, where the server has the edition that compresses."""
    if not timescale.licensed(owner):
        pytest.skip("no TimescaleDB of the licensed edition")
    return owner


def _store_days(owner: Connection, days: range, rows: int = 100) -> datetime:
    """Store *rows* requests a second apart at the beginning of each of the days before now."""
    now = datetime.now(UTC)
    owner.execute(
        "INSERT INTO request (time, run_id, greenlet_id, loadgen, name, request_type,"
        " response_time, success, testplan)"
        " SELECT date_trunc('day', %s) - day * interval '1 day' + i * interval '1 s', %s, 1, '',"
        " '/' || i %% 3, 'GET', i, 1, 'p' FROM unnest(%s::int[]) day, generate_series(1, %s) i",
        [now, now, list(days), rows],
    )
    return now


def _compression_job(owner: Connection) -> int:
    return owner.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = 'request'"
    ).fetchall()[0][0]


def _figures(owner: Connection) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT time::date, count(*), sum(response_time), count(DISTINCT name)"
        " FROM request GROUP BY 1 ORDER BY 1"
    ).fetchall()


def _compressed(owner: Connection) -> int:
    return owner.execute(
        "SELECT count(*) FROM timescaledb_information.chunks"
        " WHERE hypertable_name = 'request' AND is_compressed"
    ).fetchall()[0][0]


def test_the_job_compresses_what_is_two_days_old(licensed):
    """Nothing younger, and every row reads as before."""
    _store_days(licensed, range(6))
    before = _figures(licensed)

    licensed.execute("CALL run_job(%s)", [_compression_job(licensed)])

    assert _compressed(licensed) == 3  # of the days 3, 4 and 5; day 2 ended less than 2 days ago
    assert _figures(licensed) == before


def test_late_rows_reach_compressed_chunks(licensed):
    """Brought by `ship` days after their run, they count, are compressed in turn, and stay."""
    _store_days(licensed, range(4, 6))
    job = _compression_job(licensed)
    licensed.execute("CALL run_job(%s)", [job])
    assert _compressed(licensed) == 2

    _store_days(licensed, range(4, 6), rows=10)
    counts = [row[1] for row in _figures(licensed)]
    licensed.execute("CALL run_job(%s)", [job])

    assert counts == [110, 110]
    assert [row[1] for row in _figures(licensed)] == counts


def test_columns_of_compressed_chunks_can_be_renamed(licensed):
    """As migrations do it: rows that are compressed read as before, under the new name."""
    _store_days(licensed, range(4, 6))
    licensed.execute("UPDATE request SET service_ms = response_time")
    licensed.execute("CALL run_job(%s)", [_compression_job(licensed)])
    before = _figures(licensed)

    licensed.execute("ALTER TABLE request RENAME COLUMN service_ms TO app_ms")

    assert _compressed(licensed) == 2
    assert _figures(licensed) == before
    query = "SELECT count(*) FROM request WHERE app_ms = response_time"
    assert licensed.execute(query).fetchall() == [(200,)]
    licensed.execute("ALTER TABLE request RENAME COLUMN app_ms TO service_ms")


def test_pruning_reaches_compressed_chunks(licensed):
    """Whole days are dropped, the limit's own day loses rows to the second."""
    now = _store_days(licensed, range(28, 34))
    licensed.execute("CALL run_job(%s)", [_compression_job(licensed)])
    assert _compressed(licensed) == 6
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    limit = midnight - timedelta(days=30) + timedelta(seconds=50.5)

    gone = maintenance.prune(licensed, datetime.now(UTC) - limit)

    assert gone == pytest.approx(350, abs=2)
    assert sum(row[1] for row in _figures(licensed)) == 600 - gone
    assert chunks(licensed) == 3


@pytest.mark.parametrize("head_start_s", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
def test_pruning_does_not_deadlock_with_the_job(licensed, superuser, head_start_s):
    """Both work on the same chunks at once, and whichever comes first, the other waits for it."""
    job = _compression_job(licensed)
    _store_days(licensed, range(31, 43), rows=5_000)
    owner = psycopg.conninfo.make_conninfo(licensed.info.dsn, password=PASSWORDS[OWNER])
    with psycopg.connect(owner, autocommit=True) as other, ThreadPoolExecutor() as pool:
        compressing = pool.submit(other.execute, "CALL run_job(%s)", [job])
        time.sleep(head_start_s)
        before = _deadlocks(superuser, licensed)

        assert maintenance.prune(licensed, timedelta(days=30)) == 60_000
        with suppress(psycopg.errors.DataException):  # "policy failure": all its chunks were gone
            compressing.result(60)

    assert chunks(licensed) == 0
    assert _deadlocks(superuser, licensed) == before


def _deadlocks(superuser: str, owner: Connection) -> int:
    with psycopg.connect(superuser) as admin:
        return admin.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = %s", [owner.info.dbname]
        ).fetchall()[0][0]


TIMESCALE_ATTACKS_BY_OWNER = [
    # jobs run with the rights of their owner
    "SELECT delete_job(1)",
    "SELECT alter_job(1, scheduled => false)",
    "CALL run_job(1)",
    "INSERT INTO _timescaledb_config.bgw_job DEFAULT VALUES",
    "UPDATE _timescaledb_config.bgw_job SET owner = 'postgres'",
    "DELETE FROM _timescaledb_catalog.chunk",
    "UPDATE _timescaledb_catalog.metadata SET value = 'x'",
    "SELECT timescaledb_pre_restore()",
    "SELECT timescaledb_post_restore()",
    "SELECT _timescaledb_functions.stop_background_workers()",
    "SELECT _timescaledb_functions.restart_background_workers()",
    "SET timescaledb.license = 'apache'",
    "ALTER EXTENSION timescaledb UPDATE",
    "DROP EXTENSION timescaledb",
    # what other extensions keep for superusers
    "SELECT dblink_connect_u('host=/var/run/postgresql user=postgres')",
    "SELECT pg_stat_statements_reset()",
    "SELECT pg_buffercache_evict(1)",
    "CREATE SERVER mine FOREIGN DATA WRAPPER file_fdw",
    "CREATE SERVER mine FOREIGN DATA WRAPPER postgres_fdw",
]


@pytest.mark.parametrize("attack", attacks.BY_OWNER + TIMESCALE_ATTACKS_BY_OWNER)
def test_the_owner_reaches_nothing_but_its_tables(owner, attack):
    """As on plain PostgreSQL, although extensions are there for the asking."""
    assert attacks.refused(owner, attack)


def test_dblink_lets_nobody_in_without_a_password(owner):
    """What is left of it to the owner asks for one, although a socket would trust the superuser."""
    query = (
        "SELECT * FROM dblink('host=/var/run/postgresql user=postgres', 'SELECT 1') AS t (a int)"
    )
    with pytest.raises(psycopg.errors.lookup("2F003")):
        owner.execute(query)


@pytest.fixture(scope="module")
def reader(superuser, database) -> Iterator[Connection]:
    """The reader's connection, made writable as far as a session can do that by itself."""
    with psycopg.connect(
        superuser, dbname=database, user=READER, password=PASSWORDS[READER], autocommit=True
    ) as reader:
        reader.execute("SET default_transaction_read_only = off")
        yield reader


@pytest.mark.parametrize("attack", attacks.BY_READER)
def test_the_reader_does_nothing_but_read(reader, attack):
    """As on plain PostgreSQL."""
    try:
        assert attacks.refused(reader, attack)
    finally:
        reader.rollback()


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT create_hypertable('events', 'time')",
        "SELECT drop_chunks('request', older_than => interval '0')",
        "SELECT add_job('pg_sleep', '1s')",
        "SELECT set_chunk_time_interval('request', interval '1 h')",
        "CALL run_job(1)",
        "SELECT delete_job(1)",
        "SELECT timescaledb_pre_restore()",
        "INSERT INTO _timescaledb_config.bgw_job DEFAULT VALUES",
        "DELETE FROM _timescaledb_catalog.chunk",
        "UPDATE _timescaledb_catalog.metadata SET value = 'x'",
        "SELECT dblink_connect('host=127.0.0.1')",
    ],
)
def test_timescale_opens_no_door_to_the_reader(reader, attack):
    """The extensions' own functions and catalogs are closed too, while reading works."""
    reader.execute("SELECT time_bucket('1 min', time), count(*) FROM request GROUP BY 1")
    assert attacks.refused(reader, attack)
