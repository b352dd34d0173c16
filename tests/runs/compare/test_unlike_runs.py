"""Runs that were made differently are not compared without a warning."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import queries
from swarmscope.runs.compare import comparison

LATER = START + timedelta(hours=1)


@pytest.fixture
def compared(connection):
    """Return a function that changes the second of two equal runs, and returns the warnings."""
    for start in (START, LATER):
        store_run(connection, [Sample(at / 2, 20 + at % 3) for at in range(100)], start)
    connection.execute(
        "UPDATE testrun SET machine = '2 × A', scenario_hash = 'a', host = 'http://a',"
        " scenario = 'Visitor', settings = '{\"spawn_rate\": 1, \"slo_p95\": 450}'"
    )

    def warnings(change: str) -> list[str]:
        connection.execute(f"UPDATE testrun SET {change} WHERE id = %s", [LATER])
        a, b = (queries.by_id(connection, start) for start in (START, LATER))
        return comparison.compare(connection, a, b).warnings

    return warnings


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("machine = '4 × B'", ["machine: 2 × A against 4 × B"]),
        ("machine = NULL", []),
        ("scenario_hash = 'b'", ["the scenario's files were edited between the runs"]),
        ("scenario = 'Buyer'", ["scenario: Visitor against Buyer"]),
        ("testplan = 'other.py'", ["plan: classic.py against other.py"]),
        ("profile_name = 'spike'", ["profile: none against spike"]),
        ("env = 'production'", ["environment: test against production"]),
        ("host = 'http://b'", ["host: http://a against http://b"]),
        ("peak_users = 20", ["users: 10 against 20"]),
        ("objective_ms = 300", ["SLO: 450 ms, 0.01 failed against 300 ms, 0.01 failed"]),
        ("end_time = id + interval '3 min'", ["lasted: 60 s against 180 s"]),
        (
            'settings = \'{"spawn_rate": 5, "slo_p95": 9}\'',
            ["options: spawn_rate 1 against 5"],
        ),
        ('settings = \'{"spawn_rate": 1, "host": 2, "users": 3}\'', []),
    ],
)
def test_what_differs_is_named(compared, change, expected):
    assert compared(change) == expected
