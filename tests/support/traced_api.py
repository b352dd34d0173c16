"""The sample service, whose database itself notes each statement that a request executes."""

from __future__ import annotations

import os
import sqlite3

import sqlalchemy as sa
from flask import Flask, has_request_context, request

import api

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")  # by methods of the connection: no statements


def create_app() -> Flask:
    """Build the sample; it appends a byte to the file ``STATEMENTS`` for each statement."""
    notes = os.open(os.environ["STATEMENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(statement: str) -> None:
        if has_request_context() and request.path == "/tests" and not statement.startswith(CONTROL):
            os.write(notes, b".")

    @sa.event.listens_for(sa.Pool, "connect")
    def trace(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(note)

    return api.create_app()
