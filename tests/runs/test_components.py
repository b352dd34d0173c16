"""Components of the service time, against the very requests that made them."""

from __future__ import annotations

import random
from datetime import timedelta
from math import ceil

import pytest
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import queries

WHOLE = [START, START + timedelta(seconds=60)]


def _requests(number: int = 400) -> list[Sample]:
    """Return requests of which a part queried a database, and fewer in the first ten seconds."""
    source = random.Random(16)
    samples = []
    for i in range(number):
        service = source.lognormvariate(3, 0.5)
        parts = {"queue": 1.0, "service": service, "outside": 1.0, "cpu": service * 0.25}
        if source.random() < 0.4:
            calls = source.choice([1, 2, 2, 41])
            parts |= {"db": service * 0.5, "db_calls": calls, "other": service * 0.25}
        else:
            parts |= {"other": service * 0.75}
        at_s = 1 + 55 * i / number
        samples.append(Sample(at_s, service + 2, name=f"/{i % 2}", parts=parts))
    return samples


def _exact(samples: list[Sample], part: str, quantile: float) -> float:
    values = sorted(s.parts.get(part, 0.0) for s in samples)
    return values[max(ceil(quantile * len(values)), 1) - 1]


@pytest.mark.parametrize("whole", [True, False])
def test_figures_are_those_of_all_measured_requests(connection, whole):
    """Zeros of requests without a part count; means are exact, percentiles within 2.5 %."""
    samples = _requests()
    run = store_run(connection, samples, ramp_s=11.75)  # 12:00:12
    counted = samples if whole else [s for s in samples if s.at_s + 0.25 >= 12]

    rows = {(row.name, row.part): row for row in queries.component_summary(connection, run, whole)}

    assert {part for _, part in rows} == {"cpu", "db", "db_calls", "other"}
    for (name, part), row in rows.items():
        mine = [s for s in counted if name in ("", s.name)]
        values = [s.parts.get(part, 0.0) for s in mine]
        assert (row.requests, row.used) == (len(mine), sum(value > 0 for value in values))
        assert row.mean == pytest.approx(sum(values) / len(values))
        assert row.max == max(values)
        for quantile, found in ((0.5, row.p50), (0.9, row.p90), (0.95, row.p95), (0.99, row.p99)):
            error = 0.0 if part == "db_calls" else 0.025
            assert found == pytest.approx(_exact(mine, part, quantile), rel=error), (part, quantile)
    assert rows["", "cpu"].scope == ("whole" if whole else "after_ramp_up")


def test_means_of_components_add_up_over_time(connection):
    """To the service time, in every slot; what a slot's requests did without is 0 there."""
    samples = [*_requests(100), Sample(58, 5, parts={"service": 3.0, "cpu": 3.0})]
    run = store_run(connection, samples)

    rows = connection.execute(
        "SELECT service_ms, undivided_ms, cpu_ms + db_ms + other_ms, pool_ms, db_calls"
        " FROM latency_parts(%s, %s, %s, 5)",
        [run, *WHOLE],
    ).fetchall()

    assert len(rows) == 6
    for service, undivided, components, pool, _ in rows:
        assert components == pytest.approx(service)
        assert undivided is pool is None
    calls = [row[-1] for row in rows]
    inside = [s for s in samples if 9.75 <= s.at_s < 19.75]
    assert calls[1] == pytest.approx(sum(s.parts.get("db_calls", 0) for s in inside) / len(inside))


def test_what_was_not_measured_has_no_rows(connection):
    """Unknown is not 0: neither without components, nor of a part that nothing in the run had."""
    parts = {"queue": 1.0, "service": 5.0, "outside": 1.0}
    run = store_run(connection, [Sample(1, 7, parts=parts)])
    assert queries.component_summary(connection, run, True) == []
    columns = "service_ms, undivided_ms, cpu_ms, db_ms, other_ms, db_calls"
    query = f"SELECT {columns} FROM latency_parts(%s, %s, %s, 1)"
    assert connection.execute(query, [run, *WHOLE]).fetchall() == [(5, 5, *(None,) * 4)]


def test_without_cpu_time_zeros_are_counted_by_the_service_time(connection):
    """The rest of the service time has no name then."""
    plain, divided = {"service": 4.0}, {"service": 8.0, "db": 6.0, "db_calls": 2}
    run = store_run(connection, [Sample(1, 9, parts=p) for p in (plain, divided, plain, plain)])

    rows = queries.component_summary(connection, run, True, [""])
    assert [(row.part, row.requests, row.used, row.mean, row.p50, row.max) for row in rows] == [
        ("db", 4, 1, 1.5, 0, 6),
        ("db_calls", 4, 1, 0.5, 0, 2),
    ]
    columns = "service_ms, undivided_ms, cpu_ms, db_ms, other_ms, db_calls"
    query = f"SELECT {columns} FROM latency_parts(%s, %s, %s, 1)"
    found = connection.execute(query, [run, *WHOLE]).fetchall()
    assert found == [(5, 3.5, None, 1.5, None, 0.5)]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            (5.2, 74.4, 0.1, 0, 0, 1.3, 41, 0, 0),
            "database 74 ms in 41 calls · CPU 5.2 ms · other 1.3 ms",
        ),
        ((1.0, 0, 0, 1234.6, 0, 1234.0, 0, 1, 0), "HTTP calls 1,235 ms in 1 call · other 1,234 ms"),
        ((0.0, 0, 0.5, 0, 0.26, 0.0, 0, 0, 2), "connection pool 0.5 ms · cache 0.3 ms in 2 calls"),
        ((None,) * 9, None),
    ],
)
def test_a_request_says_what_took_its_time(connection, values, text):
    """The longest first, and nothing that took next to nothing."""
    holes = ", ".join(["%s"] * 9)
    found = connection.execute(f"SELECT components_text({holes})", values).fetchone()
    assert found == (text,)
