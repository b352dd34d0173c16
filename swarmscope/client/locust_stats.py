"""Locust's own figures of the requests that count (`runs.selection`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from locust.stats import RequestStats, StatsEntry

from swarmscope.runs.selection import Selection


def counted(stats: RequestStats, selection: Selection) -> list[StatsEntry]:
    """Return the entries of the endpoints that *selection* counts."""
    chosen = selection.counted(stats.entries)
    return [entry for endpoint, entry in stats.entries.items() if endpoint in chosen]


def figures(entries: Iterable[StatsEntry], seconds: float) -> dict[str, float] | None:
    """Return the number of requests, and the figures of locust-plugins' checks by their names.

    None without requests. Where all entries count, the figures are Locust's own, except the rate:
    it is over the *seconds* that the run lasted, as everywhere else.
    """
    chosen = list(entries)
    requests = sum(entry.num_requests for entry in chosen)
    if not requests:
        return None
    timed = requests - sum(entry.num_none_requests for entry in chosen)
    total_ms = sum(entry.total_response_time for entry in chosen)
    return {
        "requests": requests,
        "rps": requests / seconds if seconds else 0.0,
        "fail-ratio": sum(entry.num_failures for entry in chosen) / requests,
        "avg-response-time": total_ms / timed if timed else 0.0,
    }


def left_out(stats: RequestStats, selection: Selection) -> str:
    """Return a sentence about what does not count; '' if everything counts."""
    chosen = selection.counted(stats.entries)
    left: Counter[str] = Counter()
    for (name, request_type), entry in stats.entries.items():
        if (name, request_type) not in chosen:
            left[request_type] += entry.num_requests
    return selection.left_out(left)
