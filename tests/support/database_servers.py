"""The distribution's own PostgreSQL, MariaDB, Redis on free ports; skips where they are missing."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pymysql
import pytest
import redis

from support.waiting import free_port, poll_until

COMMIT_MS = 40  # how long each COMMIT of MariaDB waits for others to be written with it


def _program(name: str, package: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.skip(f"needs {name} (Debian's {package})")
    return path


@contextlib.contextmanager
def running_postgresql() -> Iterator[str]:
    """Run a PostgreSQL with pg_stat_statements until the block ends.

    Yields its superuser's connection string.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    library = [path for path in found if (path.parents[1] / "lib/pg_stat_statements.so").exists()]
    if not library:
        pytest.skip("needs PostgreSQL with pg_stat_statements (Debian's postgresql)")
    programs = library[-1].parent
    with tempfile.TemporaryDirectory() as directory:
        as_user = {"user": "postgres"} if getpass.getuser() == "root" else {}  # it refuses root
        if as_user:
            shutil.chown(directory, "postgres")
        port, data = free_port(), f"{directory}/data"
        initialise = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"]
        subprocess.run(initialise, check=True, capture_output=True, cwd="/", **as_user)
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port), "-k", directory,
                 "-c", "shared_preload_libraries=pg_stat_statements", "-c", "fsync=off"],
                stdout=log, stderr=log, cwd="/", **as_user,
            )  # fmt: skip
        where = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
        try:
            poll_until(lambda: _accepts(where), "PostgreSQL to answer")
            yield where
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown
            process.wait(20)


def _accepts(where: str) -> bool:
    try:
        psycopg.connect(where).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def running_mariadb() -> Iterator[int]:
    """Run a MariaDB whose root has no password, until the block ends; return its port."""
    server = _program("mariadbd", "mariadb-server")
    install = _program("mariadb-install-db", "mariadb-server")
    with tempfile.TemporaryDirectory() as directory:
        user = getpass.getuser()
        if user == "root":  # which it refuses to run as
            user = "mysql"
            shutil.chown(directory, user)
        port, data = free_port(), f"--datadir={directory}/data"
        options = ["--no-defaults", f"--user={user}", data]
        subprocess.run(
            [install, *options, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True,
        )  # fmt: skip
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, *options, f"--port={port}", "--bind-address=127.0.0.1",
                 f"--socket={directory}/socket", "--skip-name-resolve", "--log-bin=binary",
                 "--innodb-flush-log-at-trx-commit=0", "--binlog-commit-wait-count=100",
                 f"--binlog-commit-wait-usec={1000 * COMMIT_MS}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            poll_until(lambda: _answers(port), "MariaDB to answer")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    try:
        connection = pymysql.connect(host="127.0.0.1", port=port, user="root")
    except pymysql.OperationalError:
        return False
    with connection, connection.cursor() as cursor:
        return bool(cursor.execute("CREATE DATABASE IF NOT EXISTS test"))


@contextlib.contextmanager
def running_redis() -> Iterator[int]:
    """Run a Redis that keeps nothing, until the block ends; return its port."""
    program, port = _program("redis-server", "redis-server"), free_port()
    with tempfile.TemporaryDirectory() as directory:
        options = ("--bind", "127.0.0.1", "--save", "", "--dir", directory)
        process = subprocess.Popen(
            [program, "--port", str(port), *options, "--enable-debug-command", "yes"],
            stdout=subprocess.DEVNULL,
        )
        try:
            poll_until(lambda: _pongs(port), "Redis to answer")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _pongs(port: int) -> bool:
    try:
        return bool(redis.Redis(port=port).ping())
    except redis.ConnectionError:
        return False
