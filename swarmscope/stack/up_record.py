"""``up.json``: what runs from a home, as the last start wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from swarmscope import atomic_files
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.supervision import MARK


@dataclass(frozen=True)
class Record:
    """A start: its mark, supervisord's process and socket, and what there is to tell of services.

    Its services may take *stop_s* seconds to stop.
    *urls*, *checks* and *absent* are by service name; *absent* says how to get what is missing,
    *exposed* what other machines can reach. *database* is None where that is elsewhere. *target* is
    what the swarm drives, None where no master runs here.
    """

    mark: str
    pid: int
    socket: str
    database: str | None
    stop_s: float
    urls: Mapping[str, str | None] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    exposed: Sequence[str] = ()
    target: str | None = None

    def is_alive(self) -> bool:
        """Tell whether the supervisord of this start lives: a pid alone may be somebody else's."""
        try:
            process = psutil.Process(self.pid)
            return (
                process.environ().get(MARK) == self.mark
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.Error, OSError):
            return False


def _path(home: Home) -> Path:
    return home / "up.json"


def read_record(home: Home) -> Record | None:
    """Return the record of the last start, or None when it was stopped in order."""
    try:
        return Record(**json.loads(_path(home).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StackError(f"{_path(home)} is damaged; delete it: {error}") from error


def write_record(home: Home, record: Record) -> None:
    """Write the record atomically; raises `atomic_files.Unwritable`."""
    atomic_files.write(_path(home), json.dumps(asdict(record), indent=2) + "\n")


def remove_record(home: Home) -> None:
    """Forget the start: all that it brought about has ended."""
    _path(home).unlink(missing_ok=True)
