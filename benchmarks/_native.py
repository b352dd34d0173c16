"""A native stack for a benchmark, driven through Locust's UI as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks._gunicorn import ROOT
from benchmarks._ports import free_ports
from swarmscope.runs.connection import Connection
from swarmscope.runs.database import connect
from swarmscope.stack.ports import PORTS

SWARMSCOPE = (sys.executable, "-m", "swarmscope")
PATIENCE_S = 120.0
WORKER_REPORT_INTERVAL = 3.0  # s, Locust's
KINDS = (  # the first that is found in a process's command line
    ("shipper", "swarmscope.shipper"),
    ("API", "gunicorn"),
    ("PostgreSQL", "postgres"),
    ("Prometheus", "prometheus"),
    ("Locust workers", "--worker"),
    ("Locust master", "--master"),
)


@dataclass(frozen=True)
class LocustUi:
    """The web UI of a Locust master."""

    url: str

    def post(self, path: str, **form: object) -> dict[str, Any]:
        """Send what a button of the UI sends; raises RuntimeError when it is refused."""
        data = urllib.parse.urlencode(form, doseq=True).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=60) as answer:
            said: dict[str, Any] = json.load(answer)
        if not said.get("success"):
            raise RuntimeError(said)
        return said

    def state(self) -> dict[str, Any]:
        """Return what the UI shows."""
        with urllib.request.urlopen(self.url + "/stats/requests", timeout=60) as answer:
            return dict(json.load(answer))

    def start(self, users: int, rate: float, host: str, user_class: str) -> None:
        """Start a swarm and return when all its users are there."""
        choice = {"user_classes": [user_class]}
        self.post("/swarm", user_count=users, spawn_rate=rate, host=host, **choice)
        await_true(lambda: self.state()["user_count"] >= users, f"{users} users", users / rate)

    def stop(self) -> None:
        """Stop the swarm and return when its workers are ready for another."""
        workers = len(self.state()["workers"])
        self.post("/stop")
        await_true(lambda: self._ready() == workers, f"{workers} workers that are ready again")

    def _ready(self) -> int:
        return sum(worker["state"] == "ready" for worker in self.state()["workers"])

    def sent(self) -> int:
        """Return how many requests Locust counted since the swarm's start."""
        rows = [row for row in self.state()["stats"] if row["name"] == "Aggregated"]
        return int(rows[0]["num_requests"]) if rows else 0

    def sent_at_last(self) -> int:
        """Return `sent` when two more rounds of workers' reports have changed nothing."""
        before, now = -1, self.sent()
        while now != before:
            time.sleep(2 * WORKER_REPORT_INTERVAL)
            before, now = now, self.sent()
        return now


@dataclass(frozen=True)
class Native:
    """A running stack: its home and its settings."""

    home: Path
    environment: dict[str, str]

    def url(self, port: str, path: str = "") -> str:
        """Return the address of what listens at the port of that setting."""
        return f"http://127.0.0.1:{self.environment[port]}{path}"

    @property
    def ui(self) -> LocustUi:
        """Its Locust."""
        return LocustUi(self.url("LOCUST_WEB_PORT"))

    def runs(self) -> Connection:
        """Return a connection to the runs database."""
        return connect((self.home / "database.url").read_text().strip())

    def report(self, file: Path) -> None:
        """Write the page of the latest run."""
        command = [*SWARMSCOPE, "report", "latest", "-o", str(file)]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)

    def counted(self) -> int:
        """Return how many requests the API has counted since its start."""
        with urllib.request.urlopen(self.url("API_METRICS_PORT", "/metrics"), timeout=30) as answer:
            text = answer.read().decode()
        lines = re.findall(r"^flask_http_request_duration_seconds_count\S* (\S+)", text, re.M)
        return sum(int(float(value)) for value in lines)

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of the stack's living processes so far, by what they are."""
        spent: dict[str, float] = defaultdict(float)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SWARMSCOPE_HOME") == str(self.home):
                    command = " ".join(process.cmdline())
                    kind = next((kind for kind, word in KINDS if word in command), "other")
                    times = process.cpu_times()
                    spent[kind] += times.user + times.system
        return dict(spent)


@contextlib.contextmanager
def native(locustfile: str, **environment: str) -> Iterator[Native]:
    """Run the native stack on free ports, with its defaults, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-") as directory:
        home = Path(directory).resolve() / "home"
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        settings = {**os.environ, **ports, "SWARMSCOPE_HOME": str(home), **environment}
        settings["LOCUST_LOCUSTFILE"] = locustfile
        subprocess.run([*SWARMSCOPE, "up", "--detach"], cwd=ROOT, env=settings, check=True)
        try:
            yield Native(home, settings)
        finally:
            subprocess.run([*SWARMSCOPE, "down"], cwd=ROOT, env=settings, check=True)


def await_true(condition: Any, what: str, more_s: float = 0) -> None:
    """Return when *condition* holds; raises TimeoutError that names *what*."""
    deadline = time.monotonic() + PATIENCE_S + more_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} after {PATIENCE_S + more_s:.0f} s")
        time.sleep(0.2)
