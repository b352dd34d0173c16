"""Profiles of a run in the database, by level and by span."""

from __future__ import annotations

from datetime import timedelta

from support.profiles import DUMPS, PAY, RENDER, profile
from support.stored_runs import START, Sample, store_run

from swarmscope.runs.counters import Level
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, KINDS, WAITING, Profile


def at(seconds: float):
    return START + timedelta(seconds=seconds)


def in_turns(connection, run, job: str = "shop", turns: int = 8) -> None:
    """Store five seconds of CPU and two and a half of waiting, again and again."""
    for n in range(turns):
        since = 7.5 * n
        cpu = profile(("/pay", 100 + n, PAY, RENDER), ("", 10, DUMPS))
        storage.store(connection, run, job, at(since), at(since + 5), cpu)
        waiting = profile(("/pay", 1000 + n, PAY), kind=WAITING, seconds=2.5)
        storage.store(connection, run, job, at(since + 5), at(since + 7.5), waiting)


def test_a_span_is_what_has_its_middle_there(connection):
    run = store_run(connection, [Sample(1, 5)])
    in_turns(connection, run)

    whole = storage.read(connection, run, CPU, "shop")
    assert whole == profile(("/pay", 828, PAY, RENDER), ("", 80, DUMPS), seconds=40)
    some = storage.read(connection, run, CPU, "shop", [(at(2.5), at(17.5)), (at(30), at(33))])
    assert some.stacks == profile(("/pay", 305, PAY, RENDER), ("", 30, DUMPS)).stacks
    assert some.seconds == 15
    assert storage.read(connection, run, WAITING, "shop", [(at(0), at(6))]).total_us == 0
    assert storage.read(connection, run, WAITING, "shop", [(at(0), at(7))]).total_us == 1000
    assert storage.read(connection, run, CPU, "other") == Profile(CPU, 0.0, {})
    assert storage.read(connection, run, CPU, "shop", []) == Profile(CPU, 0.0, {})


def test_levels_are_joined_and_the_rest_by_time(connection):
    """Sums stay; a level is one window of each kind, and no other window lies in it."""
    run = store_run(connection, [Sample(1, 5)])
    in_turns(connection, run)
    in_turns(connection, run, "billing")
    before = [storage.read(connection, run, kind, "shop") for kind in KINDS]

    storage.join_levels(connection, run, [Level(1, at(14), at(31)), Level(2, at(31), at(44))])
    storage.join_windows(connection, run, (at(0), at(46)), 15)
    storage.join_windows(connection, run, (at(0), at(46)), 15)

    found = [w for w in storage.windows(connection, run) if w.job == "shop"]
    cpu = [(w.level, w.since, w.until, w.seconds) for w in found if w.kind == CPU]
    assert cpu == [
        (None, at(0), at(12.5), 10),
        (1, at(15), at(27.5), 10),
        (2, at(30), at(42.5), 10),
        (None, at(45), at(50), 5),
        (None, at(52.5), at(57.5), 5),
    ]
    assert [w.level for w in found if w.kind == WAITING] == [None, 1, 2, None, None]
    assert [storage.read(connection, run, kind, "shop") for kind in KINDS] == before
    level = storage.read(connection, run, CPU, "shop", [(at(14), at(31))])
    assert level.total_us == 102 + 103 + 20


def test_a_window_is_bounded(connection):
    run = store_run(connection, [Sample(1, 5)])
    many = profile(*(("/pay", n, PAY._replace(line=n)) for n in range(1, 800)))

    storage.store(connection, run, "shop", at(0), at(5), many)

    stored = storage.read(connection, run, CPU, "shop")
    assert len(stored.stacks) == 500
    assert stored.total_us == many.total_us


def test_the_services_come_in_their_order_and_the_generator_last(connection):
    run = store_run(connection, [Sample(1, 5)])
    for number, job in enumerate(("shop", "billing")):
        connection.execute("INSERT INTO run_service VALUES (%s, %s, %s, '')", [run, job, number])
    for job in ("locust", "another", "billing", "shop"):
        storage.store(connection, run, job, at(0), at(5), profile(("/pay", 3, PAY)))

    assert storage.jobs(connection, run, CPU) == ["shop", "billing", "another", "locust"]
    assert storage.jobs(connection, run, WAITING) == []
