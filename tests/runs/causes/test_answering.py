"""A process of its own answers what broke between two loads, from a real Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from support.backfilled import prometheus_with
from support.full_pool import BROKE, HELD, SECONDS, SHOP, START

from swarmscope.runs.causes import answering
from swarmscope.runs.causes.question import MODULE, Load, Question
from swarmscope.runs.document import Cause
from swarmscope.runs.resources import database
from swarmscope.runs.resources.database import DatabaseSample, LockWait
from swarmscope.runs.resources.model import ResourceKey
from swarmscope.runs.server_series import Capture


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_with(SHOP, START, SECONDS, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def load(span: tuple[float, float], rate: float, service: float) -> Load:
    parts = {"response": service + 2, "service": service, "queue": 1.0, "outside": 1.0}
    return Load([span], parts, rate)


QUESTION = Question(load(HELD, 60, 83), load(BROKE, 131, 496), [], ["shop"])


def ask(question: Question, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", MODULE, msgspec.json.encode(question).decode()]
    environment = {**os.environ, "PROMETHEUS_URL": url}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_sentence_names_places_use_wait_holder_and_what_is_next(url):
    cause = msgspec.json.decode(ask(QUESTION, url).stdout, type=Cause)

    assert (cause.kind, cause.detail, cause.service) == ("pool", "shop", "shop")
    assert cause.sentence == (
        "At 131 requests/s the 10 database connections (pool of 5, 2 workers) were in use 97 % of"
        " the time and requests waited 382 ms for one; GET /orders holds one for 74 ms in 41"
        " statements. Next: Python in the workers, at about 330 requests/s."
    )


def test_without_a_load_that_held_the_pool_is_named_all_the_same(url):
    """To wait for a connection is always a wait."""
    question = msgspec.structs.replace(QUESTION, held=None)

    assert msgspec.json.decode(ask(question, url).stdout, type=Cause).kind == "pool"


def test_a_prometheus_that_does_not_answer_leaves_one_line():
    done = ask(QUESTION, "http://127.0.0.1:9")

    assert done.stdout == ""
    assert done.stderr.startswith("Prometheus at 127.0.0.1:9 does not answer")
    assert done.stderr.count("\n") == 1


def test_the_apps_database_is_read_from_the_runs_database(connection, runs_database):
    """Its use is added to what Prometheus knows, and its statements get names."""
    run, at = datetime(2026, 11, 30, 12, tzinfo=UTC), datetime(2026, 11, 30, 12, 0, 10, tzinfo=UTC)
    known = (at, "shop", *[None] * 2, 1, 0, 12, 0, 0, 0, 1, 1, 20, 97)
    database.store(connection, run, [DatabaseSample(*known)])
    wait = LockWait(at, "stock", "UPDATE stock SET n = ?", "", "", 12.0, 12)
    database.store(connection, run, [wait])
    broke = Load([(run.timestamp(), at.timestamp())], {}, 10.0)
    question = Question(None, broke, [], [], run=run.isoformat(), database=runs_database)

    empty = Capture(run, 2.0, {})
    capture, frames = answering._with_database(question, empty, at)

    lock = ResourceKey("", "database_lock", "shop")
    assert capture.resources[lock].waiting == [None] * 5 + [12.0]
    assert frames(lock) == ["12 sessions waited in UPDATE stock SET n = ?"]
    assert frames(ResourceKey("shop", "pool", "main")) == []
    assert answering._with_database(msgspec.structs.replace(question, run=""), empty, at) == (
        empty,
        None,
    )
