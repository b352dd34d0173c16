"""How far a process's samples are from the runs database; workers report it to their master."""

from __future__ import annotations

import logging
from dataclasses import astuple, dataclass
from typing import Annotated, Any

from msgspec import Meta

from swarmscope.client.master.messages import Count, Quantity, convert
from swarmscope.runs.thresholds import CANNOT_TELL

logger = logging.getLogger(__name__)

REPORT_KEY = "swarmscope_journal"  # in the reports that Locust's workers send
Message = tuple[Annotated[str, Meta(max_length=64)], Count, Quantity, Count, Count]


@dataclass(frozen=True)
class Backlog:
    """How much of one process's journal is not in the database, and what was lost of it."""

    unshipped_bytes: int
    lag_seconds: float
    dropped: int  # samples
    removed: int = 0  # journals deleted by others: how many samples they held is unknown

    @property
    def is_whole(self) -> bool:
        """Whether no sample was lost, as far as the process knows."""
        return not (self.dropped or self.removed)

    def as_message(self, journal: str) -> tuple[Any, ...]:
        """Return the form that travels in a worker's report, with the id of its journal."""
        return (journal, *astuple(self))


def read_report(data: Any) -> tuple[str, Backlog]:
    """Return a worker's journal and its backlog; raises ValueError for anything else."""
    journal, *figures = convert(data, Message)
    return journal, Backlog(*figures)


class WorkerBacklogs:
    """What workers report of their journals to this master."""

    def __init__(self) -> None:
        self.journals: set[str] = set()
        self.backlogs: dict[str, Backlog] = {}  # by worker

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        """Take a worker's journal and backlog out of its report."""
        if REPORT_KEY in data:
            journal, self.backlogs[client_id] = read_report(data[REPORT_KEY])
            self.journals.add(journal)


def exit_status(exit_code: int | None, backlogs: dict[str, Backlog]) -> int | None:
    """Return the exit status of a run that may have lost samples: never 0 then."""
    if exit_code or all(backlog.is_whole for backlog in backlogs.values()):
        return exit_code
    dropped = sum(backlog.dropped for backlog in backlogs.values())
    logger.error(
        "Samples were lost (samples dropped: %s, journals removed: %s): exit status %s",
        *(dropped, sum(backlog.removed for backlog in backlogs.values()), CANNOT_TELL),
    )
    return CANNOT_TELL
