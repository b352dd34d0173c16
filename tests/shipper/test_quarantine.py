"""What the database rejects is left out, counted and reported; the rest arrives."""

from __future__ import annotations

import math

from support.journals import RUN, START, STARTED, WORKER, Process, sample, ship_all

from swarmscope.journal.records import (
    End,
    Event,
    RunStopped,
    Samples,
    UserCount,
    WorkerStarted,
    WorkerStopped,
)


def test_what_is_refused_holds_up_nothing(tmp_path, shipper, query, counted, caplog):
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
    assert query("SELECT start_delay_ms FROM request WHERE start_delay_ms > 0 ORDER BY 1") == [
        (1.0,),
        (3.0,),
    ]
    assert counted(1) == 299
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
    assert caplog.text.count("rejected by the database") == 5
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
