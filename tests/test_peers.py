"""The bench of load generators: does each do the work, and is what it is held to the truth?"""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks._known_server import stall_left_s
from benchmarks._peer_servers import get, known_server
from benchmarks._peer_tools import OURS, TOOLS, Run, Schedule
from benchmarks.peers import cuts, half, stalled_ms


@pytest.mark.parametrize(
    ("elapsed_s", "left_s"), [(0, 0), (4.9, 0), (5, 1), (5.75, 0.25), (6, 0), (15.5, 0.5)]
)
def test_the_server_stalls_in_the_sixth_second_of_every_ten(elapsed_s, left_s):
    assert stall_left_s(elapsed_s) == left_s


def test_a_tenth_of_an_open_schedule_meets_a_stall():
    """100 requests/s for 20 s: the slowest 5 % wait for half a second or more, 1 % for 0.9."""
    true = stalled_ms()

    assert len(true) == 2_000
    assert [round(ms) for ms in cuts(true)[1:]] == [500, 900]


def test_percentiles_are_by_nearest_rank():
    assert cuts([float(number) for number in range(200, 0, -1)]) == [100, 190, 198]


def test_what_cannot_be_paced_is_sent_on_schedule():
    assert half("vegeta", 3_000, "http://x", 5) == Schedule("http://x", 50, 5, rate=1_500)
    assert half("wrk", 4_000, "http://x", 5).connections == 24  # 12 ms each


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool not in (OURS, "Locust HttpUser")])
def test_a_tool_reports_the_requests_that_the_server_counted(tool, tmp_path):
    """At most those under way at its end are missing; percentiles are in ms."""
    if not tool.startswith("Locust") and not shutil.which(tool):
        pytest.skip(f"no {tool} on PATH")
    with known_server() as url:
        rate = 50 if tool == "vegeta" else None
        reading = TOOLS[tool](Run(Schedule(url, 4, 2, rate=rate), tmp_path))
        true = json.loads(get(f"{url}/truth"))

    assert 0 <= len(true) - reading.requests <= 4
    assert reading.requests > 0
    assert 1 <= reading.p50 <= reading.p95 <= reading.p99
