"""How far a process's samples are from the runs database; workers report it to their master."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated, Any

from msgspec import Meta

from swarmscope.client.master.messages import Count, Quantity, convert

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
