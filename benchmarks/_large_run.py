"""A run of 36 million requests in a database of its own: what dashboards are read from.

Its first two minutes are what Locust processes write and a shipper delivers. The rest is those two
minutes again, moved in time by SQL, because shipping all of it would take a quarter of an hour.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks._ports import free_port
from benchmarks._postgres import connected
from swarmscope.journal import records
from swarmscope.journal.format import Header
from swarmscope.journal.writer import Writer
from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import roles
from swarmscope.runs.schema.migrations import migrate
from swarmscope.shipper.apply import apply
from swarmscope.shipper.process import Shipper
from swarmscope.stack.postgres import SUPERUSER, Cluster

WORKERS = 4
ENDPOINTS = 10
REQUESTS_PER_S = 5_000
BLOCK_S = 120
BLOCKS = 60
RAMP_S = 60
USERS = 5_000
FAIL_RATIO = 0.005
JOURNAL_ROWS = 500  # of a record
COPIED = ("request", "histogram_closed")
PLAN = "locustfiles/classic.py"
LEADER = UUID(int=6)
# What a run survives does not matter here, and how it is read does not depend on it.
UNSAFE = "fsync = off\nfull_page_writes = off\nwal_level = minimal\nmax_wal_senders = 0\n"


@dataclass(frozen=True)
class Runs:
    """A runs database: as its owner, and as Grafana's role, reach it."""

    owner: str
    reader: str


@contextmanager
def runs_database(directory: Path) -> Iterator[Runs]:
    """Serve the runs database in *directory*, made when it is not there, until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # as root the server runs as somebody else
    cluster = Cluster(directory, free_port())
    is_new = not cluster.data.exists()
    cluster.initialise()
    if is_new:
        with (cluster.data / "postgresql.conf").open("a") as settings:
            settings.write(UNSAFE)
    server = cluster.start(directory / "log")
    try:
        yield _prepared(cluster)
    finally:
        server.terminate()
        server.wait()


def _prepared(cluster: Cluster) -> Runs:
    """Give a cluster our roles and schema."""
    where = {"host": "127.0.0.1", "port": str(cluster.port)}
    passwords = {role: secrets.token_urlsafe(24) for role in (roles.OWNER, roles.READER)}
    superuser = make_conninfo(
        user=SUPERUSER, passfile=str(cluster.passfile), dbname="postgres", **where
    )
    with connected(superuser) as admin:
        roles.prepare(admin, passwords)
        with roles.connect_as_owner(admin, passwords[roles.OWNER]) as owner:
            migrate(owner)
    return Runs(
        *(
            make_conninfo(user=role, password=password, dbname=roles.DATABASE, **where)
            for role, password in passwords.items()
        )
    )


def fill(owner: str, most_s: float) -> int:
    """Go on filling the run for at most about *most_s*; return the blocks that are there."""
    deadline = time.monotonic() + most_s
    with psycopg.connect(owner, autocommit=True) as connection:
        done = _blocks(connection)
        if done == 0:
            _begin(connection, owner)
            done = 1
        while done < BLOCKS and time.monotonic() < deadline:
            _repeat(connection, done)
            done += 1
            print(f"{done} of {BLOCKS} blocks", flush=True)
    return done


def finish(owner: str) -> None:
    """Stop the run, and let the database's own housekeeping be done."""
    with psycopg.connect(owner, autocommit=True) as connection:
        run = run_id(connection)
        ended = records.start_of(run) + BLOCKS * BLOCK_S
        with connection.transaction():
            connection.execute("UPDATE run_worker SET samples = samples * %s", [BLOCKS])
            apply(records.RunStopped(run, PLAN, ended), connection, LEADER)
            for table in COPIED:
                connection.execute(f"DROP TABLE block_{table}")
            _add_baseline(connection)
        connection.execute("VACUUM (ANALYZE)")


def _add_baseline(connection: Connection) -> None:
    """Store the run's histograms once more, as a run of the day before to compare it with."""
    for table, key in (("testrun", "id"), ("histogram_closed", "run_id"), ("user_count", "run_id")):
        shifted = {"time", "end_time", "ramp_up_complete", key}
        columns = _columns(connection, table)
        values = [f"{c} - interval '1 day'" if c in shifted else c for c in columns]
        connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table}"
        )


