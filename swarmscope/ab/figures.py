"""The figures of a turn: read by endpoint, and averaged with the same mix of requests for all.

How many requests each endpoint had in a turn is chance. Its mean over all requests would vary by
that, so each endpoint's figure is taken by itself and weighted by the endpoint's share of the
requests of all turns (direct standardisation). A percentile is the mean of the endpoints' own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import dict_row

from swarmscope.runs import queries
from swarmscope.runs.connection import Connection
from swarmscope.runs.selection import Endpoint

MEASURES = ("p50", "p95", "mean")
OF_LATENCY = tuple(f"{part} {measure}" for part in ("service", "response") for measure in MEASURES)
CPU = "CPU per request"
PARTS = ("queue", "cpu", "db", "pool", "http", "cache", "other", "receiving", "outside")  # means
CALLS = ("db calls", "http calls", "cache calls")
MIN_REQUESTS = 20  # of an endpoint in a turn, on average; fewer have no percentiles to speak of
TURN: LiteralString = """
    WITH counted AS (
        SELECT name, request_type, success, response_time, service_ms, queue_ms, receiving_ms,
            cpu_ms, db_ms, pool_ms, http_ms, cache_ms, db_calls, http_calls, cache_calls,
            response_time - coalesce(start_delay_ms, 0) - coalesce(receiving_ms, 0) - queue_ms
                - service_ms AS outside_ms,
            greatest(0, service_ms - cpu_ms - db_ms - pool_ms - http_ms - cache_ms) AS other_ms
        FROM request WHERE run_id = %(run)s AND time >= %(since)s AND time < %(until)s
    )
    SELECT name, request_type, count(*) AS requests,
        count(*) FILTER (WHERE success = 0) AS failures,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY response_time)
            FILTER (WHERE success = 1) AS "response p50",
        percentile_cont(0.95) WITHIN GROUP (ORDER BY response_time)
            FILTER (WHERE success = 1) AS "response p95",
        percentile_cont(0.5) WITHIN GROUP (ORDER BY service_ms)
            FILTER (WHERE success = 1) AS "service p50",
        percentile_cont(0.95) WITHIN GROUP (ORDER BY service_ms)
            FILTER (WHERE success = 1) AS "service p95",
        avg(response_time) FILTER (WHERE success = 1) AS "response mean",
        avg(service_ms) FILTER (WHERE success = 1) AS "service mean",
        avg(queue_ms) FILTER (WHERE success = 1) AS queue,
        avg(receiving_ms) FILTER (WHERE success = 1) AS receiving,
        avg(outside_ms) FILTER (WHERE success = 1) AS outside,
        avg(cpu_ms) FILTER (WHERE success = 1) AS cpu,
        avg(db_ms) FILTER (WHERE success = 1) AS db,
        avg(pool_ms) FILTER (WHERE success = 1) AS pool,
        avg(http_ms) FILTER (WHERE success = 1) AS http,
        avg(cache_ms) FILTER (WHERE success = 1) AS cache,
        avg(other_ms) FILTER (WHERE success = 1) AS other,
        avg(db_calls) FILTER (WHERE success = 1) AS "db calls",
        avg(http_calls) FILTER (WHERE success = 1) AS "http calls",
        avg(cache_calls) FILTER (WHERE success = 1) AS "cache calls"
    FROM counted GROUP BY name, request_type
"""


@dataclass(frozen=True)
class EndpointTurn:
    """One endpoint in one turn: ms, or calls, by figure, of the requests that did not fail."""

    requests: int
    failures: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class TurnFigures:
    """What was measured in one turn; *cpu_s* is the CPU time of the service, None if unknown."""

    endpoints: Mapping[Endpoint, EndpointTurn]
    cpu_s: float | None

    @property
    def requests(self) -> int:
        """All that counted."""
        return sum(endpoint.requests for endpoint in self.endpoints.values())

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return sum(endpoint.failures for endpoint in self.endpoints.values())


def read(
    connection: Connection, run_id: datetime, since: datetime, until: datetime, cpu_s: float | None
) -> TurnFigures:
    """Return the figures of the requests of a run that began in [since, until)."""
    with connection.cursor(row_factory=dict_row) as cursor:
        wanted = {"run": run_id, "since": since, "until": until}
        rows = cursor.execute(TURN, wanted).fetchall()
    found = {}
    for row in rows:
        endpoint = row.pop("name"), row.pop("request_type")
        requests, failures = row.pop("requests"), row.pop("failures")
        values = {name: None if value is None else float(value) for name, value in row.items()}
        found[endpoint] = EndpointTurn(requests, failures, values)
    counted = queries.selection(connection, run_id).counted(found)
    return TurnFigures({e: found[e] for e in found if e in counted}, cpu_s)


@dataclass(frozen=True)
class Mix:
    """The endpoints that are compared, with their shares of all requests."""

    weights: Mapping[Endpoint, float]

    @classmethod
    def of(cls, turns: Sequence[TurnFigures]) -> Mix:
        """Return that of *turns*; endpoints that one of them had none of are not compared."""
        requests: Counter[Endpoint] = Counter()
        for turn in turns:
            requests.update({e: found.requests for e, found in turn.endpoints.items()})
        common = {
            endpoint: number
            for endpoint, number in requests.items()
            if number >= MIN_REQUESTS * len(turns)
            and all(_answered(turn, endpoint) for turn in turns)
        }
        total = sum(common.values())
        return cls({endpoint: number / total for endpoint, number in common.items()})

    def value(self, turn: TurnFigures, figure: str) -> float | None:
        """Return a figure of *turn*; None if an endpoint has none."""
        if figure == CPU:
            return self._cpu_per_request(turn)
        values = [turn.endpoints[endpoint].values[figure] for endpoint in self.weights]
        if not values or None in values:
            return None
        pairs = zip(self.weights.values(), values, strict=True)
        return sum(weight * (value or 0.0) for weight, value in pairs)

    def _cpu_per_request(self, turn: TurnFigures) -> float | None:
        """Return the service's CPU time per request in ms, as if the turn had had this mix.

        The turn's own mix costs more or less by what the `cpu` component of its endpoints says.
        """
        if not turn.cpu_s or not turn.requests:
            return None
        found = 1000 * turn.cpu_s / turn.requests
        means = {e: turn.endpoints[e].values["cpu"] for e in self.weights}
        number = sum(turn.endpoints[e].requests for e in self.weights)
        own = sum((means[e] or 0.0) * turn.endpoints[e].requests / number for e in means)
        same = sum((means[e] or 0.0) * weight for e, weight in self.weights.items())
        return found * same / own if own and None not in means.values() else found


def _answered(turn: TurnFigures, endpoint: Endpoint) -> bool:
    found = turn.endpoints.get(endpoint)
    return found is not None and found.requests > found.failures
