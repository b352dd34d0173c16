"""From journal to database: exactly what was written, exactly once, by however many shippers."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import msgspec
import psycopg
import pytest

from swarmscope.journal.records import (
    Continued,
    Dropped,
    End,
    Event,
    Participant,
    RunStarted,
    RunStopped,
    Samples,
    UserCount,
    WorkerBack,
    WorkerLost,
    WorkerStarted,
    WorkerStopped,
    run_id,
)
from swarmscope.journal.segments import Header, Reader, Writer
from swarmscope.runs.histogram import bucket
from swarmscope.shipper.batch import MOST_ENDPOINTS
from swarmscope.shipper.delivery import Delivery
from swarmscope.shipper.process import Shipper

START = 1_700_000_000.25
RUN = run_id(START)
WORKER = "worker"
TRACE = "0af7651916cd43dd8448eb211c80319c"
STARTED = RunStarted(
    run=RUN,
    testplan="plan",
    scenario="Visitor",
    profile=None,
    users=3,
    iterations_per_second=0.0,
    description="a \0 description, --token PW",
    environment="an environment with a long name",
    version="v" * 100,
    username="me",
    repository=None,
    arguments="-u 3",
    host="http://host",
    versions={"locust": "2.47"},
)


def sample(number: int, ms: float | None = 10.0, name: str = "/a", **more: object) -> tuple:
    """Return a sample that starts *number* hundredths of a second into the run."""
    defaults = {
        "start": START + number / 100,
        "ms": ms,
        "name": name,
        "method": "GET",
        "url": "http://host/a",
        "length": 17,
        "greenlet": 5,
        "error": None,
        "context": None,
        "timing": "queue;dur=1.5, app;dur=2.5",
        "trace": number.to_bytes(16, "big"),
    }
    return tuple((defaults | more).values())


class Process:
    """Writes a journal as a Locust process would."""

    def __init__(self, directory: Path, worker: str = WORKER, **more: int) -> None:
        self.header = Header(uuid4().hex, 0, 0, worker, "host", 17, True)
        self.writer = Writer(directory, self.header, **more)

    def write(self, *records: object) -> None:
        """Append records."""
        for record in records:
            self.writer.append(msgspec.msgpack.encode(record))
            self.writer.roll(msgspec.msgpack.encode(Continued()))

    def samples(self, *rows: tuple, offset_s: float = 0.0, **more: object) -> None:
        """Append a block of samples."""
        self.write(Samples(RUN, "plan", offset_s, list(rows), **more))


@pytest.fixture
def shipper(tmp_path, runs_database):
    shipper = Shipper(tmp_path, runs_database)
    yield shipper
    shipper.disconnect()


@pytest.fixture
def query(runs_database):
    with psycopg.connect(runs_database, autocommit=True) as connection:
        yield lambda statement, *values: connection.execute(statement, values or None).fetchall()


def ship_all(shipper: Shipper) -> None:
    """Deliver what there is."""
    while shipper.round():
        pass


def counted(query, resolution: int, name: str = "", part: str = "total") -> int:
    """Return how many values the histograms of a resolution hold."""
    ((count,),) = query(
        "SELECT coalesce(sum(count), 0) FROM histogram"
        " WHERE resolution = %s AND name = %s AND part = %s",
        *(resolution, name, part),
    )
    return int(count)


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
        " response_length, queue_ms, app_ms, trace_id FROM request ORDER BY time"
    )
    address, error = "http://host/a", "Error('http://host/x')"
    assert rows == [
        (START, 12.5, 1, None, None, address, 17, 1.5, 2.5, TRACE),
        (START + 0.01, 3.0, 0, error, {"a": 1}, address, 17, None, 2.5, f"{1:032x}"),
        (START + 0.02, None, 1, None, None, None, None, None, None, None),
    ]


def test_histograms_hold_every_value_in_its_bucket(tmp_path, shipper, query):
    """At each resolution, of each endpoint and of all, the buckets count what was sent."""
    dice = random.Random(1)
    values = [dice.lognormvariate(2, 2) for _ in range(3000)]
    process = Process(tmp_path)
    for begin in range(0, 3000, 500):
        block = [
            sample(n, values[n], f"/{n % 3}", error="bad" if n % 10 == 0 else None, timing=None)
            for n in range(begin, begin + 500)
        ]
        process.samples(*block)
        ship_all(shipper)
    for resolution in (1, 10, 60):
        for name in ("", "/0", "/1", "/2"):
            mine = [v for n, v in enumerate(values) if name in ("", f"/{n % 3}")]
            rows = query(
                "SELECT buckets, counts, count, failures, sum_ms, max_ms, extract(epoch FROM time)"
                " FROM histogram WHERE resolution = %s AND name = %s AND part = 'total'",
                *(resolution, name),
            )
            found: Counter[int] = Counter()
            for buckets, counts, *_ in rows:
                found.update(dict(zip(buckets, counts, strict=True)))
            assert found == Counter(map(bucket, mine))
            assert sum(row[2] for row in rows) == len(mine)
            assert sum(row[3] for row in rows) == len(mine) / 10
            assert math.isclose(sum(row[4] for row in rows), sum(mine))
            assert max(row[5] for row in rows) == max(mine)
            assert all(row[6] % resolution == 0 for row in rows)
    finished = Counter(int(START + n / 100 + v / 1000) for n, v in enumerate(values))
    rows = query(
        "SELECT extract(epoch FROM time)::int, sum(count)::int FROM histogram"
        " WHERE resolution = 1 AND name = '' AND part = 'total' GROUP BY 1"
    )
    assert dict(rows) == finished  # the second of completion


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
    assert query("SELECT queue_ms, app_ms FROM request ORDER BY time") == [
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
    assert found == [("app", 4, 24), ("outside", 2, 2), ("queue", 2, 3), ("total", 6, 60)]
    assert query("SELECT samples, implausible FROM run_worker") == [(6, 2)]


def test_a_wrong_clock_is_corrected(tmp_path, shipper, query):
    """Rows and windows are by the master's clock."""
    process = Process(tmp_path)
    process.samples(sample(0), sample(1), offset_s=600.0)
    ship_all(shipper)
    assert query("SELECT extract(epoch FROM min(time))::float8 FROM request") == [(START + 600,)]
    times = query("SELECT DISTINCT extract(epoch FROM time)::int FROM histogram WHERE resolution=1")
    assert times == [(int(START + 600),)]


