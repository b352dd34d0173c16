"""The same database on TimescaleDB, in a container: the Apache edition, or the licensed one."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.stored_runs import Sample, store_run
from support.waiting import poll_until

from swarmscope.runs import pruning, queries, timescale
from swarmscope.runs.migrations import migrate
from swarmscope.runs.roles import OWNER, READER, connect_as_owner, prepare

pytestmark = pytest.mark.compose

Connection = psycopg.Connection[Any]

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
        prepare(admin, PASSWORDS, name)
        with connect_as_owner(admin, PASSWORDS[OWNER], name) as owner:
            migrate(owner)
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


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

    gone = pruning.prune(owner, datetime.now(UTC) - limit)

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
            assert pruning.prune(owner, timedelta(days=5)) == pytest.approx(96, abs=1)


DENIED = psycopg.errors.InsufficientPrivilege


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
        "CREATE TEMP TABLE mine (a int)",
        "DO 'BEGIN PERFORM 1; END'",
    ],
)
def test_timescale_opens_no_door_to_the_reader(superuser, owner, attack):
    """The extension's own functions and catalogs are closed too, while reading works."""
    with psycopg.connect(
        superuser, dbname=owner.info.dbname, user=READER, password=PASSWORDS[READER],
        autocommit=True,
    ) as reader:  # fmt: skip
        reader.execute("SET default_transaction_read_only = off")
        reader.execute("SELECT time_bucket('1 min', time), count(*) FROM request GROUP BY 1")
        with pytest.raises(DENIED):
            reader.execute(attack)
