"""The headers that say when a request was sent and to which trace it belongs.

Sources: W3C Trace Context, level 1, section 3.2; ``t=<Unix seconds>`` as nginx writes it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from random import getrandbits
from typing import Any

from geventhttpclient.header import Headers

from swarmscope.client import clock


class _OurName(str):
    """A header's name; this type marks the headers that we have set."""

    __slots__ = ()


SENT = _OurName("X-Request-Start")
TRACE = "traceparent"
_NO_ZEROS = 1 << 64 | 1  # an id of zeros is invalid: the lowest bit of trace and span is always set
_SENT = SENT.lower()
_LENGTHS = (len(SENT), len(TRACE))
_raw = dict.get  # what geventhttpclient keeps for a header: its name as written, and its value


def mark(headers: MutableMapping[str, Any], defaults: Headers | None = None) -> bytes | None:
    """Add the headers that are missing; return the trace id (16 bytes), None if it is malformed.

    A header that a scenario sets itself stays, however its name is written: in *headers*, or in
    *defaults*, which hold for all requests of its session.
    """
    given = {}
    for name in headers:
        if len(name) in _LENGTHS:  # to change the case of all would cost three times as much
            given[name.lower()] = headers[name]
    if defaults is not None:
        for name in (_SENT, TRACE):
            if name not in given and _raw(defaults, name) is not None:
                given[name] = defaults[name]
    if _SENT not in given:
        headers[SENT] = now()
    if TRACE in given:
        return trace_id(given[TRACE])
    headers[TRACE], trace = new_trace()
    return trace


def new_trace() -> tuple[str, bytes]:
    """Return a ``traceparent`` of a new trace, and the trace's id (16 bytes)."""
    ids = f"{getrandbits(192) | _NO_ZEROS:048x}"
    return f"00-{ids[:32]}-{ids[32:]}-01", bytes.fromhex(ids[:32])


def now() -> str:
    """Return the value of `SENT` for a request that is sent now, by the master's clock."""
    return f"t={time.time() + clock.offset_s:.6f}"


def send_again(headers: Headers) -> None:
    """Update the start of a request that is sent again, unless the scenario set it."""
    line: Any = _raw(headers, _SENT)
    if type(line) is tuple and type(line[0]) is _OurName:
        headers[SENT] = now()


def trace_sent(headers: Headers, marked: Mapping[str, Any], trace: bytes | None) -> bytes | None:
    """Return the trace id that went out in *headers*.

    That is *trace*, which `mark` returned for *marked*, unless a tracer has put in its own.
    """
    line: Any = _raw(headers, TRACE)
    traceparent = line[1] if type(line) is tuple else line
    return trace if traceparent is marked.get(TRACE) else trace_id(traceparent)


def trace_id(traceparent: object) -> bytes | None:
    """Return the 16 bytes of a ``traceparent``'s trace id, None if it has none."""
    try:
        return bytes.fromhex(str(traceparent).split("-")[1])
    except (IndexError, ValueError):
        return None
