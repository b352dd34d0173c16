"""A small service with a database: what `benchmarks.pairs` makes its runs of."""

from __future__ import annotations

import os
import sqlite3
import time

from flask import Flask

from swarmscope.server import instrument, measured_connect

COUNT = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " SELECT sum(i) FROM n"
)


def create_app() -> Flask:
    """Build it; `DB_ROWS` is how many rows the query of ``/orders`` counts, a measure of its time.

    Views do work of a fixed amount, not of a fixed time, so that it takes what the machine makes
    of it.
    """
    app = Flask("pairs")
    instrument(app)
    connection = measured_connect(sqlite3)(":memory:", check_same_thread=False)
    rows = int(os.environ.get("DB_ROWS", "20000"))

    @app.get("/orders")
    def list_orders() -> str:
        return str(connection.execute(COUNT, [rows]).fetchone())

    @app.get("/report")
    def report() -> str:
        time.sleep(0.01)  # somebody else's service
        return str(sum(range(20_000)))

    @app.post("/orders")
    def add_order() -> str:
        return str(sum(range(5_000)))

    return app
