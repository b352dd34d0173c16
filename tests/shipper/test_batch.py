"""Request rows: each holds what the sample said, impossible values corrected and counted."""

from __future__ import annotations

import math

import pytest
from support.journals import RUN, START, STARTED, WORKER, Process, sample, ship_all

from swarmscope.journal.records import RunStopped, Samples, WorkerStarted, WorkerStopped
from swarmscope.shipper.process import Shipper

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_sample_arrives_as_it_was(tmp_path, shipper, query):
    """Every column holds what the sample said."""
    process = Process(tmp_path)
    url = "http://me:hush@host/a?token=hush"
    process.samples(
        sample(0, 12.5, trace=bytes.fromhex(TRACE), url=url),
        sample(1, 3.0, error="Error('http://me:hush@host/x?y')", context='{"a": 1}'),
        sample(2, None, url=None, length=None, timing=None, trace=None),
    )
    ship_all(shipper)
    assert query(
        "SELECT DISTINCT run_text(run_id), testplan, loadgen, pid, greenlet_id, name, request_type"
        " FROM request"
    ) == [(RUN, "plan", "host", 17, 5, "/a", "GET")]
    rows = query(
        "SELECT extract(epoch FROM time)::float8, response_time, success, exception, context, url,"
        " response_length, queue_ms, service_ms, trace_id FROM request ORDER BY time"
    )
    address, error = "http://host/a", "Error('http://host/x')"
    assert rows == [
        (START, 12.5, 1, None, None, address, 17, 1.5, 2.5, TRACE),
        (START + 0.01, 3.0, 0, error, {"a": 1}, address, 17, None, 2.5, f"{1:032x}"),
        (START + 0.02, None, 1, None, None, None, None, None, None, None),
    ]


def test_parts_are_kept_where_they_are_plausible(tmp_path, shipper, query):
    """A queue that would end after the answer says that clocks differ: counted, not stored."""
    process = Process(tmp_path)
    process.samples(
        sample(0, 10, timing="queue;dur=3, app;dur=5"),
        sample(1, 10, timing="queue;dur=6, app;dur=5"),
        sample(2, 10, timing="queue;dur=1, app;dur=11"),
        sample(3, 10, timing="app;dur=4"),
        sample(4, 10, timing=[["Server-Timing", "queue;dur=0"], ["Server-Timing", "app;dur=10"]]),
        sample(5, 10, timing="nonsense"),
    )
    ship_all(shipper)
    assert query("SELECT queue_ms, service_ms FROM request ORDER BY time") == [
        (3, 5),
        (None, 5),
        (None, None),
        (None, 4),
        (0, 10),
        (None, None),
    ]
    found = query(
        "SELECT part, sum(count)::int, sum(sum_ms) FROM histogram"
        " WHERE resolution = 60 AND name = '' GROUP BY part ORDER BY part"
    )
    assert found == [("outside", 2, 2), ("queue", 2, 3), ("response", 6, 60), ("service", 4, 24)]
    assert query("SELECT samples, clock_skewed FROM run_worker") == [(6, 2)]


DIVIDED = 'queue;dur=1.500, app;dur=7.000, cpu;dur=2.000, db;dur=4.500;desc="12"'
COMPONENTS = (
    "SELECT cpu_ms, db_ms, pool_ms, http_ms, cache_ms, db_calls, http_calls, cache_calls"
    " FROM request ORDER BY time"
)
UNKNOWN = (None,) * 8


