"""Statements by route and text: how often, how long, how many rows; within bounds."""

from __future__ import annotations

import logging
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import psycopg2
import pytest
import requests
import sqlalchemy
from psycopg import sql
from support.gunicorn import ROOT, running_gunicorn
from support.instrumented import exposed, samples
from support.scraping import scrape
from support.waiting import poll_until

from swarmscope.server import instrument, measured_connect
from swarmscope.server.components import statement_metrics
from swarmscope.server.components.statement_metrics import MAX_STATEMENTS, OTHER

CALLS, SECONDS = "flask_db_statement_calls_total", "flask_db_statement_seconds_total"
ROWS, LONGEST = "flask_db_statement_rows_total", "flask_db_statement_longest_seconds"
PARTS = "flask_http_request_calls_total"


def call(app, *views):
    """Add a route for each view and call it."""
    for number, view in enumerate(views):
        app.add_url_rule(f"/{number}", str(number), lambda view=view: str(view()))
    for number in range(len(views)):
        assert app.test_client().get(f"/{number}").status_code == 200


def counted(app, sample=CALLS, calls=None):
    """Return the statements by route and text, once there are as many *calls*."""

    def found():
        all_ = samples(app)
        if all_.total(CALLS) < (all_.total(PARTS, part="db") if calls is None else calls):
            return None
        return {
            (dict(labels)["url_rule"], dict(labels)["statement"]): value
            for (name, labels), value in all_.items()
            if name == sample
        }

    return poll_until(found, "all statements to be counted")


@pytest.fixture
def database():
    """A database with ten items."""
    connection = measured_connect(sqlite3)(":memory:", check_same_thread=False)
    connection.create_function("slow", 1, lambda ms: time.sleep(ms / 1000))
    connection.execute("CREATE TABLE item (id, name)")
    connection.executemany("INSERT INTO item VALUES (?, 'x')", [(n,) for n in range(10)])
    yield connection
    connection.close()


def test_statements_are_told_apart_by_route_and_text(app, database):
    """Those that differ only in literals are one; fetching rows is part of it."""
    instrument(app)

    def n_plus_one():
        ids = [row[0] for row in database.execute("SELECT id FROM item WHERE id < 7 -- secret")]
        for item in ids:
            database.execute(f"SELECT name FROM item WHERE id = {item}").fetchone()

    call(app, n_plus_one, lambda: database.execute("SELECT id FROM item WHERE id < 3").fetchall())

    many, one = "SELECT id FROM item WHERE id < ?", "SELECT name FROM item WHERE id = ?"
    assert counted(app) == {("/0", many): 1, ("/0", one): 7, ("/1", many): 1}
    assert counted(app, ROWS) == {("/0", many): 7, ("/0", one): 7, ("/1", many): 3}
    assert "secret" not in app.test_client().get("/metrics").text


def test_time_in_the_fetch_belongs_to_the_statement(app, database):
    """SQLite works when a row is fetched; the longest execution is that of one, with its rows."""
    instrument(app)

    def view():
        for ms in (10, 30):
            database.execute(f"SELECT slow({ms}), slow({ms})").fetchall()

    call(app, view)

    ((key, seconds),) = counted(app, SECONDS).items()
    assert key == ("/0", "SELECT slow(?), slow(?)")
    assert seconds >= 0.08
    assert 0.06 <= counted(app, LONGEST)[key] <= seconds - 0.02


def test_executemany_is_one_statement_with_its_rows_and_an_error_is_one(app, database):
    """Whatever a driver does for it inside."""
    instrument(app)

    def view():
        database.executemany("INSERT INTO item VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
        with pytest.raises(sqlite3.OperationalError):
            database.execute("SELECT nothing FROM item")
        database.execute("UPDATE item SET name = 'y' WHERE id = 1")

    call(app, view)

    insert, wrong = "INSERT INTO item VALUES (?, …)", "SELECT nothing FROM item"
    update = "UPDATE item SET name = ? WHERE id = ?"
    assert counted(app) == {("/0", insert): 1, ("/0", wrong): 1, ("/0", update): 1}
    assert counted(app, ROWS) == {("/0", insert): 3, ("/0", wrong): 0, ("/0", update): 2}


@pytest.mark.parametrize("driver", [psycopg, psycopg2])
def test_postgresql(app, empty_database, driver):
    """Rows are known from the driver, or are those fetched from a cursor of the server."""
    instrument(app)
    rows = "SELECT n FROM generate_series(1, 9) n"

    def view():
        connection = measured_connect(driver)(empty_database)
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE item (id int, name text)")
        cursor.executemany("INSERT INTO item VALUES (%s, %s)", [(1, "a"), (2, "b")])
        cursor.execute(b"SELECT E'it\\'s' FROM item")
        named = connection.cursor("rows")
        named.execute(rows)
        assert len(named.fetchmany(4)) == 4
        assert len(list(named)) == 5
        connection.close()

    call(app, view)

    found = counted(app, ROWS)
    assert found == {
        ("/0", "CREATE TABLE item (id int, name text)"): 0,
        ("/0", "INSERT INTO item VALUES (?, …)"): 2,
        ("/0", "SELECT ? FROM item"): 2,
        ("/0", "SELECT n FROM generate_series(?, …) n"): 9,
    }
    assert set(counted(app).values()) == {1}


def test_a_composed_statement(app, empty_database):
    """psycopg writes its literals into the text."""
    instrument(app)

    def view():
        with measured_connect(psycopg)(empty_database) as connection:
            text = sql.SQL("SELECT {} AS {}").format(sql.Literal("secret"), sql.Identifier("a b"))
            assert connection.execute(text).fetchone() == ("secret",)

    call(app, view)

    assert counted(app) == {("/0", 'SELECT ? AS "a b"'): 1}


def test_sqlalchemy(app):
    """With the statements that it makes itself, of any length of a list."""
    instrument(app)
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    table = sqlalchemy.Table(
        "item", sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.Integer)
    )

    def view():
        with engine.begin() as connection:
            table.create(connection)
            connection.execute(table.insert(), [{"id": n} for n in range(5)])
            for number in (1, 2, 3):
                chosen = table.select().where(table.c.id.in_(range(number)))
                assert len(connection.execute(chosen).all()) == number

    call(app, view)

    found = counted(app)
    assert found["/0", "SELECT item.id FROM item WHERE item.id IN (?, …)"] == 3
    assert found["/0", "INSERT INTO item (id) VALUES (?)"] == 1
    assert counted(app, ROWS)["/0", "SELECT item.id FROM item WHERE item.id IN (?, …)"] == 6


