"""The trace id in log records."""

from __future__ import annotations

import logging
from typing import Any

from flask import has_request_context, request

from swarmscope.server.headers import trace_id


def add_trace_ids() -> None:
    """Give every log record a ``trace_id``: that of the request at hand, "" outside of one."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "adds_trace_ids", False):
        return

    def with_trace_id(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.trace_id = current_trace_id()
        return record

    with_trace_id.adds_trace_ids = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(with_trace_id)


def current_trace_id() -> str:
    """Return the trace id that the request at hand came with, "" without one."""
    return trace_id(request.headers.get("traceparent")) if has_request_context() else ""