@pytest.mark.parametrize("start_delay_ms", [[], [0.0] * 6], ids=["closed", "open"])
def test_components_arrive_as_they_were_measured(tmp_path, shipper, query, start_delay_ms):
    """With each request, and added up for all; what a request did without makes no sample."""
    process = Process(tmp_path)
    process.samples(
        sample(0, 10, timing=DIVIDED),
        sample(1, 10, timing="app;dur=7.000, cpu;dur=0.000"),
        sample(2, 10, timing=f'{DIVIDED}, pool;dur=0.125, cache;dur=0.250;desc="3"'),
        sample(3, 10, timing="queue;dur=1.000, app;dur=2.500, cpu;dur=2.500"),
        sample(4, 10, timing="queue;dur=1.000, app;dur=3.000"),
        sample(5, 10, timing='queue;dur=1.000, app;dur=3.000, db;dur=1.000;desc="1"'),
        start_delay_ms=start_delay_ms,
    )
    ship_all(shipper)
    assert query(COMPONENTS) == [
        (2, 4.5, 0, 0, 0, 12, 0, 0),
        (0, 0, 0, 0, 0, 0, 0, 0),
        (2, 4.5, 0.125, 0, 0.25, 12, 0, 3),
        (2.5, 0, 0, 0, 0, 0, 0, 0),
        UNKNOWN,
        (None, 1, 0, 0, 0, 1, 0, 0),
    ]
    found = query(
        "SELECT service_ms - cpu_ms - db_ms - pool_ms - http_ms - cache_ms, other_ms, db_calls"
        f" FROM slowest('{RUN}', '-infinity', 'infinity') WHERE service_ms = 7 ORDER BY started"
    )
    assert found == [(0.5, 0.5, 12), (7, 7, 0), (0.125, 0.125, 12)]
    for resolution, name in ((1, ""), (10, "/a"), (60, "")):
        rows = query(
            "SELECT part, count, sum_ms, max_ms, (SELECT sum(c)::int FROM unnest(counts) c)"
            " FROM histogram WHERE resolution = %s AND name = %s AND part <> ALL (%s)",
            *(resolution, name, ["response", "queue", "outside", "uncorrected"]),
        )
        assert {part: tuple(figures) for part, *figures in rows} == {
            "service": (6, 29.5, 7, 6),
            "cpu": (4, 6.5, 2.5, 4),
            "db": (3, 10, 4.5, 3),
            "pool": (1, 0.125, 0.125, 1),
            "cache": (1, 0.25, 0.25, 1),
            "other": (3, 7.625, 7, 3),
            "db_calls": (3, 25, 12, 3),
            "cache_calls": (1, 3, 3, 1),
        }


def test_components_that_do_not_fit_were_not_measured(tmp_path, shipper, query):
    """More than the service time, or of one that does not fit itself; no clock is to blame."""
    process = Process(tmp_path)
    process.samples(
        sample(0, 10, timing="queue;dur=1.000, app;dur=2.000, cpu;dur=1.500, db;dur=0.600"),
        sample(1, 10, timing="queue;dur=1.000, app;dur=11.000, cpu;dur=1.500"),
        sample(2, 10, timing="queue;dur=6.000, app;dur=5.000, cpu;dur=1.500"),
    )
    ship_all(shipper)
    assert query(COMPONENTS) == [UNKNOWN, UNKNOWN, (1.5, *(0,) * 7)]
    found = query("SELECT part, count FROM histogram WHERE resolution = 60 AND name = ''")
    assert dict(found) == {"response": 3, "queue": 1, "service": 2, "outside": 1} | {
        "cpu": 1,
        "other": 1,
    }
    assert query("SELECT clock_skewed FROM run_worker") == [(2,)]


def test_a_wrong_clock_is_corrected(tmp_path, shipper, query):
    """Rows and windows are by the master's clock."""
    process = Process(tmp_path)
    process.samples(sample(0), sample(1), offset_s=600.0)
    ship_all(shipper)
    assert query("SELECT extract(epoch FROM min(time))::float8 FROM request") == [(START + 600,)]
    times = query("SELECT DISTINCT extract(epoch FROM time)::int FROM histogram WHERE resolution=1")
    assert times == [(int(START + 600),)]


@pytest.mark.parametrize("start", [math.inf, math.nan, -1.0, 1e300])
def test_an_impossible_start_of_an_open_workload_arrives(tmp_path, shipper, query, start):
    """It counts from the run's start, as in a closed workload, and its neighbour as it was."""
    process = Process(tmp_path)
    odd, plain = sample(0, start=start), sample(1)
    process.write(Samples(RUN, "plan", 0.0, [odd, plain], [1.0, 2.0]))
    ship_all(shipper)
    found = query(
        "SELECT extract(epoch FROM time)::float8, start_delay_ms FROM request ORDER BY time"
    )
    assert found == [(START, 1.0), (START + 0.01, 2.0)]


UNUSABLE = [None, -3.0, math.nan, math.inf, -math.inf, 1e12, 1e300, "fast"]


