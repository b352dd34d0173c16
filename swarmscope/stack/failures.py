"""What `up` prints about a service that does not start: the end of its log, or its last words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.services import Service

LOG_LINES = 15


class ServiceLog(NamedTuple):
    """A log file, and its length before this start."""

    path: Path
    begin: int = 0

    def lines(self) -> list[str]:
        """Return the lines that this start has written."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        begin = self.begin if self.begin <= len(content) else 0  # rotated
        return content[begin:].decode(errors="replace").splitlines()


class AppFailure(StackError):
    """An app that does not start: *line* says so, and *log* is its log."""

    def __init__(self, name: str, line: str, log: ServiceLog) -> None:
        """Name the command that prints the log."""
        super().__init__(f"{line}\n`swarmscope logs {name}` has the rest")
        self.line, self.log = line, log


def log_of(home: Home, service: str) -> ServiceLog:
    """Return the log of a service that is about to start."""
    path = home.log(service)
    return ServiceLog(path, path.stat().st_size if path.exists() else 0)


def with_log(line: str, log: ServiceLog) -> str:
    """Return *line* and below it the end of the log."""
    lines = log.lines()[-LOG_LINES:]
    return "\n".join([f"{line}; the end of {log.path}:", *(f"    {text}" for text in lines)])


def failure(service: Service, line: str, log: ServiceLog) -> StackError:
    """Return a service's error: an app's own last words, else the end of the log."""
    if not service.is_app:
        return StackError(with_log(f"{service.name} {line}", log))
    lines = [text for text in log.lines() if text.strip()]
    own = [text for text in lines if text[0] not in "[ \t"]  # neither gunicorn's nor a frame
    errors = [text for text in own if re.match(r"[\w.]*(Error|Exception)\b", text)]
    last = (errors or own or lines or ["it printed nothing"])[-1]
    return AppFailure(service.name, f"{service.name} {line}: {last}", log)
