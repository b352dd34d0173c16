"""What a client's headers say, and that whatever else they hold does no harm."""

import pytest

from swarmscope.server.headers import seconds_since, trace_id

NOW = 1_800_000_000.5
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    "header",
    [
        "t=1800000000.250000",
        "1800000000.25",
        "t=1800000000250",
        "1800000000250",
        "t=1800000000250000",
        "1800000000250000",
    ],
)
def test_seconds_milliseconds_and_microseconds_mean_the_same_moment(header):
    """The unit is told by magnitude, with and without ``t=``."""
    assert seconds_since(header, NOW) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "yesterday",
        "t=nan",
        "t=inf",
        "t=-1",
        "t=0x6B49D200",
        "t=1_800_000_000",
        "t=1800000000.25, t=1800000000.3",  # sent twice, joined by the server
        "t=1800000000.25;x",
        "t=1800000001",  # in the future
        "t=1799999940",  # older than a minute
        "0",
        "9" * 400,
    ],
)
def test_a_time_that_cannot_be_meant_is_ignored(header):
    """Malformed, future and old values are no queue time, and no error."""
    assert seconds_since(header, NOW) is None


def test_a_minute_is_the_oldest():
    """The limit itself still counts."""
    assert seconds_since("t=1799999940.5", NOW) == 60.0


def test_trace_id_of_a_traceparent():
    """Version 00 and versions to come, which may carry more."""
    assert trace_id(f"00-{TRACE}-{SPAN}-01") == TRACE
    assert trace_id(f"01-{TRACE}-{SPAN}-01-more") == TRACE


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_an_invalid_traceparent_has_no_trace_id(header):
    """What W3C Trace Context does not allow is as if it were not there."""
    assert trace_id(header) == ""
