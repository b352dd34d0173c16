"""The runs that a trend or a gate looks at: which are alike, and how the others differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from psycopg.rows import class_row

from swarmscope.runs.connection import Connection

MAX_TIMES = 2.0  # as long as another: more is worth a sentence
OLDEST = (  # of those that were asked for
    "SELECT run_id, run, environment, branch, commit_hash, version, plan, scenario_hash, machine,"
    " host, duration_s, objective, same_load, same_machine, same_environment"
    " FROM past_runs(%s, %s, %s, %s) ORDER BY run_id"
)


@dataclass(frozen=True)
class PastRun:
    """A complete run of a plan, and whether it is like the one that it is seen beside.

    A machine that is not known is taken for the same one.
    """

    run_id: datetime
    run: str
    environment: str
    branch: str | None
    commit_hash: str | None
    version: str | None
    plan: str
    scenario_hash: str | None
    machine: str | None
    host: str | None
    duration_s: float | None
    objective: str
    same_load: bool
    same_machine: bool
    same_environment: bool

    @property
    def shown_version(self) -> str | None:
        """The version that its options name, else the commit that was checked out."""
        return self.version or (self.commit_hash and self.commit_hash[:12])

    @property
    def is_alike(self) -> bool:
        """Whether its figures can be compared."""
        return self.same_load and self.same_machine and self.same_environment

    def is_of(self, label: str) -> bool:
        """Whether *label* is its branch, environment or version."""
        return label in (self.branch, self.environment, self.version)

    @property
    def target(self) -> str | None:
        """The machine that it was sent to: a port is often another one each time."""
        return urlsplit(self.host).hostname if self.host else None


def past_runs(
    connection: Connection,
    plan: str | None,
    limit: int,
    reference: datetime | None = None,
    more: Sequence[str] = (),
) -> list[PastRun]:
    """Return the latest *limit* complete runs of *plan* up to *reference*, oldest first.

    Those with ids in *more* are among them, whenever they were. Without a plan, that of the
    reference, or of the latest run. Capacity searches are none of them.
    """
    with connection.cursor(row_factory=class_row(PastRun)) as cursor:
        return cursor.execute(OLDEST, [plan, reference, list(more), limit]).fetchall()


def left_out(runs: Sequence[PastRun]) -> str:
    """Return in words how many runs are not alike, and why; each is counted once; '' for none."""
    loads = sum(not run.same_load for run in runs)
    machines = sum(run.same_load and not run.same_machine for run in runs)
    others = sum(not run.is_alike for run in runs) - loads - machines
    reasons = {"with another load": loads, "of another machine": machines}
    reasons["in another environment"] = others
    return ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)


def doubts(runs: Sequence[PastRun]) -> list[str]:
    """Return a sentence for each way in which runs that count as alike differ all the same."""
    found = []
    hashes = {run.scenario_hash for run in runs} - {None}
    if len(hashes) > 1:
        found.append(f"The scenario's files were edited meanwhile: {len(hashes)} versions.")
    if any(run.machine is None for run in runs) and any(run.machine for run in runs):
        found.append("The machine of some of these runs is not known.")
    if len(objectives := sorted({run.objective for run in runs})) > 1:
        found.append(f"The SLO was changed meanwhile: {'; '.join(objectives)}.")
    if len(environments := sorted({run.environment or "none" for run in runs})) > 1:
        found.append(f"They were in different environments: {', '.join(environments)}.")
    if len(targets := sorted({run.target for run in runs if run.target})) > 1:
        found.append(f"They had different targets: {', '.join(targets)}.")
    lasted = [run.duration_s for run in runs if run.duration_s]
    if lasted and max(lasted) > MAX_TIMES * min(lasted):
        found.append(f"They lasted from {min(lasted):,.0f} to {max(lasted):,.0f} s.")
    return found
