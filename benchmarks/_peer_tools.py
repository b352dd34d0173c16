"""How each load generator of `benchmarks.peers` is run at the same work, and what it reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._gunicorn import ROOT

OURS = "swarmscope"
USERS = Path(__file__).with_name("_peer_users.py")
K6_SCRIPT = """
import http from "k6/http";
import { sleep } from "k6";
const pace = Number(__ENV.PACE_S || 0), rate = Number(__ENV.RATE || 0);
export const options = rate ? { scenarios: { open: {
    executor: "constant-arrival-rate", rate: rate, timeUnit: "1s", duration: __ENV.DURATION,
    preAllocatedVUs: Number(__ENV.VUS) } } } : { vus: Number(__ENV.VUS), duration: __ENV.DURATION };
export default function () {
  const began = Date.now();
  http.get(__ENV.TARGET);
  if (pace) sleep(Math.max(0, pace - (Date.now() - began) / 1000));
}
"""
WRK_SCRIPT = """
local pace_ms = tonumber(os.getenv("PACE_MS") or "0")
if pace_ms > 0 then function delay() return pace_ms end end
function done(summary, latency, requests)
  local file = io.open(os.getenv("FIGURES"), "w")
  file:write(string.format('{"requests": %d, "p50": %f, "p95": %f, "p99": %f}', summary.requests,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
  file:close()
end
"""


@dataclass(frozen=True)
class Schedule:
    """What a tool does: GET *url* over *connections* for *seconds*.

    Each connection sends as soon as it has an answer, or once every *pace_s*. With a *rate*, in
    requests/s of all, requests are sent on an open schedule, over as many connections as it takes.
    """

    url: str
    connections: int
    seconds: int
    pace_s: float | None = None
    rate: int | None = None


@dataclass(frozen=True)
class Reading:
    """What a tool reports of its work; percentiles in ms."""

    requests: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Run:
    """One run of a tool, and where it keeps its files."""

    schedule: Schedule
    directory: Path

    def file(self, name: str, text: str = "") -> str:
        """Return the path of a file of the run, written anew."""
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def execute(self, command: list[str], **environment: object) -> None:
        """Run *command* to its end; raises CalledProcessError, after printing its output."""
        settings = {name: str(value) for name, value in environment.items()}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            print(done.stdout)
            done.check_returncode()


def locust(run: Run, peer: str) -> Reading:
    """Run Locust with users of class *peer*, ours if that is its name."""
    schedule, figures = run.schedule, run.file("figures.json")
    users = 10 if schedule.rate else schedule.connections
    command = [sys.executable, "-m", "locust", "-f", str(USERS), "--headless", "--only-summary"]
    command += ["-u", str(users), "-r", str(users), "--host", schedule.url]
    command += ["--exit-code-on-error", "0"]
    command += ["--timescale"] if peer == OURS else []
    run.execute(
        command,
        PEER=peer,
        PEER_FIGURES=figures,
        PEER_SECONDS=schedule.seconds,
        PEER_PACE_S=schedule.pace_s or 0,
        PEER_RATE=(schedule.rate or 0) / users,
        LOCUST_JOURNAL_DIR=run.directory / "journals",
    )
    return Reading(**_json(figures))


def k6(run: Run) -> Reading:
    """Run k6."""
    schedule, figures = run.schedule, run.file("figures.json")
    command = ["k6", "run", "--quiet", "--no-usage-report", "--summary-export", figures]
    command += ["--summary-trend-stats", "p(50),p(95),p(99)", run.file("k6.js", K6_SCRIPT)]
    run.execute(
        command,
        HOME=run.directory,
        TARGET=schedule.url + "/",
        DURATION=f"{schedule.seconds}s",
        VUS=2 * schedule.rate if schedule.rate else schedule.connections,
        PACE_S=schedule.pace_s or 0,
        RATE=schedule.rate or 0,
    )
    metrics = _json(figures)["metrics"]
    cuts = {f"p{cut}": metrics["http_req_duration"][f"p({cut})"] for cut in (50, 95, 99)}
    return Reading(metrics["http_reqs"]["count"], **cuts)


def vegeta(run: Run) -> Reading:
    """Run vegeta, which sends on schedule only."""
    schedule, results = run.schedule, str(run.directory / "vegeta.bin")
    command = ["vegeta", "attack", "-targets", run.file("targets", f"GET {schedule.url}/\n")]
    command += ["-rate", str(schedule.rate), "-duration", f"{schedule.seconds}s"]
    run.execute([*command, "-output", results])
    command = ["vegeta", "report", "-type", "json", results]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    cuts = {f"p{cut}": report["latencies"][f"{cut}th"] / 1e6 for cut in (50, 95, 99)}
    return Reading(report["requests"], **cuts)


def wrk(run: Run) -> Reading:
    """Run wrk with one thread."""
    schedule, figures = run.schedule, run.file("figures.json")
    command = ["wrk", "-t", "1", "-c", str(schedule.connections), "-d", f"{schedule.seconds}s"]
    command += ["--timeout", "10s", "-s", run.file("wrk.lua", WRK_SCRIPT), schedule.url + "/"]
    pace_ms = round(1000 * (schedule.pace_s or 0))
    run.execute(command, FIGURES=figures, PACE_MS=pace_ms)
    return Reading(**_json(figures))


def _json(path: str) -> Any:
    return json.loads(Path(path).read_text())


TOOLS: dict[str, Callable[[Run], Reading]] = {
    OURS: lambda run: locust(run, OURS),
    "Locust FastHttpUser": lambda run: locust(run, "FastHttpUser"),
    "Locust HttpUser": lambda run: locust(run, "HttpUser"),
    "k6": k6,
    "vegeta": vegeta,
    "wrk": wrk,
}
OPEN = (OURS, "k6", "vegeta")  # can send on an open schedule
ONLY_OPEN = ("vegeta",)
