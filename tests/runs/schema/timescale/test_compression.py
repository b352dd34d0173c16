"""What the licensed edition of TimescaleDB compresses, by its job, is read and pruned as before."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from support.timescale import chunks, connection_string

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema import maintenance

pytestmark = pytest.mark.compose


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


def test_compressed_chunks_get_columns(licensed):
    """As migrations add them, one by one: NULL in what is compressed, which still takes rows."""
    _store_days(licensed, range(4, 6))
    before = _figures(licensed)
    licensed.execute("CALL run_job(%s)", [_compression_job(licensed)])

    licensed.execute("ALTER TABLE request ADD COLUMN added_ms real")
    licensed.execute("ALTER TABLE request ADD COLUMN added integer")

    assert _compressed(licensed) == 2
    assert _figures(licensed) == before
    _store_days(licensed, range(5, 6), rows=7)
    assert licensed.execute("SELECT count(*), count(added) FROM request").fetchall() == [(207, 0)]


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
def test_pruning_does_not_deadlock_with_the_job(licensed, superuser, database, head_start_s):
    """Both work on the same chunks at once, and whichever comes first, the other waits for it."""
    job = _compression_job(licensed)
    _store_days(licensed, range(31, 43), rows=5_000)
    owner = connection_string(superuser, database)
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
