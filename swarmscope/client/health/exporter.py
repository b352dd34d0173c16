"""Locust's own state as Prometheus metrics, served by the master (or a single process)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from gevent.pywsgi import WSGIServer
from locust.env import Environment
from locust.runners import STATE_MISSING, STATE_STOPPED, MasterRunner
from locust.stats import StatsEntry
from msgspec import Meta
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swarmscope.client.capacity.trial import Objective
from swarmscope.client.health.trust import ALL_WORKERS, TrustKeeper
from swarmscope.client.master import listening
from swarmscope.client.master.messages import Count, Quantity, convert
from swarmscope.client.master.rejections import rejected
from swarmscope.redaction import MAX_NAME, stored_name

logger = logging.getLogger(__name__)

MAX_NAMES = 200  # series of requests are bounded; the rest is counted under OTHER
OTHER = "(other)"


@dataclass(frozen=True)
class RunInfo:
    """The labels of `locust_run_info`, and the objective that the run's options name."""

    run_id: str
    testplan: str
    objective: Objective | None = None


@dataclass(frozen=True)
class Shipping:
    """How far one worker's samples are from the database."""

    unshipped_bytes: int
    lag_seconds: float
    dropped: int
    removed: int = 0  # journals that somebody deleted: nobody here knows what of them was lost

    @property
    def is_whole(self) -> bool:
        """Whether no sample was lost, as far as the worker knows."""
        return not (self.dropped or self.removed)


REPORT_KEY = "swarmscope_journal"
JournalReport = tuple[Annotated[str, Meta(max_length=64)], Count, Quantity, Count, Count]


def read_report(data: Any) -> tuple[str, Shipping]:
    """Return a worker's journal, and how far it is shipped; raises ValueError for anything else."""
    journal, *figures = convert(data, JournalReport)
    return journal, Shipping(*figures)


