"""A slow downstream is named from both its ends, with its caller's figures and its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.two_services import AT, two_services

from swarmscope.runs.service_times import figures, sentences

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(seconds=20)


def test_each_services_figures():
    """Means of the requests, not of the moments; what counted no request is not listed."""
    shop, pricing = figures(two_services(START), START, END)

    assert (shop.name, shop.role, shop.requests_per_s) == ("shop", "target", 100)
    assert (shop.error_ratio, shop.service_mean_ms, shop.queue_mean_ms) == (0.01, 38, None)
    assert (pricing.service_mean_ms, pricing.queue_mean_ms) == (235, 1)
    assert (pricing.waiting_ms, pricing.calls) == (None, [])
    (call,) = shop.calls
    assert (call.host, call.service, call.calls_per_s) == (AT, "pricing", 10)
    assert (call.per_request, call.mean_ms, call.error_ratio) == (0.1, 240, 0.06)
    assert shop.waiting_ms == 24


def test_only_what_is_in_the_span_counts():
    """As in the totals: here the ramp-up is left out."""
    (shop, _) = figures(two_services(START), START + timedelta(seconds=16), END)

    assert (shop.requests_per_s, shop.service_mean_ms) == (150, 30)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {},
            "shop waited 240 ms per call for pricing (127.0.0.1:5001), which itself took 236 ms:"
            " 24.0 ms of the 38.0 ms that shop took per request.",
        ),
        (
            {"queue_ms": 200.0, "itself_ms": 35.0},
            "shop waited 240 ms per call for pricing (127.0.0.1:5001), which itself took 235 ms,"
            " 200 ms of it in its queue: 24.0 ms of the 38.0 ms that shop took per request.",
        ),
        (
            {"service": None},
            "shop waited 240 ms per call for 127.0.0.1:5001, which is not measured:"
            " 24.0 ms of the 38.0 ms that shop took per request.",
        ),
        ({"wait_ms": 9.9}, None),  # short
        ({"rarely": 0.001}, None),  # a small share of what the shop took
    ],
)
def test_a_wait_is_a_sentence(given, text):
    """Unless it is short, or little of the whole."""
    assert sentences(figures(two_services(START, **given), START, END)) == ([text] if text else [])


def test_what_is_unknown_is_left_out():
    """The other end took some time that nobody knows."""
    (text,) = sentences(figures(two_services(START, itself_ms=None), START, END))

    assert text.startswith("shop waited 240 ms per call for pricing (127.0.0.1:5001): 24.0 ms of")
