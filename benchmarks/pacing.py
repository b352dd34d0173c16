"""How users wait decides what a run reports: stock against spread phases, at the same load.

python -m benchmarks.pacing --users 2000 --period 10 --seconds 30
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import click

from benchmarks._gunicorn import ROOT, serving
from swarmscope.client.health.probe import WINDOWS_PER_SECOND
from swarmscope.client.health.trust import dispersion

USERS_FILE = Path(__file__).with_name("_pacing_users.py")
RAMP_S = 5.0


@dataclass(frozen=True)
class Result:
    """What one swarm saw once its ramp was complete and a period had passed."""

    requests_per_s: float
    dispersion: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failures: int


def summarise(requests: list[tuple[float, float, bool]], settle_s: float) -> Result:
    """Return the figures of *requests*, (start in Unix seconds, milliseconds, failed) each."""
    begin = min(start for start, _, _ in requests) + settle_s
    kept = [request for request in requests if request[0] >= begin]
    end = max(start for start, _, _ in kept)
    windows = Counter(int(start * WINDOWS_PER_SECOND) for start, _, _ in kept)
    cuts = quantiles([ms for _, ms, _ in kept], n=100)
    first, last = int(begin * WINDOWS_PER_SECOND) + 1, int(end * WINDOWS_PER_SECOND) - 1
    return Result(
        requests_per_s=len(kept) / (end - begin),
        dispersion=dispersion(windows, first, last) or 0.0,
        p50_ms=cuts[49],
        p95_ms=cuts[94],
        p99_ms=cuts[98],
        failures=sum(failed for _, _, failed in kept),
    )


def swarm(user_class: str, host: str, users: int, period_s: float, seconds: float) -> Result:
    """Run Locust against *host* for one ramp, one period and *seconds*."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "requests.json"
        command = [sys.executable, "-m", "locust", "-f", str(USERS_FILE), user_class, "--headless"]
        command += ["--host", host, "--users", str(users), "--spawn-rate", str(users / RAMP_S)]
        command += ["--run-time", f"{RAMP_S + period_s + seconds:.0f}s", "--loglevel", "ERROR"]
        command += ["--only-summary", "--exit-code-on-error", "0"]
        environment = {**os.environ, "PERIOD_S": str(period_s), "REQUESTS_FILE": str(file)}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        return summarise(json.loads(file.read_text()), period_s)


@click.command()
@click.option("--users", default=2000, show_default=True)
@click.option("--period", "period_s", default=10.0, show_default=True, help="Seconds of pacing.")
@click.option("--seconds", default=30.0, show_default=True, help="Measured seconds.")
def main(users: int, period_s: float, seconds: float) -> None:
    """Print dispersion and latency of both wait times, against the sample API in one worker."""
    click.echo(f"{'':8}{'req/s':>8}{'dispersion':>12}{'p50':>9}{'p95':>9}{'p99':>9}{'failed':>8}")
    with tempfile.TemporaryDirectory() as directory:
        database = f"sqlite:///{directory}/api.sqlite3"
        connections = ("--worker-connections", "20000", "--backlog", "4096")
        options = ("-k", "gevent", "--keep-alive", "75", *connections)
        with serving("api:create_app()", *options, API_DATABASE_URL=database) as server:
            for kind in ("Stock", "Spread"):
                result = swarm(kind, server.address(), users, period_s, seconds)
                click.echo(
                    f"{kind:8}{result.requests_per_s:8.0f}{result.dispersion:12.1f}"
                    f"{result.p50_ms:6.0f} ms{result.p95_ms:6.0f} ms{result.p99_ms:6.0f} ms"
                    f"{result.failures:8}"
                )


if __name__ == "__main__":
    main()
