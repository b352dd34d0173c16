"""Where the time of requests went, in words: the part that took most of an endpoint's time.

Shares are of means, which add up. A part gets a sentence where nearly all requests of an endpoint
came with it and it took at least `MIN_MS` and `MIN_SHARE` of the response time. Of a service that
does not measure components, the service time is a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmscope.formatting import digits
from swarmscope.runs import service_times, statement_figures
from swarmscope.runs.document import Endpoint, Latency, ServiceFigures, StatementFigures
from swarmscope.runs.histogram import COMPONENTS

MIN_MS = 10.0  # shorter means are noise, and nobody's problem
MIN_SHARE = 0.5  # of the endpoint's mean response time
MIN_REQUESTS = 20
MIN_KNOWN = 0.9  # of the requests came with the part: a mean of fewer may be that of others
MIN_WEIGHT = 0.02  # of the time of all requests: less does not matter
MIN_COMPONENT = 0.1  # of the service time, to be named beside others
MAX_SENTENCES = 3
MAX_NAMED = 3  # endpoints with their figures in a sentence

LABELS = {
    "queue": "queue",
    "cpu": "CPU",
    "db": "database",
    "pool": "connection pool",
    "http": "HTTP calls",
    "cache": "cache",
    "other": "other",
    "service": "service time",
    "receiving": "receiving",
    "outside": "outside",
}
CALLED = {"db": "statement", "http": "call", "cache": "call"}  # what is counted of a component
PREDICATES = {
    "queue": "waited {share} in the queue",
    "cpu": "used the CPU for {share}",
    "db": "spent {share} in {statements}",
    "pool": "waited {share} for a connection of the pool",
    "http": "waited {share} for other services{http}",
    "cache": "spent {share} in the cache{cache}",
    "other": "spent {share} on what is not measured (the GIL, a busy CPU, locks, files, sleeps)",
    "service": "spent {share} in service time{components}",
    "receiving": "spent {share} receiving responses",
    "outside": "spent {share} outside the service (network, load generator)",
    "start_delay": "waited {share} to be sent",
}
NOTHING_STANDS_OUT = (
    f"Nothing stands out: no part took {MIN_MS:g} ms and half of an endpoint's mean response time."
)


@dataclass(frozen=True)
class Finding:
    """The part that took most of an endpoint's mean response time; both in ms."""

    endpoint: Endpoint
    part: str  # of the response time, or a component
    part_ms: float
    whole_ms: float

    @property
    def share(self) -> str:
        """Both figures, as in ``74 of 81 ms``."""
        return f"{_short(min(self.part_ms, self.whole_ms))} of {_short(self.whole_ms)} ms"

    @property
    def weight(self) -> float:
        """How long all requests of the endpoint spent in the part, in ms."""
        return self.part_ms * self.endpoint.requests


