"""Storing the services' series: tried again while it fails, and never in anybody's way."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from support.stored_runs import Sample, store_run
from support.waiting import free_port, poll_until

from swarmscope.client.capturing import Capturing
from swarmscope.runs import captures, prometheus
from swarmscope.runs.prometheus import Capture, Unavailable


@pytest.fixture
def over(runs_database) -> datetime:
    """A run that ended a minute ago."""
    start = datetime.now(UTC) - timedelta(minutes=2)
    with psycopg.connect(runs_database, autocommit=True) as connection:
        return store_run(connection, [Sample(1, 5)], start=start)


def test_a_prometheus_that_is_away_is_complained_of_once(runs_database, over, caplog):
    """The shipper lives no longer for it, the log has one line, and nothing is stored."""
    url = f"http://someone:password@127.0.0.1:{free_port()}"
    capturing = Capturing(runs_database, {}, url)
    assert not capturing.busy()

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            capturing.look()
            poll_until(lambda: not capturing.busy(), "it to give up")

    (line,) = [r.getMessage() for r in caplog.records if r.name == "swarmscope.client.capturing"]
    assert "are not stored with their runs: Prometheus at 127.0.0.1" in line
    assert "password" not in line
    with psycopg.connect(runs_database) as connection:
        assert captures.stored(connection, over) is None


def test_it_is_tried_again(runs_database, over, monkeypatch):
    """A run that was over while Prometheus was away gets its series when that is back."""
    monkeypatch.setattr("swarmscope.client.capturing.RETRY_S", 0.1)
    away = iter([True, True])

    def read(url, since, until) -> Capture:
        if next(away, False):
            raise Unavailable("not yet")
        return Capture(since, 2.0, {("api", "workers"): [2.0]})

    monkeypatch.setattr(prometheus, "read", read)
    capturing = Capturing(runs_database, {}, "http://prometheus.test")
    capturing.look()

    def stored() -> Capture | None:
        with psycopg.connect(runs_database) as connection:
            return captures.stored(connection, over)

    assert poll_until(stored, "the series").series == {("api", "workers"): [2.0]}


def test_without_an_address_nothing_waits(runs_database):
    """Nobody asks, and nobody lives longer for it."""
    capturing = Capturing(runs_database, {}, None)
    began = time.monotonic()
    capturing.look()

    assert not capturing.busy()
    assert time.monotonic() - began < 1
