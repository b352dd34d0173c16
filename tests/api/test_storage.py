"""The storage under several users at once, and without its database."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api import create_app
from api.settings import Settings
from api.storage import Storage


def at_once(*tasks: Callable[[], object]) -> list[object]:
    """Run *tasks* in a thread each, started together; return their results or raise."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], object]) -> object:
        barrier.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(run, task) for task in tasks]]


def everything(storage: Storage) -> list[tuple[str, str]]:
    return storage.page(limit=1000, after=0).rows


def test_eight_prepare_an_empty_database_at_once(database_url):
    """No error, one table, one first row."""
    storages = [Storage(database_url) for _ in range(8)]

    at_once(*(storage.prepare for storage in storages))

    assert [len(everything(storage)) for storage in storages] == [1] * 8


def test_concurrent_writers_lose_and_double_nothing(database_url):
    """Each name is there once, with a description that some writer gave it."""
    storages = [Storage(database_url) for _ in range(4)]

    def write(writer: int) -> None:
        for number in range(25):
            storages[writer].put(f"test {number}", f"by {writer}")

    at_once(*(lambda writer=writer: write(writer) for writer in range(4)))

    rows = dict(everything(storages[0]))
    assert len(everything(storages[0])) == 26
    assert rows.keys() == {"unit testing", *(f"test {number}" for number in range(25))}
    assert {rows[f"test {number}"] for number in range(25)} <= {f"by {n}" for n in range(4)}


def test_a_list_only_grows_at_its_end(database_url):
    """What others add appears after what was seen, never before it, or a pager would miss it."""
    reader, *writers = (Storage(database_url) for _ in range(5))
    lists = [everything(reader)]

    def write(writer: int) -> None:
        for number in range(30):
            writers[writer].put(f"test {writer} {number}", "x")

    def read() -> None:
        while len(lists[-1]) < 121:
            lists.append(everything(reader))

    at_once(read, *(lambda writer=writer: write(writer) for writer in range(4)))

    for earlier, later in itertools.pairwise(lists):
        assert later[: len(earlier)] == earlier


def test_replacing_uses_up_no_ids(empty_database, as_url):
    """A long swarm of replacements must not exhaust the sequence."""
    storage = Storage(as_url(empty_database))
    for number in range(50):
        storage.put("load testing", str(number))
    storage.put("stress testing", "x")

    with psycopg.connect(empty_database) as connection:
        ids = connection.execute("SELECT id FROM tests ORDER BY id").fetchall()
    assert ids[-1][0] <= 4


def test_sqlite_is_in_wal_mode(tmp_path):
    """Readers do not wait for writers."""
    storage = Storage(f"sqlite:///{tmp_path}/api.sqlite3")
    storage.prepare()

    with sa.create_engine(f"sqlite:///{tmp_path}/api.sqlite3").connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"


@contextlib.contextmanager
def away(dsn: str) -> Iterator[None]:
    """Let nobody connect to the database of *dsn*, and cut off those who are."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        disconnect(admin, name)
        yield
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def disconnect(admin: psycopg.Connection, name: object) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name]
    )


@pytest.fixture
def postgres_app(empty_database, as_url):
    """Return the API on PostgreSQL."""
    return create_app(Settings(database_url=as_url(empty_database)))


def test_without_its_database_it_says_so(empty_database, postgres_app, caplog):
    """Readiness and requests answer 503, liveness 200; the log has one line for the whole time."""
    client = postgres_app.test_client()
    with away(empty_database):
        answers = [client.get("/tests") for _ in range(3)]
        answers.append(client.post("/tests", json={"name": "a", "description": "b"}))
        answers.append(client.get("/health/ready"))
        alive = client.get("/health")

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json == {
            "error": "Service Unavailable",
            "message": "the database is unreachable; try again",
        }
    assert (alive.status_code, alive.json) == (200, {"status": "alive"})
    assert client.get("/health/ready").json == {"status": "ready"}
    assert len(client.get("/tests").json) == 1
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("the database is unreachable: ")
    assert messages[1] == "the database is back"


def test_a_restart_of_the_database_fails_no_request(empty_database, postgres_app):
    """Dead connections in the pool are replaced within the request that finds them."""
    client = postgres_app.test_client()
    client.get("/tests")
    with psycopg.connect(make_conninfo(empty_database, dbname="postgres")) as admin:
        disconnect(admin, conninfo_to_dict(empty_database)["dbname"])

        assert client.get("/tests").status_code == 200
        disconnect(admin, conninfo_to_dict(empty_database)["dbname"])
        row = {"name": "load testing", "description": "x"}
        assert client.post("/tests", json=row).status_code == 204


def test_it_starts_without_its_database(empty_database, as_url):
    """The table is made when the database appears."""
    with away(empty_database):
        client = create_app(Settings(database_url=as_url(empty_database))).test_client()
        assert client.get("/health/ready").status_code == 503

    assert client.get("/health/ready").status_code == 200
    assert client.get("/tests").headers["X-Total-Count"] == "1"


def test_a_password_is_in_no_message(caplog):
    """Not even when the database refuses it."""
    url = "postgresql://somebody:s3cret@127.0.0.1:1/nothing"
    client = create_app(Settings(database_url=url)).test_client()

    assert client.get("/tests").status_code == 503
    assert caplog.text
    assert "s3cret" not in caplog.text