@pytest.mark.parametrize(
    "text", ["naïve ✓ \U0001f41d", "a\0b", "'; DROP TABLE request; --", "\\", ""]
)
def test_odd_characters_arrive(tmp_path, shipper, query, text):
    """Any text is stored, NUL as the replacement character."""
    process = Process(tmp_path)
    context = json.dumps({"text": text})
    process.samples(sample(0, name=text, method=text, url=text, error=text, context=context))
    ship_all(shipper)
    stored = text.replace("\0", "\ufffd")
    ((name, method, error, context),) = query(
        "SELECT name, request_type, exception, context FROM request"
    )
    assert (name, method, error, context) == (stored, stored, stored, {"text": stored})


def test_wrong_types_arrive(tmp_path, shipper, query):
    """What a custom client reports with a wrong type is stored as text, or as nothing."""
    process = Process(tmp_path)
    process.samples(
        sample(0, name=7, method=None, url=3.5, length="12", error=[1], trace=12),
        sample(1, ms="fast", length=2**40, greenlet=2**60, trace=b"X" * 5),
        sample(2, ms=float("nan"), start="now"),
        sample(3, ms=1e300, start=-5.0, length=-1),
    )
    ship_all(shipper)
    assert query(
        "SELECT name, request_type, url, response_length FROM request WHERE success = 0"
    ) == [("7", "None", "3.5", None)]
    assert query("SELECT count(*) FROM request") == [(4,)]


@pytest.mark.parametrize("start", [math.inf, math.nan, -1.0, 1e300])
def test_an_impossible_start_of_an_open_workload_arrives(tmp_path, shipper, query, start):
    """It counts from the run's start, as in a closed workload, and its neighbour as it was."""
    process = Process(tmp_path)
    odd, plain = sample(0, start=start), sample(1)
    process.write(Samples(RUN, "plan", 0.0, [odd, plain], [1.0, 2.0]))
    ship_all(shipper)
    found = query("SELECT extract(epoch FROM time)::float8, late_ms FROM request ORDER BY time")
    assert found == [(START, 1.0), (START + 0.01, 2.0)]


