"""Locust workers that only report: what a master must take in, without any user.

python -m benchmarks._worker_reports PORT WORKERS SECONDS

Each sends what a real worker of ten endpoints sends: a heartbeat a second, a question for the time
every five, and every three seconds its statistics, with swarmscope's health and backlog.
"""

from __future__ import annotations

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # plain sockets and sleeps: nothing waits for another
import heapq
import random
import sys
import time
from functools import lru_cache
from typing import Any

import locust
import zmq
from locust.rpc import Message
from locust.runners import HEARTBEAT_INTERVAL, WORKER_REPORT_INTERVAL
from locust.stats import RequestStats

from swarmscope.client.clock import MESSAGE, PAUSE_SECONDS
from swarmscope.client.health.monitor import MESSAGE_KEY
from swarmscope.client.recording.backlog import REPORT_KEY

ENDPOINTS = 10
REQUESTS = 1_500  # in a report: statistics are sums, so more of them are hardly more bytes


class Reporter:
    """One worker's side of the connection."""

    def __init__(self, context: zmq.Context[Any], port: int, number: int) -> None:
        self._identity = f"host-{number}_{random.randbytes(16).hex()}"
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self._identity.encode())
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._send("client_ready", locust.__version__)

    def _send(self, kind: str, data: Any) -> None:
        self._socket.send(Message(kind, data, self._identity).serialize())

    def heartbeat(self) -> None:
        """Send a heartbeat, and discard the master's messages."""
        self._send(
            "heartbeat", {"state": "running", "current_cpu_usage": 50.0, "current_memory_usage": 1}
        )
        while self._socket.poll(0):
            self._socket.recv()

    def ask(self) -> None:
        """Ask for the master's time."""
        self._send(MESSAGE, {"asked": time.time()})

    def report(self) -> None:
        """Send the statistics of the last three seconds."""
        self._send("stats", report(int(time.time())))


@lru_cache(maxsize=1)
def report(second: int) -> dict[str, Any]:
    """Return what a worker's listeners put into a report; one for all workers of a second."""
    stats = RequestStats()
    for number in range(REQUESTS):
        name = f"/tests/{number % ENDPOINTS}"
        stats.log_request("GET", name, int(random.lognormvariate(3, 0.6)), 345)
    window = second * 10
    return {
        "stats": stats.serialize_stats(),
        "stats_total": stats.total.get_stripped_report(),
        "errors": {},
        "user_classes_count": {"Visitor": 1000},
        "user_count": 1000,
        MESSAGE_KEY: {
            "cpu_ratio": 0.5,
            "loop_lag_seconds": 0.001,
            "starts": [(window - back, REQUESTS // 30) for back in range(30)],
        },
        REPORT_KEY: (random.randbytes(16).hex(), 1_000, 0.1, 0, 0),
    }


def run(port: int, workers: int, seconds: float) -> int:
    """Report until the time is up, every worker at moments of its own; return all messages sent."""
    context: zmq.Context[Any] = zmq.Context()
    reporters = [Reporter(context, port, number) for number in range(workers)]
    began = time.monotonic()
    due: list[tuple[float, int, float, Any]] = []
    for number, reporter in enumerate(reporters):
        for kind, (period, act) in enumerate(
            (
                (HEARTBEAT_INTERVAL, reporter.heartbeat),
                (WORKER_REPORT_INTERVAL, reporter.report),
                (PAUSE_SECONDS, reporter.ask),
            )
        ):
            due.append((began + random.random() * period, 3 * number + kind, period, act))
    heapq.heapify(due)
    sent = 0
    while (now := time.monotonic()) < began + seconds:
        moment, number, period, act = due[0]
        time.sleep(max(0.0, moment - now))
        act()
        sent += 1
        heapq.heapreplace(due, (moment + period, number, period, act))
    return sent


if __name__ == "__main__":
    workers, seconds = int(sys.argv[2]), float(sys.argv[3])
    expected = (
        workers
        * seconds
        * (1 / HEARTBEAT_INTERVAL + 1 / WORKER_REPORT_INTERVAL + 1 / PAUSE_SECONDS)
    )
    if run(int(sys.argv[1]), workers, seconds) < 0.95 * expected:
        sys.exit("this machine is too busy to play so many workers")
