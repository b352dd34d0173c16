"""Where the master of workers, or the runs database, is on another machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from click.testing import CliRunner
from support.native import Native
from support.waiting import free_port

from swarmscope.cli.stack import up
from swarmscope.stack import remote
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.lifecycle import _without_pg
from swarmscope.stack.remote import (
    MasterTrouble,
    database_trouble,
    exposure_warnings,
    libpq,
    master_trouble,
)
from swarmscope.stack.services import Service
from swarmscope.stack.settings import read_settings
from swarmscope.stack.supervision import _command


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[int]:
    """Listen, and send *answer* to who connects, unasked; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_master_is_known_by_its_greeting() -> None:
    """A socket as Locust's master has it is one, however often it is asked."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as master:
        port = master.bind_to_random_port("tcp://127.0.0.1")
        assert [master_trouble("127.0.0.1", port) for _ in range(2)] == [None, None]


def test_nobody_there() -> None:
    """It may be started any moment, so waiting is worth it; the setting that opens it is named."""
    port = free_port()

    trouble = master_trouble("127.0.0.1", port)

    assert trouble is not None
    assert trouble.passing
    assert trouble.text.startswith(f"no master answers at 127.0.0.1:{port} (Connection refused)")
    assert "LOCUST_MASTER_BIND_HOST" in trouble.text


def test_somebody_silent_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most servers wait for the client to speak first; Locust's master does not."""
    monkeypatch.setattr(remote, "CONNECT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        trouble = master_trouble("127.0.0.1", server.getsockname()[1])

    assert trouble is not None
    assert not trouble.passing


def test_somebody_else_there() -> None:
    """It will not turn into a master."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        trouble = master_trouble("127.0.0.1", port)

    assert trouble is not None
    assert not trouble.passing
    assert trouble.text.startswith(f"the server at 127.0.0.1:{port} is not a Locust master; its")


def test_a_tunnel_that_leads_to_nobody_yet() -> None:
    """SSH takes the connection before it knows; waiting may help."""
    with listening(b"") as port:
        assert master_trouble("127.0.0.1", port) == MasterTrouble(
            f"127.0.0.1:{port} closes the connection, as a tunnel without a master does",
            passing=True,
        )


def test_a_wrong_port_ends_the_start(stack: Native) -> None:
    """One line says which option it is, and nothing is left running."""
    with listening(b"SSH-2.0-not-a-master\r\n") as port:
        only = ("up", "--only", "locust-worker", "--master-host", "127.0.0.1")
        done = stack.run(*only, "--master-port", str(port))

    assert done.returncode == 1
    assert f"Error: the server at 127.0.0.1:{port} is not a Locust master" in done.stderr
    assert stack.leftovers() == []


@pytest.mark.parametrize("only", [(), ("--only", "locust"), ("--only", "app")])
def test_a_master_is_named_for_workers_without_one(only: tuple[str, ...]) -> None:
    """Elsewhere the option would be without effect, so it is refused."""
    done = CliRunner().invoke(up, [*only, "--master-host", "127.0.0.1"])

    assert done.exit_code == 2
    assert "--master-host and --master-port need --only locust-worker" in done.stderr


def test_workers_without_a_database_elsewhere_keep_what_they_have(tmp_path: Path) -> None:
    """Only what says where it is counts; role, name and a password file are added to that."""
    home = Home(tmp_path)

    assert libpq({"PGUSER": "me", "PGPASSWORD": "secret"}, home) == {}
    named = {"PGHOST": "db", "PGPORT": "5433", "PATH": "/bin"}
    ours = {"PGUSER": "swarmscope", "PGDATABASE": "swarmscope"}
    assert libpq(named, home) == {"PGHOST": "db", "PGPORT": "5433", **ours}
    home.pgpass.touch()
    assert libpq(named | {"PGUSER": "me"}, home) == {
        "PGHOST": "db",
        "PGPORT": "5433",
        **ours,
        "PGPASSFILE": str(home.pgpass),
        "PGUSER": "me",
    }


def test_without_a_database_people_are_told_what_becomes_of_samples(tmp_path: Path) -> None:
    """It is no reason not to start: where they wait, and what brings them, is said."""
    home, port = Home(tmp_path), str(free_port())
    journals = tmp_path / "journals"
    kept = f"in {journals}, and `swarmscope ship {journals} --database URL` delivers them"

    nowhere = database_trouble({}, home)
    away = database_trouble({"PGHOST": "127.0.0.1", "PGPORT": port}, home)

    assert nowhere == f"PGHOST is not set; samples are kept {kept}"
    assert away
    assert away.startswith(
        f"it cannot be reached; until it can, samples are kept {kept}; connection to"
    )
    assert away.endswith("Is the server running on that host and accepting TCP/IP connections?")


def test_what_is_open_is_told(tmp_path: Path) -> None:
    """Loopback needs no word; of what others reach, each part is named that really runs here."""
    opened = {"LOCUST_MASTER_BIND_HOST": "0.0.0.0", "POSTGRES_BIND_HOST": "192.0.2.1"}

    assert exposure_warnings(read_settings(tmp_path, {})) == []
    assert exposure_warnings(read_settings(tmp_path, opened, ["app"])) == []
    master, host, postgres = exposure_warnings(read_settings(tmp_path, opened))
    assert master.startswith("Locust's master listens at 0.0.0.0:5557 without a password")
    assert host.startswith("LOCUST_HOST is not set")
    assert postgres.startswith("PostgreSQL listens at 192.0.2.1:54329: swarmscope's roles can")


def test_where_workers_find_their_master(tmp_path: Path) -> None:
    """Their own stack's is at the address that it listens at; another's where the settings say."""
    bound = {"LOCUST_MASTER_BIND_HOST": "127.0.0.2", "LOCUST_MASTER_BIND_PORT": "6000"}
    far = {"LOCUST_MASTER_NODE_HOST": "hub", "LOCUST_MASTER_NODE_PORT": "6001"}

    own = read_settings(tmp_path, bound | far)
    everywhere = read_settings(tmp_path, bound | {"LOCUST_MASTER_BIND_HOST": "*"})
    other = read_settings(tmp_path, bound | far, ["locust-worker"])

    assert (own.master_host, own.master_port) == ("127.0.0.2", 6000)
    assert (everywhere.master_host, everywhere.master_port) == ("127.0.0.1", 6000)
    assert (other.master_host, other.master_port) == ("hub", 6001)


@pytest.mark.parametrize("name", ["LOCUST_MASTER_BIND_HOST", "POSTGRES_BIND_HOST"])
def test_a_name_is_no_address_to_listen_at(tmp_path: Path, name: str) -> None:
    """ZeroMQ and PostgreSQL would each make something else of it."""
    with pytest.raises(StackError, match=f"^{name}=hub: must be an IPv4 address of this mach"):
        read_settings(tmp_path, {name: "hub"})


@pytest.mark.parametrize(
    ("only", "hidden"),
    [
        (("postgres", "app", "locust"), {"shop": (), "locust": ("PGHOST", "PGUSER")}),
        (("app", "locust"), {"shop": ("PGDATABASE",), "locust": ()}),
    ],
)
def test_whose_the_users_pg_variables_are(
    tmp_path: Path, only: tuple[str, ...], hidden: dict[str, tuple[str, ...]]
) -> None:
    """The app's always, as they were given; ours if the runs database is on another machine."""
    settings = read_settings(tmp_path, {"PGHOST": "db.example", "PGUSER": "me"}, only)
    services = [
        Service("shop", ("serve",), "http:1", is_app=True),
        Service("locust", ("locust",), "http:2", environment={"PGPORT": "54329"}),
    ]

    found = _without_pg(services, settings, Home(tmp_path))

    assert {service.name: service.hidden for service in found} == hidden
    assert _command(replace(services[0], hidden=("PGDATABASE",))) == (
        "/usr/bin/env -u PGDATABASE serve"
    )
