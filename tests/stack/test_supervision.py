"""What supervisord makes of the configuration that is written for it."""

from __future__ import annotations

import shlex
import socket
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from swarmscope.stack.layout import Home
from swarmscope.stack.services import Service
from swarmscope.stack.supervision import Supervisor, socket_path, write_configuration

AWKWARD = ["a b", "50%", "x ;y", "x #y", "#z", ";", "it's", 'say "so"', "back\\slash", "é", "$HOME"]


@pytest.mark.parametrize("directory", ["home", "my home #1 ;2", 'it\'s "mine"'])
def test_a_command_arrives_word_for_word(tmp_path: Path, directory: str) -> None:
    """Its words, environment, log and secret survive supervisord's parser in any home."""
    home = Home(tmp_path / directory)
    home.make()
    service = Service(
        name="odd",
        command=("program", *AWKWARD),
        check="http:1/",
        environment={"ODD": " ".join(AWKWARD)},
        secrets={"SECRET": "aZ09-_"},
        stop_s=7.5,
    )

    path = write_configuration(home, home / "supervisord.sock", [service])

    options = ServerOptions()
    options.realize(["-c", str(path)])
    program = options.process_group_configs[0].process_configs[0]
    assert shlex.split(program.command) == [
        "/usr/bin/env",
        f"ODD={' '.join(AWKWARD)}",
        "program",
        *AWKWARD,
    ]
    assert program.environment == {"SECRET": "aZ09-_"}
    assert program.stdout_logfile == str(home.log("odd"))
    assert program.stopwaitsecs == 8
    assert options.configroot.supervisord.server_configs[0]["file"] == str(
        home / "supervisord.sock"
    )


def test_a_service_runs_in_its_own_directory(tmp_path: Path) -> None:
    """Whatever its name contains."""
    home, directory = Home(tmp_path / "home"), tmp_path / "50% #1 ;2 it's"
    home.make()
    directory.mkdir()
    service = Service(name="here", command=("pwd",), check="http:1/", directory=directory)
    path = write_configuration(home, home / "supervisord.sock", [service])

    options = ServerOptions()
    options.realize(["-c", str(path)])
    command = shlex.split(options.process_group_configs[0].process_configs[0].command)

    assert subprocess.check_output(command, text=True) == f"{directory}\n"


def test_a_supervisor_that_dies_over_its_answer(tmp_path: Path) -> None:
    """It is as one that does not answer: whoever asks knows what an OSError means."""
    path = tmp_path / "supervisord.sock"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            with server.accept()[0] as peer:
                asked = b""
                while not asked.endswith(b"</methodCall>\n"):  # it comes in pieces
                    asked += peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<?xml")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(OSError, match="supervisord does not answer: IncompleteRead"):
            Supervisor(path).states()
        thread.join()


def test_a_long_path_moves_the_socket(tmp_path: Path) -> None:
    """A socket's path has at most 108 bytes; a character may take several of them."""
    short, long = Home(Path("/srv/app")), Home(Path("/srv") / ("é" * 40))

    assert socket_path(short, "mark") == Path("/srv/app/supervisord.sock")
    assert len(bytes(socket_path(long, "0" * 32))) < 104 - len(".4194304")
    assert socket_path(long, "one") != socket_path(long, "two")
