"""What the sessions of the app's PostgreSQL do, by its own statistics views (13 and later)."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import unquote

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import dict_row

from swarmscope.formatting import first_line, printable
from swarmscope.machine import cpu, kernel_files
from swarmscope.machine.cgroups import Cgroups
from swarmscope.machine.processes import ProcessTree
from swarmscope.redaction import hide, scrub_text
from swarmscope.runs.resources.database import MAX_LOCK_WAITS, DatabaseSample
from swarmscope.sql_text import MAX_READ

logger = logging.getLogger(__name__)

URL_VARIABLE = "SWARMSCOPE_APP_DATABASE_URL"
PARAMETERS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "swarmscope sampler",
    "client_encoding": "UTF8",
}
# What else libpq would take from PG*, which name the runs database. Empty: libpq's default.
OTHERS = {"host": "", "port": "", "password": "", "passfile": "", "options": ""}
STATEMENT_TIMEOUT_S = 5
MAX_TEXT = MAX_READ + 1  # characters of a statement: what reads it sees that it goes on
CPU_EVERY_S = 4.5  # of 60 sessions it takes as long as everything else together
ROOT = Path("/")
MARK = "/* swarmscope */"  # in our statements, to leave them out of what the app executed
ACTIVITIES = (
    "on_cpu", "io", "lock", "lwlock", "client", "other", "idle_in_transaction", "locks_contended",
)  # fmt: skip

ACTIVITY: LiteralString = """
    SELECT /* swarmscope */
        current_database() AS database,
        count(*) FILTER (WHERE own AND usesysid IS NOT NULL AND backend_type IS NULL) AS hidden,
        count(*) FILTER (WHERE working AND wait_event_type IS NULL) AS on_cpu,
        count(*) FILTER (WHERE working AND wait_event_type = 'IO') AS io,
        count(*) FILTER (WHERE working AND wait_event_type = 'Lock') AS lock,
        count(*) FILTER (WHERE working AND wait_event_type IN ('LWLock', 'BufferPin')) AS lwlock,
        count(*) FILTER (WHERE working AND wait_event_type = 'Client') AS client,
        count(*) FILTER (WHERE working AND wait_event_type NOT IN
            ('IO', 'Lock', 'LWLock', 'BufferPin', 'Client')) AS other,
        count(*) FILTER (WHERE own AND state LIKE 'idle in transaction%') AS idle_in_transaction,
        count(*) FILTER (WHERE datid IS NOT NULL AND usesysid IS NOT NULL
            AND coalesce(backend_type, 'client backend') = 'client backend') AS connections,
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0) AS max_connections
    FROM (
        SELECT *, own AND state IN ('active', 'fastpath function call') AS working
        FROM (SELECT *, datname = current_database() AS own FROM pg_stat_activity) s
        WHERE pid <> pg_backend_pid()
    ) s
"""
# Who queues for a row waits for its tuple lock; the first in the queue has that one, and waits for
# the transaction that changed the row. Both are waiting for one row.
LOCKS: LiteralString = """
    WITH /* swarmscope */ locks AS MATERIALIZED (
        SELECT * FROM pg_locks WHERE NOT granted OR locktype = 'tuple'
    ), waits AS (
        SELECT a.pid, left(a.query, %(longest)s) AS query, l.locktype,
            coalesce(t.relation, l.relation) AS relation,
            coalesce(t.page, l.page) AS page, coalesce(t.tuple, l.tuple) AS tuple,
            CASE WHEN t.pid IS NULL AND l.locktype <> 'tuple' THEN concat_ws(' ', l.locktype,
                l.transactionid, l.virtualxid, l.classid, l.objid, l.objsubid) END AS other
        FROM pg_stat_activity a
        JOIN locks l ON l.pid = a.pid AND NOT l.granted
        LEFT JOIN locks t ON t.pid = a.pid AND t.granted AND l.locktype = 'transactionid'
        WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
    ), targets AS (
        SELECT relation, count(*) AS waiting, mode() WITHIN GROUP (ORDER BY query) AS query,
            coalesce(min(pid) FILTER (WHERE locktype <> 'tuple'), min(pid)) AS first
        FROM waits GROUP BY relation, page, tuple, other
    ), most AS (
        SELECT *, count(*) OVER () AS contended FROM targets ORDER BY waiting DESC LIMIT %(most)s
    )
    SELECT contended::int, waiting::int, most.query, coalesce(relation::regclass::text, ''),
        coalesce(left(b.query, %(longest)s), ''), coalesce(b.state, '')
    FROM most LEFT JOIN LATERAL (
        SELECT query, state FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids(most.first))
        ORDER BY wait_event_type = 'Lock', pid LIMIT 1
    ) b ON true
    ORDER BY waiting DESC
"""
EXTENSION: LiteralString = """
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pg_stat_statements'
"""
STATEMENTS: LiteralString = """
    SELECT /* swarmscope */ queryid, sum(calls)::bigint, sum(rows)::bigint,
        sum(total_exec_time) / 1000
    FROM {}.pg_stat_statements(false)
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND queryid IS NOT NULL
    GROUP BY queryid
"""
TEXTS: LiteralString = """
    SELECT /* swarmscope */ queryid, left(min(query), %s) FROM {}.pg_stat_statements
    WHERE queryid = ANY (%s) GROUP BY queryid