UNUSABLE = [None, -3.0, math.nan, math.inf, -math.inf, 1e12, 1e300, "fast"]


@pytest.mark.parametrize("late_ms", [[], [0.0] * (len(UNUSABLE) + 1)], ids=["closed", "open"])
def test_what_has_no_time_is_counted_without_a_latency(tmp_path, shipper, query, late_ms):
    """Each request is one of its second's, its failure too; only a time is in the buckets."""
    process = Process(tmp_path)
    odd = [sample(n, ms, error="bad") for n, ms in enumerate(UNUSABLE)]
    process.samples(sample(9, 20.0), *odd, late_ms=late_ms, time=START + 1)
    ship_all(shipper)
    number = len(odd) + 1
    for resolution in (1, 10, 60):
        for name in ("", "/a"):
            rows = query(
                "SELECT sum(count)::int, sum(failures)::int, sum(sum_ms), max(max_ms),"
                " sum((SELECT sum(c) FROM unnest(counts) c))::int FROM histogram"
                " WHERE resolution = %s AND name = %s AND part = 'total'",
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
    process.samples(sample(0, ms, start=start), offset_s=0.5, late_ms=[0.0], time=START + 30)
    ship_all(shipper)
    replaced = START + 30.5 - (ms or 0.0) / 1000
    times = query("SELECT extract(epoch FROM time)::float8 FROM request ORDER BY time")
    assert times == [(START + 1.5,), *[(pytest.approx(replaced, abs=1e-5),)] * 2]
    rows = query(
        "SELECT extract(epoch FROM time)::int, sum(count)::int FROM histogram"
        " WHERE resolution = 1 AND name = '' AND part = 'total' GROUP BY time ORDER BY time"
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
    tmp_path, shipper, runs_database, query, again
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
    process.samples(sample(2000), late_ms=[0.0], time=START + 22)
    ship_all(shipper)
    shipper.disconnect()
    assert query("SELECT samples, after_stop FROM run_worker") == [(2, 3)]
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert counted(query, 60) == 2
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


def test_long_names_are_bounded_and_stay_different(tmp_path, shipper, query):
    """A name of any length is stored, shortened in a way that keeps names apart."""
    process = Process(tmp_path)
    long = "/x" * 50_000
    process.samples(sample(0, name=long + "1"), sample(1, name=long + "2"), sample(2, url=long))
    ship_all(shipper)
    names = [name for (name,) in query("SELECT DISTINCT name FROM request WHERE name <> '/a'")]
    assert len(names) == 2
    assert all(len(name) <= 255 and "…" in name for name in names)
    assert counted(query, 60) == 3


def test_ten_thousand_names_are_stored(tmp_path, shipper, query):
    """All rows keep their names; histograms keep the first ones and add up the rest, and say so."""
    process = Process(tmp_path)
    process.write(STARTED)
    for begin in range(0, 10_000, 1000):
        process.samples(*(sample(n, name=f"/item/{n}") for n in range(begin, begin + 1000)))
    ship_all(shipper)
    assert query("SELECT count(DISTINCT name) FROM request") == [(10_000,)]
    assert counted(query, 60) == 10_000
    assert counted(query, 60, "(more names)") == 10_000 - MOST_ENDPOINTS
    notes = query("SELECT text FROM events WHERE kind = 'note'")
    assert len(notes) == 1
    assert f"{MOST_ENDPOINTS:,}" in notes[0][0]


def test_a_late_sample_is_added_to_its_second(tmp_path, shipper, query):
    """A request that is reported long after it finished still counts where it finished."""
    process = Process(tmp_path)
    process.samples(sample(0))
    ship_all(shipper)
    process.samples(sample(100_000))  # a quarter of an hour later: all windows before are closed
    ship_all(shipper)
    process.samples(sample(1))
    ship_all(shipper)
    rows = query(
        "SELECT sum(count)::int FROM histogram WHERE resolution = 60 AND name = ''"
        " AND part = 'total' GROUP BY time ORDER BY time"
    )
    assert rows == [(2,), (1,)]


def test_a_finished_journal_is_deleted(tmp_path, shipper, query):
    """Once its end is in the database the file goes, and all windows are closed."""
    process = Process(tmp_path)
    process.write(STARTED, Participant(RUN, WORKER), WorkerStarted(RUN, WORKER, START))
    process.samples(*(sample(n) for n in range(300)))
    ship_all(shipper)
    assert list(tmp_path.glob("*.journal"))
    process.write(WorkerStopped(RUN, WORKER, START + 3), RunStopped(RUN, "plan", START + 3), End())
    process.writer.close()
    ship_all(shipper)
    assert not list(tmp_path.glob("*.journal"))
    assert query("SELECT count(*) FROM histogram_open") == [(0,)]
    assert query("SELECT position, finished FROM journal") == [(process.writer.position, True)]
    assert query("SELECT status, complete, target_users FROM run") == [("finished", True, 3)]
    assert query("SELECT requests, description, changeset_guid FROM testrun") == [
        (300, "a \ufffd description, --token ***", "v" * 100)
    ]


@pytest.mark.parametrize("torn", [b"", b"\xff\x00\x00", b"\x10\x00\x00\x00\x00\x00\x00\x00half"])
def test_a_killed_leaders_run_is_aborted(tmp_path, shipper, query, torn):
    """A journal whose writer died is delivered up to its torn tail; its run is closed."""
    process = Process(tmp_path)
    process.write(STARTED, Participant(RUN, WORKER), WorkerStarted(RUN, WORKER, START))
    process.samples(sample(0), sample(1))
    process.writer.close()
    with next(tmp_path.glob("*.journal")).open("ab") as file:
        file.write(torn)
    ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert query("SELECT status, complete, lost_workers FROM run") == [("aborted", False, 1)]
    assert query("SELECT kind FROM events ORDER BY time, kind") == [
        ("started",),
        ("stopped",),
        ("worker_lost",),
    ]
    assert not list(tmp_path.glob("*.journal"))


def test_a_worker_that_the_leader_lost(tmp_path, shipper, query):
    """A lost worker keeps the run incomplete; what a worker says itself counts more."""
    leader = Process(tmp_path, "leader")
    workers = ("gone", "back", "told")
    leader.write(STARTED, *(Participant(RUN, worker) for worker in workers))
    leader.write(*(WorkerLost(RUN, worker, START + 1, "missing") for worker in workers))
    leader.write(WorkerBack(RUN, "back", START + 2), RunStopped(RUN, "plan", START + 3))
    ship_all(shipper)
    worker = Process(tmp_path, "told")
    worker.write(WorkerStarted(RUN, "told", START), WorkerStopped(RUN, "told", START + 3))
    ship_all(shipper)
    found = query("SELECT worker, outcome, stopped IS NULL FROM run_worker ORDER BY worker")
    assert found == [("back", None, True), ("gone", "lost", True), ("told", "stopped", False)]
    assert query("SELECT status, complete, lost_workers FROM run") == [("finished", False, 1)]


def test_segments_are_followed_and_deleted(tmp_path, shipper, query):
    """A journal of many segments arrives whole, and what is delivered frees its disk space."""
    process = Process(tmp_path, segment_bytes=20_000)
    for begin in range(0, 2000, 100):
        process.samples(*(sample(n) for n in range(begin, begin + 100)))
        if begin % 300 == 0:
            ship_all(shipper)
            assert len(list(tmp_path.glob("*.journal"))) == 1
    ship_all(shipper)
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(2000, 2000)]
    assert counted(query, 10) == 2000
    process.writer.close()


def test_a_new_shipper_goes_on_where_the_last_one_was(tmp_path, runs_database, query):
    """Shippers that are dropped after every batch lose nothing, double nothing, blur nothing."""
    process = Process(tmp_path)
    for begin in range(0, 1000, 50):
        process.samples(*(sample(n, 1 + n / 10) for n in range(begin, begin + 50)))
        shipper = Shipper(tmp_path, runs_database)
        ship_all(shipper)
        shipper.disconnect()
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(1000, 1000)]
    assert [counted(query, r) for r in (1, 10, 60)] == [1000] * 3
    assert query("SELECT samples FROM run_worker") == [(1000,)]


