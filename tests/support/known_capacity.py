"""A WSGI application whose capacity is known: each worker serves one request at a time, in WORK_MS.

So many gunicorn workers of class sync make the textbook's M/D/c or, with paced users, a closed
system. A worker answers when the textbook's server would: WORK_MS after it became free or, if that
was later, after the request was sent. So the time that gunicorn itself takes, and that a busy
machine makes it wait, is part of the service time and does not lengthen it, as long as it is less.
Every FREEZE_EVERY seconds, the service does nothing for FREEZE_FOR seconds.
"""

from __future__ import annotations

import contextlib
import os
import time

WORK_S = float(os.environ.get("WORK_MS", "20")) / 1000
FREEZE_EVERY_S = float(os.environ.get("FREEZE_EVERY", "0"))
FREEZE_FOR_S = float(os.environ.get("FREEZE_FOR", "1"))

with contextlib.suppress(PermissionError):  # only root may; others need a quiet machine
    os.nice(-10)

free_since = 0.0  # when this worker's last request was done


def app(environ, start_response):
    """Answer when the work is done; Server-Timing says how long it waited and took."""
    global free_since
    sent = float(environ.get("HTTP_X_REQUEST_START", f"t={time.time()}").removeprefix("t="))
    begin = max(free_since, sent)
    if FREEZE_EVERY_S and (phase := begin % FREEZE_EVERY_S) < FREEZE_FOR_S:
        begin += FREEZE_FOR_S - phase
    free_since = begin + WORK_S
    time.sleep(max(free_since - time.time(), 0))
    timing = f"queue;dur={(begin - sent) * 1000:.3f}, app;dur={WORK_S * 1000:.3f}"
    start_response("200 OK", [("Content-Length", "2"), ("Server-Timing", timing)])
    return [b"ok"]
