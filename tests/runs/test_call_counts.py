"""What services counted during a run: exact, also where one of them was restarted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from support.answering import answering
from support.stored_runs import Sample, store_run

from swarmscope.runs import call_counts, captures
from swarmscope.runs.call_counts import (
    CALL_SECONDS,
    CALLED,
    DB_CALLS,
    DB_SECONDS,
    EXECUTED,
    LONGEST,
    MAX_STATEMENTS,
    NOT_TOLD_APART,
    OTHER,
    REQUEST_SECONDS,
    ROWS,
    SECONDS,
    CallCount,
    CallCounts,
    StatementCount,
)
from swarmscope.runs.counters import REQUESTS, Level
from swarmscope.runs.server_series import Capture

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(seconds=60)
ORDERS = {"job": "shop", "method": "GET", "url_rule": "/orders"}
ITEM = {**ORDERS, "statement": "SELECT name FROM item WHERE id = ?"}
BEFORE = START.timestamp()
TIMES = (BEFORE - 1, BEFORE + 20, BEFORE + 40, BEFORE + 61)  # of scrapes

Labels = Mapping[str, str]
Counter = tuple[str, Labels, Mapping[float, float]]  # name, labels, values by the time of a scrape


def counter(name: str, labels: Labels, *values: float | None) -> Counter:
    """Return a counter's values at scrapes: a second before START, and 20, 40 and 61 s after it."""
    return name, labels, {t: v for t, v in zip(TIMES, values, strict=False) if v is not None}


def read(counters: Iterable[Counter], *levels: Level, restarted: str = "") -> CallCounts:
    """Return what is read from a Prometheus that has *counters*, and knows what was *restarted*."""

    def answer(form, headers) -> bytes:
        query, at = form["query"], float(form["time"])
        assert 'job=~"shop|pricing"' in query
        result = []
        for name, labels, values in counters:
            metric = {"__name__": name, **labels}
            known = [[t, str(v)] for t, v in values.items() if t <= at]
            if "resets" in query:
                if restarted == labels["job"] and name == REQUESTS:
                    result.append({"metric": {"job": labels["job"]}, "value": [at, "1"]})
            elif not known or (name == LONGEST) != (LONGEST in query):
                continue
            elif query.endswith("s]"):
                inside = [[t, v] for t, v in known if t > BEFORE]
                result.append({"metric": metric, "values": inside})
            elif known[-1][0] == max(t for t in TIMES if t <= at):  # else it is there no more
                result.append({"metric": metric, "value": known[-1]})
        return json.dumps({"data": {"result": result}}).encode()

    with answering(answer) as url:
        return call_counts.read(url, START, END, "shop|pricing", 2, levels)


def shop(*more: Counter) -> list[Counter]:
    """Return a shop's counters: ten requests in the run, with forty statements."""
    return [
        counter(REQUESTS, ORDERS, 100, 104, 108, 110),
        counter(REQUEST_SECONDS, ORDERS, 10, 11, 12, 12.5),
        counter(EXECUTED, ITEM, 1000, 1016, 1032, 1040),
        counter(ROWS, ITEM, 1000, 1016, 1032, 1040),
        counter(SECONDS, ITEM, 5, 5.8, 6.6, 7),
        counter(LONGEST, ITEM, 0.1, 0.2, 0.3, 0.3),
        *more,
    ]


def test_the_difference_is_exact():
    """From the last scrape before the run to the first one after it; a new counter began at 0."""
    insert = {**ORDERS, "statement": "INSERT INTO orders VALUES (?, …)"}
    counts = read(
        shop(counter(EXECUTED, insert, None, 1, 2, 3), counter(SECONDS, insert, None, 1, 1, 1))
    )

    assert counts.statements == [
        StatementCount(0, *ITEM.values(), 10, 2.5, 40, 40, 2.0, 0.3),
        StatementCount(0, *insert.values(), 10, 2.5, 3, 0, 1.0),
    ]


def test_a_restart_loses_nothing_that_was_scraped():
    """Counters begin again at zero, or are there no more: all values between are added up."""
    gone = {**ORDERS, "statement": "SELECT gone"}
    counters = [
        counter(REQUESTS, ORDERS, 100, 104, 3, 6),
        counter(REQUEST_SECONDS, ORDERS, 10, 11, 0.5, 1),
        counter(EXECUTED, ITEM, 1000, 1016, 12, 24),
        counter(SECONDS, ITEM, 5, 5.8, 0.6, 1.2),
        counter(EXECUTED, gone, 7, 9),
        counter(SECONDS, gone, 0.5, 0.75),
    ]  # fmt: skip
    for restarted in ("shop", ""):  # the second: seen by what is there no more
        counts = read(counters, restarted=restarted)
        (item,) = [one for one in counts.statements if one.statement == ITEM["statement"]]
        assert (item.requests, item.request_seconds) == (4 + 6, 1 + 1)
        assert (item.calls, item.seconds) == (16 + 24, pytest.approx(0.8 + 1.2))