@pytest.mark.parametrize(
    "start_delay_ms", [[], [0.0] * (len(UNUSABLE) + 1)], ids=["closed", "open"]
)
def test_what_has_no_time_is_counted_without_a_latency(tmp_path, shipper, query, start_delay_ms):
    """Each request is one of its second's, its failure too; only a time is in the buckets."""
    process = Process(tmp_path)
    odd = [sample(n, ms, error="bad") for n, ms in enumerate(UNUSABLE)]
    process.samples(sample(9, 20.0), *odd, start_delay_ms=start_delay_ms, time=START + 1)
    ship_all(shipper)
    number = len(odd) + 1
    for resolution in (1, 10, 60):
        for name in ("", "/a"):
            rows = query(
                "SELECT sum(count)::int, sum(failures)::int, sum(sum_ms), max(max_ms),"
                " sum((SELECT sum(c) FROM unnest(counts) c))::int FROM histogram"
                " WHERE resolution = %s AND name = %s AND part = 'response'",
                *(resolution, name),
            )
            assert rows == [(number, number - 1, 20, 20, 1)]
    assert query("SELECT count(*), count(response_time), max(response_time) FROM request") == [
        (number, 1, 20.0)
    ]
    assert query("SELECT samples, corrected FROM run_worker") == [(number, 0)]


WRONG_STARTS = {
    "another clock": 5_000.5,
    "milliseconds": START * 1000,
    "a text": "noon",
    "not a number": math.nan,
    "an hour back": START - 3600,
    "ten years ahead": START + 315_576_000,
}


@pytest.mark.parametrize("start", WRONG_STARTS.values(), ids=WRONG_STARTS)
@pytest.mark.parametrize("ms", [20.0, None])
def test_a_start_that_cannot_be_is_replaced(tmp_path, shipper, query, start, ms):
    """By the end, which was when the block was written, less the duration; and it is counted."""
    process = Process(tmp_path)
    process.samples(sample(100), sample(0, ms, start=start), offset_s=0.5, time=START + 30)
    process.samples(sample(0, ms, start=start), offset_s=0.5, start_delay_ms=[0.0], time=START + 30)
    ship_all(shipper)
    replaced = START + 30.5 - (ms or 0.0) / 1000
    times = query("SELECT extract(epoch FROM time)::float8 FROM request ORDER BY time")
    assert times == [(START + 1.5,), *[(pytest.approx(replaced, abs=1e-5),)] * 2]
    rows = query(
        "SELECT extract(epoch FROM time)::int, sum(count)::int FROM histogram"
        " WHERE resolution = 1 AND name = '' AND part = 'response' GROUP BY time ORDER BY time"
    )
    assert rows == [(int(START + 1.51), 1), (int(START + 30.5), 2)]
    assert query("SELECT samples, corrected FROM run_worker") == [(3, 2)]


def test_a_long_request_that_began_before_the_run_is_right(tmp_path, shipper, query):
    """Its start, far before the run's, agrees with its end and its duration."""
    process = Process(tmp_path)
    process.samples(sample(0, 90_000.0, start=START - 60), time=START + 30.02)
    ship_all(shipper)
    assert query("SELECT extract(epoch FROM time)::float8 FROM request") == [(START - 60,)]
    assert query("SELECT corrected FROM run_worker") == [(0,)]


@pytest.mark.parametrize("again", [False, True], ids=["one shipper", "another one"])
def test_what_follows_the_stop_record_is_counted_apart(
    tmp_path, shipper, runs_database, query, counted, again
):
    """A greenlet that goes on changes no figure of the run, which says how many there were."""
    process = Process(tmp_path)
    process.write(STARTED, WorkerStarted(RUN, WORKER, START))
    process.samples(sample(0), sample(1, error="bad"), time=START + 0.1)
    process.write(WorkerStopped(RUN, WORKER, START + 2), RunStopped(RUN, "plan", START + 2))
    ship_all(shipper)
    process.samples(sample(1000, error="bad"), sample(1001), time=START + 12)
    if again:
        shipper.disconnect()
        shipper = Shipper(tmp_path, runs_database)
    ship_all(shipper)
    process.samples(sample(2000), start_delay_ms=[0.0], time=START + 22)
    ship_all(shipper)
    shipper.disconnect()
    assert query("SELECT samples, after_stop FROM run_worker") == [(2, 3)]
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert counted(60) == 2
    figures = query("SELECT requests, failures, duration_s FROM run")
    assert figures == [(2, 1, 2.0)]


def test_a_worker_that_begins_again_is_counted_again(tmp_path, shipper, query):
    """Its stop record ends its part only until it takes part once more."""
    process = Process(tmp_path)
    process.write(WorkerStarted(RUN, WORKER, START))
    process.samples(sample(0))
    process.write(WorkerStopped(RUN, WORKER, START + 1), WorkerStarted(RUN, WORKER, START + 2))
    process.samples(sample(300), sample(301))
    ship_all(shipper)
    assert query("SELECT samples, after_stop FROM run_worker") == [(3, 0)]
