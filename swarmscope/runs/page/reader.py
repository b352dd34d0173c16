"""Reads the runs database for the page in Locust's UI: a process beside Locust.

Locust starts it (`python -m swarmscope.runs.page.reader`) when somebody opens the page, so that
neither queries nor JSON encoding block Locust's event loop. It does not import Locust and answers
one request at a time: a `RunRequest` per line on standard input; on standard output a
`ReplyHeader` as a line of JSON, then the body. It ends when its standard input does.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import queue
import sys
import threading
import time
import zlib
from datetime import datetime
from typing import IO

import msgspec
import psycopg

from swarmscope.formatting import first_line
from swarmscope.home import Unreachable, locate_prometheus
from swarmscope.runs import assembly, database, document, queries, server_series
from swarmscope.runs.connection import Connection
from swarmscope.runs.model import Run
from swarmscope.runs.page import flames, stored_flames
from swarmscope.runs.page.protocol import FRESH_S, ReplyHeader, RunRequest
from swarmscope.runs.schema import migrations
from swarmscope.runs.services import Targets

Lines = queue.SimpleQueue[bytes]

NICENESS = 5  # the swarm goes first
MAX_RUNS = 50
RUNS_FRESH_S = 9.0  # pages ask for the list of runs every 10 s
COMPLETE_FRESH_S = 60.0  # of a complete run that was requested by its id
PROMETHEUS_FRESH_S = 9.0
PROFILES_FRESH_S = 9.0
MIN_PAUSE_RATIO = 12.0  # an answer is reused at least this many times as long as it took
REDRAWN_S = 30.0  # how often the settled points of a run's curves are read again
STATEMENT_TIMEOUT_MS = 10_000
COMPRESSION = 4


class CachedSeries:
    """Asks Prometheus, and reuses the answer for some seconds: range queries are expensive."""

    def __init__(self, url: str | None) -> None:
        self._ask = assembly.ask_prometheus(url)
        self._kept: dict[tuple[datetime, datetime | None], server_series.Capture | None] = {}
        self._until = 0.0

    def __call__(
        self, started: datetime, ended: datetime | None, targets: Targets
    ) -> server_series.Capture | None:
        """Return the services' series of a run, or None; see `assembly.assemble`."""
        began = time.monotonic()
        if self._ask and (began > self._until or (started, ended) not in self._kept):
            self._kept = {(started, ended): self._ask(started, ended, targets)}
            took = time.monotonic() - began
            self._until = began + max(PROMETHEUS_FRESH_S, MIN_PAUSE_RATIO * took)
        return self._kept.get((started, ended))


class DocumentReader:
    """Answers requests over one connection, opened when needed and reopened when it broke."""

    def __init__(self, where: str, services: CachedSeries) -> None:
        self._where = where
        self._services = services
        self._connection: Connection | None = None
        self._complete: dict[datetime, Run] = {}  # these do not change
        self._drawn: dict[datetime, document.Document] = {}  # the latest of the run shown last
        self._renewed = 0.0  # when they were made from the beginning (monotonic)

    def answer(self, request: RunRequest) -> tuple[int, bytes, float]:
        """Return an HTTP status, JSON, and for how many seconds it may be reused."""
        began = time.monotonic()
        try:
            content, fresh_s = self._read(request)
        except queries.NoSuchRun as error:
            return 404, _message(str(error)), FRESH_S
        except (Unreachable, migrations.NewerSchema) as error:
            return 503, _message(str(error)), FRESH_S
        except psycopg.Error as error:
            self._disconnect()
            return 503, _message(f"the runs database does not answer: {first_line(error)}"), FRESH_S
        return 200, content, max(fresh_s, MIN_PAUSE_RATIO * (time.monotonic() - began))

    def _read(self, request: RunRequest) -> tuple[bytes, float]:
        connection = self._connected()
        if request.run is None:
            runs = queries.runs_but(connection, MAX_RUNS, self._complete)
            self._complete = {run.run_id: run for run in runs if run.complete}
            return msgspec.json.encode(runs), RUNS_FRESH_S
        run = queries.find(connection, request.run)
        made = self._made(connection, run)
        stays = run.complete and request.run == run.run
        if request.profiles:
            found = stored_flames.of_run(connection, run.run_id, made)
            return flames.encode(found), COMPLETE_FRESH_S if stays else PROFILES_FRESH_S
        return document.encode(made), COMPLETE_FRESH_S if stays else FRESH_S

    def _made(self, connection: Connection, run: Run) -> document.Document:
        """Return the run's document; while it is running, most of it is what was drawn before."""
        now = time.monotonic()
        if now > self._renewed + REDRAWN_S or run.run_id not in self._drawn:
            self._drawn, self._renewed = {}, now
        known = self._drawn.get(run.run_id)
        made = assembly.assemble(connection, run.run_id, False, self._services, known)
        self._drawn = {run.run_id: made}
        return made

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = database.connect_to_read(self._where)
            connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _message(text: str) -> bytes:
    return msgspec.json.encode({"message": text})


def serve(reader: DocumentReader, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer line by line until there are no more requests.

    Answers are made in another thread: Locust may be gone while the database hangs.
    """
    lines: Lines = queue.SimpleQueue()
    arguments = (reader, lines, answers)
    threading.Thread(target=_answer_forever, args=arguments, daemon=True).start()
    for line in requests:
        lines.put(line)


def _answer_forever(reader: DocumentReader, lines: Lines, answers: IO[bytes]) -> None:
    while True:
        request = msgspec.json.decode(lines.get(), type=RunRequest)
        status, content, lasts_s = reader.answer(request)
        body = gzip.compress(content, COMPRESSION, mtime=0)
        tag = f"{zlib.crc32(content):08x}{len(content):x}"
        header = ReplyHeader(status, len(body), tag, lasts_s)
        answers.write(msgspec.json.encode(header) + b"\n" + body)
        answers.flush()


def main() -> None:
    """Answer requests about runs until standard input ends."""
    parser = argparse.ArgumentParser(prog="swarmscope.runs.page.reader", description=main.__doc__)
    parser.add_argument("--database", default="", help="URL; else as libpq's environment says")
    arguments = parser.parse_args()
    os.nice(NICENESS)
    logging.basicConfig(level=logging.ERROR)
    services = CachedSeries(locate_prometheus())
    serve(DocumentReader(arguments.database, services), sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout.flush()
    os._exit(0)  # the other thread may be inside libpq


if __name__ == "__main__":
    main()
