"""Two hours of both ends' metrics in a Prometheus of its own: what dashboards are read from.

The series are those of a service with ten routes and four workers and of a Locust with four. Their
values are even: what a query costs depends on how many there are.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._ports import free_port
from swarmscope.server.components.breakdown import COMPONENTS
from swarmscope.server.components.component_metrics import (
    PART_CALLS,
    PART_SECONDS,
    POOL_CONNECTIONS,
    POOL_HOLD,
    POOL_TIMEOUTS,
    POOL_WAIT,
)
from swarmscope.server.components.statement_metrics import (
    STATEMENT_CALLS,
    STATEMENT_LONGEST,
    STATEMENT_ROWS,
    STATEMENT_SECONDS,
)
from swarmscope.server.metrics import BUCKETS, DURATION, QUEUE

SCRAPE_S = 2
ROUTES_S = 10
BY_ROUTE, BY_ROUTE_QUEUE = "job_instance_method_url_rule_le", "job_instance_url_rule_le"
ROUTES = 10
STATEMENTS = 8  # of a route
WORKERS = 4
REQUESTS_PER_S = 500.0  # to a route
SERVER_ERRORS = 0.005
MEDIAN_S, SPREAD = 0.02, 0.6  # log-normal
START_S = 60.0

Series = tuple[str, float]  # name and labels; increase a second, or level
FIRING: Series = ('ALERTS{alertname="ErrorsFrequent",alertstate="firing",job="api"}', 1)


def write_scraped(file: Path, begin: int, seconds: int, scrape_s: int) -> None:
    """Write what is scraped every *scrape_s*, and nothing that rules make of it."""
    _write(file, begin, range(0, seconds + 1, scrape_s), [*_gauges()], [])


def write(file: Path, begin: int, seconds: int) -> None:
    """Write the metrics of *seconds* from *begin* on (Unix time), as OpenMetrics text."""
    gauges = [*_gauges(), FIRING, *_recorded()]
    _write(file, begin, range(0, seconds + 1, SCRAPE_S), gauges, [*_recorded_by_route()])


def _write(
    file: Path, begin: int, moments: range, gauges: list[Series], by_route: list[Series]
) -> None:
    counters = [*_counters()]
    with file.open("w") as output:
        for elapsed in moments:
            at = begin + elapsed
            wave = 1 + 0.1 * math.sin(elapsed / 60)
            output.writelines(f"{name} {rate * elapsed:.6g} {at}\n" for name, rate in counters)
            levels = gauges if elapsed % ROUTES_S else [*gauges, *by_route]
            output.writelines(f"{name} {level * wave:.6g} {at}\n" for name, level in levels)
        output.write("# EOF\n")


def _share_below(edge_s: float) -> float:
    return (1 + math.erf(math.log(edge_s / MEDIAN_S) / SPREAD / math.sqrt(2))) / 2


def _buckets(name: str, labels: str, rate: float) -> Iterator[Series]:
    for edge in BUCKETS:
        yield f'{name}{{{labels},le="{edge}"}}', rate * _share_below(edge)
    yield f'{name}{{{labels},le="+Inf"}}', rate


def _histogram(name: str, labels: str, rate: float) -> Iterator[Series]:
    yield from _buckets(f"{name}_bucket", labels, rate)
    yield f"{name}_count{{{labels}}}", rate
    yield f"{name}_sum{{{labels}}}", rate * MEDIAN_S


def _counters() -> Iterator[Series]:
    api = 'job="api",instance="127.0.0.1:9102"'
    for route in range(ROUTES):
        rule = f'{api},url_rule="/tests/{route}"'
        for status, share in (("200", 1 - SERVER_ERRORS), ("503", SERVER_ERRORS)):
            labels = f'{rule},method="GET",status="{status}"'
            yield from _histogram(DURATION, labels, REQUESTS_PER_S * share)
        yield from _histogram(QUEUE, rule, REQUESTS_PER_S)
        yield from _components(rule)
    yield from _histogram(POOL_WAIT, f'{api},pool="sqlite"', ROUTES * REQUESTS_PER_S)
    yield f'{POOL_TIMEOUTS}_total{{{api},pool="sqlite"}}', 0.001
    called = f'{api},host="127.0.0.1:5001",method="GET"'
    yield f"flask_http_outgoing_seconds_total{{{called}}}", REQUESTS_PER_S * MEDIAN_S / 2
    yield f'flask_http_outgoing_calls_total{{{called},outcome="ok"}}', REQUESTS_PER_S
    for slot in range(WORKERS):
        yield f'gunicorn_worker_cpu_seconds_total{{{api},slot="{slot}"}}', 0.7
        yield f'gunicorn_worker_restarts_total{{{api},slot="{slot}"}}', 0.001
        yield f'swarmscope_samples_dropped_total{{job="locust",worker="w{slot}"}}', 0.001


def _components(rule: str) -> Iterator[Series]:
    """Yield what the service time of a route is made of, and the statements that it executes."""
    for part in COMPONENTS:
        seconds = REQUESTS_PER_S * MEDIAN_S / len(COMPONENTS)
        yield f'{PART_SECONDS}_total{{{rule},part="{part}"}}', seconds
    for part in ("db", "http", "cache"):
        yield f'{PART_CALLS}_total{{{rule},part="{part}"}}', STATEMENTS * REQUESTS_PER_S
    yield from _histogram(POOL_HOLD, rule, REQUESTS_PER_S)
    for number in range(STATEMENTS):
        labels = f'{rule},method="GET",statement="SELECT * FROM t{number} WHERE id = ?"'
        for name in (STATEMENT_CALLS, STATEMENT_ROWS):
            yield f"{name}_total{{{labels}}}", REQUESTS_PER_S
        yield f"{STATEMENT_SECONDS}_total{{{labels}}}", REQUESTS_PER_S * MEDIAN_S / 60


def _gauges() -> Iterator[Series]:
    api = 'job="api",instance="127.0.0.1:9102"'
    for name, level in {
        "gunicorn_workers": 4,
        "gunicorn_backlog_connections": 20,
        "flask_http_requests_in_flight": 30,
        "up": 1,
        "scrape_duration_seconds": 0.01,
        "scrape_samples_scraped": 2_000,
    }.items():
        yield f"{name}{{{api}}}", level
    for state, level in (("in_use", 20), ("waiting", 5), ("limit", 40)):
        yield f'{POOL_CONNECTIONS}{{{api},pool="sqlite",state="{state}"}}', level
    for route in range(ROUTES):
        for number in range(STATEMENTS):
            statement = f'method="GET",statement="SELECT * FROM t{number} WHERE id = ?"'
            yield f'{STATEMENT_LONGEST}{{{api},url_rule="/tests/{route}",{statement}}}', 0.2
    for slot in range(WORKERS):
        yield f'gunicorn_worker_resident_memory_bytes{{{api},slot="{slot}"}}', 6e7
        for name, level in {
            "locust_worker_cpu_ratio": 0.5,
            "locust_event_loop_lag_seconds": 0.002,
            "locust_arrival_dispersion_ratio": 1.2,
            "locust_worker_users": 1250,
            "swarmscope_journal_unshipped_bytes": 1e5,
            "swarmscope_ship_lag_seconds": 0.3,
        }.items():
            yield f'{name}{{job="locust",worker="w{slot}"}}', level
    yield 'locust_arrival_dispersion_ratio{job="locust",worker="all"}', 1.1
    yield 'locust_users{job="locust"}', 5_000
    yield 'locust_users_target{job="locust"}', 5_000
    yield 'locust_workers{job="locust",state="running"}', 4


def _recorded() -> Iterator[Series]:
    """Yield what the recording rules make at every scrape, as far as panels ask for it."""
    yield "swarmscope:objective_seconds", 0.45
    yield "swarmscope:objective_fail_ratio", 0.01
    rate = ROUTES * REQUESTS_PER_S
    yield f'job:{DURATION}_count:rate10s{{job="api"}}', rate
    yield from _buckets(f"job_le:{DURATION}_bucket:rate10s", 'job="api"', rate)


def _recorded_by_route() -> Iterator[Series]:
    """Yield what the recording rules make every `ROUTES_S`."""
    for route in range(ROUTES):
        labels = f'job="api",instance="127.0.0.1:9102",url_rule="/tests/{route}"'
        duration, queue = f"{BY_ROUTE}:{DURATION}_bucket", f"{BY_ROUTE_QUEUE}:{QUEUE}_bucket"
        yield from _buckets(f"{duration}:rate10s", f'{labels},method="GET"', REQUESTS_PER_S)
        yield from _buckets(f"{queue}:rate10s", labels, REQUESTS_PER_S)


def import_into(directory: Path, begin: int, seconds: int) -> None:
    """Make the data of a Prometheus in *directory*; does nothing when it is there."""
    if directory.exists():
        return
    text = directory.with_suffix(".txt")
    write(text, begin, seconds)
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(directory)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    text.unlink()


@contextmanager
def prometheus(directory: Path) -> Iterator[str]:
    """Serve the data in *directory* until the block ends; yields Prometheus's address."""
    port = free_port()
    configuration = directory.with_suffix(".yml")
    configuration.write_text("{}\n")
    command = ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={directory}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=10y"]
    url = f"http://127.0.0.1:{port}"
    with directory.with_suffix(".log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(url)
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()
            return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def ask(url: str, path: str, **parameters: object) -> list[Any]:
    """Return the series that answer a query; raises RuntimeError when it is refused."""
    data = urllib.parse.urlencode(parameters).encode()
    with urllib.request.urlopen(f"{url}/api/v1/{path}", data, timeout=60) as answer:
        said = json.load(answer)
    if said["status"] != "success":
        raise RuntimeError(said)
    return list(said["data"]["result"])
