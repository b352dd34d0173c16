"""Where the time went: a delay that a test makes is found in the part where it was made.

What each worker class can see: a sync worker's requests wait in the kernel, gthread's in the
worker's own pool, gevent's in its loop while another greenlet keeps the CPU.
"""

import json
import math
import random
import statistics
import threading
import time

import pytest
from support.timed_client import get, get_all
from support.waiting import poll_until

BUCKET = "flask_http_request_duration_seconds_bucket"
CLIENTS = 10
WORK_MS = 50
QUEUES = {
    "sync": (("-k", "sync"), f"/sleep/{WORK_MS}"),
    "gthread": (("-k", "gthread", "--threads", "1"), f"/sleep/{WORK_MS}"),
    "gevent": (("-k", "gevent"), f"/burn/{WORK_MS}"),  # it would do other work in a sleep
}


def means(answers):
    """Return the means of the three parts in seconds."""
    parts = ("queue_s", "app_s", "outside_s")
    return (statistics.fmean(getattr(answer, part) for answer in answers) for part in parts)


@pytest.mark.parametrize("worker_class", QUEUES)
def test_a_delay_is_found_where_it_was_made(serve, worker_class):
    """A queue in `queue`: one worker, 50 ms of work, ten clients, so each waits for nine others.

    And a client that reads its answer 300 ms after it sent the request finds that outside.
    """
    options, path = QUEUES[worker_class]
    with serve("-w", "1", *options) as service:
        get(service.port, "/pid")
        answers = get_all(service.port, [path] * CLIENTS * 6, CLIENTS)[CLIENTS:-CLIENTS]
        found = service.scrape()
        late = [get(service.port, "/pid", read_after_s=0.3) for _ in range(5)]

    queue, app, outside = means(answers)
    between_ends = (answers[-1].ended_s - answers[0].ended_s) / (len(answers) - 1)
    cycle = CLIENTS * between_ends  # Little's law: of each client, whatever slows the machine down
    assert WORK_MS / 1000 <= app < 2 * WORK_MS / 1000
    assert queue > 0.9 * (CLIENTS - 1) * WORK_MS / 1000
    assert queue == pytest.approx(cycle - app - outside, rel=0.1)
    assert 0 <= outside < 0.1 * queue
    name, rule = "flask_http_request_queue_seconds", path.replace(str(WORK_MS), "<int:ms>")
    mean = found.value(f"{name}_sum", url_rule=rule) / found.value(f"{name}_count", url_rule=rule)
    assert mean == pytest.approx(queue, rel=0.25)  # the first ten had a shorter queue

    queue, app, outside = means(late)
    assert outside == pytest.approx(0.3, rel=0.15)
    assert max(queue, app) < 0.1


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_the_figures_of_a_worker_explain_its_queue(serve, worker_class):
    """By Little's law: the connections in the kernel and in the worker, over the rate."""
    options, path = QUEUES[worker_class]
    rule, name = path.replace(str(WORK_MS), "<int:ms>"), "flask_http_request_queue_seconds"
    with serve("-w", "1", *options) as service:
        get_all(service.port, [path] * CLIENTS, CLIENTS)
        load = threading.Thread(target=get_all, args=(service.port, [path] * 100, CLIENTS))
        load.start()
        poll_until(lambda: service.scrape().value("flask_http_requests_in_flight"), "the load")
        began, scrapes = time.perf_counter(), [service.scrape()]
        while time.perf_counter() - began < 3.0:
            time.sleep(0.1)
            scrapes.append(service.scrape())
        seconds = time.perf_counter() - began
        load.join()
    first, last = scrapes[0], scrapes[-1]

    def growth(sample, **labels):
        return last.value(sample, **labels) - first.value(sample, **labels)

    requests = growth(f"{name}_count", url_rule=rule)
    measured = growth(f"{name}_sum", url_rule=rule) / requests
    later = scrapes[len(scrapes) // 2 :]  # the probe has begun
    waiting = {
        "kernel": statistics.fmean(s.value("gunicorn_backlog_connections") for s in scrapes),
        "worker": statistics.fmean(
            s.value("gunicorn_worker_queued_connections", slot="0") for s in later
        ),
    }
    delay = growth("gunicorn_worker_run_delay_seconds_total", slot="0") / requests
    explained = sum(waiting.values()) * seconds / requests + delay

    assert waiting["worker" if worker_class == "gthread" else "kernel"] > CLIENTS / 2
    assert waiting["kernel" if worker_class == "gthread" else "worker"] < 2
    assert explained == pytest.approx(measured, rel=0.35)


def test_a_stream_is_not_in_app(serve):
    """Headers leave before the body: what the body takes is outside."""
    with serve("-w", "1", "-k", "gthread", "--threads", "2") as service:
        answer = get(service.port, "/stream/200")

        assert answer.body == b"begin end"
        assert answer.app_s < 0.1
        assert answer.outside_s >= 0.2


def percentile(buckets, share):
    """Return what Prometheus's histogram_quantile makes of cumulative (edge, count) pairs."""
    rank, below, lower = share * buckets[-1][1], 0.0, 0.0
    for edge, count in buckets:
        if count >= rank:
            return lower + (edge - lower) * (rank - below) / (count - below)
        lower, below = edge, count
    raise AssertionError(buckets)


def test_percentiles_can_be_believed(serve):
    """From 1 ms to 10 s: the histogram's within a bucket, Server-Timing's within 2.5 %.

    They are held against a stopwatch around the app that knows nothing of ours, for the very same
    requests.
    """
    count = 150
    spread = [1 * 10 ** (4 * number / (count - 1)) for number in range(count)]  # 1 ms to 10 s
    paths = [f"/sleep/{round(ms)}" for ms in random.Random(1).sample(spread, count)]
    with serve("-w", "1", "-k", "gthread", "--threads", str(count)) as service:
        answers = get_all(service.port, paths, count)
        timed = sorted(json.loads(get(service.port, "/stopwatch").body))
        found = service.scrape()

    assert len(answers) == len(timed) == count
    reported = sorted(answer.app_s for answer in answers)
    edges = {float(dict(labels)["le"]) for (name, labels) in found if name == BUCKET}
    buckets = [
        (edge, sum(value for (name, labels), value in found.items()
                   if name == BUCKET and float(dict(labels)["le"]) == edge))
        for edge in sorted(edges)
    ]  # fmt: skip
    assert math.isinf(buckets[-1][0])
    assert timed[0] >= 0.001
    assert timed[-1] > 10
    for share in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99):
        exact = timed[math.ceil(share * count) - 1]
        assert reported[math.ceil(share * count) - 1] == pytest.approx(exact, rel=0.025)
        assert percentile(buckets, share) == pytest.approx(exact, rel=0.2)