def test_a_shipper_killed_before_it_deletes(tmp_path, runs_database, query, monkeypatch):
    """Segments that were delivered, but not deleted any more, are not delivered again."""
    process = Process(tmp_path, segment_bytes=1_000)
    for begin in range(0, 200, 50):  # a segment each
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
    process.samples(sample(200), sample(201))
    killed = Shipper(tmp_path, runs_database)
    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "_delete", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            killed.round()
    assert query("SELECT count(*) FROM request") == [(202,)]  # the transaction was whole
    assert len(list(tmp_path.glob("*.journal"))) == 5
    process.samples(sample(202))
    successor = Shipper(tmp_path, runs_database)
    ship_all(successor)
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(203, 203)]
    assert len(list(tmp_path.glob("*.journal"))) == 1
    process.writer.close()
    for shipper in (killed, successor):
        shipper.disconnect()


def test_two_shippers_do_no_harm(tmp_path, runs_database, query):
    """Two that take turns on one journal, without knowing of each other, deliver it once."""
    process = Process(tmp_path)
    pair = [Shipper(tmp_path, runs_database), Shipper(tmp_path, runs_database)]
    dice = random.Random(7)
    for begin in range(0, 1000, 50):
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
        dice.choice(pair).round()
    process.write(End())
    process.writer.close()
    for _ in range(2):
        for shipper in pair:
            ship_all(shipper)
    assert query("SELECT count(*), count(DISTINCT trace_id) FROM request") == [(1000, 1000)]
    assert [counted(query, r) for r in (1, 10, 60)] == [1000] * 3
    assert not list(tmp_path.glob("*.journal"))
    for shipper in pair:
        shipper.disconnect()


