"""What a starved service may have around it: a database, a CPU quota, busy neighbours."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._ports import free_port
from benchmarks._postgres import connected
from swarmscope.stack.postgres import SUPERUSER, Cluster

ITEMS = 500_000  # of the table without an index: some 30 ms of CPU to read
NEIGHBOUR = "import time\nend = time.time() + 90\nwhile time.time() < end:\n    pass"
PERIOD_US = 100_000
CGROUPS = Path("/sys/fs/cgroup")
HIERARCHIES = ("cpu", "cpuacct")  # of version 1: the quota, and what is used of it
STARTED_IN = 'for group in $0; do echo $$ > "$group/cgroup.procs" || exit; done; exec "$@"'


class NotHere(Exception):
    """This machine does not allow what a case needs."""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server with one table, for services."""

    url: str  # of SQLAlchemy
    dsn: str  # of libpq


@contextlib.contextmanager
def database() -> Iterator[Database]:
    """Run a PostgreSQL server of its own until the block ends."""
    with tempfile.TemporaryDirectory(prefix="starved-") as directory:
        os.chmod(directory, 0o755)  # as root the server runs as somebody else
        cluster = Cluster(Path(directory), free_port())
        cluster.initialise()
        server = cluster.start(Path(directory) / "log")
        at = f"{SUPERUSER}@127.0.0.1:{cluster.port}/postgres?passfile={cluster.passfile}"
        try:
            _fill(f"postgresql://{at}")
            yield Database(f"postgresql+psycopg://{at}", f"postgresql://{at}")
        finally:
            server.terminate()
            server.wait()


def _fill(dsn: str) -> None:
    with connected(dsn) as connection:
        connection.execute("CREATE TABLE item (id integer PRIMARY KEY, label text)")
        connection.execute(
            "INSERT INTO item SELECT n, 'item ' || n FROM generate_series(1, %s) n", [ITEMS]
        )
        connection.execute("ALTER SYSTEM SET max_parallel_workers_per_gather = 0")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("VACUUM ANALYZE item")


@contextlib.contextmanager
def cpu_quota(cores: float | None) -> Iterator[Sequence[str]]:
    """Yield the beginning of a command that runs within a quota; raises `NotHere`."""
    if cores is None:
        yield ()
        return
    old = (CGROUPS / "cpu").is_dir()
    mounted = [CGROUPS / each for each in (HIERARCHIES if old else ("",))]
    groups = [each / f"starved-{os.getpid()}" for each in mounted]
    try:
        try:
            _make(groups, _limits(cores, old))
        except OSError as error:
            raise NotHere(f"no CPU quota can be set: {error}") from error
        yield ("sh", "-c", STARTED_IN, " ".join(map(str, groups)))
    finally:
        for group in groups:
            _remove(group)


def _make(groups: Sequence[Path], limits: Mapping[str, str]) -> None:
    for group in groups:
        group.mkdir(exist_ok=True)  # both hierarchies may be one
    for file, text in limits.items():
        (groups[0] / file).write_text(text)


def _limits(cores: float, old: bool) -> dict[str, str]:
    """Return what to write to which files, by the version of cgroups."""
    limit, period = f"{cores * PERIOD_US:.0f}", str(PERIOD_US)
    if old:
        return {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": limit}
    return {"cpu.max": f"{limit} {period}"}


def _remove(group: Path) -> None:
    """Remove a group whose last process may still be ending."""
    for _ in range(50):
        if not group.exists():
            return
        with contextlib.suppress(OSError):
            return group.rmdir()
        time.sleep(0.1)
    print(f"{group} is left behind", file=sys.stderr)


@contextlib.contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Keep so many processes busy until the block ends, 90 s at most."""
    command = [sys.executable, "-c", NEIGHBOUR]
    busy = [subprocess.Popen(command) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait()
