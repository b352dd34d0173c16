"""Metrics of gunicorn's workers, as its arbiter sees them."""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BACKLOG = struct.Struct("=8x4x4x4x4xII")  # eight bytes, four integers, and the two that matter


@dataclass
class WorkerSlots:
    """The slot of each worker, with the restarts and CPU time of its earlier workers."""

    started: int = 0
    most_wanted: int = 0
    restarts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    finished_cpu_s: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    _children_cpu_s: float = 0.0

    def take(self, server: Any, worker: Any) -> int:
        """Give *worker* the smallest slot that no live worker holds; count restarts.

        A worker is a restart once as many have started as were ever wanted at once.
        """
        held = {other.slot for other in server.WORKERS.values()}
        slot = next(number for number in range(len(held) + 1) if number not in held)
        worker.slot = slot
        self.most_wanted = max(self.most_wanted, server.num_workers)
        self.restarts[slot] += self.started >= self.most_wanted
        self.started += 1
        return slot

    def free(self, slot: int) -> None:
        """Add the CPU time of the worker that just ended: the growth of all ended children's."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = usage.ru_utime + usage.ru_stime
        self.finished_cpu_s[slot] += total - self._children_cpu_s
        self._children_cpu_s = total


class ArbiterCollector(Collector):
    """The ``gunicorn_*`` metrics of one arbiter, read at each scrape."""

    def __init__(self, server: Any, slots: WorkerSlots) -> None:
        self._server = server
        self._slots = slots
        self._reported_cpu_s: dict[int, float] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; other systems than Linux lack CPU, memory and backlog."""
        workers = list(self._server.WORKERS.values())
        yield GaugeMetricFamily("gunicorn_workers", "Number of live workers", len(workers))
        yield self._restarts()
        if PROC.exists():
            yield self._cpu(workers)
            yield self._memory(workers)
        backlogs = [backlog(listener.sock) for listener in self._server.LISTENERS]
        if known := [one for one in backlogs if one is not None]:
            text = "TCP connections accepted by the kernel and not yet taken by a worker"
            waiting, limit = (sum(several) for several in zip(*known, strict=True))
            yield GaugeMetricFamily("gunicorn_backlog_connections", text, waiting)
            text = "TCP connections that the kernel accepts before a worker takes them"
            yield GaugeMetricFamily("gunicorn_backlog_limit", text, limit)
        yield self._addresses()

    def _addresses(self) -> Metric:
        """Return where the service listens: a run's host leads to it by that."""
        text = "Address of a listening TCP socket"
        family = GaugeMetricFamily("gunicorn_listener_info", text, labels=["address"])
        for listener in self._server.LISTENERS:
            if address := tcp_address(listener.sock):
                family.add_metric([address], 1)
        return family

    def _restarts(self) -> Metric:
        text = "Workers started in place of ones that ended"
        family = CounterMetricFamily("gunicorn_worker_restarts", text, labels=["slot"])
        for slot, restarts in sorted(self._slots.restarts.items()):
            family.add_metric([str(slot)], restarts)
        return family

    def _cpu(self, workers: list[Any]) -> Metric:
        text = "User and system CPU time used by a slot's current and earlier workers"
        family = CounterMetricFamily("gunicorn_worker_cpu_seconds", text, labels=["slot"])
        used, reported = self._slots.finished_cpu_s.copy(), self._reported_cpu_s
        for worker in workers:
            used[worker.slot] += cpu_seconds(worker.pid)
        for slot in sorted(used.keys() | reported.keys()):
            # a worker may have left the list and not be in the sums yet
            reported[slot] = max(used[slot], reported.get(slot, 0.0))
            family.add_metric([str(slot)], reported[slot])
        return family

    def _memory(self, workers: list[Any]) -> Metric:
        text = "Resident memory of a slot's current worker"
        family = GaugeMetricFamily("gunicorn_worker_resident_memory_bytes", text, labels=["slot"])
        for worker in workers:
            family.add_metric([str(worker.slot)], resident_bytes(worker.pid))
        return family


def backlog(listener: socket.socket | None) -> tuple[int, int] | None:
    """Return how many connections *listener* has that no worker accepted, and how many it may have.

    Linux has them in ``tcpi_unacked`` and ``tcpi_sacked`` of a listening socket
    (include/uapi/linux/tcp.h). None if unknown.
    """
    if listener is None or not PROC.exists():
        return None
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BACKLOG.size)
    except OSError:  # not a TCP socket
        return None
    waiting, limit = BACKLOG.unpack(info)
    return int(waiting), int(limit)


def tcp_address(listener: socket.socket | None) -> str:
    """Return ``HOST:PORT`` of a listening TCP socket, "" for any other."""
    if listener is None or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return ""
    try:
        host, port = listener.getsockname()[:2]
    except OSError:  # closed
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, 0 once it is gone (proc(5), fields 14, 15)."""
    try:
        after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, 0 once it is gone (proc(5), statm)."""
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * resource.getpagesize()