def sentences(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return where the time of single *endpoints* went, most first; one sentence for each part.

    ``GET /orders spent 74 of 81 ms in 41 database statements.`` What took little of the
    time of all requests is left out. Empty where too little is known.
    """
    single = [endpoint for endpoint in endpoints if endpoint.name or endpoint.request_type]
    whole = sum(map(_spent, single))
    frequent = [endpoint for endpoint in single if endpoint.requests >= MIN_REQUESTS]
    found = [finding for endpoint in frequent if (finding := _finding(endpoint))]
    groups = [[f for f in found if f.part == part] for part in {f.part: 0 for f in found}]
    groups = [group for group in groups if _weight(group) >= MIN_WEIGHT * whole]
    if groups:
        groups.sort(key=_weight, reverse=True)
        return [_sentence(group) for group in groups[:MAX_SENTENCES]]
    explained = sum(_spent(endpoint) for endpoint in frequent if _is_explained(endpoint))
    return [NOTHING_STANDS_OUT] if explained > 0 and explained >= MIN_KNOWN * whole else []


def joined(
    own: Sequence[str],
    services: Sequence[ServiceFigures],
    statements: Sequence[StatementFigures] | None,
) -> list[str]:
    """Return `sentences` and those about services: if one of these stands out, something does."""
    of_services = [
        *service_times.sentences(services),
        *statement_figures.sentences(statements or []),
    ]
    kept = [text for text in own if text != NOTHING_STANDS_OUT or not of_services]
    return [*kept, *of_services]


def division(endpoint: Endpoint) -> str:
    """Return how the mean response time of *endpoint* divides into its parts; '' if unknown.

    ``mean 12.3 ms: queue 0.51, CPU 2.10, database 8.21 (3.1 statements), other 0.42, outside 1.06``
    """
    parts = [part for part in _parts(endpoint) if part in LABELS and mean_ms(endpoint, part)]
    if endpoint.service is None or not parts:
        return ""
    texts = (
        f"{LABELS[part]} {digits(mean_ms(endpoint, part))}{_in_brackets(_calls(endpoint, part))}"
        for part in parts
    )
    return f"mean {digits(endpoint.response.mean_ms)} ms: {', '.join(texts)}"


def _parts(endpoint: Endpoint) -> list[str]:
    """Return the parts that add up: of the service time its components, where there are any."""
    measured = [part for part in COMPONENTS if getattr(endpoint, part)]
    return ["queue", *(measured or ["service"]), "receiving", "outside"]


def mean_ms(endpoint: Endpoint, part: str) -> float | None:
    """Return the mean of a part or component; None if it was not measured."""
    latency: Latency | None = getattr(endpoint, part)
    return latency.mean_ms if latency else None


def _weight(group: Sequence[Finding]) -> float:
    return sum(finding.weight for finding in group)


def _spent(endpoint: Endpoint) -> float:
    return endpoint.requests * (endpoint.response.mean_ms or 0.0)


def _known(endpoint: Endpoint) -> dict[str, float]:
    """Return the mean of each part that nearly all requests came with: components, or service."""
    known = _means(endpoint, *_parts(endpoint))
    sent = endpoint.uncorrected
    if known and sent and sent.mean_ms is not None and endpoint.response.mean_ms is not None:
        known["start_delay"] = endpoint.response.mean_ms - sent.mean_ms
    return known


def _means(endpoint: Endpoint, *parts: str) -> dict[str, float]:
    latencies: dict[str, Latency | None] = {part: getattr(endpoint, part) for part in parts}
    return {
        part: latency.mean_ms
        for part, latency in latencies.items()
        if latency and latency.mean_ms is not None
        if latency.requests >= MIN_KNOWN * endpoint.requests
    }


def _is_explained(endpoint: Endpoint) -> bool:
    whole_ms = endpoint.response.mean_ms or 0.0
    return whole_ms < MIN_MS or sum(_known(endpoint).values()) >= MIN_KNOWN * whole_ms


def _finding(endpoint: Endpoint) -> Finding | None:
    """Return the part that dominates, or the service time where several components do together."""
    whole_ms = endpoint.response.mean_ms or 0.0
    known = _known(endpoint)
    for means in (known, _means(endpoint, "service")):
        part = max(means, key=means.__getitem__, default="")
        if part and means[part] >= max(MIN_MS, MIN_SHARE * whole_ms):
            return Finding(endpoint, part, means[part], whole_ms)
    return None


def _sentence(group: Sequence[Finding]) -> str:
    first, *others = sorted(group, key=lambda finding: -finding.weight)
    named = [f"{_name(other.endpoint)} ({other.share})" for other in others[: MAX_NAMED - 1]]
    if more := len(others) - len(named):
        named.append(f"{more} more")
    likewise = f"; likewise {_list(named)}" if named else ""
    return f"{_name(first.endpoint)} {_predicate(first)}{likewise}."


def _predicate(finding: Finding) -> str:
    endpoint = finding.endpoint
    return PREDICATES[finding.part].format(
        share=finding.share,
        statements=_calls(endpoint, "db", "database ") or "the database",
        http=_in_brackets(_calls(endpoint, "http")),
        cache=_in_brackets(_calls(endpoint, "cache")),
        components=_components(endpoint) if finding.part == "service" else "",
    )


def _calls(endpoint: Endpoint, part: str, kind: str = "") -> str:
    """Return the mean number of a component's calls in words; '' if none was counted."""
    number: float | None = getattr(endpoint, f"{part}_calls", None)
    if not number:
        return ""
    rounded = round(number) if number >= 10 else round(number, 1)
    return f"{rounded:,g} {kind}{CALLED[part]}{'' if rounded == 1 else 's'}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _components(endpoint: Endpoint) -> str:
    """Return what is known of a service time that no single component dominates."""
    means = _means(endpoint, *COMPONENTS)
    if not means:
        return ", whose components were not measured"
    least = MIN_COMPONENT * _means(endpoint, "service")["service"]
    large = sorted((part for part in means if means[part] >= least), key=lambda p: -means[p])
    texts = (
        f"{LABELS[part]} {_short(means[part])} ms{calls and f' in {calls}'}"
        for part in large
        for calls in [_calls(endpoint, part)]
    )
    return _in_brackets(", ".join(texts))


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.request_type} {endpoint.name}".strip()


def _list(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _short(ms: float) -> str:
    """Return whole milliseconds from ten on, else one decimal."""
    return digits(ms) if ms >= 100 else f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"
