"""Measures a Flask app: what an app imports from swarmscope.

    from flask import Flask
    from swarmscope.server import instrument

    app = Flask(__name__)
    instrument(app)

`swarmscope.server.gunicorn` is for gunicorn's conf file. The names in ``__all__`` of these two
modules are public; everything below them is private and may change.

The names are loaded on first use: gunicorn's arbiter imports this package and should not load Flask
before its workers do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmscope.server.components.databases import measured_connect as measured_connect
    from swarmscope.server.instrumentation import BUCKETS as BUCKETS
    from swarmscope.server.instrumentation import current_trace_id as current_trace_id
    from swarmscope.server.instrumentation import instrument as instrument

__all__ = ["BUCKETS", "current_trace_id", "instrument", "measured_connect"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "measured_connect":
        from swarmscope.server.components import databases

        return databases.measured_connect
    from swarmscope.server import instrumentation

    return getattr(instrumentation, name)
