"""What a reader keeps open is ended, whatever its session has set for itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import psycopg
import pytest
from support.databases import Database, database_of_roles

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import persist
from swarmscope.runs.schema.maintenance import prune
from swarmscope.runs.schema.migrations import migrate
from swarmscope.runs.schema.reader_sessions import READER, end_old_transactions
from swarmscope.shipper.process import Shipper

AGE_S = 0.5
TIMEOUTS = ("idle_in_transaction_session", "lock", "statement", "transaction")
UNBOUNDED = "".join(f"SET {name}_timeout = 0;" for name in TIMEOUTS)


@pytest.fixture
def database(cluster) -> Iterator[Database]:
    """A runs database with its two roles."""
    with database_of_roles(cluster) as database:
        yield database


@pytest.fixture
def owner(database) -> Iterator[Connection]:
    """The owner's connection."""
    with psycopg.connect(database.owner, autocommit=True) as owner:
        yield owner


@pytest.fixture
def holder(database) -> Iterator[Connection]:
    """A reader's session that took every limit off, and keeps a lock on the raw requests."""
    holder = psycopg.connect(database.reader, autocommit=True)
    holder.execute(UNBOUNDED + "BEGIN; LOCK TABLE request, run IN ACCESS SHARE MODE")
    yield holder
    holder.close()


def _alive(connection: Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_an_old_transaction_is_ended_and_a_young_one_is_left(owner, database, holder):
    """Only the session whose transaction is older than the limit, and nobody who is idle."""
    with psycopg.connect(database.reader, autocommit=True) as idle:
        assert end_old_transactions(owner) == 0
        time.sleep(AGE_S)
        with psycopg.connect(database.reader) as young:
            young.execute("SELECT 1")

            assert end_old_transactions(owner, timedelta(seconds=AGE_S)) == 1

            assert [_alive(session) for session in (holder, young, idle)] == [False, True, True]


def test_a_shipper_ends_old_transactions(database, holder, tmp_path: Path, caplog):
    """Each does, at its first round and now and then, and says so."""
    time.sleep(AGE_S)
    shipper = Shipper(tmp_path, database.owner, max_reading=timedelta(seconds=AGE_S))

    shipper.round()
    shipper.disconnect()

    assert not _alive(holder)
    assert f"Ended 1 sessions of {READER}" in caplog.text


def _lock(connection: Connection, *tables: str) -> None:
    for table in tables:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


def test_a_reader_in_the_way_is_ended(owner, holder):
    """What needs a lock that a reader keeps waits as long as it is told, then goes on."""
    persist(owner, lambda: _lock(owner, "request"), max_reading=timedelta(seconds=AGE_S))

    assert not _alive(holder)


def test_nobody_else_in_the_way_is_ended(owner, database):
    """A lock of the owner's own sessions is waited for; whoever gives a limit is told."""
    with psycopg.connect(database.owner) as writer:
        writer.execute("LOCK TABLE request IN ROW EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            persist(owner, lambda: _lock(owner, "request"), 0.1, max_reading=timedelta(0))

        assert prune(owner, timedelta(days=30), max_seconds=0.1) == 0
        assert _alive(writer)


def test_a_deadlock_is_no_failure(owner, database):
    """Two that take the same locks in opposite orders both get them, one after the other."""
    both_have_one = Barrier(2)

    def work(connection: Connection, first: str, second: str) -> str:
        _lock(connection, first)
        with suppress(BrokenBarrierError):  # met once; whoever comes again is alone
            both_have_one.wait(20)
        both_have_one.abort()
        _lock(connection, second)
        return second

    with psycopg.connect(database.owner, autocommit=True) as other, ThreadPoolExecutor() as pool:
        results = [
            pool.submit(persist, owner, lambda: work(owner, "request", "testrun")),
            pool.submit(persist, other, lambda: work(other, "testrun", "request")),
        ]
        assert [result.result(60) for result in results] == ["testrun", "request"]


@pytest.mark.proof
def test_a_reader_holds_up_no_start_for_ever(owner, holder):
    """A release with other views replaces those that a reader keeps a lock on."""
    owner.execute("COMMENT ON VIEW run IS 'of an older release'")

    migrate(owner)

    assert not _alive(holder)
    comment = owner.execute("SELECT obj_description('run'::regclass)").fetchall()
    assert comment[0][0].startswith("views ")
