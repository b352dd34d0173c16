"""The metrics of components and of outgoing calls, in one registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from swarmscope.server.labels import Observe, Observers
from swarmscope.server.slots import FILES

PART_SECONDS = "flask_http_request_part_seconds"  # a counter's samples end in _total
PART_CALLS = "flask_http_request_calls"
OUTGOING_SECONDS = "flask_http_outgoing_seconds"
OUTGOING_CALLS = "flask_http_outgoing_calls"
FAMILIES = frozenset({PART_SECONDS, PART_CALLS, OUTGOING_SECONDS, OUTGOING_CALLS})


class ComponentMetrics:
    """Counters of components by *group*, the label of a request's rule."""

    def __init__(self, registry: CollectorRegistry, group: str) -> None:
        labels = (group, "part")
        text = "Service time by component, in seconds"
        self._seconds = Counter(PART_SECONDS, text, labels, registry=registry)
        text = "Database statements, outgoing HTTP calls and cache commands"
        self._calls = Counter(PART_CALLS, text, labels, registry=registry)
        text = "Seconds from sending an outgoing HTTP call to the headers of its response"
        target = ("host", "method")
        self._outgoing_seconds = Counter(OUTGOING_SECONDS, text, target, registry=registry)
        text = "Outgoing HTTP calls; an error is a 5xx or no response"
        self._outgoing = Counter(OUTGOING_CALLS, text, (*target, "outcome"), registry=registry)
        self.add_seconds = Observers(lambda labels: self._seconds.labels(*labels)._value.inc)
        self.add_calls = Observers(lambda labels: self._calls.labels(*labels)._value.inc)
        self.observe_outgoing = Observers(self._outgoing_observer)
        FILES.add_keeper(self)

    def forget_cells(self) -> None:
        """Drop all observers: their values have moved."""
        for observers in (self.add_seconds, self.add_calls, self.observe_outgoing):
            observers.clear()

    def _outgoing_observer(self, labels: tuple[str, ...]) -> Observe:
        """Return a function that counts a call and adds its seconds."""
        host, method, _ = labels
        add = self._outgoing_seconds.labels(host, method).inc
        count = self._outgoing.labels(*labels).inc

        def observe(seconds: float) -> None:
            count()
            add(seconds)

        return observe
