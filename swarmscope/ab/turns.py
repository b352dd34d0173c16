"""One turn: a side is started, driven and stopped; its run is in the database, as any other."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from swarmscope.ab import figures
from swarmscope.ab.cores import Cores, pinned
from swarmscope.ab.cpu_time import CpuTime
from swarmscope.ab.figures import TurnFigures
from swarmscope.ab.sides import Side
from swarmscope.runs import database
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.process_groups import kill_group
from swarmscope.stack.services import recorded_locust
from swarmscope.stack.settings import StackSettings
from swarmscope.stack.temporary import temporary_stack, with_end
from swarmscope.stack.up_record import read_record

SAMPLE_S = 0.2  # between readings of the CPU clocks
LOOK_S = 1.0  # between searches for new processes
END_S = 60.0  # for Locust to end after its time
LAST_S = 1.0  # that is not measured: requests that the end cuts off would be missing
HIDDEN = (  # of what a Locust inherits: these would cost time, or lead it elsewhere
    "LOCUST_GRAFANA_URL", "LOCUST_KEEP_JOURNALS", "LOCUST_SERVICES", "LOCUST_WORKERS",
    "PROMETHEUS_URL", "SWARMSCOPE_APP_DATABASE_URL",
)  # fmt: skip
ENDED_WELL = (0, 1)  # Locust's exit statuses; 1: requests failed, or tasks raised


@dataclass(frozen=True)
class Load:
    """How each turn is driven: a warm-up that is cut, then the time that is measured."""

    users: int
    warm_up_s: float
    measured_s: float
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Turn:
    """A turn that was driven: its run's id, and its figures."""

    side: str  # A or B
    run: str
    figures: TurnFigures


@dataclass(frozen=True)
class Driver:
    """Drives turns. *settings* are those of the working tree, whose scenarios load both sides.

    *database* holds the ``PG*`` of the runs database, which *where* names as a connection string.
    """

    settings: StackSettings
    database: Mapping[str, str]
    where: str
    cores: Cores
    load: Load
    scratch: Path
    session: str  # in the description of its runs
    _numbers: list[int] = field(default_factory=lambda: [0])

    def turn(self, name: str, side: Side) -> Turn:
        """Serve and drive *side*, named A or B; raises `StackError` with the end of a log."""
        self._numbers[0] += 1
        description = f"{self.session}, turn {self._numbers[0]}: {name}, {side.title}"
        cores = self.cores
        try:
            with (
                pinned(cores.service),
                temporary_stack(side.settings),
                pinned(cores.generator),
            ):
                cpu = self._driven(side, description)
            return self._read(name, description, cpu)
        except StackError as error:
            raise StackError(f"{side.title}: {error}") from error

    def _driven(self, side: Side, description: str) -> CpuTime:
        """Run Locust to its end, reading the clocks of the service's processes meanwhile."""
        cpu, log = CpuTime(), self.scratch / "locust.log"
        record = read_record(Home(side.settings.home))
        assert record
        with _running(self._command(side, description), self._environment(), log) as process:
            deadline = time.monotonic() + self._run_time_s + END_S + self.settings.locust_drain_s
            looked, pids = 0.0, []
            while process.poll() is None and time.monotonic() < deadline:
                if time.monotonic() - looked > LOOK_S:
                    looked, pids = time.monotonic(), _descendants(record.pid)
                cpu.sample(pids)
                time.sleep(SAMPLE_S)
            if process.poll() not in ENDED_WELL:
                lines = log.read_text(errors="replace").splitlines()
                raise with_end("Locust did not drive it", lines)
        return cpu

    @property
    def _run_time_s(self) -> float:
        return self.load.warm_up_s + self.load.measured_s + LAST_S

    def _command(self, side: Side, description: str) -> list[str]:
        users = str(self.load.users)
        plan = f"ab {self.settings.environment.get('LOCUST_LOCUSTFILE', '')}"
        return [
            *recorded_locust(self.settings),
            *("--headless", "--only-summary", "-u", users, "-r", users),
            *("-t", f"{self._run_time_s:.3f}".rstrip("0").rstrip(".")),
            *("--host", side.settings.target, "--test-version", side.version),
            *("--override-plan-name", plan, "--description", description),
            *self.load.arguments,
        ]

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in self.settings.environment.items()
            if name not in HIDDEN and not name.startswith("PG")
        }
        return {**kept, **self.database, "SWARMSCOPE_HOME": str(self.scratch / "load")}

    def _read(self, name: str, description: str, cpu: CpuTime) -> Turn:
        """Return the turn from its run, which is the one with this *description*."""
        with database.connect_to_read(self.where) as connection:
            query = "SELECT id, run_text(id) FROM testrun WHERE description = %s"
            found = connection.execute(query, [description]).fetchall()
            if not found:
                raise StackError("a turn's run is not in the runs database")
            run_id: datetime = found[0][0]
            since = run_id + timedelta(seconds=self.load.warm_up_s)
            until = since + timedelta(seconds=self.load.measured_s)
            used_s = cpu.between(since.timestamp(), until.timestamp())
            read = figures.read(connection, run_id, since, until, used_s)
        return Turn(name, found[0][1], read)


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Locust in a session of its own, which is ended as a whole, its shipper too."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill_group(process.pid)
        process.wait()
