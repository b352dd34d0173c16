"""``up.json``: what the last start runs from a home."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import psutil

from swarmscope import atomic_files
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.supervision import has_mark

FILE = "up.json"


@dataclass(frozen=True)
class UpRecord:
    """A start: its mark, supervisord's process and socket, and its services.

    They may take *stop_s* seconds to stop. *urls*, *checks* and *absent* are by service name;
    *absent* says how to install what is missing, *warnings* are lines for the user. *apps* are the
    services under test with their addresses, also those that run elsewhere. *database* is None if
    it is elsewhere, *target*, the address under test, if no master runs here. *project* is the
    directory of the project that was started: not the current one for the sample.
    """

    mark: str
    pid: int
    socket: str
    database: str | None
    stop_s: float
    urls: Mapping[str, str | None] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    apps: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    project: str | None = None

    def is_alive(self) -> bool:
        """Return whether the supervisord of this start lives: the pid may have been reused."""
        try:
            return has_mark(psutil.Process(self.pid), self.mark)
        except psutil.Error:
            return False


def read_record(home: Home) -> UpRecord | None:
    """Return the record of the last start, or None if it was stopped in order."""
    try:
        return UpRecord(**json.loads((home / FILE).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StackError(f"{home / FILE} is damaged; delete it: {error}") from error


def running(home: Home) -> UpRecord | None:
    """Return the record of the stack that runs from *home*, or None."""
    record = read_record(home)
    return record if record and record.is_alive() else None


def write_record(home: Home, record: UpRecord) -> None:
    """Write the record atomically."""
    try:
        atomic_files.write(home / FILE, json.dumps(asdict(record), indent=2) + "\n")
    except atomic_files.Unwritable as error:
        raise StackError(str(error)) from error


def remove_record(home: Home) -> None:
    """Remove the record: all processes of the start have ended."""
    (home / FILE).unlink(missing_ok=True)
