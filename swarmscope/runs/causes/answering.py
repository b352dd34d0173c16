"""Answers a `Question` on standard output, as the JSON of a `document.Cause`: a process of its own.

Locust starts it when a capacity search has its answer (`python -m` with the question as JSON), so
that neither queries nor psycopg are in Locust.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec
import psycopg

from swarmscope.formatting import first_line
from swarmscope.home import Unreachable, locate_prometheus
from swarmscope.runs import captures, database, server_series
from swarmscope.runs.causes.ends import Side
from swarmscope.runs.causes.explanation import Frames, explain
from swarmscope.runs.causes.question import Load, Question
from swarmscope.runs.counters import Level
from swarmscope.runs.document import Cause
from swarmscope.runs.prometheus import Unavailable
from swarmscope.runs.resources.database import named
from swarmscope.runs.schema.migrations import NewerSchema
from swarmscope.runs.server_series import Capture
from swarmscope.runs.services import Targets

logger = logging.getLogger(__name__)

OF_DATABASE = ("database", "database_lock")
AROUND_S = 10.0  # before the first load: rates look back


def answer(question: Question, url: str) -> Cause:
    """Return the cause, by the Prometheus at *url*; raises `prometheus.Unavailable`."""
    loads = [question.held, question.broke] if question.held else [question.broke]
    ends = [end for load in loads for span in load.spans for end in span]
    since, until = _utc(min(ends) - AROUND_S), _utc(max(ends))
    targets = Targets(question.hosts, question.services, question.resources)
    levels = [_level(number, load) for number, load in enumerate(loads, 1)]
    capture = server_series.read(url, since, until, targets, levels)
    capture, frames = _with_database(question, capture, until)
    sides = [_side(load, capture, level) for load, level in zip(loads, levels, strict=True)]
    return explain(capture, sides[0] if question.held else None, sides[-1], frames)


def _level(number: int, load: Load) -> Level:
    """Return the longest span of a load, for the demands by route."""
    since_s, until_s = max(load.spans, key=lambda span: span[1] - span[0])
    return Level(number, _utc(since_s), _utc(until_s))


def _side(load: Load, capture: Capture, level: Level) -> Side:
    since_s = capture.since.timestamp()
    length = max(map(len, (*capture.series.values(), [])), default=0)
    length = max([length, *(len(usage.used) for usage in capture.resources.values())])
    times = [(number, since_s + number * capture.step_s) for number in range(length)]
    inside = [n for n, at in times if any(since <= at < until for since, until in load.spans)]
    return Side(inside, load.parts, load.requests_per_s, level.number)


def _with_database(
    question: Question, capture: Capture, until: datetime
) -> tuple[Capture, Frames | None]:
    """Return *capture* with what the shipper recorded of the app's database, and what names it.

    That is left out if it cannot be read.
    """
    if not question.run:
        return capture, None
    ends = [end for span in question.broke.spans for end in span]
    spans = [(_utc(min(ends)), _utc(max(ends)))]
    try:
        with database.connect_to_read(question.database or None) as connection:
            run = datetime.fromisoformat(question.run)
            found = captures.with_database(connection, run, capture, until)
            names = {kind: named(connection, run, kind, spans) for kind in OF_DATABASE}
    except (Unreachable, NewerSchema, psycopg.Error) as error:
        logger.info("The app's database is left out: %s", first_line(error))
        return capture, None
    return found, lambda key: names.get(key.kind, [])


def _utc(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def main() -> None:
    """Answer the question in the only argument; print nothing where there is no Prometheus."""
    question = msgspec.json.decode(sys.argv[1], type=Question)
    url = locate_prometheus()
    if url is None:
        sys.exit("no Prometheus is configured")
    try:
        found = answer(question, url)
    except Unavailable as error:
        sys.exit(str(error))
    sys.stdout.write(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
