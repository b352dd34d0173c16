"""Functions of known CPU time, and waits of known causes, in workers of each kind."""

from __future__ import annotations

import pytest
from support.profiling import ask, load, read
from support.timed_client import get

APP = "support.profiled_service:create_app()"
CONF = "serve_metrics(port=0, profiles=True)\n"
CLASSES = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "3"),
    "gevent": ("-k", "gevent"),
}
WITHIN = 0.1
ENOUGH_NS = 3_000_000_000  # of CPU time, of which a busy machine gives little in a second


def share(profiles, route, function, other):
    found = sum(profile.total(function, route) for profile in profiles)
    return found / (found + sum(profile.total(other, route) for profile in profiles))


@pytest.mark.parametrize("worker_class", CLASSES)
def test_what_uses_the_cpu_and_what_waits(serve, worker_class):
    """Two functions have other shares by route; a call of C code counts in full, not once."""
    with serve("-w", "1", *CLASSES[worker_class], app=APP, conf=CONF) as service:
        paths = ("/both", "/items/7", "/long", "/named")
        get(service.port, "/pid")  # or it may not be there in time
        with load(service.port, paths, clients=4) as sent:
            profiles = []
            while sum(profile.total() for profile in profiles) < ENOUGH_NS:
                status, body = ask(service.metrics_url, seconds=3, hz=250)
                assert status == 200, body
                profiles.append(read(body))
        profile = profiles[0]

        for path, route, functions in (
            ("/both", "/both", ("hot", "warm")),
            ("/items/7", "/items/<int:number>", ("hot", "warm")),
            ("/long", "/long", ("long_call", "burn")),
            ("/named", "/named", ("slow_expression", "encode_json")),
        ):
            true = sent.share(path, *functions)
            assert share(profiles, route, *functions) == pytest.approx(true, abs=WITHIN), path
        assert profile.types == ["samples", "cpu"]
        assert profile.files["hot"].endswith("tests/support/profiled_service.py")
        assert all(sample.stack for sample in profile.samples)
        outermost = {sample.stack[-1] for sample in profile.samples if sample.route}
        assert "Flask.wsgi_app" in outermost
        assert not any("Worker" in name for name in outermost)

        with load(service.port, ("/asleep", "/locked"), clients=3):
            status, body = ask(service.metrics_url, "/debug/pprof/wall", seconds=2)
        waiting = read(body)
        assert waiting.types == ["samples", "wall", "waiting"]
        asleep = waiting.total(route="/asleep", type_="waiting")
        assert waiting.total("wait_asleep", "/asleep") > 0.7 * asleep > 0
        locked = waiting.total(route="/locked")
        assert waiting.total("wait_for_lock", "/locked") > 0.9 * locked > 0
        slept = waiting.total("wait_asleep", "/asleep", "wall")
        assert waiting.total("wait_asleep", "/asleep", "waiting") > 0.7 * slept
        assert waiting.total(type_="wall") >= waiting.total(type_="waiting")
        assert any("a thread woke up late by" in comment for comment in waiting.comments)
