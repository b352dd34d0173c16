"""Fixtures that every part's tests share: real servers, a database of one's own per test."""

from __future__ import annotations

import gc
import os
import signal

gc.disable()  # until all is collected: a quarter of the time of that, in each process

# Locust would patch sockets and threads of this whole process for gevent, long after their import.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
import locust  # noqa: F401

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]  # the Locust processes that tests start do patch

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.databases import fresh_database, fresh_runs_database, running_cluster
from support.locust import Field, locust_field
from support.target import Target, running_target
from xdist.scheduler import LoadFileScheduling

from swarmscope.stack.postgres import Cluster

# A shell lets what it starts in the background ignore Ctrl-C, and so would every process of tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONG = (
    "client/capacity/test_cases.py",
    "compose/",
    "stack/",
    "runs/page/",
    "dashboards/",
    "client/",
    "shipper/",
    "api/",
    "test_package.py",
    "server/",
    "onboarding/",
    "examples/",
)  # what takes minutes, the longest first
APART = (  # files of long tests that share nothing: each test goes to whichever process is free
    "client/capacity/test_runs.py",
    "client/recording/test_run.py",
    "client/shapes/test_shapes.py",
    "client/workload/test_open_user.py",
    "server/test_gunicorn.py",
)
TOGETHER = ("runs/page/", "runs/schema/timescale/")  # files that share a browser, or a container
MEMORY = Path("/dev/shm")  # where a copy of a database, of 300 files, costs a tenth
ROOM_BYTES = 4 << 30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first: the last to run should be short, or one process runs it alone."""
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(tests).as_posix()
        return next((at for at, long in enumerate(LONG) if path.startswith(long)), len(LONG))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Collect garbage from here on, but not among what is there for good."""
    gc.freeze()
    gc.enable()


class Scheduling(LoadFileScheduling):
    """Keeps a file's tests in one process, and those of `TOGETHER`, but not those of `APART`."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file.endswith(APART):
            return nodeid
        return next((folder for folder in TOGETHER if folder in file), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Take the place of xdist's own scheduler."""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Run a real PostgreSQL for the whole session."""
    # not below pytest's own directory, which a second pytest closes to the server's user again, and
    # not by the name of metrics directories: each gunicorn removes those that nobody holds
    is_roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    place = MEMORY if is_roomy else None
    with tempfile.TemporaryDirectory(prefix="postgres-of-tests-", dir=place) as name:
        os.chmod(name, 0o755)  # as root the server runs as somebody else
        with running_cluster(Path(name)) as cluster:
            yield cluster


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[str]:
    """Create a database for one test; yields its superuser's libpq connection string."""
    with fresh_database(cluster) as database:
        yield database


@pytest.fixture
def runs_database(cluster: Cluster) -> Iterator[str]:
    """Create a database with the newest schema; yields its superuser's connection string."""
    with fresh_runs_database(cluster) as database:
        yield database


@pytest.fixture
def connection(runs_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect, in autocommit mode, to the test's `runs_database`."""
    with psycopg.connect(runs_database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout's root."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Run a small counting HTTP server for the whole session."""
    with running_target(tmp_path_factory.mktemp("target")) as target:
        yield target


@pytest.fixture
def field(tmp_path: Path, target: Target, runs_database: str) -> Iterator[Field]:
    """Return a place for a test's Locust processes."""
    with locust_field(tmp_path, target.url, runs_database) as place:
        yield place
