"""Reads the runs database for the page in Locust's UI: a process beside Locust.

Started by Locust (`python -m swarmscope.runs.page.reader`) when somebody opens the page, so that
neither the queries nor the encoding of JSON take time of Locust's event loop. It imports nothing of
Locust and answers one request at a time: a `RunRequest` per line on standard input; on standard
output a `ReplyHeader` as a line of JSON, then the body. It ends with its standard input.
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
from typing import IO, Any

import msgspec
import psycopg

from swarmscope.formatting import first_line
from swarmscope.home import Unreachable, locate_prometheus
from swarmscope.runs import assembly, database, document, queries, server_series
from swarmscope.runs.model import Run
from swarmscope.runs.page.protocol import FRESH_S, ReplyHeader, RunRequest
from swarmscope.runs.schema import migrations

Connection = psycopg.Connection[Any]

NICENESS = 5  # the swarm goes first
MOST_RUNS = 50
RUNS_FRESH_S = 9.0  # and for the list of runs every 10 s
SETTLED_S = 60.0  # of a run that is complete, when it was asked for by its id
SERVICES_FRESH_S = 9.0
LEAST_PAUSE_SHARE = 12.0  # what took long is made so much more rarely
RENEWED_S = 30.0  # how long the beginning of a run's curves is not looked at again
STATEMENT_TIMEOUT_MS = 10_000
COMPRESSION = 4


class Services:
    """Asks Prometheus, and for some seconds does not ask again: ranges cost it much."""

    def __init__(self, url: str | None) -> None:
        self._ask = assembly.ask_prometheus(url)
        self._kept: dict[tuple[datetime, datetime | None], server_series.Capture | None] = {}
        self._until = 0.0

    def __call__(self, started: datetime, ended: datetime | None) -> server_series.Capture | None:
        """Return the services' series of a run, or None; see `assembly.assemble`."""
        began = time.monotonic()
        if self._ask and (began > self._until or (started, ended) not in self._kept):
            self._kept = {(started, ended): self._ask(started, ended)}
            took = time.monotonic() - began
            self._until = began + max(SERVICES_FRESH_S, LEAST_PAUSE_SHARE * took)
        return self._kept.get((started, ended))


class Reading:
    """Answers questions over one connection, made when it is needed and anew when it broke."""

    def __init__(self, where: str, services: Services) -> None:
        self._where = where
        self._services = services
        self._connection: Connection | None = None
        self._over: dict[datetime, Run] = {}  # runs that will not change
        self._drawn: dict[datetime, document.Points] = {}  # the latest curves of the run shown last
        self._renewed = 0.0  # when they were made from the beginning (monotonic)

    def answer(self, question: RunRequest) -> tuple[int, bytes, float]:
        """Return an HTTP status, JSON, and for how many seconds it is good."""
        began = time.monotonic()
        try:
            content, fresh_s = self._read(question)
        except queries.NoSuchRun as error:
            return 404, _message(str(error)), FRESH_S
        except (Unreachable, migrations.NewerSchema) as error:
            return 503, _message(str(error)), FRESH_S
        except psycopg.Error as error:
            self._disconnect()
            return 503, _message(f"the runs database does not answer: {first_line(error)}"), FRESH_S
        return 200, content, max(fresh_s, LEAST_PAUSE_SHARE * (time.monotonic() - began))

    def _read(self, question: RunRequest) -> tuple[bytes, float]:
        connection = self._connected()
        if question.run is None:
            runs = queries.runs_but(connection, MOST_RUNS, self._over)
            self._over = {run.run_id: run for run in runs if run.complete}
            return msgspec.json.encode(runs), RUNS_FRESH_S
        run = queries.find(connection, question.run)
        made = self._made(connection, run)
        stays = run.complete and question.run == run.run
        return document.encode(made), SETTLED_S if stays else FRESH_S

    def _made(self, connection: Connection, run: Run) -> document.Document:
        """Return the run's document; most of its curves, while it is on, are those of the last."""
        now = time.monotonic()
        if now > self._renewed + RENEWED_S or run.run_id not in self._drawn:
            self._drawn, self._renewed = {}, now
        known = self._drawn.get(run.run_id)
        made = assembly.assemble(connection, run.run_id, False, self._services, known)
        self._drawn = {run.run_id: made.points}
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


def serve(reading: Reading, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer line by line, and return when there are no more questions.

    Whoever asked may be gone while the database hangs, so answers are made in another thread.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    arguments = (reading, lines, answers)
    threading.Thread(target=_answer_forever, args=arguments, daemon=True).start()
    for line in questions:
        lines.put(line)


def _answer_forever(reading: Reading, lines: queue.SimpleQueue[bytes], answers: IO[bytes]) -> None:
    while True:
        question = msgspec.json.decode(lines.get(), type=RunRequest)
        status, content, lasts_s = reading.answer(question)
        body = gzip.compress(content, COMPRESSION, mtime=0)
        tag = f"{zlib.crc32(content):08x}{len(content):x}"
        header = msgspec.json.encode(ReplyHeader(status, len(body), tag, lasts_s))
        answers.write(header + b"\n" + body)
        answers.flush()


def main() -> None:
    """Answer questions about runs until standard input ends."""
    parser = argparse.ArgumentParser(prog="swarmscope.runs.page.reader", description=main.__doc__)
    parser.add_argument("--database", default="", help="URL; else as libpq's environment says")
    arguments = parser.parse_args()
    os.nice(NICENESS)
    logging.basicConfig(level=logging.ERROR)
    services = Services(locate_prometheus())
    serve(Reading(arguments.database, services), sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout.flush()
    os._exit(0)  # the other thread may be inside libpq


if __name__ == "__main__":
    main()
