"""What components cost a request, and each query, inside one process."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import gevent

from benchmarks._alternating import ALL, BARE, MEASURED, STOCK, service
from benchmarks._observation import request_to
from swarmscope.server.slots import FILES, use_slots

QUERIES = 20  # in a request
CASES = (  # what, path, in a greenlet, of how many one is counted
    ("request", "/hello/you", False, 1),
    ("request in a greenlet", "/hello/you", True, 1),
    ("query, sqlite3", f"/sqlite3/{QUERIES}", False, QUERIES),
    ("query, SQLAlchemy", f"/sqlalchemy/{QUERIES}", False, QUERIES),
    ("query, SQLAlchemy, in a greenlet", f"/sqlalchemy/{QUERIES}", True, QUERIES),
    ("request with a connection and one query", "/sqlalchemy/1", False, 1),
)


def measure(rounds: int) -> Iterator[tuple[str, str, list[float]]]:
    """Yield what, the kind, and the µs of CPU that it takes beyond bare: see `beyond`."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        use_slots()
        FILES.attach(Path(directory), "0")
        apps = {kind: service(kind) for kind in ALL if kind != STOCK}
        for what, path, in_greenlet, number in CASES:
            requests = {kind: _request(app, path, in_greenlet) for kind, app in apps.items()}
            kinds = requests if "sqlite3" not in what else (BARE, MEASURED)
            taken = times({kind: requests[kind] for kind in kinds}, rounds)
            yield what, BARE, [one / number for one in _low(taken[BARE])]
            for kind in taken.keys() - {BARE}:
                yield what, kind, [one / number for one in beyond(taken[kind], taken[BARE])]


def _request(app: Callable[..., Any], path: str, in_greenlet: bool) -> Callable[[], object]:
    request = request_to(app, path)
    return (lambda: gevent.spawn(request).join()) if in_greenlet else request


def times(requests: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the µs of CPU of each kind's requests, interleaved in random order."""
    taken: dict[str, list[float]] = {kind: [] for kind in requests}
    for _ in range(rounds):
        for kind in random.sample(list(requests), len(requests)):
            began = process_time()
            for _ in range(5):
                requests[kind]()
            taken[kind].append((process_time() - began) / 5 * 1e6)
    return taken


def _low(taken: list[float]) -> list[float]:
    """Return the 5th, 10th and 25th percentile: whatever else runs only adds to a time."""
    found = statistics.quantiles(taken, n=20)
    return [found[0], found[1], found[4]]


def beyond(taken: list[float], bare: list[float]) -> list[float]:
    """Return how far the 5th, 10th and 25th percentile are beyond those of *bare*."""
    return [one - other for one, other in zip(_low(taken), _low(bare), strict=True)]
