"""The same of each driver and client, with real servers: PostgreSQL, MariaDB and Redis.

A SELECT whose time is in the fetch, an INSERT whose time is in COMMIT, statements that time out.
"""

from __future__ import annotations

import contextlib

import pytest
from support.component_bench import WORKERS, check, running_bench
from support.database_servers import COMMIT_MS, running_mariadb, running_redis
from support.databases import fresh_database

pytestmark = [pytest.mark.proof, pytest.mark.timeout(300)]

ANYWHERE = ("sqlite3_commit:30", "engines:40", "httpx:30")
POSTGRESQL = tuple(
    f"{driver}_{piece}:30" for driver in ("psycopg", "psycopg2")
    for piece in ("fetch", "commit", "time_out")
)  # fmt: skip
MARIADB = ("pymysql_fetch:50", f"pymysql_commit:{COMMIT_MS}")
ALL = (*ANYWHERE, *POSTGRESQL, *MARIADB, "redis:30", "thread:20", "cpu:10")


@pytest.fixture(name="servers", scope="module")
def _servers(cluster):
    """The addresses of servers; the tests are skipped where one is missing."""
    with contextlib.ExitStack() as stack:
        yield {
            "DRIVERS": "1",
            "MARIADB_PORT": str(stack.enter_context(running_mariadb())),
            "REDIS_PORT": str(stack.enter_context(running_redis())),
            "POSTGRESQL": stack.enter_context(fresh_database(cluster)),
        }


@pytest.fixture(name="bench", params=WORKERS, scope="module")
def _bench(request, servers, called_by_all, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    with running_bench(request.param, called_by_all.url, directory, **servers) as bench:
        yield bench


@pytest.mark.parametrize("piece", [*ANYWHERE, *POSTGRESQL, *MARIADB, "redis:30"])
def test_each_driver_alone(bench, piece):
    bench.deviation(f"do={piece}")  # some connect first
    check(bench.deviations(f"do={piece}"), slack_ms=5)


def test_cpu_in_a_thread_of_a_request_is_other(bench):
    for one in bench.deviations("do=thread:20"):
        assert one["other"][1] >= 19
        assert one["rest"][1] > 15


def test_all_drivers_in_one_request(bench):
    """Also of one that fails, and one that streams."""
    for more in ("", "&status=503", "&stream=1"):
        check(bench.deviations(f"do={','.join(ALL)}{more}"), slack_ms=30)
