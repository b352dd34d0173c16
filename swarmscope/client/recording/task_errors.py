"""Counts the exceptions that tasks raise, which Locust reports nowhere else.

They are not requests: a task that raises after a response arrived fails no request.
"""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from types import TracebackType

MOST_KINDS = 50  # between two reports; the rest is counted together
OTHER = "other errors"
MAX_TEXT = 500  # characters


class TaskErrorCounter:
    """Errors since the last `take`, by their text and the place where they were raised."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, exception: BaseException, tb: TracebackType | None) -> None:
        """Count one."""
        kind = describe(exception, tb)
        if kind not in self._counts and len(self._counts) >= MOST_KINDS:
            kind = OTHER
        self._counts[kind] += 1

    def take(self) -> list[tuple[str, int]]:
        """Return (error, count) of all since the last call."""
        taken, self._counts = list(self._counts.items()), Counter()
        return taken


def describe(exception: BaseException, tb: TracebackType | None) -> str:
    """Return what was raised and where: ``KeyError('nope') at scenario.py:12``.

    Where is the innermost line outside of installed packages, if there is one.
    """
    try:
        text = repr(exception)
    except Exception:  # whatever a user's __repr__ may raise
        text = type(exception).__qualname__
    frames = traceback.extract_tb(tb)
    own = [frame for frame in frames if "site-packages" not in Path(frame.filename).parts]
    innermost = (own or list(frames))[-1:]
    place = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in innermost)
    return text[: MAX_TEXT - len(place)] + place
