"""Locust's own state as Prometheus metrics, served by the master (or a single process)."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Iterator

from gevent.pywsgi import WSGIServer
from locust.env import Environment
from locust.runners import STATE_MISSING, STATE_STOPPED, MasterRunner
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swarmscope.client.health.trust import ALL_WORKERS, TrustKeeper
from swarmscope.client.master import listening
from swarmscope.client.master.rejections import rejected
from swarmscope.client.objective import Limits
from swarmscope.client.recording.backlog import Backlog
from swarmscope.client.recording.run_links import both_ends_link
from swarmscope.machine.families import Machine

logger = logging.getLogger(__name__)


class LocustCollector(Collector):
    """Reads Locust's state at each scrape; keeps none of its own."""

    def __init__(
        self,
        environment: Environment,
        keeper: TrustKeeper,
        objective: Callable[[], Limits | None],
        backlogs: Callable[[], dict[str, Backlog]],
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._keeper = keeper
        self._run_objective = objective
        self._backlogs = backlogs
        self._clock = clock
        self._machine = Machine()

    def collect(self) -> Iterable[Metric]:
        """Yield all families; a figure that was not measured has no sample, never 0."""
        yield self._page()
        yield from self._users()
        yield from self._health()
        yield from self._delivery()
        yield from self._messages()
        yield from self._machine_families()

    def _page(self) -> Metric:
        """Return where runs can be seen, for links of dashboards; no sample without a web UI."""
        text = "Address of the page Both ends in Locust's web UI."
        family = GaugeMetricFamily("locust_page_info", text, labels=["address"])
        if address := both_ends_link(self._environment):
            family.add_metric([address], 1)
        return family

    def _users(self) -> Iterator[Metric]:
        runner = self._environment.runner
        if runner is None:
            return
        yield GaugeMetricFamily("locust_users", "Simulated users.", runner.user_count)
        target = 0 if runner.state == STATE_STOPPED else runner.target_user_count
        yield GaugeMetricFamily("locust_users_target", "Target number of simulated users.", target)
        if isinstance(runner, MasterRunner):
            workers = GaugeMetricFamily("locust_workers", "Workers by state.", labels=["state"])
            for state in ("ready", "spawning", "running", STATE_MISSING):
                count = sum(worker.state == state for worker in runner.clients.values())
                workers.add_metric([state], count)
            yield workers
            yield self._users_of(runner)
        yield from self._objective()

    def _objective(self) -> Iterator[Metric]:
        """Yield the limits that Prometheus's rules and alerts use while a run is running."""
        text = "Response time that the run's objective allows at p95."
        limit = GaugeMetricFamily("locust_run_objective_seconds", text)
        text = "Share of failed requests that the run's objective allows."
        ratio = GaugeMetricFamily("locust_run_objective_fail_ratio", text)
        if objective := self._run_objective():
            limit.add_metric([], objective.limit_ms / 1000)
            ratio.add_metric([], objective.fail_ratio)
        yield from (limit, ratio)

    @staticmethod
    def _users_of(runner: MasterRunner) -> Metric:
        """Return how users are distributed: a busy worker may have more than its share."""
        text = "Simulated users of a worker, as last reported."
        family = _by_worker("locust_worker_users", text)
        for name, worker in runner.clients.items():
            family.add_metric([name], worker.user_count)
        return family

    def _health(self) -> Iterator[Metric]:
        cpu = _by_worker("locust_worker_cpu_ratio", "CPU seconds used per second (1 = one core).")
        text = "Mean time that an event arriving at a random moment waits for the event loop."
        lag = _by_worker("locust_event_loop_lag_seconds", text)
        text = "Seconds per second in which the worker was ready to run and did not."
        delay = _by_worker("locust_worker_run_delay_ratio", text)
        text = "Variance over mean of requests started per 100 ms (1 = random arrivals)."
        ratio = _by_worker("locust_arrival_dispersion_ratio", text)
        for worker, health in list(self._keeper.latest.items()):
            cpu.add_metric([worker], health.cpu_ratio)
            lag.add_metric([worker], health.loop_lag_seconds)
            if health.run_delay_ratio is not None:
                delay.add_metric([worker], health.run_delay_ratio)
        now = self._clock()
        for worker in [*self._keeper.latest, ALL_WORKERS]:
            value = self._keeper.arrivals.dispersion(worker, now)
            if value is not None:
                ratio.add_metric([worker], value)
        yield from (cpu, lag, delay, ratio)

    def _machine_families(self) -> Iterator[Metric]:
        """Yield what is known of this machine; workers on it are our own processes, too."""
        for worker, health in list(self._keeper.latest.items()):
            if worker.startswith(f"{socket.gethostname()}_"):  # as Locust names workers
                self._machine.add(health.pid)
        for family in self._machine.families():
            yield family.metric(CounterMetricFamily, GaugeMetricFamily)

    def _delivery(self) -> Iterator[Metric]:
        text = "Bytes of the journal not yet in the database."
        unshipped = _by_worker("swarmscope_journal_unshipped_bytes", text)
        text = "Age of the oldest record not yet in the database."
        lag = _by_worker("swarmscope_ship_lag_seconds", text)
        text = "Samples dropped because the journal could not be written."
        dropped = CounterMetricFamily("swarmscope_samples_dropped", text, labels=["worker"])
        for worker, backlog in self._backlogs().items():
            unshipped.add_metric([worker], backlog.unshipped_bytes)
            lag.add_metric([worker], backlog.lag_seconds)
            dropped.add_metric([worker], backlog.dropped)
        yield from (unshipped, lag, dropped)

    def _messages(self) -> Iterator[Metric]:
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            return
        text = "1 while the master listens to its workers; restart it at 0."
        yield GaugeMetricFamily("locust_master_listening", text, int(listening.to_workers(runner)))
        text = "Malformed messages from workers, dropped."
        dropped = CounterMetricFamily("locust_messages_rejected", text, labels=["kind"])
        for kind, number in rejected.items():
            dropped.add_metric([kind], number)
        yield dropped


def _by_worker(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["worker"])


def serve(collector: Collector, host: str, port: int) -> WSGIServer | None:
    """Serve `/metrics` of *collector* from Locust's own event loop.

    If the port is taken, log one line and return None; the swarm goes on.
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
            "Cannot serve Locust's metrics on port %s of %s: %s;"
            " choose another with --metrics-port or LOCUST_METRICS_PORT",
            port,
            host,
            error.strerror or error,
        )
        return None
    where = f"[{host}]" if ":" in host else host
    logger.info("Serving Locust's metrics at http://%s:%s/metrics", where, server.server_port)
    return server
