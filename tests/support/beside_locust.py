"""What Locust starts beside itself, each a copy of a process that has imported its modules.

``beside_locust.py ADDRESS MODULE…`` imports those modules and listens at a Unix socket. Who
connects sends its open files and what to be, and gets back a byte, the exit status.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ABOVE = 500  # the numbers of files that a copy is given
COPIED = ("swarmscope", "swarmscope.runs.causes.answering", "swarmscope.shipper")
MODULES = (
    "swarmscope.cli.check",
    "swarmscope.cli.report",
    "swarmscope.cli.show",
    "swarmscope.runs.causes.answering",
    "swarmscope.shipper.process",
)
# For Locust in the place of Python, by which it runs all but COPIED. It imports next to nothing. A
# test that stops a shipper, which stops no copy, sets REAL_SHIPPER.
PYTHON = """#!{python} -ISE
import _socket, array, marshal, os, sys
words = sys.argv[2:]
real = words[0] not in {copied} or words[0].endswith("shipper") and "REAL_SHIPPER" in os.environ
if sys.argv[1] != "-m" or real:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
files = [0, 1, 2] + [int(words[at + 1]) for at, word in enumerate(words) if word == "--lock"]
peer = _socket.socket(_socket.AF_UNIX)
peer.connect({address!r})
peer.sendmsg([b"!"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", files))])
peer.sendall(marshal.dumps((words, files, os.getcwd(), dict(os.environ))))
peer.shutdown(_socket.SHUT_WR)
os._exit((peer.recv(1) or b"\\1")[0])
"""


@cache
def python() -> str:
    """Start the process to copy; return the program that Locust is to call in Python's place."""
    place = Path(tempfile.mkdtemp(prefix="beside-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    address = str(place / "socket")
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, address, *MODULES],
        stdin=subprocess.PIPE,  # its end is the process's
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    program = place / "python"
    program.write_text(PYTHON.format(python=sys.executable, copied=COPIED, address=address))
    program.chmod(0o755)
    python.process = process  # type: ignore[attr-defined]  # or its pipe would be closed
    return str(program)


def serve(address: str) -> socket.socket | None:
    """Fork for each that connects; return its connection in the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([server, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        peer, _ = server.accept()
        if not os.fork():
            server.close()
            return peer
        peer.close()


def become(peer: socket.socket) -> str:
    """Make of this child what *peer* asks for; return the module."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    _, received, _, _ = socket.recv_fds(peer, 1, 4)
    with peer.makefile("rb") as about:
        sys.argv, numbers, directory, environment = marshal.loads(about.read())
    for file, number in zip(received, numbers, strict=True):
        os.dup2(file, number)
        if file not in numbers:
            os.close(file)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, directory)
    return sys.argv[0]


def run(module: str) -> int:
    """Run *module* as ``python -m`` does; return its exit status."""
    if module in MODULES:  # else runpy warns that it is run again
        del sys.modules[module]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main(address: str, *modules: str) -> Any:
    """Serve; in a child, be what is asked for, and end at once where *peer* does."""
    gc.disable()
    for module in modules:
        import_module(module)
    gc.freeze()
    gc.enable()
    if peer := serve(address):
        peer = socket.socket(fileno=fcntl.fcntl(peer.detach(), fcntl.F_DUPFD_CLOEXEC, ABOVE))
        module = become(peer)
        fcntl.fcntl(peer, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(peer, fcntl.F_SETFL, os.O_ASYNC)  # SIGIO ends it
        status = run(module)
        sys.stdout.flush()
        peer.send(bytes([status]))
        os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
