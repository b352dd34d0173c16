"""The embedded cluster: who may enter it, and what interrupts may do to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from support.waiting import free_port, poll_until

from swarmscope.stack.errors import StackError
from swarmscope.stack.postgres import SUPERUSER, Cluster, binary
from swarmscope.stack.probes import is_ready


def served(cluster: Cluster) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Serve *cluster* until the block ends."""
    return serving(cluster, cluster.command())


@contextmanager
def serving(cluster: Cluster, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Serve *cluster* by *command* until the block ends."""
    with (cluster.directory / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        poll_until(lambda: is_ready(f"postgres:{cluster.port}", server.pid), "PostgreSQL to answer")
        yield server
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


def connect(cluster: Cluster, **parameters: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as the superuser unless *parameters* say otherwise."""
    return psycopg.connect(
        **{
            "host": "127.0.0.1",
            "port": str(cluster.port),
            "user": SUPERUSER,
            "dbname": "postgres",
            "passfile": str(cluster.passfile),
            **parameters,
        }
    )


def test_nobody_enters_without_the_password(cluster: Cluster) -> None:
    """Local connections are not trusted, and the password is sent as a SCRAM proof."""
    with connect(cluster) as connection:
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert rules == [("scram-sha-256",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(cluster, passfile="/nonexistent", password="guess")


def test_a_second_initialisation_changes_nothing(cluster: Cluster) -> None:
    """The password that the data knows stays the one in the file."""
    before = cluster.passfile.read_text()

    cluster.initialise()

    assert cluster.passfile.read_text() == before


def test_data_of_another_version_are_left_alone(tmp_path: Path) -> None:
    """An upgrade says what to do, before a server has written that in its log."""
    cluster = Cluster(tmp_path / "postgres", free_port())
    cluster.data.mkdir(parents=True)
    (cluster.data / "PG_VERSION").write_text("16\n")

    with pytest.raises(StackError, match=r"was created by PostgreSQL 16, and this is 18: move"):
        cluster.initialise()
    assert [path.name for path in cluster.directory.iterdir()] == ["data"]


def test_an_interrupted_initialisation_starts_over(tmp_path: Path) -> None:
    """What initdb left half done is never taken for a cluster."""
    cluster = Cluster(tmp_path / "postgres", free_port())
    (cluster.directory / "data.new").mkdir(parents=True)
    (cluster.directory / "data.new/PG_VERSION").write_text("16\n")

    cluster.initialise()

    assert (cluster.data / "global/pg_control").exists()
    assert not (cluster.directory / "data.new").exists()
    assert not (cluster.directory / "pwfile").exists()


def privileges(server: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return what Linux says of a process's users and capabilities, by name."""
    status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in status)


only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has a directory that postgres cannot enter"
)


@only_root
def test_root_may_keep_it_in_a_directory_of_its_own(tmp_path: Path) -> None:
    """Under a 0700 directory the server runs, as nobody, with nothing that it could do there."""
    tmp_path.chmod(0o700)
    cluster = Cluster(tmp_path / "postgres", free_port())
    cluster.initialise()

    with served(cluster) as server, connect(cluster) as connection:
        found = privileges(server)
        assert connection.execute("SELECT pg_reload_conf()").fetchone() == (True,)

    assert set(found["Uid"].split()) == {"65534"}
    assert int(found["CapEff"], 16) in (0, 1 << 10)  # to bind a port below 1024
    assert found["NoNewPrivs"] == "1"


@only_root
def test_what_else_runs_as_nobody_gets_nowhere(tmp_path: Path, monkeypatch) -> None:
    """Through /proc it could trust everybody in `pg_hba.conf`, and read passwords."""
    monkeypatch.setenv("SOME_API_KEY", "open-sesame")
    cluster = Cluster(tmp_path / "postgres", free_port())
    cluster.initialise()
    ways = "cat {0}/cwd/pg_hba.conf; echo >> {0}/cwd/pg_hba.conf; cat {0}/environ"
    with served(cluster) as server:
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]
        script = ways.format(f"/proc/{server.pid}")
        tried = subprocess.run([*become, script], capture_output=True, text=True, check=False)
        environment = Path(f"/proc/{server.pid}/environ").read_text()

    assert tried.stdout == ""
    assert tried.stderr.count("denied") == 3, tried.stderr
    assert "open-sesame" not in environment


@only_root
def test_root_may_have_the_programs_in_a_directory_of_its_own(tmp_path: Path) -> None:
    """Where postgres itself is out of reach, the server gets one capability and no other."""
    package = binary("postgres").parents[2]
    for part in package.parent.glob(f"{package.name}*"):  # with the libraries beside it
        shutil.copytree(part, tmp_path / "closed" / part.name, symlinks=True, copy_function=os.link)
    (tmp_path / "closed").chmod(0o700)
    cluster = Cluster(tmp_path / "postgres", free_port())
    program = "from pathlib import Path; from swarmscope.stack.postgres import Cluster; import json"
    program += f"; cluster = Cluster(Path({str(cluster.directory)!r}), {cluster.port})"
    program += "; cluster.initialise(); print(json.dumps(cluster.command()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "closed")}
    made = subprocess.check_output([sys.executable, "-c", program], env=environment)

    command = json.loads(made)
    assert any(word.startswith(f"{tmp_path}/closed") for word in command)
    with serving(cluster, command) as server:
        found = privileges(server)

    assert set(found["Uid"].split()) == {"65534"}
    assert int(found["CapBnd"], 16) == int(found["CapEff"], 16)
    assert int(found["CapEff"], 16).bit_count() == 1
    assert found["NoNewPrivs"] == "1"


def test_a_pid_that_became_somebody_elses(tmp_path: Path) -> None:
    """After a loss of power the server's old pid may be any program's: that must not stop it."""
    cluster = Cluster(tmp_path / "postgres", free_port())
    cluster.initialise()
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n")

    cluster.forget_dead_server()

    assert not (cluster.data / "postmaster.pid").exists()


def test_the_server_is_known_by_its_directory(cluster: Cluster) -> None:
    """A server that is alive is found, and its clients' programs are those of the wheel."""
    pid = cluster.server_pid()

    assert pid is not None
    assert Path(f"/proc/{pid}/exe").resolve() == binary("postgres").resolve()
