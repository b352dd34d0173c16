"""A stack for the length of a block, of which nothing runs afterwards."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

from swarmscope.stack.errors import StackError
from swarmscope.stack.failures import LOG_LINES, AppFailure
from swarmscope.stack.layout import Home
from swarmscope.stack.lifecycle import start, stop
from swarmscope.stack.progress import Progress
from swarmscope.stack.settings import StackSettings


@contextmanager
def temporary_stack(settings: StackSettings, progress: Progress | None = None) -> Iterator[None]:
    """Start the stack, and stop it at the end of the block, also after an interrupt.

    Raises `StackError`, with the end of its log, if an app does not start.
    """
    home = Home(settings.home)
    home.make()
    with home.locked():
        try:
            with progress or nullcontext(), _private_files():
                try:
                    start(settings, home, progress.set if progress else _nothing)
                except AppFailure as failure:  # its log may go with the home
                    raise with_end(failure.line, failure.log.lines()) from failure
            yield
        finally:
            stop(home, _nothing)


@contextmanager
def _private_files() -> Iterator[None]:
    """Close what is written in the block to other users."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _nothing(name: str, state: str, detail: str = "") -> None:
    """Show nothing."""


def with_end(line: str, log: Iterable[str]) -> StackError:
    """Return the error *line* with the end of a log below it."""
    return StackError("\n    ".join([f"{line}; the end of its log:", *deque(log, LOG_LINES)]))
