"""What keeps the stack from starting: one clear line, exit status 1, nothing left running."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest
from support.native import Native

from swarmscope.stack.ports import PORTS
from swarmscope.stack.postgres import MAJOR_VERSION


def refusal(stack: Native, **changes: str) -> str:
    """Return what `up` complains of; it must not have started anything."""
    done = stack.ask("up", **changes)
    assert (done.returncode, done.stdout) == (1, "")
    assert stack.leftovers() == []
    return done.stderr.removeprefix("Error: ").rstrip("\n")


def test_taken_ports(stack: Native) -> None:
    """Each is told with who wants it, who holds it, and the setting that moves it."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        api, postgres = one.getsockname()[1], other.getsockname()[1]
        done = stack.ask("up", API_PORT=str(api), POSTGRES_PORT=str(postgres))

    holder = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert done.returncode == 1
    assert done.stderr.removeprefix("Error: ").splitlines() == [
        f"port {api}, needed by api, is taken by {holder}; choose another with API_PORT=PORT",
        f"port {postgres}, needed by PostgreSQL, is taken by {holder};"
        " choose another with POSTGRES_PORT=PORT",
    ]
    assert not (stack.home / "postgres/data").exists()


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1", "1.5", "٣"])
def test_bad_numbers(stack: Native, value: str) -> None:
    """The setting is named; nothing is made."""
    assert refusal(stack, API_PORT=value) == (
        f"API_PORT={value}: must be a whole number from 1 to 65535"
    )
    assert not stack.home.exists()


def test_two_services_on_one_port(stack: Native) -> None:
    """Ports that are free but the same are refused too."""
    port = stack.environment["API_PORT"]
    assert refusal(stack, GRAFANA_PORT=port) == (
        f"GRAFANA_PORT and API_PORT are both {port}: change one of them"
    )


def test_a_home_that_cannot_be_made(stack: Native, tmp_path: Path) -> None:
    """The path and the setting are named. (A file is in the way: root may write anywhere.)"""
    (tmp_path / "file").touch()
    assert refusal(stack, SWARMSCOPE_HOME=str(tmp_path / "file/home")) == (
        f"{tmp_path}/file/home: Not a directory; set SWARMSCOPE_HOME to another place"
    )


def test_a_percent_sign_in_the_home(stack: Native, tmp_path: Path) -> None:
    """supervisord cannot be told of such a path."""
    home = tmp_path / "100%"
    assert refusal(stack, SWARMSCOPE_HOME=str(home)) == (
        f"SWARMSCOPE_HOME={home}: choose a path without % or line breaks"
    )


def test_a_home_with_a_path_that_is_too_long(stack: Native, tmp_path: Path) -> None:
    """It is known at once, not when a service has not answered for a minute and a half."""
    home = tmp_path.joinpath(*["x" * 200] * 4)
    said = refusal(stack, SWARMSCOPE_HOME=str(home))
    assert said.startswith(f"SWARMSCOPE_HOME={home}: choose a path of at most 700 bytes")
    assert not home.exists()


def test_a_grafana_home_without_grafana(stack: Native, tmp_path: Path) -> None:
    """A setting that leads nowhere is a mistake, not a missing Grafana."""
    assert refusal(stack, GRAFANA_HOME=str(tmp_path)) == (
        f"GRAFANA_HOME={tmp_path}: {tmp_path}/bin/grafana is missing"
    )


def test_a_data_directory_that_another_server_serves(stack: Native) -> None:
    """A server that is alive is left alone, with its files."""
    data = stack.home / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text(f"{MAJOR_VERSION}\n")
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    here = Path.cwd()
    os.chdir(data)  # a server works in its data directory
    try:
        done = stack.run("up")
    finally:
        os.chdir(here)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: another PostgreSQL (pid {os.getpid()}) uses {data}: stop it first\n"
    )
    assert stack.leftovers() == []


def test_a_damaged_record(stack: Native) -> None:
    """`up` and `down` say which file it is."""
    stack.home.mkdir()
    (stack.home / "up.json").write_text("{")
    assert refusal(stack).startswith(f"{stack.home}/up.json is damaged; delete it: ")
    assert stack.ask("down").returncode == 1


def test_all_ports_are_settings_of_the_table(stack: Native) -> None:
    """The fixture moves every port there is, or these tests would meet a stack that is up."""
    assert set(PORTS) <= set(stack.environment)
