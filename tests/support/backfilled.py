"""A real Prometheus that already knows some minutes of a service: nothing is waited for."""

from __future__ import annotations

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
    data = directory / "data"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True)
    (directory / "prometheus.yml").touch()
    port = free_port()
    prometheus = ["prometheus", f"--config.file={directory}/prometheus.yml"]
    prometheus += [f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    prometheus += ["--storage.tsdb.retention.time=100y"]
    with running(prometheus, directory / "prometheus.log", clean_environment(), directory):
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
