"""Metrics of the machine, or the container, that gunicorn runs on."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from swarmscope.machine.families import Machine


class MachineCollector(Collector):
    """Reads the machine at each scrape; the arbiter and what it has started are its own."""

    def __init__(self) -> None:
        self._machine = Machine()

    def collect(self) -> Iterator[Metric]:
        """Yield what is known."""
        for family in self._machine.families():
            yield family.metric(CounterMetricFamily, GaugeMetricFamily)
