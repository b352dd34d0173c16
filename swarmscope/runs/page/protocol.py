"""Messages between Locust's UI and its reader process; see `swarmscope.runs.page.reader`."""

from __future__ import annotations

import msgspec

FRESH_S = 1.8  # pages ask every 2 s while a run is running


class RunRequest(msgspec.Struct, frozen=True):
    """A line on the reader's standard input: the run whose document to send, or None for a list."""

    run: str | None
    profiles: bool = False  # send those instead


class ReplyHeader(msgspec.Struct):
    """A line on its standard output, followed by *length* bytes of gzip'ed JSON."""

    status: int  # of HTTP
    length: int
    tag: str
    lasts_s: float  # for how long the answer may be reused
