"""Metrics of gunicorn's workers that the kernel and the workers' own probes know."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swarmscope.machine.processes import RunDelay
from swarmscope.server import probe_file
from swarmscope.server.probe_file import LAG, LATE, LOOKED, QUEUED, THREADED, WAKES
from swarmscope.server.worker_classes import places

PROC = Path("/proc")
LOOK_S = 1.0  # looks that follow each other more closely get the same mean


class WorkerFigures(Collector):
    """What the workers wait for and hold, read at each scrape; what is not known has no sample."""

    def __init__(self, server: Any, directory: Path) -> None:
        self._server, self._directory = server, directory
        self._delays: dict[int, tuple[int, RunDelay]] = {}  # by age, which no two workers share
        self._waited_s: dict[int, float] = {}  # the same
        self._ended_s: defaultdict[int, float] = defaultdict(float)  # by slot
        self._probes: dict[int, ProbeReader] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        workers = list(self._server.WORKERS.values())
        limit = places(self._server.worker_class, self._server.cfg)
        if limit is not None:
            text = "Requests that the live workers handle at once"
            yield GaugeMetricFamily("gunicorn_concurrency_limit", text, limit * len(workers))
        yield self._run_delay(workers)
        yield from self._open_files(workers)
        yield from self._probed(workers)

    def _run_delay(self, workers: list[Any]) -> Metric:
        text = (
            "Time that threads of a slot's current and earlier workers were ready and did not run"
        )
        family = CounterMetricFamily("gunicorn_worker_run_delay_seconds", text, labels=["slot"])
        for worker in workers:
            _, delay = self._delays.setdefault(worker.age, (worker.slot, RunDelay(worker.pid)))
            waited_s = delay.seconds()
            if waited_s is not None:
                self._waited_s[worker.age] = waited_s
        for age in self._delays.keys() - {worker.age for worker in workers}:
            slot, _ = self._delays.pop(age)
            self._ended_s[slot] += self._waited_s.pop(age, 0.0)
        totals = self._ended_s.copy()
        for age, waited_s in self._waited_s.items():
            totals[self._delays[age][0]] += waited_s
        for slot in sorted(totals):
            family.add_metric([str(slot)], totals[slot])
        return family

    def _open_files(self, workers: list[Any]) -> Iterator[Metric]:
        text = "Files and sockets that a slot's current worker has open"
        family = GaugeMetricFamily("gunicorn_worker_open_files", text, labels=["slot"])
        for worker in workers:
            with contextlib.suppress(OSError):  # gone, another user's, or not Linux
                family.add_metric([str(worker.slot)], open_files(worker.pid))
        yield family
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY:
            text = "Files and sockets that a worker may have open"
            yield GaugeMetricFamily("gunicorn_open_files_limit", text, limit)

    def _probed(self, workers: list[Any]) -> Iterator[Metric]:
        text = (
            "Connections that a worker has accepted and no thread handles yet: mean since last read"
        )
        queued = GaugeMetricFamily("gunicorn_worker_queued_connections", text, labels=["slot"])
        text = "Mean time that an event waited for a worker's loop since last read"
        lag = GaugeMetricFamily("gunicorn_worker_loop_lag_seconds", text, labels=["slot"])
        text = "How late a thread woke in a worker, in all: it waited for the GIL or the CPU"
        late = CounterMetricFamily("gunicorn_worker_wake_delay_seconds", text, labels=["slot"])
        text = "Times that this thread woke"
        wakes = CounterMetricFamily("gunicorn_worker_wakes", text, labels=["slot"])
        for worker in workers:
            self._probes.setdefault(worker.slot, ProbeReader(self._directory, str(worker.slot)))
        for slot, probe in sorted(self._probes.items()):  # of ended workers, too
            sums = probe.read()
            for family, value in ((queued, probe.queued), (lag, probe.lag_s)):
                if value is not None:
                    family.add_metric([str(slot)], value)
            if sums is not None and sums[WAKES]:
                late.add_metric([str(slot)], sums[LATE])
                wakes.add_metric([str(slot)], sums[WAKES])
        yield from (queued, lag, late, wakes)


class ProbeReader:
    """The sums of one slot's probe, and means since they were last read."""

    def __init__(self, directory: Path, slot: str) -> None:
        self._path = probe_file.path_of(directory, slot)
        self._cells: memoryview[float] | None = None
        self._last = [0.0] * len(probe_file.NAMES)
        self._read_at = float("-inf")
        self.queued: float | None = None  # connections; None while the probe is off
        self.lag_s: float | None = None

    def read(self) -> list[float] | None:
        """Return the sums, None before the first; bring the means up to date."""
        if self._cells is None:
            with contextlib.suppress(OSError, ValueError):  # not there, or still empty
                self._cells = probe_file.open_cells(self._path, create=False)
        if self._cells is None:
            return None
        sums = list(self._cells)
        if time.monotonic() - self._read_at >= LOOK_S:
            self.queued = self._mean(sums, QUEUED, THREADED)
            self.lag_s = self._mean(sums, LAG, LOOKED)
            self._last, self._read_at = sums, time.monotonic()
        return sums

    def _mean(self, sums: list[float], integral: int, passed: int) -> float | None:
        passed_s = sums[passed] - self._last[passed]
        return (sums[integral] - self._last[integral]) / passed_s if passed_s > 0 else None


def open_files(pid: int) -> int:
    """Return how many files a process has open; raises OSError if that is not known."""
    directory = PROC / str(pid) / "fd"
    return directory.stat().st_size or len(os.listdir(directory))  # the size since Linux 6.2