def run_id(connection: Connection) -> str:
    """Return the id of the run."""
    ((run,),) = connection.execute("SELECT run_text(max(id)) FROM testrun").fetchall()
    return str(run)


def _blocks(connection: Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM user_count").fetchall()
    return int(count) // BLOCK_S


def _begin(connection: Connection, owner: str) -> None:
    """Start a run, deliver its first block, and keep that aside to be repeated."""
    begin = int(time.time()) // 60 * 60 - BLOCKS * BLOCK_S - 3600
    run = records.run_id(begin)
    workers = [f"host_{uuid4().hex}" for _ in range(WORKERS)]
    with TemporaryDirectory() as name:
        for number, worker in enumerate(workers):
            _write_journal(Path(name), run, worker, number)
        shipper = Shipper(Path(name), owner)
        while shipper.round():
            pass
        shipper.disconnect()
    assert shipper.delivered == REQUESTS_PER_S * BLOCK_S
    with connection.transaction():
        for table in COPIED:
            connection.execute(f"CREATE UNLOGGED TABLE block_{table} AS TABLE {table}")
        apply(_started(run), connection, LEADER)
        apply(records.RampComplete(run, PLAN, begin + RAMP_S, USERS), connection, LEADER)
        _count_users(connection, run, 0)


def _started(run: str) -> records.RunStarted:
    return records.RunStarted(
        run=run,
        testplan=PLAN,
        scenario="Tester",
        profile=None,
        users=USERS,
        iterations_per_second=0.0,
        description="two hours at 5,000 requests/s",
        environment="",
        version="",
        username="benchmark",
        repository=None,
        arguments="",
        host="http://127.0.0.1:5000",
        versions={},
    )


def _count_users(connection: Connection, run: str, block: int) -> None:
    begin = records.start_of(run)
    for second in range(block * BLOCK_S, (block + 1) * BLOCK_S):
        users = min(USERS, USERS * (second + 1) // RAMP_S)
        apply(records.UserCount(run, PLAN, begin + second, users, USERS), connection, LEADER)


def _repeat(connection: Connection, block: int) -> None:
    """Store the first block's rows again, *block* blocks later."""
    shift_s = block * BLOCK_S
    with connection.transaction():
        for table in COPIED:
            others = ", ".join(c for c in _columns(connection, table) if c != "time")
            connection.execute(
                f"INSERT INTO {table} (time, {others})"
                f" SELECT time + make_interval(secs => %s), {others} FROM block_{table}",
                [shift_s],
            )
        _count_users(connection, run_id(connection), block)


def _columns(connection: Connection, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [table],
    ).fetchall()
    return [name for (name,) in rows]


def _write_journal(directory: Path, run: str, worker: str, number: int) -> None:
    """Write what one Locust process leaves behind of the first block."""
    dice = random.Random(number)
    begin = records.start_of(run)
    rate = REQUESTS_PER_S // WORKERS
    writer = Writer(directory, Header(uuid4().hex, 0, 0, worker, "host", 100 + number, False))

    def append(record: records.Record) -> None:
        writer.append(msgspec.msgpack.encode(record))
        writer.roll(msgspec.msgpack.encode(records.Continued()))

    append(records.WorkerStarted(run, worker, begin))
    for first in range(0, rate * BLOCK_S, JOURNAL_ROWS):
        block = [
            _sample(dice, begin + (first + row + dice.random()) / rate, first + row)
            for row in range(JOURNAL_ROWS)
        ]
        append(records.Samples(run, PLAN, 0.0, block))
    append(records.WorkerStopped(run, worker, begin + BLOCKS * BLOCK_S))
    writer.append(msgspec.msgpack.encode(records.End()))
    writer.close()


def _sample(dice: random.Random, finished: float, number: int) -> Any:
    ms = dice.lognormvariate(3, 0.6)
    path = f"/tests/{number % ENDPOINTS}"
    url = f"http://127.0.0.1:5000{path}"
    error = f"{path} answered 503" if dice.random() < FAIL_RATIO else None
    timing = f"queue;dur={ms * 0.2:.3f}, app;dur={ms * 0.6:.3f}"
    start, trace = finished - ms / 1000, dice.randbytes(16)
    return (start, ms, path, "GET", url, 345, os.getpid(), error, None, timing, trace)
