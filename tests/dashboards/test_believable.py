"""A server cannot take longer than its client waits: percentiles of both ends, over a whole run."""

from pathlib import Path

import psycopg
import pytest
from support.databases import database_of_roles
from support.swarm import running_stack
from support.waiting import poll_until
from support.working import WORK_MS

from swarmscope.runs.histogram import RELATIVE_ERROR
from swarmscope.server.metrics import GROWTH

LEAST_REQUESTS = 10  # of each endpoint


@pytest.fixture(scope="module")
def finished(cluster, tmp_path_factory):
    """Run a real swarm on known work; yields the stack and {(endpoint, part): percentiles}."""
    with (
        database_of_roles(cluster) as database,
        running_stack(
            tmp_path_factory.mktemp("believable"),
            database.owner,
            Path(__file__).parent / "_working.py",
            application="support.working:create_app()",
            workers=1,
            API_WORKERS="2",
        ) as stack,
    ):
        stack.start(6, 6)
        poll_until(lambda: all(_sent(stack, ms) > LEAST_REQUESTS for ms in WORK_MS), "requests", 60)
        stack.stop()
        poll_until(stack.conserved, "all samples to be everywhere", 60)
        with psycopg.connect(database.reader) as connection:
            rows = connection.execute(
                "SELECT name, part, p50_ms, p95_ms, p99_ms FROM summary(run_of('latest'), true)"
            ).fetchall()
        yield stack, {(name, part): percentiles for name, part, *percentiles in rows}


def _sent(stack, work_ms):
    rows = stack.state()["stats"]
    return next((row["num_requests"] for row in rows if row["name"] == f"/{work_ms}"), 0)


@pytest.mark.parametrize("work_ms", WORK_MS)
def test_server_timing_stays_below_the_client(finished, work_ms):
    """The server's share, from Server-Timing, is the work, and no more than the client's total.

    Both come from histograms that are exact to 2.5 %, one may err upwards, the other downwards.
    """
    _, percentiles = finished
    error = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)

    for server, client in zip(
        percentiles[f"/{work_ms}", "service"], percentiles[f"/{work_ms}", "response"], strict=True
    ):
        assert work_ms * (1 - RELATIVE_ERROR) <= server <= client * error


@pytest.mark.parametrize("work_ms", WORK_MS)
def test_prometheus_stays_below_the_client(finished, work_ms):
    """The server's own histogram is at most one bucket, a fifth, above the client's percentile.

    That one may err by 2.5 % itself.
    """
    stack, percentiles = finished
    clients = percentiles[f"/{work_ms}", "response"]

    for quantile, client in zip((0.5, 0.95, 0.99), clients, strict=True):
        (answer,) = stack.query(
            f"histogram_quantile({quantile}, sum by (le) ("
            f'flask_http_request_duration_seconds_bucket{{url_rule="/{work_ms}"}}))'
        )
        server = 1000 * float(answer["value"][1])
        assert work_ms / GROWTH <= server <= client / (1 - RELATIVE_ERROR) * GROWTH
