"""The process that leads a swarm asks another one what broke, and goes on without an answer."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import pytest
from locust.env import Environment
from support.backfilled import prometheus_with
from support.full_pool import BROKE, HELD, SECONDS, SHOP, START

from swarmscope.client.capacity import asking
from swarmscope.client.capacity.figures import measured
from swarmscope.client.capacity.session import Result


def level(span: tuple[float, float], rate: float, service_ms: float) -> Result:
    seconds = span[1] - span[0]
    samples = [(service_ms + 2, 1.0, service_ms, False)] * int(rate * seconds)
    return Result(measured(samples, 450), seconds, [span])


LEVELS = level(HELD, 60, 83), level(BROKE, 131, 496)


@pytest.fixture
def environment() -> Environment:
    return Environment(parsed_options=Namespace(), host="http://127.0.0.1:1")


def test_the_cause_comes_from_prometheus(environment, tmp_path, monkeypatch):
    """No service is where the swarm sends its requests, so it is the one that counted some."""
    with prometheus_with(SHOP, START, SECONDS, tmp_path) as url:
        monkeypatch.setenv("PROMETHEUS_URL", url)
        cause = asking.cause(environment, None, *LEVELS)

    assert cause
    assert (cause.kind, cause.service) == ("pool", "shop")
    assert cause.broke.requests_per_s == pytest.approx(131)
    assert cause.broke.parts["service"] == pytest.approx(496)


def test_without_prometheus_the_search_has_its_verdict_all_the_same(
    environment, monkeypatch, caplog
):
    monkeypatch.setenv("PROMETHEUS_URL", "http://127.0.0.1:9")
    caplog.set_level("INFO")

    assert asking.cause(environment, None, replace(LEVELS[0], spans=[]), LEVELS[1]) is None
    assert "What was full is unknown: Prometheus at 127.0.0.1:9 does not answer" in caplog.text
