"""What a service measured whose pool was full at the second of two loads."""

from __future__ import annotations

from datetime import UTC, datetime

from support.backfilled import Samples, Value

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANGE_S, SECONDS = 60, 120
HELD, BROKE = ((START.timestamp() + a, START.timestamp() + b) for a, b in ((10, 55), (70, 115)))


def grows(held: float, broke: float) -> Value:
    """Return a counter that grows by so much per second, differently from `CHANGE_S` on."""
    return lambda at_s: held * min(at_s, CHANGE_S) + broke * max(at_s - CHANGE_S, 0.0)


def is_(held: float, broke: float) -> Value:
    return lambda at_s: held if at_s < CHANGE_S else broke


STATEMENT = '{job="shop",method="GET",url_rule="/orders",statement="SELECT 1"}'
SHOP: Samples = {
    'up{job="shop",instance="127.0.0.1:9"}': is_(1, 1),
    'gunicorn_workers{job="shop"}': is_(2, 2),
    'flask_http_request_duration_seconds_count{job="shop",method="GET",url_rule="/orders"}': grows(
        60, 131
    ),
    'flask_http_request_duration_seconds_sum{job="shop",method="GET",url_rule="/orders"}': grows(
        5, 65
    ),
    f"flask_db_statement_calls_total{STATEMENT}": grows(60 * 41, 131 * 41),
    f"flask_db_statement_seconds_total{STATEMENT}": grows(1, 2),
    'flask_http_request_held_seconds_total{job="shop",url_rule="/orders"}': grows(5, 65),
    'flask_http_request_part_seconds_total{job="shop",url_rule="/orders",part="pool"}': grows(
        0, 50
    ),
    'gunicorn_concurrency_limit{job="shop"}': is_(80, 80),
    'gunicorn_worker_cpu_seconds_total{job="shop",slot="0"}': grows(0.36, 0.79),
    'gunicorn_worker_run_delay_seconds_total{job="shop",slot="0"}': grows(0.01, 0.02),
    'flask_db_pool_connections{job="shop",pool="shop",state="limit"}': is_(10, 10),
    'flask_db_pool_connections{job="shop",pool="shop",state="in_use"}': is_(4.4, 9.7),
    'flask_db_pool_hold_seconds_sum{job="shop",url_rule="/orders"}': grows(4.44, 9.7),
    'flask_db_pool_hold_seconds_count{job="shop",url_rule="/orders"}': grows(60, 131),
    'flask_db_pool_wait_seconds_sum{job="shop",pool="shop"}': grows(0, 50),
}