def test_what_is_refused_holds_up_nothing(tmp_path, shipper, query, caplog):
    """What the database refuses is left out, counted and told; all the rest arrives."""
    ship_all(shipper)  # makes the schema
    shipper._connection.execute("ALTER TABLE request ADD CHECK (name <> '/refused')")
    process = Process(tmp_path)
    process.write(STARTED, WorkerStarted(RUN, WORKER, START), STARTED)  # said twice: no harm
    process.write(UserCount(RUN, "plan", math.nan, 1, 1), UserCount("no run", "plan", START, 1, 1))
    refused = {100, 101, 250}
    names = ["/refused" if n in refused else "/a" for n in range(300)]
    process.samples(*(sample(n, name=names[n]) for n in range(300)))
    block = [sample(n, name="/refused" if n == 301 else "/a") for n in range(300, 303)]
    process.write(Samples(RUN, "plan", 0.0, block, [1.0, 2.0, 3.0]))
    process.write(Samples(RUN, "plan", math.inf, [sample(400)]))  # no clock is off by so much
    process.write(
        UserCount(RUN, "plan", START, 2**40, 1), Event(RUN, "note", math.nan, "x", "no JSON")
    )
    process.write(WorkerStopped(RUN, WORKER, START + 5), RunStopped(RUN, "plan", START + 5), End())
    process.writer.close()
    ship_all(shipper)

    arrived = [int(trace, 16) for (trace,) in query("SELECT trace_id FROM request ORDER BY 1")]
    assert arrived == sorted(set(range(303)) - refused - {301})
    assert query("SELECT late_ms FROM request WHERE late_ms > 0 ORDER BY 1") == [(1.0,), (3.0,)]
    assert counted(query, 1) == 299
    assert query("SELECT samples, dropped FROM run_worker") == [(299, 4)]
    assert query("SELECT status, complete, peak_users FROM run") == [("finished", True, 2**31 - 1)]
    told = query("SELECT kind, text FROM events WHERE kind IN ('note', 'samples_dropped')")
    assert sorted((kind, text.partition(f" of {WORKER} ")[0]) for kind, text in told) == [
        ("note", "a record (Event)"),
        ("note", "a record (UserCount)"),
        ("samples_dropped", "1 samples"),
        ("samples_dropped", "3 samples"),
        ("samples_dropped", "samples"),  # the block that no clock explains
    ]
    assert caplog.text.count("the database refuses") == 5
    assert not list(tmp_path.glob("*.journal"))


