"""Load generators at the same work, and what CPU time a request costs each.

A generator runs until it is killed. Its CPU time, with that of its children, and the number of
requests are read at two moments while it sends: no start and no end counts. The server counts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks._gunicorn import ROOT
from swarmscope.stack.process_groups import kill_group

USERS_FILE = "benchmarks/_generator_users.py"
FOREVER_S = 3600
START_S = 60.0
FIRST_REQUESTS = 100  # once they are answered it has started
LOCUST = {
    "Locust FastHttpUser": "Stock",
    "swarmscope FastHttpUser": "Ours",
    "Locust HttpUser": "Requests",
}
K6 = """
import http from 'k6/http';
export const options = {vus: __USERS__, duration: '__SECONDS__s', insecureSkipTLSVerify: true};
const url = '__URL__', body = __BODY__;
const headers = {headers: {'Content-Type': 'application/json'}};
export default function () {
  if (body === null) { http.get(url); } else { http.post(url, body, headers); }
}
"""
WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[__BODY__]]
"""


@dataclass(frozen=True)
class Work:
    """What each request of a user is: GET *url*, or POST *body*, the text of a JSON value."""

    url: str
    body: str | None = None


@dataclass(frozen=True)
class Cost:
    """What a generator did between two moments."""

    requests: int
    cpu_s: float
    seconds: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of a request."""
        return self.cpu_s / self.requests * 1e6


@dataclass(frozen=True)
class Generator:
    """A running generator."""

    process: psutil.Popen

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used, with that of its children."""
        processes = [self.process, *self.process.children(recursive=True)]
        return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def command(kind: str, work: Work, users: int, directory: Path) -> list[str]:
    """Return what starts *kind*: one of `LOCUST`, k6, vegeta, wrk; its files are in *directory*."""
    if kind in LOCUST:
        options = ["-f", str(ROOT / USERS_FILE), "--headless", "--only-summary", "--users", users]
        options += ["--spawn-rate", users, "--loglevel", "ERROR", LOCUST[kind]]
        return [sys.executable, "-m", "locust", *map(str, options)]
    return {"k6": _k6, "vegeta": _vegeta, "wrk": _wrk}[kind](work, users, directory)


def _vegeta(work: Work, users: int, directory: Path) -> list[str]:
    """As fast as *users* workers can: it sends what it is given, and has no users."""
    target: dict[str, object] = {"method": "GET" if work.body is None else "POST", "url": work.url}
    if work.body is not None:
        target["body"] = base64.b64encode(work.body.encode()).decode()
        target["header"] = {"Content-Type": ["application/json"]}
    (directory / "targets").write_text(json.dumps(target) + "\n")
    command = ["vegeta", "attack", "-format", "json", "-targets", str(directory / "targets")]
    command += ["-rate", "0", "-max-workers", str(users), "-connections", str(users), "-insecure"]
    return [*command, "-duration", f"{FOREVER_S}s", "-output", os.devnull]


def _k6(work: Work, users: int, directory: Path) -> list[str]:
    script = directory / "script.js"
    text = K6.replace("__USERS__", str(users)).replace("__SECONDS__", str(FOREVER_S))
    script.write_text(text.replace("__URL__", work.url).replace("__BODY__", json.dumps(work.body)))
    return ["k6", "run", "--quiet", "--no-usage-report", str(script)]


def _wrk(work: Work, users: int, directory: Path) -> list[str]:
    options = ["-t1", f"-c{users}", f"-d{FOREVER_S}s"]
    if work.body is not None:
        script = directory / "script.lua"
        script.write_text(WRK.replace("__BODY__", work.body))
        options += ["-s", str(script)]
    return ["wrk", *options, work.url]


@contextlib.contextmanager
def running(kind: str, work: Work, users: int, *options: str) -> Iterator[Generator]:
    """Run a generator with *users* that send one request after the other, until the block ends.

    *options* are added to its command.
    """
    environment = {"WORK_URL": work.url, "WORK_BODY": work.body or "", "WORK_BY": kind}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (directory / "log").open("wb") as log:
            process = psutil.Popen(
                [*command(kind, work, users, directory), *options],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Generator(process)
            if process.poll() is not None:
                raise RuntimeError(f"{kind} ended: {(directory / 'log').read_text()}")
        finally:
            kill_group(process.pid)
            process.wait()


def measure(
    generator: Generator, requests: Callable[[], int], warm_up_s: float, seconds: float
) -> Cost:
    """Return what *generator* did in *seconds*; *requests* returns how many the server counted."""
    first, deadline = requests(), time.monotonic() + START_S
    while requests() < first + FIRST_REQUESTS:
        if generator.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no requests from {generator.process.args}")
        time.sleep(0.1)
    time.sleep(warm_up_s)
    began, done, cpu_s = time.perf_counter(), requests(), generator.cpu_seconds()
    time.sleep(seconds)
    return Cost(
        requests() - done,
        generator.cpu_seconds() - cpu_s,
        time.perf_counter() - began,
    )
