"""What one observation costs, inside one process."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time, time
from typing import Any

from flask import Flask
from prometheus_client import CollectorRegistry, Histogram, values
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics
from werkzeug.test import create_environ

from swarmscope.server import BUCKETS, instrument
from swarmscope.server.slots import FILES, observer, use_slots

PARTS = ("requests", "queue_time", "in_flight", "server_timing", "trace_ids")
ROUNDS = 400
CALLS = 25

Operation = Callable[[], object]


def quartiles_us(
    operations: dict[str, Operation], baseline: str | None = None
) -> dict[str, list[float]]:
    """Return the quartiles of each operation's CPU time in µs, interleaved in random order.

    All but *baseline* by what they take more than that in the same round.
    """
    taken: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(ROUNDS):
        for name in random.sample(list(operations), len(operations)):
            operation = operations[name]
            began = process_time()
            for _ in range(CALLS):
                operation()
            taken[name].append((process_time() - began) / CALLS * 1e6)
    if baseline is not None:
        for name in operations.keys() - {baseline}:
            taken[name] = [one - two for one, two in zip(taken[name], taken[baseline], strict=True)]
    return {name: statistics.quantiles(several, n=4) for name, several in taken.items()}


def value_operations(stock: type, slot: type) -> dict[str, Operation]:
    """Return additions to one value of each class, and observations in a histogram of 59 edges."""
    labels: tuple[str, str, str, list[str], list[str], str] = ("counter", "c", "c", [], [], "")
    one_process, files, in_place = (cls(*labels) for cls in (values.MutexValue, stock, slot))
    histograms = []
    for cls in (stock, slot):
        values.ValueClass = cls
        registry = CollectorRegistry()
        histograms.append(Histogram("h", "", ["x"], buckets=BUCKETS, registry=registry).labels("x"))
    lean = observer(histograms[1])
    return {
        "value: one process": lambda: one_process.inc(1),
        "value: prometheus_client's file": lambda: files.inc(1),
        "value: slot's file": lambda: in_place.inc(1),
        "histogram: prometheus_client's": lambda: histograms[0].observe(0.02),
        "histogram: ours": lambda: lean(0.02),
    }


def request_operations(stock: type, slot: type) -> dict[str, Operation]:
    """Return a request to a Flask app: bare, with each part of `instrument`, with the exporter."""
    apps = {"request: bare": Flask("bare"), "request: + stock exporter": Flask("stock")}
    values.ValueClass = stock
    GunicornPrometheusMetrics(
        apps["request: + stock exporter"], group_by="url_rule", registry=CollectorRegistry()
    )
    values.ValueClass = slot
    off = dict.fromkeys(PARTS, False)
    for part in (None, *PARTS[:-1]):
        name = (
            f"request: + instrument, {part} only"
            if part
            else "request: + instrument, all parts off"
        )
        apps[name] = Flask(name)
        instrument(apps[name], **{**off, **({part: True} if part else {})})  # type: ignore[arg-type]
    apps["request: + instrument"] = Flask("ours")
    instrument(apps["request: + instrument"])
    return {name: _request(app) for name, app in apps.items()}


def _request(app: Flask) -> Operation:
    @app.get("/hello/<name>")
    def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    return request_to(app, "/hello/you")


def request_to(app: Callable[..., Any], path: str) -> Operation:
    """Return a GET of *path* of a WSGI *app*, with the time at which it was sent."""
    environ = create_environ(path)

    def answer(*_: Any) -> Any:
        return None

    def request() -> None:
        environ["HTTP_X_REQUEST_START"] = f"t={time():.6f}"
        body: Any = app(dict(environ), answer)
        for _ in body:
            pass
        body.close()

    return request


def measure() -> dict[str, list[float]]:
    """Return quartiles in µs of everything above."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # for prometheus_client's own files
        use_slots()
        FILES.attach(Path(directory), "0")
        slot, stock = values.ValueClass, values.MultiProcessValue()
        return quartiles_us(value_operations(stock, slot)) | quartiles_us(
            request_operations(stock, slot), "request: bare"
        )
