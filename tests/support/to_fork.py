"""A process that imports modules once and becomes each of those that tests start: it forks.

``to_fork.py MODULE…`` imports those modules in their order. A request is a line of JSON on standard
input, its answer one on standard output: ``{"wait": PID}`` returns an exit status, or null while
the process runs; any other starts a process and returns its pid. It ends with its standard input.
"""

import gc
import json
import os
import runpy
import sys
from importlib import import_module
from typing import Any

gc.disable()
for module in sys.argv[1:]:
    import_module(module)
gc.freeze()  # no child looks through what is there for good, and so copies it
gc.enable()

if "gevent" in sys.modules:
    import gevent.os
    from gevent.monkey import get_original

    fork, waitpid = gevent.os.fork_gevent, get_original("os", "waitpid")
else:
    fork, waitpid = os.fork, os.waitpid


def serve() -> str | None:
    """Answer requests; in a child return which program it is to be."""
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "wait" in request:
            ended, status = waitpid(request["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        elif not (answer := fork()):
            return become(**request)
        os.write(1, f"{json.dumps(answer)}\n".encode())
    return None


def become(program: str, path: list[str], **process: Any) -> str:
    """Make of this child what a process started from nothing would be; return *program*."""
    os.setsid()
    if "gevent" in sys.modules:
        gevent.get_hub().loop.update_now()  # or timers begin when this program did
    os.chdir(process["directory"])
    os.environ.clear()
    os.environ.update(process["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(process["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = process["arguments"]
    sys.executable = process["python"]
    sys.path[:0] = path
    return program


if __name__ == "__main__":
    program = serve()
    if program and os.path.isabs(program):
        runpy.run_path(program, run_name="__main__")
    elif program:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
