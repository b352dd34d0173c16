"""The generator's own health: event-loop lag, CPU, when requests start."""

import time
from types import SimpleNamespace

import gevent
import pytest
from locust.env import Environment

from swarmscope.client import clock
from swarmscope.client.health import probe as probe_module
from swarmscope.client.health.probe import HEARTBEAT_SECONDS, Health, HealthProbe


@pytest.fixture
def probe():
    """Return a probe in a running event loop, begun afresh."""
    probe = HealthProbe(Environment())
    gevent.sleep(0.05)
    probe.take()
    return probe


def test_a_blocked_loop_has_lag(probe):
    """At least that of the stall; how much else there was is the machine's affair."""
    began = time.perf_counter()
    gevent.sleep(0.1)
    time.sleep(0.3)  # blocks the loop, as a greedy task would
    gevent.sleep(0.1)

    lag = probe.take().loop_lag_seconds
    assert lag * (time.perf_counter() - began) >= (0.3 - HEARTBEAT_SECONDS) ** 2 / 2


class _Over(Exception):
    """The last beat of a test."""


def lag_of(monkeypatch, *late_s):
    """Return the lag, by a clock that only the probe's own sleeps move on: each is so late."""
    now, late = 0.0, iter(late_s)

    def sleep(seconds):
        nonlocal now
        try:
            now += seconds + next(late)
        except StopIteration:
            raise _Over from None

    monkeypatch.setattr(
        probe_module, "time", SimpleNamespace(perf_counter=lambda: now, process_time=lambda: now)
    )
    loop = SimpleNamespace(spawn=lambda beat: None, sleep=sleep)
    monkeypatch.setattr(probe_module, "gevent", loop)
    probe = HealthProbe(Environment())
    with pytest.raises(_Over):
        probe._beat()
    return probe.take().loop_lag_seconds


def test_lag_is_the_mean_wait_of_a_random_event(monkeypatch):
    """One stall of 0.3 s in 1 s delays a random event by 0.3²/2 = 45 ms on average."""
    beats = [0.3, *[0.0] * 34]  # of 20 ms each

    assert lag_of(monkeypatch, *beats) == pytest.approx(0.3**2 / 2)


def test_an_idle_loop_has_no_lag(monkeypatch):
    """Its timers are on time."""
    assert lag_of(monkeypatch, *[0.0] * 50) == pytest.approx(0)


def test_cpu_ratio_is_one_for_a_busy_process_and_near_zero_for_an_idle_one(probe):
    """CPU seconds per second of this process, all of its threads."""
    gevent.sleep(0.3)
    idle = probe.take().cpu_ratio
    busy_until = time.process_time() + 0.3
    while time.process_time() < busy_until:
        pass
    busy = probe.take()

    assert idle < 0.3
    assert busy.cpu_ratio > 2 * idle
    assert busy.cpu_ratio <= 1.05


def test_requests_are_counted_by_the_window_in_which_they_started():
    """A request that took long counts where it began; a take begins anew."""
    environment = Environment()
    probe = HealthProbe(environment)
    for start in (1000.01, 1000.09, 1000.11, 1003.0):
        environment.events.request.fire(request_type="GET", name="/", start_time=start)

    assert probe.take().starts == {10000: 2, 10001: 1, 10030: 1}
    assert probe.take().starts == {}


def test_a_worker_whose_clock_is_off_counts_by_the_masters(monkeypatch):
    """Or its requests would be in other windows than all others', too old or never over."""
    monkeypatch.setattr(clock, "offset_s", 600.0)
    environment = Environment()
    probe = HealthProbe(environment)
    environment.events.request.fire(request_type="GET", name="/", start_time=1000.01)

    assert probe.take().starts == {16000: 1}


@pytest.mark.parametrize("run_delay_ratio", [0.4, None])
def test_health_survives_the_journey_in_a_message(run_delay_ratio):
    """What a worker writes the master reads back."""
    health = Health(0.5, 0.001, {17_000_000_000: 3}, 5, 1, run_delay_ratio, 4242)

    assert Health.from_message(health.as_message()) == health


@pytest.mark.parametrize("message", [{}, {"cpu_ratio": "x"}, {"starts": 1}])
def test_a_malformed_message_is_an_error(message):
    """A worker of another version is not misread."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Health.from_message(message)
