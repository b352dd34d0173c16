"""One log line where the queue of requests cannot be measured."""

from __future__ import annotations

import pytest

from swarmscope.client.recording.start_headers import ENOUGH, StartHeaders

MARKED, UNMARKED, UNMEASURED = "queue;dur=1.000, app;dur=2.000", "app;dur=2.000", None


def samples(timing: str | None, number: int) -> list[tuple[object, ...]]:
    return [(*(None,) * 9, timing, None, None)] * number


@pytest.fixture
def warnings(caplog):
    return lambda: [line for line in caplog.messages if "X-Request-Start" in line]


def test_a_run_whose_requests_have_no_start_header_logs_it_once(make, warnings):
    """And the next run again; not before it is known."""
    listener = make()
    headers = StartHeaders(listener)

    headers.take(samples(UNMARKED, ENOUGH - 1))
    assert warnings() == []
    headers.take(samples(MARKED, 25))
    headers.take(samples(UNMARKED, ENOUGH))
    assert [line[:29] for line in warnings()] == ["80 % of requests have no queu"]
    listener.begin("2026-11-30T12:00:00.000001Z", "plan", works=True)
    headers.take(samples(UNMARKED, ENOUGH))
    assert len(warnings()) == 2


@pytest.mark.parametrize("timing", [MARKED, UNMEASURED])
def test_nothing_is_logged_of_marked_requests_and_where_no_service_measures(make, warnings, timing):
    StartHeaders(make()).take(samples(timing, 2 * ENOUGH))

    assert warnings() == []
