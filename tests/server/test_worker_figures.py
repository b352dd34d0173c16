"""What workers wait for and hold: asked of real ones."""

from __future__ import annotations

import os
import resource
import signal

import pytest
from support.timed_client import get, get_all
from support.waiting import poll_until

LIMIT, FILES = "gunicorn_concurrency_limit", "gunicorn_worker_open_files"
DELAY, WAKES = "gunicorn_worker_run_delay_seconds_total", "gunicorn_worker_wakes_total"
QUEUED, LAG = "gunicorn_worker_queued_connections", "gunicorn_worker_loop_lag_seconds"
LATE = "gunicorn_worker_wake_delay_seconds_total"


def names(found):
    """Return the names of all samples."""
    return {name for name, _ in found}


@pytest.mark.parametrize(
    ("options", "limit", "known", "unknown"),
    [
        (("-k", "sync"), 2, {WAKES, LATE}, {QUEUED, LAG}),
        (("-k", "gthread", "--threads", "3"), 6, {WAKES, LATE, QUEUED}, {LAG}),
        (("-k", "gevent", "--worker-connections", "50"), 100, {LAG}, {WAKES, LATE, QUEUED}),
    ],
)
def test_each_class_of_workers_has_the_figures_that_it_can_have(
    serve, options, limit, known, unknown
):
    """None before a marked request comes, and none that means nothing there."""
    with serve("-w", "2", "--backlog", "77", *options) as service:
        poll_until(lambda: service.scrape().value("gunicorn_workers") == 2, "both workers")
        before = service.scrape()
        get_all(service.port, ["/sleep/20"] * 20, clients=4)
        found = poll_until(
            lambda: known <= names(found := service.scrape()) and found, "the probes"
        )

    assert before.value(LIMIT) == limit
    assert before.value("gunicorn_backlog_limit") == 77
    assert not {WAKES, LATE, QUEUED, LAG} & names(before)
    assert not unknown & names(found)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found.value("gunicorn_open_files_limit") == soft
    for slot in ("0", "1"):
        assert 5 < found.value(FILES, slot=slot) < 100
        assert found.value(DELAY, slot=slot) > 0


def test_what_workers_waited_is_kept_when_they_are_replaced(serve):
    with serve("-w", "1") as service:
        get_all(service.port, ["/burn/50"] * 10, clients=2)
        before = service.scrape().value(DELAY, slot="0")
        for pid in service.workers():
            os.kill(pid, signal.SIGKILL)
        get(service.port, "/pid")
        after = service.scrape().value(DELAY, slot="0")

    assert 0 < before <= after


def test_the_machine_is_measured_beside_its_workers(serve):
    with serve("-w", "1") as service:
        get_all(service.port, ["/burn/100"] * 5, clients=1)
        found = service.scrape()

    assert 0 < found.value("machine_cpus") <= (os.cpu_count() or 0)
    own = found.value("machine_cpu_seconds_total", whose="own")
    assert own >= found.total("gunicorn_worker_cpu_seconds_total") > 0
    used = found.value("machine_memory_bytes", state="used")
    assert 0 < used < found.value("machine_memory_bytes", state="limit")