def test_a_record_of_no_time_holds_up_nothing(tmp_path, shipper, query):
    """The C library has an error of its own for what is far beyond any calendar."""
    process = Process(tmp_path)
    process.write(STARTED, WorkerStarted(RUN, WORKER, START))
    process.write(*(Event(RUN, "note", time_s, "x") for time_s in (1e18, -1e18, 1e12, 1e300)))
    process.samples(sample(1))
    process.write(WorkerStopped(RUN, WORKER, START + 5), RunStopped(RUN, "plan", START + 5), End())
    process.writer.close()
    ship_all(shipper)

    assert query("SELECT complete, samples FROM run, run_worker") == [(True, 1)]
    assert query("SELECT count(*) FROM events WHERE kind = 'note' AND text = 'x'") == [(0,)]
    assert not list(tmp_path.glob("*.journal"))


def test_what_is_lost_is_counted_at_the_end(tmp_path, shipper, query):
    """Samples that a worker had and nobody could read: rows and dropped ones add up to all."""
    process = Process(tmp_path)
    process.write(WorkerStarted(RUN, WORKER, START), Dropped(RUN, WORKER, START, 2, "no room"))
    process.samples(*(sample(n) for n in range(5)))
    process.samples(*(sample(n) for n in range(5, 8)))
    process.write(WorkerStopped(RUN, WORKER, START + 1, 12))
    process.writer.close()
    ship_all(shipper)
    assert query("SELECT samples, dropped, outcome FROM run_worker") == [(8, 4, "stopped")]
    texts = query("SELECT text FROM events WHERE kind = 'samples_dropped' ORDER BY 1")
    assert texts == [
        (f"2 samples of {WORKER} were dropped: no room",),
        (f"2 samples of {WORKER} were lost with what held them",),
    ]


def test_odd_values_are_stored_as_near_as_may_be(tmp_path, shipper, query):
    """A NUL in a verdict's figures, or in a worker's name, and a context that is no JSON."""
    process = Process(tmp_path, "a \0 worker")
    details = json.dumps({"name": "a\0b", "path": "C:\\u0000"})
    process.write(STARTED, Event(RUN, "verdict", START, "a \0 verdict", details))
    process.write(Participant(RUN, "\0"), UserCount(RUN, "\0", START, 1, 1))
    process.samples(sample(0, context=details), sample(1, context="{"))
    ship_all(shipper)
    stored = {"name": "a\ufffdb", "path": "C:\\u0000"}
    verdicts = query("SELECT text, details FROM events WHERE kind = 'verdict'")
    assert verdicts == [("a \ufffd verdict", stored)]
    contexts = query("SELECT context FROM request ORDER BY time")
    assert contexts == [(stored,), ({"error": "not JSON"},)]
    workers = {worker for (worker,) in query("SELECT worker FROM run_worker")}
    assert workers == {"a \ufffd worker", "\ufffd"}


def test_damage_costs_what_is_damaged(tmp_path, shipper, query, caplog):
    """What cannot be read is lost and kept as it is; what stands around it arrives."""
    broken, torn, sound = Process(tmp_path), Process(tmp_path, "torn"), Process(tmp_path, "sound")
    broken.samples(sample(0))
    broken.writer.append(b"\xc1 is no MessagePack")
    broken.samples(sample(1))
    torn.samples(sample(2))
    torn.samples(sample(3))
    (path,) = tmp_path.glob(f"{torn.header.journal}*")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    sound.samples(sample(4))
    for process in (broken, torn, sound):
        process.writer.close()
    ship_all(shipper)
    arrived = [int(trace, 16) for (trace,) in query("SELECT trace_id FROM request ORDER BY 1")]
    assert arrived == [0, 1, 2, 4]
    assert caplog.text.count("is damaged") == 2
    told = query("SELECT run_text(run_id), text FROM events WHERE kind = 'samples_dropped'")
    assert [(run, text.partition(",")[0]) for run, text in sorted(told)] == [
        (RUN, "samples of torn may be lost"),
        (RUN, "samples of worker may be lost"),
    ]
    assert len(list(tmp_path.glob("*.damaged"))) == 2
    assert not list(tmp_path.glob("*.journal"))