def test_what_is_kept_is_bounded(app, database, monkeypatch):
    """Texts that are remembered, those that wait, and pairs of a route and a text."""
    for name in ("MAX_TEXTS", "MAX_WAITING", "MAX_STATEMENTS"):
        monkeypatch.setattr(statement_metrics, name, 3)
    instrument(app)
    table = app.extensions["swarmscope"]._metrics.components.statements

    def view():
        for number in range(9):
            database.execute(f"SELECT id AS a{number} FROM item")

    call(app, view)

    assert len(table._waiting) <= 3
    assert counted(app) == {
        ("/0", "SELECT id AS a0 FROM item"): 1,
        ("/0", "SELECT id AS a1 FROM item"): 1,
        ("/0", OTHER): 7,
    }
    for _ in range(3):
        poll_until(lambda: not table._waiting, "nothing to wait")
        app.test_client().get("/0")
    assert len(counted(app, calls=36)) == 3
    assert len(table._texts) == 3


def test_a_successor_goes_on_with_its_slots_table(app, database, directory, monkeypatch):
    """However often a worker is replaced, the bound is that of its slot."""
    monkeypatch.setattr(statement_metrics, "MAX_STATEMENTS", 3)
    instrument(app)
    app.add_url_rule("/<a>", "a", lambda a: str(database.execute(f"SELECT id AS {a} FROM item")))
    for number in range(3):
        app.test_client().get(f"/a{number}")
        app.test_client().get(f"/b{number}")
        calls = 2 * number + 2
        poll_until(lambda calls=calls: exposed(directory).total(CALLS) == calls, "both")
        statement_metrics.FILES.attach(directory, "0")

    found = {dict(labels)["statement"] for (name, labels) in exposed(directory) if name == CALLS}
    assert found == {"SELECT id AS a0 FROM item", "SELECT id AS b0 FROM item",
                     "SELECT id AS a1 FROM item", OTHER}  # fmt: skip


def test_the_longest_is_forgotten(app, database, monkeypatch):
    """It is that of the current span and the one before."""
    instrument(app)
    app.add_url_rule(
        "/<ms>", "ms", lambda ms: str(database.execute(f"SELECT slow({ms})").fetchall())
    )

    def longest(ms):
        app.test_client().get(f"/{ms}")
        ((_, value),) = counted(app, LONGEST).items()
        return value

    assert longest(40) >= 0.04
    monkeypatch.setattr(statement_metrics, "KEPT_S", -1.0)
    app.extensions["swarmscope"]._metrics.components.statements._span_ends = 0.0
    assert longest(2) >= 0.04
    assert longest(2) < 0.04


WORKERS = {"sync": (), "gthread": ("--threads", "8"), "gevent": ()}


@pytest.mark.parametrize("kind", WORKERS)
def test_every_kind_of_worker_counts_exactly(kind, tmp_path):
    """Of requests at the same time, whose text is new to each worker."""
    environment = {
        "SWARMSCOPE_METRICS_PORT": "0",  # the kernel picks one
        "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}",
        "DATABASE": f"sqlite:///{tmp_path / 'file.db'}",
    }
    with running_gunicorn(
        "-c", "python:swarmscope.server.serve", "-w", "2", "-k", kind, *WORKERS[kind],
        "support.component_service:create_app()", log=tmp_path / "log", environment=environment,
    ) as server, ThreadPoolExecutor(8) as threads:  # fmt: skip
        done = list(threads.map(lambda _: requests.get(f"{server.url}/?do=fetch:1"), range(60)))
        assert {answer.status_code for answer in done} == {200}
        text = "SELECT wait(?) FROM (SELECT ? UNION ALL"
        found = poll_until(
            lambda: (
                (found := scrape(server.metrics_url)).total(CALLS) == found.total(PARTS, part="db")
                and found
            ),
            "all statements to be counted",
        )

    texts = {dict(labels)["statement"] for (name, labels) in found if name == CALLS}
    (one,) = [statement for statement in texts if statement.startswith(text)]
    of = {"method": "GET", "url_rule": "/", "statement": one}
    assert (found.value(CALLS, **of), found.value(ROWS, **of)) == (60, 600)
    assert found.value(SECONDS, **of) >= 0.06


def test_without_sqlparse_statements_are_not_told_apart(app, database, monkeypatch, caplog):
    """They are counted as calls; the log says what is missing."""
    monkeypatch.setitem(sys.modules, "sqlparse.lexer", None)
    with caplog.at_level(logging.WARNING):
        instrument(app)
    call(app, lambda: database.execute("SELECT 1").fetchall())

    assert "sqlparse is not installed" in caplog.text
    found = samples(app)
    assert found.value(PARTS, url_rule="/0", part="db") == 1
    assert not [name for name, _ in found if name.startswith("flask_db_statement")]


def test_the_bound_of_a_worker():
    """As documented."""
    assert MAX_STATEMENTS == 200
