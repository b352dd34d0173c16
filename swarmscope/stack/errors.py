"""The error that one line can explain."""


class StackError(Exception):
    """A reason not to start, as a line for the user; shown without a traceback."""
