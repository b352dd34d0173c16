"""Which service took the time: each one's figures in a span of a run, and what they say in words.

Figures are those of all of a service's traffic, from its own metrics, as means: a mean per call and
the same time seen from the other end may be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from swarmscope.formatting import digits
from swarmscope.runs.document import CallFigures, ServiceFigures
from swarmscope.runs.resources.model import Points
from swarmscope.runs.server_series import CallKey, Capture

MIN_WAIT_MS = 10.0  # a shorter mean per call is not worth a sentence
MIN_WAIT_SHARE = 0.02  # of the caller's service time
MIN_QUEUE_SHARE = 0.2  # of what the called service took


def figures(capture: Capture, since: datetime, until: datetime) -> list[ServiceFigures]:
    """Return the figures of [since, until] of the services that counted a request in it."""
    span = _Span(capture, since, until)
    found = (span.service(service.name, service.role) for service in capture.services)
    return [service for service in found if service.requests_per_s]


class _Span:
    """The points of a capture whose moments are in [since, until]."""

    def __init__(self, capture: Capture, since: datetime, until: datetime) -> None:
        self._capture = capture
        ends = ((at - capture.since).total_seconds() / capture.step_s for at in (since, until))
        first, last = (max(0, round(end)) for end in ends)
        self._inside = slice(first, last + 1)

    def service(self, job: str, role: str) -> ServiceFigures:
        """Return the figures of *job*."""
        rates = self._of_job(job, "requests_per_s")
        rate = _mean(rates)
        hosts = sorted({key.host for key in self._capture.calls if key.job == job})
        calls = [self._call(job, host, rate) for host in hosts]
        calls = [call for call in calls if call.calls_per_s]
        waits = [(call.per_request or 0.0) * (call.mean_ms or 0.0) for call in calls]
        return ServiceFigures(
            name=job,
            role=role,
            requests_per_s=rate,
            error_ratio=_ratio(_mean(self._of_job(job, "errors_per_s")), rate),
            service_mean_ms=_weighted(self._of_job(job, "mean_ms"), rates),
            queue_mean_ms=_weighted(self._of_job(job, "queue_mean_ms"), rates),
            waiting_ms=sum(waits) if calls else None,
            calls=[call for _, call in sorted(zip(waits, calls, strict=True), key=_most)],
        )

    def _call(self, job: str, host: str, requests_per_s: float | None) -> CallFigures:
        rates, errors, means = (
            self._cut(self._capture.calls.get(CallKey(job, host, name)))
            for name in ("calls_per_s", "errors_per_s", "mean_ms")
        )
        rate = _mean(rates)
        return CallFigures(
            host=host,
            service=self._capture.places.get(host),
            calls_per_s=rate,
            per_request=_ratio(rate, requests_per_s),
            mean_ms=_weighted(means, rates),
            error_ratio=_ratio(_mean(errors), rate),
        )

    def _of_job(self, job: str, name: str) -> Points:
        return self._cut(self._capture.series.get((job, name)))

    def _cut(self, points: Points | None) -> Points:
        return (points or [])[self._inside]


def _most(pair: tuple[float, CallFigures]) -> tuple[float, str]:
    wait, call = pair
    return -wait, call.host


def _mean(points: Points) -> float | None:
    known = [value for value in points if value is not None]
    return sum(known) / len(known) if known else None


def _weighted(points: Points, weights: Points) -> float | None:
    """Return the mean of *points*, each counted as often as its weight says."""
    pairs = [
        (value, weight)
        for value, weight in zip(points, weights, strict=False)
        if value is not None and weight
    ]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def sentences(services: Sequence[ServiceFigures]) -> list[str]:
    """Return where services waited for others, both ends in a sentence; none for short waits.

    ``shop waited 240 ms per call for pricing (127.0.0.1:5001), which itself took 235 ms: 29 ms of
    the 45 ms that shop took per request.``
    """
    by_name = {service.name: service for service in services}
    return [text for service in services for text in _waits(service, by_name)]


def _waits(caller: ServiceFigures, services: Mapping[str, ServiceFigures]) -> Iterator[str]:
    whole = caller.service_mean_ms
    for call in caller.calls:
        if not (whole and call.mean_ms and call.per_request) or call.mean_ms < MIN_WAIT_MS:
            continue
        waited = call.mean_ms * call.per_request
        if waited < MIN_WAIT_SHARE * whole:
            continue
        yield (
            f"{caller.name} waited {_ms(call.mean_ms)} per call for {_place(call)}"
            f"{_other_end(call, services)}: {_ms(waited)} of the {_ms(whole)} that {caller.name}"
            " took per request."
        )


def _place(call: CallFigures) -> str:
    return f"{call.service} ({call.host})" if call.service else call.host


def _other_end(call: CallFigures, services: Mapping[str, ServiceFigures]) -> str:
    called = services.get(call.service or "")
    if called is None:
        return ", which is not measured"
    if called.service_mean_ms is None:
        return ""
    queue = called.queue_mean_ms or 0.0
    took = called.service_mean_ms + queue
    text = f", which itself took {_ms(took)}"
    return f"{text}, {_ms(queue)} of it in its queue" if queue > MIN_QUEUE_SHARE * took else text


def _ms(value: float) -> str:
    return f"{digits(value)} ms"
