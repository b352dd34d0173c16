"""What goes wrong in a way that one line can explain."""

from __future__ import annotations


class StackError(Exception):
    """A reason not to start, in words for the person at the terminal; never a traceback."""