def test_a_damaged_segment_costs_itself(tmp_path, shipper, query, caplog):
    """One of a journal's later segments without a header, one with a length that is none."""
    process = Process(tmp_path, segment_bytes=1_000)
    for begin in range(0, 200, 50):  # a segment each
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
    process.write(End())
    process.writer.close()
    paths = sorted(tmp_path.glob("*.journal"))
    paths[1].write_bytes(b"?" + paths[1].read_bytes()[1:])
    with Reader(paths[2]) as reader:
        header_end = reader.header_end
    content = bytearray(paths[2].read_bytes())
    content[header_end : header_end + 4] = b"\xff\xff\xff\x7f"
    paths[2].write_bytes(content)
    ship_all(shipper)
    arrived = [int(trace, 16) for (trace,) in query("SELECT trace_id FROM request ORDER BY 1")]
    assert arrived == [*range(50), *range(150, 200)]
    assert caplog.text.count("is damaged") == 2
    assert len(list(tmp_path.glob("*.damaged"))) == 2
    assert not list(tmp_path.glob("*.journal"))


def test_a_damaged_beginning_costs_itself(tmp_path, shipper, query):
    """A journal whose first segment lost its header is delivered from the second on, and told."""
    process = Process(tmp_path, segment_bytes=1_000)
    for begin in range(0, 100, 50):  # a segment each
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
    process.write(End())
    process.writer.close()
    first = min(tmp_path.glob("*.journal"))
    first.write_bytes(b"?" + first.read_bytes()[1:])
    ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(50,)]
    assert query("SELECT run_text(run_id), kind FROM events") == [(RUN, "samples_dropped")]
    assert list(tmp_path.glob("*.damaged")) == [first.with_suffix(".damaged")]


def test_a_writer_may_take_a_segment_back(tmp_path, shipper, query):
    """On a full disk a new segment may go before the one before it ends: nothing is lost."""
    process = Process(tmp_path)
    process.samples(sample(0))
    (path,) = tmp_path.glob("*.journal")
    new = Writer(tmp_path, msgspec.structs.replace(process.header, segment=1, base=10_000))
    ship_all(shipper)
    process.samples(sample(1))
    new.close()
    max(tmp_path.glob("*.journal")).unlink()
    ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"?" * 100], ids=["empty", "damaged"])
def test_a_segment_without_a_header_stops_no_shipper(tmp_path, shipper, query, content):
    """While its writer lives it is waited for; the other journals go on."""
    process, other = Process(tmp_path), Process(tmp_path, "other")
    process.samples(sample(0))
    ship_all(shipper)
    (path,) = tmp_path.glob(f"{process.header.journal}*")
    path.write_bytes(content)
    other.samples(sample(1))
    shipper.round()
    assert query("SELECT count(*) FROM request") == [(2,)]


def test_what_is_no_journal_of_ours_is_left(tmp_path, shipper, query, caplog):
    """A newer version's journal and a copy of one stay; one line each; the others arrive."""
    process = Process(tmp_path)
    process.samples(sample(0))
    process.writer.close()
    (path,) = tmp_path.glob("*.journal")
    copy, newer = tmp_path / "copy.00000000.journal", tmp_path / "newer.00000000.journal"
    copy.write_bytes(path.read_bytes())
    newer.write_bytes(b"SWRMJRN\x02" + path.read_bytes()[8:])
    for _ in range(3):
        ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(1,)]
    assert set(tmp_path.glob("*.journal")) == {copy, newer}
    assert caplog.text.count("is left as it is") == 2
    assert shipper.is_empty()


def test_a_file_that_cannot_be_deleted_is_told_once(tmp_path, shipper, query, caplog, monkeypatch):
    """The others go on, and nothing is delivered twice."""
    kept, other = Process(tmp_path, "kept"), Process(tmp_path, "other")
    for process in (kept, other):
        process.samples(sample(0))
        process.write(End())
        process.writer.close()
    unlink = Path.unlink

    def refuse(path: Path, **more: bool) -> None:
        if path.name.startswith(kept.header.journal):
            raise PermissionError("not here")
        unlink(path, **more)

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(3):
        ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert caplog.text.count("not here") == 1
    assert not list(tmp_path.glob(f"{other.header.journal}*"))


def test_a_journal_that_is_gone_is_forgotten(tmp_path, shipper, query):
    """Files that somebody else delivered, or removed, are no work and no error."""
    process = Process(tmp_path)
    process.samples(sample(0))
    ship_all(shipper)
    for path in tmp_path.glob("*.journal"):
        path.unlink()
    assert not shipper.round()
    assert shipper._deliveries == {}
    assert query("SELECT count(*) FROM request") == [(1,)]