class LocustCollector(Collector):
    """Reads Locust's state at each scrape; keeps none of its own."""

    def __init__(
        self,
        environment: Environment,
        keeper: TrustKeeper,
        run_info: Callable[[], RunInfo | None],
        shipping: Callable[[], dict[str, Shipping]],
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._keeper = keeper
        self._run_info = run_info
        self._shipping = shipping
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """Yield all families; an absent figure has no sample rather than a zero."""
        yield from self._users()
        yield from self._requests()
        yield from self._health()
        yield from self._ship()
        yield from self._messages()

    def _users(self) -> Iterator[Metric]:
        runner = self._environment.runner
        if runner is None:
            return
        yield GaugeMetricFamily("locust_users", "Simulated users now.", runner.user_count)
        target = 0 if runner.state == STATE_STOPPED else runner.target_user_count
        yield GaugeMetricFamily("locust_users_target", "Simulated users aimed at.", target)
        if isinstance(runner, MasterRunner):
            workers = GaugeMetricFamily("locust_workers", "Workers by state.", labels=["state"])
            for state in ("ready", "spawning", "running", STATE_MISSING):
                count = sum(worker.state == state for worker in runner.clients.values())
                workers.add_metric([state], count)
            yield workers
            yield self._users_of(runner)
        info = GaugeMetricFamily(
            "locust_run_info", "1 while this run is on.", labels=["run_id", "testplan"]
        )
        if run := self._run_info():
            info.add_metric([run.run_id, _utf8(run.testplan)], 1)
        yield info
        yield from self._objective()

    def _objective(self) -> Iterator[Metric]:
        """Yield the limits that Prometheus's rules and alerts go by while a run is on."""
        text = "Client latency that the run's objective allows at p95."
        limit = GaugeMetricFamily("locust_run_objective_seconds", text)
        text = "Share of failed requests that the run's objective allows."
        ratio = GaugeMetricFamily("locust_run_objective_fail_ratio", text)
        if (run := self._run_info()) and run.objective:
            limit.add_metric([], run.objective.limit_ms / 1000)
            ratio.add_metric([], run.objective.fail_ratio)
        yield from (limit, ratio)

    @staticmethod
    def _users_of(runner: MasterRunner) -> Metric:
        """Return how the users are shared out: a busy worker may have more than its part."""
        text = "Simulated users of a worker, as it last reported."
        family = GaugeMetricFamily("locust_worker_users", text, labels=["worker"])
        for name, worker in runner.clients.items():
            family.add_metric([name], worker.user_count)
        return family

    def _requests(self) -> Iterator[Metric]:
        labels = ["name", "method"]
        requests = CounterMetricFamily("locust_requests", "Requests finished.", labels=labels)
        failures = CounterMetricFamily("locust_failures", "Requests failed.", labels=labels)
        runner = self._environment.runner
        entries = runner.stats.entries.values() if runner else ()
        for key, (done, failed) in _bounded(entries).items():
            requests.add_metric(key, done)
            failures.add_metric(key, failed)
        yield requests
        yield failures

    def _health(self) -> Iterator[Metric]:
        cpu = GaugeMetricFamily(
            "locust_worker_cpu_ratio", "CPU seconds a second; 1 is a full core.", labels=["worker"]
        )
        lag = GaugeMetricFamily(
            "locust_event_loop_lag_seconds",
            "Mean wait for the event loop of an event that arrives at a random moment.",
            labels=["worker"],
        )
        ratio = GaugeMetricFamily(
            "locust_arrival_dispersion_ratio",
            "Variance over mean of the requests started per 100 ms; random arrivals have 1.",
            labels=["worker"],
        )
        for worker, health in list(self._keeper.latest.items()):
            cpu.add_metric([worker], health.cpu_ratio)
            lag.add_metric([worker], health.loop_lag_seconds)
        now = self._clock()
        for worker in [*self._keeper.latest, ALL_WORKERS]:
            value = self._keeper.arrivals.dispersion(worker, now)
            if value is not None:
                ratio.add_metric([worker], value)
        yield from (cpu, lag, ratio)

    def _ship(self) -> Iterator[Metric]:
        unshipped = GaugeMetricFamily(
            "swarmscope_journal_unshipped_bytes", "Journal not in the database.", labels=["worker"]
        )
        lag = GaugeMetricFamily(
            "swarmscope_ship_lag_seconds", "Age of the oldest such record.", labels=["worker"]
        )
        dropped = CounterMetricFamily(
            "swarmscope_samples_dropped", "Samples dropped, journal full.", labels=["worker"]
        )
        for worker, state in self._shipping().items():
            unshipped.add_metric([worker], state.unshipped_bytes)
            lag.add_metric([worker], state.lag_seconds)
            dropped.add_metric([worker], state.dropped)
        yield from (unshipped, lag, dropped)

    def _messages(self) -> Iterator[Metric]:
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            return
        text = "1 while the master listens to its workers; 0: restart it."
        yield GaugeMetricFamily("locust_master_listening", text, int(listening.to_workers(runner)))
        text = "Malformed messages of workers, dropped."
        dropped = CounterMetricFamily("locust_messages_rejected", text, labels=["kind"])
        for kind, number in rejected.items():
            dropped.add_metric([kind], number)
        yield dropped


def _bounded(entries: Iterable[StatsEntry]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (requests, failures) by (name, method), named as in the runs database.

    The first `MAX_NAMES` of them; the rest as one.
    """
    entries = list(entries)
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in entries:
        key = (_utf8(stored_name(str(entry.name))), _utf8(stored_name(str(entry.method))))
        if key not in counts and len(counts) >= MAX_NAMES:
            key = OTHER, ""
        done, failed = counts.get(key, (0, 0))
        counts[key] = (done + entry.num_requests, failed + entry.num_failures)
    return counts


def _utf8(label: object) -> str:
    """Return a label value that the exposition format can carry."""
    return str(label)[:MAX_NAME].encode("utf-8", "replace").decode()


def serve(collector: Collector, host: str, port: int) -> WSGIServer | None:
    """Serve `/metrics` of *collector* from Locust's own event loop.

    A taken port is one line in the log, never the end of the swarm; returns None then.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    metrics = make_wsgi_app(registry, disable_compression=True)

    def only_metrics(environ, start_response):  # type: ignore[no-untyped-def]
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"only /metrics\n"]
        return metrics(environ, start_response)

    server = WSGIServer((host, port), only_metrics, log=None, error_log=logger)
    try:
        server.start()
    except OSError as error:
        logger.error(
            "Locust's metrics are not served: port %s of %s: %s; "
            "--metrics-port or LOCUST_METRICS_PORT moves it",
            port,
            host,
            error.strerror or error,
        )
        return None
    where = f"[{host}]" if ":" in host else host
    logger.info("Serving Locust's metrics at http://%s:%s/metrics", where, server.server_port)
    return server
