"""A service to be measured: its handlers sleep, burn, stream, fail and die on request."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

from flask import Flask, Response
from prometheus_client import Counter

from swarmscope.server import instrument


def create_app(path: str | None = None) -> Flask:
    """Build it, instrumented; *path* is where it shows its own metrics."""
    app = Flask(__name__)
    stopwatch: list[float] = []

    @app.get("/pid")
    def pid() -> dict[str, int]:
        return {"pid": os.getpid()}

    @app.get("/sleep/<int:ms>")
    def sleep(ms: int) -> dict[str, int]:
        time.sleep(ms / 1000)
        return {"ms": ms}

    @app.get("/burn/<int:ms>")
    def burn(ms: int) -> dict[str, int]:
        end = time.perf_counter() + ms / 1000
        while time.perf_counter() < end:
            pass
        return {"ms": ms}

    @app.get("/stream/<int:ms>")
    def stream(ms: int) -> Response:
        def body():
            yield "begin "
            time.sleep(ms / 1000)
            yield "end"

        return Response(body())

    @app.get("/die")
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    jobs = Counter("jobs", "Jobs done", registry=None)

    @app.get("/job")
    def job() -> str:
        child = multiprocessing.get_context("fork").Process(target=jobs.inc)
        child.start()
        child.join()
        return "done"

    @app.get("/program")
    def program() -> str:
        text = "from prometheus_client import Counter; Counter('programs', '').inc()"
        subprocess.run([sys.executable, "-c", text], check=True)
        return "done"

    @app.get("/stopwatch")
    def read_stopwatch() -> list[float]:
        return stopwatch

    instrument(app, exclude=("/stopwatch",), path=path)
    measured = app.wsgi_app

    def timed(environ, start_response):
        """Time, independently of what is tested, until the response's headers leave."""
        started = time.perf_counter()

        def answer(*response):
            if environ["PATH_INFO"] != "/stopwatch":
                stopwatch.append(time.perf_counter() - started)
            return start_response(*response)

        return measured(environ, answer)

    app.wsgi_app = timed
    return app