@pytest.mark.parametrize("lie", ["NaN", "+Inf", "-5", "1e300"])
@pytest.mark.parametrize("restarted", [None, "shop"])
def test_what_no_counter_can_be_is_left_out(lie, restarted):
    """A service says what it wants: the figures of the others are right, and can be stored."""
    lying = {**ORDERS, "statement": "SELECT lies"}
    names = (REQUESTS, EXECUTED, ROWS, SECONDS, LONGEST)
    values = [counter(name, lying, 1, lie, lie, lie) for name in names]
    counts = read(shop(*values), restarted=restarted)

    (item,) = [one for one in counts.statements if one.statement == ITEM["statement"]]
    assert (item.calls, item.seconds, item.longest_s) == (40, pytest.approx(2.0), 0.3)
    assert "SELECT lies" not in [one.statement for one in counts.statements]


def test_what_is_kept_is_bounded():
    """The rest of a route is one row, with what the service itself could not tell apart."""
    others = [
        counter(name, {**ORDERS, "statement": f"SELECT {n}"}, 0, 0, 0, value)
        for n in range(100)
        for name, value in ((EXECUTED, 1), (ROWS, 2), (SECONDS, 1 / (n + 2)))
    ]
    rest = [counter(EXECUTED, {**ORDERS, "statement": OTHER}, 0, 0, 0, 5)]
    counts = read(shop(*others, *rest))

    assert len(counts.statements) == MAX_STATEMENTS + 1
    assert counts.statements[0].statement == ITEM["statement"]
    assert counts.statements[-1].statement == OTHER
    assert sum(one.calls for one in counts.statements) == 40 + 100 + 5
    assert sum(one.rows for one in counts.statements) == 40 + 200


def test_statements_that_are_not_told_apart():
    """A service without sqlparse has their number and time by route; another one has texts."""
    price = {"job": "pricing", "url_rule": "/price"}
    counters = [
        counter(REQUESTS, {**price, "method": "GET"}, 0, 1, 2, 3),
        counter(REQUESTS, {**price, "method": "POST"}, 0, 0, 0, 1),
        counter(DB_CALLS, {**price, "part": "db"}, 0, 2, 4, 8),
        counter(DB_SECONDS, {**price, "part": "db"}, 0, 0.1, 0.2, 0.4),
        counter(DB_CALLS, {"job": "shop", "url_rule": "/orders", "part": "db"}, 0, 16, 32, 40),
    ]
    found = read(shop(*counters)).statements

    assert [one.statement for one in found] == [ITEM["statement"], NOT_TOLD_APART]
    assert found[1] == StatementCount(0, "pricing", "", "/price", "", 4, 0.0, 8, 0, 0.4)


def test_levels_have_their_own():
    """Between the last scrapes before their ends, of what the whole run shows."""
    middle, late = START + timedelta(seconds=20), START + timedelta(seconds=40)
    counts = read(shop(), Level(1, START, middle), Level(2, middle, late))

    levels = [(one.level, one.requests, one.calls, one.longest_s) for one in counts.statements]
    assert levels == [(0, 10, 40, 0.3), (1, 4, 16, None), (2, 4, 16, None)]


def test_outgoing_calls_by_host_and_method():
    """With their errors, and the caller's requests."""
    to = {"job": "shop", "host": "pricing:80", "method": "GET"}
    counts = read(
        shop(
            counter(CALLED, {**to, "outcome": "ok"}, 2, 3, 4, 7),
            counter(CALLED, {**to, "outcome": "error"}, None, None, None, 1),
            counter(CALL_SECONDS, to, 1, 1, 1, 4),
        )
    )
    assert counts.calls == [CallCount(0, "shop", "pricing:80", "GET", 10, 6, 1, 3.0)]


def test_they_are_stored_with_the_run(connection):
    """And read again as they were; a run of an earlier version has none."""
    run = store_run(connection, [Sample(1, 5)], start=START)
    one = StatementCount(0, *ITEM.values(), 10, 2.5, 40, 41, 2.0, 0.3)
    call = CallCount(0, "shop", "pricing:80", "GET", 10, 6, 1, 3.0)
    counts = CallCounts([one], [call])
    assert captures.store(connection, run, Capture(START, 2.0, {}, counts=counts))
    assert captures.stored(connection, run).counts == counts

    connection.execute("UPDATE server_capture SET counted = false")
    assert captures.stored(connection, run).counts is None


def test_the_levels_of_a_run(connection):
    """What a capacity search measured, without warm-ups; else the stages, to the end."""
    run = store_run(connection, [Sample(1, 5)], start=START)

    def note(kind: str, at_s: float, details: str = "{}") -> None:
        connection.execute(
            "INSERT INTO events (time, text, run_id, kind, details) VALUES (%s, 'x', %s, %s, %s)",
            [START + timedelta(seconds=at_s), run, kind, details],
        )

    def found() -> list[tuple[int, float, float]]:
        levels = captures.levels(connection, run, END)
        since_until = [((one.since - START).total_seconds(), (one.until - START).total_seconds())
                       for one in levels]  # fmt: skip
        return [(one.number, *span) for one, span in zip(levels, since_until, strict=True)]

    assert found() == []
    note("stage", 0)
    note("stage", 25)
    assert found() == [(1, 0, 25), (2, 25, 60)]
    note("level", 20, '{"measured_s": 15}')
    note("level", 45, '{"measured_s": 10.5}')
    assert found() == [(1, 5, 20), (2, 34.5, 45)]
