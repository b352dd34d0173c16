"""A real Prometheus: one that knows some minutes of a service already, or one that scrapes it."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from support.processes import clean_environment, running
from support.waiting import free_port, poll_until

Value = Callable[[float], float | None]  # of seconds since the start; None: no sample
Samples = Mapping[str, Value]  # by a series as an exporter writes it: ``name{label="value"}``

SCRAPE_S = 2


@contextmanager
def prometheus_with(
    samples: Samples, start: datetime, seconds: int, directory: Path
) -> Iterator[str]:
    """Run a Prometheus that scraped *samples* every `SCRAPE_S` from *start*; yield its URL."""
    text = directory / "samples.txt"
    text.write_text("".join(_lines(samples, start.timestamp(), seconds)) + "# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, directory / "data"]
    subprocess.run(command, check=True, capture_output=True)
    with _running("", directory) as url:
        yield url


@contextmanager
def prometheus_that_scrapes(
    targets: Mapping[str, str], every: str, directory: Path
) -> Iterator[str]:
    """Run a Prometheus that scrapes *targets*, addresses by job; yield its URL."""
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [address]}]}
        for job, address in targets.items()
    ]
    intervals = {"scrape_interval": every, "scrape_timeout": every}
    settings = json.dumps({"global": intervals, "scrape_configs": jobs})  # is YAML, too
    with _running(settings, directory) as url:
        yield url


@contextmanager
def _running(settings: str, directory: Path) -> Iterator[str]:
    (directory / "prometheus.yml").write_text(settings)
    port = free_port()
    command = ["prometheus", f"--config.file={directory}/prometheus.yml"]
    command += [f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--storage.tsdb.retention.time=100y"]
    with running(command, directory / "prometheus.log", clean_environment(), directory):
        url = f"http://127.0.0.1:{port}"
        poll_until(lambda: _is_ready(url), "Prometheus to be ready", seconds=60)
        yield url


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
            return True
    except OSError:
        return False


def _lines(samples: Samples, start_s: float, seconds: int) -> Iterator[str]:
    for series, value in samples.items():
        for at in range(0, seconds + 1, SCRAPE_S):
            if (now := value(float(at))) is not None:
                yield f"{series} {now} {start_s + at}\n"