"""


class NotPostgreSQL(ValueError):
    """The URL is not one of PostgreSQL; the text does not contain it."""


@dataclass(frozen=True)
class Blocked:
    """Sessions that wait for one lock, with statements as they were sent."""

    waiting: int
    query: str
    relation: str
    blocking_query: str
    blocking_state: str


@dataclass(frozen=True)
class Totals:
    """What a statement took since the server counts it."""

    calls: int
    rows: int
    seconds: float


class AppDatabase:
    """A session in the app's database, which leaves itself out of what it reports.

    Each method raises psycopg.Error when the server does not answer.
    """

    def __init__(self, url: str) -> None:
        """Connect; raises psycopg.Error or `NotPostgreSQL`."""
        given = parameters(url)
        self._connection = psycopg.connect(**{**OTHERS, **given, **PARAMETERS}, autocommit=True)
        self._connection.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        self._processes = processes_of(self._connection.info.backend_pid)
        self._cores = cpu.figures(ROOT, Cgroups()).cpus if self._processes else None
        self._cpu_due = 0.0  # monotonic
        self._schema = self._statements_schema()
        self.has_hidden_sessions = False

    @property
    def role(self) -> str:
        """The role of the session."""
        return self._connection.info.user

    @property
    def name(self) -> str:
        """The database's name."""
        return self._connection.info.dbname

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def sample(self) -> tuple[DatabaseSample, list[Blocked]]:
        """Return what the sessions do now, and for which locks some of them wait."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(ACTIVITY).fetchone()
            assert found
            self.has_hidden_sessions = found.pop("hidden") > 0
            contended, blocked = self._locks() if found["lock"] else (0, [])
        counts = {
            **found,
            "locks_contended": contended,
            "cores": self._cores,
            "cpu_s": self._cpu_seconds(),
        }
        if self.has_hidden_sessions:
            counts, blocked = counts | dict.fromkeys(ACTIVITIES), []
        return DatabaseSample(time=datetime.now(UTC), **counts), blocked

    def _cpu_seconds(self) -> float | None:
        """Return what the server used, now and then: its processes may be many."""
        if self._processes is None or time.monotonic() < self._cpu_due:
            return None
        self._cpu_due = time.monotonic() + CPU_EVERY_S
        return self._processes.cpu_seconds()

    def _locks(self) -> tuple[int, list[Blocked]]:
        """Return how many locks sessions wait for, and those that most of them wait for."""
        rows = self._connection.execute(
            LOCKS, {"most": MAX_LOCK_WAITS, "longest": MAX_TEXT}
        ).fetchall()
        return (rows[0][0] if rows else 0), [Blocked(*row[1:]) for row in rows]

    def statements(self) -> dict[int, Totals]:
        """Return what statements took, by their number; nothing without pg_stat_statements."""
        if self._schema is None:
            return {}
        query = sql.SQL(STATEMENTS).format(sql.Identifier(self._schema))
        return {number: Totals(*row) for number, *row in self._connection.execute(query)}

    def texts(self, numbers: Iterable[int]) -> Mapping[int, str]:
        """Return the texts of statements of the app by their numbers."""
        assert self._schema is not None
        query = sql.SQL(TEXTS).format(sql.Identifier(self._schema))
        found = self._connection.execute(query, [MAX_TEXT, list(numbers)])
        return {number: text or "" for number, text in found if MARK not in (text or "")}

    def _statements_schema(self) -> str | None:
        """Return the schema of pg_stat_statements; None where it is not there or not loaded."""
        found = self._connection.execute(EXTENSION).fetchone()
        if found is None:
            return None
        try:
            query = sql.SQL("SELECT FROM {}.pg_stat_statements(false) LIMIT 1")
            self._connection.execute(query.format(sql.Identifier(found[0])))
        except psycopg.Error as error:
            logger.debug("No statements of %s: %s", self.name, first_line(error))
            return None
        return str(found[0])


def parameters(url: str) -> dict[str, Any]:
    """Return libpq's parameters of *url*, which may name SQLAlchemy's driver, too.

    Raises `NotPostgreSQL`.
    """
    scheme, separator, rest = url.partition("://")
    if separator:
        url = f"{scheme.partition('+')[0]}://{rest}"
    try:
        return dict(conninfo.conninfo_to_dict(url))
    except psycopg.ProgrammingError:  # its text may have the password
        raise NotPostgreSQL(f"{URL_VARIABLE} is not a URL of PostgreSQL") from None


def processes_of(backend: int) -> ProcessTree | None:
    """Return the processes of the server whose session has the process *backend*.

    None where there is no such process: the server is on another machine, or in a container.
    """
    process = ROOT / "proc" / str(backend)
    if not (kernel_files.text(process / "cmdline") or "").startswith("postgres"):
        return None
    server = kernel_files.field(kernel_files.text(process / "status"), "PPid")
    return ProcessTree(int(server)) if server else None


def safe_reason(error: Exception, url: str) -> str:
    """Return the first line of *error* without the password of *url*, fit for a terminal."""
    return printable(hide(scrub_text(first_line(error)), _secrets(url)))


def _secrets(url: str) -> Sequence[str]:
    """Return the password of *url*, the longest text first.

    Of one that is not encoded as it must be, libpq takes a part for a host or a port, and shows it.
    """
    written = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    parts = re.split("[@:/?#]", written)
    found = {written, *parts, *map(unquote, parts)}
    with suppress(NotPostgreSQL):
        found.add(parameters(url).get("password") or "")
    return sorted(found, key=len, reverse=True)
