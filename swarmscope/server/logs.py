"""Adds the trace id to log records."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from flask import has_request_context, request

from swarmscope.server.headers import trace_id


def add_trace_ids() -> None:
    """Give every log record a ``trace_id``: the current request's, "" outside of one."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "adds_trace_ids", False):
        return

    def with_trace_id(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        record.trace_id = current_trace_id()
        return record

    with_trace_id.adds_trace_ids = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(with_trace_id)
    _allow_own_trace_ids()


def _allow_own_trace_ids() -> None:
    """Allow ``extra={"trace_id": …}``: a logger raises KeyError for an attribute that is set."""
    make_record: Callable[..., logging.LogRecord] = logging.Logger.makeRecord
    place = [*inspect.signature(make_record).parameters].index("extra")

    def make_record_with_own(*args: Any, **named: Any) -> logging.LogRecord:
        extra = args[place] if len(args) > place else None  # as `Logger._log` passes it
        if not extra or "trace_id" not in extra:
            return make_record(*args, **named)
        others = {name: value for name, value in extra.items() if name != "trace_id"}
        record = make_record(*args[:place], others, *args[place + 1 :], **named)
        record.trace_id = extra["trace_id"]
        return record

    logging.Logger.makeRecord = make_record_with_own  # type: ignore[method-assign]


def current_trace_id() -> str:
    """Return the trace id of the current request, 32 hex digits; "" outside of one or without one.

    It is in the request's W3C ``traceparent`` header. In an error's response::

        return {"error": "out of stock", "trace_id": current_trace_id()}, 409
    """
    return trace_id(request.headers.get("traceparent")) if has_request_context() else ""
