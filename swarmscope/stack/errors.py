"""The error that one line can explain."""

from __future__ import annotations


class StackError(Exception):
    """A reason not to start, as a line for the user; shown without a traceback."""
