"""A gunicorn for a benchmark."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_S = 20.0
CONF = """
control_socket_disable = True
bind = "127.0.0.1:0"
"""
OURS = """
from swarmscope.server.gunicorn import *
serve_metrics(port=0)
"""
STOCK = """
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

def when_ready(server):
    server.log.info("Metrics at: http://127.0.0.1:{port}")
    GunicornPrometheusMetrics.start_http_server_when_ready({port}, host="127.0.0.1")

def child_exit(server, worker):
    GunicornPrometheusMetrics.mark_process_dead_on_child_exit(worker.pid)
"""


@dataclass(frozen=True)
class Server:
    """A running gunicorn: its arbiter and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def address(self, kind: str = "Listening") -> str:
        """Return the URL that the log gives after ``KIND at:``."""
        deadline = time.monotonic() + START_S
        while not (found := re.search(rf"{kind} at: (\S+)", self.log.read_text())):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.05)
        return found[1]


@contextlib.contextmanager
def serving(
    app: str,
    *options: str,
    hooks: str = OURS,
    core: int | None = None,
    prefix: Sequence[str] = (),
    **environment: str,
) -> Iterator[Server]:
    """Run gunicorn with *hooks* and *options*, pinned to *core*, until the block ends.

    *prefix* is a program that starts it, with its arguments.
    """
    with tempfile.TemporaryDirectory() as directory:
        conf, log = Path(directory) / "conf.py", Path(directory) / "log"
        conf.write_text(CONF + hooks)
        command = [*prefix, sys.executable, "-m", "gunicorn", "-c", str(conf), *options, app]
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield Server(process, log)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
