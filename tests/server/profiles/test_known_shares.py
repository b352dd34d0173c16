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
BOTH = ("/both", "/both", ("hot", "warm"))  # path, route, two functions
OF_KNOWN_SHARES = (
    BOTH,
    ("/items/7", "/items/<int:number>", ("hot", "warm")),
    ("/long", "/long", ("long_call", "burn")),
    ("/named", "/named", ("slow_expression", "encode_json")),
)


def share(profiles, route, function, other):
    found = sum(profile.total(function, route) for profile in profiles)
    return found / (found + sum(profile.total(other, route) for profile in profiles))


def profiles_of_load(service, cases, enough_ns):
    """Return CPU profiles of at least that much CPU time, and what was sent meanwhile."""
    get(service.port, "/pid")  # or it may not be there in time
    with load(service.port, [path for path, *_ in cases], clients=4) as sent:
        profiles = []
        while sum(profile.total() for profile in profiles) < enough_ns:
            status, body = ask(service.metrics_url, seconds=2, hz=250)
            assert status == 200, body
            profiles.append(read(body))
    return profiles, sent


def waits(service, paths, seconds):
    with load(service.port, paths, clients=3):
        status, body = ask(service.metrics_url, "/debug/pprof/wall", seconds=seconds)
    assert status == 200, body
    return read(body)


@pytest.mark.parametrize("worker_class", CLASSES)
def test_two_functions_and_a_wait(serve, worker_class):
    """In short: each kind of worker attributes CPU time by route, and names what waits."""
    with serve("-w", "1", *CLASSES[worker_class], app=APP, conf=CONF) as service:
        profiles, sent = profiles_of_load(service, [BOTH], ENOUGH_NS / 4)
        waiting = waits(service, ["/asleep"], seconds=1)

    path, route, functions = BOTH
    assert share(profiles, route, *functions) == pytest.approx(
        sent.share(path, *functions), abs=WITHIN
    )
    asleep = waiting.total(route="/asleep", type_="waiting")
    assert waiting.total("wait_asleep", "/asleep") > 0.6 * asleep > 0


@pytest.mark.proof
@pytest.mark.parametrize("worker_class", CLASSES)
def test_what_uses_the_cpu_and_what_waits(serve, worker_class):
    """Two functions have other shares by route; a call of C code counts in full, not once."""
    with serve("-w", "1", *CLASSES[worker_class], app=APP, conf=CONF) as service:
        profiles, sent = profiles_of_load(service, OF_KNOWN_SHARES, ENOUGH_NS)
        waiting = waits(service, ["/asleep", "/locked"], seconds=2)

    for path, route, functions in OF_KNOWN_SHARES:
        true = sent.share(path, *functions)
        assert share(profiles, route, *functions) == pytest.approx(true, abs=WITHIN), path
    profile = profiles[0]
    assert profile.types == ["samples", "cpu"]
    assert profile.files["hot"].endswith("tests/support/profiled_service.py")
    assert all(sample.stack for sample in profile.samples)
    outermost = {sample.stack[-1] for sample in profile.samples if sample.route}
    assert "Flask.wsgi_app" in outermost
    assert not any("Worker" in name for name in outermost)

    assert waiting.types == ["samples", "wall", "waiting"]
    asleep = waiting.total(route="/asleep", type_="waiting")
    assert waiting.total("wait_asleep", "/asleep") > 0.7 * asleep > 0
    locked = waiting.total(route="/locked")
    assert waiting.total("wait_for_lock", "/locked") > 0.9 * locked > 0
    slept = waiting.total("wait_asleep", "/asleep", "wall")
    assert waiting.total("wait_asleep", "/asleep", "waiting") > 0.7 * slept
    assert waiting.total(type_="wall") >= waiting.total(type_="waiting")
    assert any("a thread woke up late by" in comment for comment in waiting.comments)
