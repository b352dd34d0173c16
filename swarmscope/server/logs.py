"""The trace id in log records."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
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
    _let_apps_give_their_own()


def _let_apps_give_their_own() -> None:
    """Let ``extra={"trace_id": …}`` replace ours: a logger raises KeyError for what is set."""
    make_record: Callable[..., logging.LogRecord] = logging.Logger.makeRecord
    place = [*inspect.signature(make_record).parameters].index("extra")

    def with_their_own(*args: Any, **named: Any) -> logging.LogRecord:
        extra = args[place] if len(args) > place else None  # so `Logger._log` hands it on
        if not extra or "trace_id" not in extra:
            return make_record(*args, **named)
        others = {name: value for name, value in extra.items() if name != "trace_id"}
        record = make_record(*args[:place], others, *args[place + 1 :], **named)
        record.trace_id = extra["trace_id"]
        return record

    logging.Logger.makeRecord = with_their_own  # type: ignore[method-assign]


def current_trace_id() -> str:
    """Return the trace id that the request at hand came with, "" without one."""
    return trace_id(request.headers.get("traceparent")) if has_request_context() else ""
