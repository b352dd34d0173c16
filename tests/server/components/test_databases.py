"""Every call of a driver counts as `db`, with SQLAlchemy and without; nothing else changes."""

import sqlite3
import threading
import time

import psycopg
import psycopg2
import psycopg2.extras
import pytest
import sqlalchemy
from support.instrumented import samples
from support.server_timing import calls, timing

from swarmscope.server import instrument, measured_connect

SLOW = "SELECT slow(20) UNION ALL SELECT slow(20) UNION ALL SELECT slow(20)"


def answer(app, view):
    """Return the response of *app*, whose view is *view*."""
    app.add_url_rule("/", "index", lambda: str(view()))
    return app.test_client().get("/")


def add_slow(connection):
    """Add a function to SQLite that takes milliseconds."""
    connection.create_function("slow", 1, lambda ms: time.sleep(ms / 1000))


@pytest.mark.parametrize("fetch", ["fetchall", "fetchone", "fetchmany", "rows", "list"])
def test_time_in_the_fetch_counts(app, fetch):
    """SQLite runs a SELECT row by row: most of its time is not in `execute`."""
    instrument(app)
    connection = measured_connect(sqlite3)(":memory:", check_same_thread=False)
    add_slow(connection)

    def view():
        cursor = connection.execute(SLOW)
        if fetch == "fetchone":
            while cursor.fetchone():
                pass
        elif fetch == "fetchmany":
            while cursor.fetchmany(1):
                pass
        elif fetch == "rows":
            assert len([row for row in cursor]) == 3  # noqa: C416
        else:
            assert len(cursor.fetchall() if fetch == "fetchall" else list(cursor)) == 3

    response = answer(app, view)

    assert timing(response)["db"] >= 60
    assert calls(response) == {"db": 1}


def test_a_connection_is_what_it_was(app):
    """Its class, an app's own factories, the context manager, errors."""
    instrument(app)

    class Own(sqlite3.Connection):
        pass

    class OwnCursor(sqlite3.Cursor):
        pass

    connection = measured_connect(sqlite3)(":memory:", factory=Own)
    assert isinstance(connection, Own)
    assert isinstance(connection.cursor(OwnCursor), OwnCursor)
    with connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    assert connection.execute("SELECT sum(a) FROM t").fetchone() == (3,)
    with pytest.raises(sqlite3.OperationalError), connection:
        connection.execute("nonsense")
    with pytest.raises(ValueError, match="cannot measure threading"):
        measured_connect(threading)


def test_sqlalchemy_needs_nothing(app):
    """Connecting, statements, fetching, COMMIT; the listeners of an app are called before."""
    instrument(app)
    engine = sqlalchemy.create_engine("sqlite://")
    seen = []

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def note(dialect, record, arguments, named):
        seen.append(dialect.name)

    @sqlalchemy.event.listens_for(engine, "connect")
    def prepare(connection, record):
        add_slow(connection)

    def view():
        with engine.begin() as connection:
            assert len(connection.execute(sqlalchemy.text(SLOW)).all()) == 3
            connection.execute(sqlalchemy.text("SELECT 1"))

    assert answer(app, view).status_code == 200
    response = app.test_client().get("/")  # the first asks for the version, too

    assert seen == ["sqlite"]
    assert calls(response) == {"db": 2}
    assert timing(response)["db"] >= 60


def test_a_wait_for_a_pool(app):
    """It is no `db`; one in vain is a time-out; a connection is held until it is back."""
    exporter = instrument(app)
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.pool.QueuePool, pool_logging_name="orders",
        pool_size=1, max_overflow=0, pool_timeout=0.05,
    )  # fmt: skip

    def view():
        with engine.connect(), pytest.raises(sqlalchemy.exc.TimeoutError):
            engine.connect()

    response = answer(app, view)

    assert response.status_code == 200
    assert timing(response)["pool"] >= 50
    found = samples(app)
    assert found.value("flask_db_pool_timeouts_total", pool="orders") == 1
    assert found.value("flask_db_pool_wait_seconds_count", pool="orders") == 2
    assert found.value("flask_db_pool_hold_seconds_count", url_rule="/") == 1
    assert found.value("flask_db_pool_hold_seconds_sum", url_rule="/") >= 0.05
    assert found.value("flask_db_pool_connections", pool="orders", state="limit") == 1
    assert found.value("flask_db_pool_connections", pool="orders", state="in_use") == 0
    assert exporter is not None


def test_a_connection_from_before_is_replaced(app, tmp_path):
    """An app that connects while it is created, before it is instrumented."""
    pool = sqlalchemy.pool.QueuePool
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=pool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    instrument(app)

    def view():
        for _ in range(2):
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))

    assert calls(answer(app, view)) == {"db": 1}
    assert calls(app.test_client().get("/")) == {"db": 2}


def test_a_connection_that_cannot_be_measured_stays(app):
    """One that the app makes itself would be no other after a replacement."""
    made = []

    def creator():
        made.append(sqlite3.connect(":memory:", check_same_thread=False))
        return made[-1]

    instrument(app)
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=creator, poolclass=sqlalchemy.pool.QueuePool
    )

    def view():
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text("SELECT 7")).scalar()

    assert answer(app, view).text == app.test_client().get("/").text == "7"
    assert len(made) == 1
    assert samples(app).value("flask_db_pool_hold_seconds_count", url_rule="/") == 2


def with_psycopg2(dsn):
    return measured_connect(psycopg2)(dsn, connection_factory=psycopg2.extras.DictConnection)


def with_psycopg(dsn):
    return measured_connect(psycopg)(dsn, row_factory=psycopg.rows.dict_row)


@pytest.mark.parametrize("connect", [with_psycopg2, with_psycopg])
def test_postgresql(app, empty_database, connect):
    """Statements, a server's cursor, and a slow COMMIT: a deferred trigger sleeps."""
    instrument(app)

    def view():
        connection = connect(empty_database)
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE item (id int)")
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END'"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        cursor.execute("INSERT INTO item VALUES (1)")
        began = time.perf_counter()
        connection.commit()
        committed_s = time.perf_counter() - began
        rows = connection.cursor("rows")
        rows.execute("SELECT pg_sleep(0.1) AS nothing, id FROM item")
        assert rows.fetchall()[0]["id"] == 1
        connection.close()
        return committed_s

    response = answer(app, view)

    assert float(response.text) >= 0.1
    assert calls(response) == {"db": 5}
    parts = timing(response)
    assert parts["db"] >= 200
    assert parts["cpu"] + parts["db"] <= parts["app"] + 0.1


def test_psycopg_pool(app, empty_database):
    """Waiting is `pool`, and connecting is; what its connections do is `db`."""
    import psycopg_pool

    instrument(app)
    pool = psycopg_pool.ConnectionPool(
        empty_database, min_size=1, max_size=1, name="orders", open=False
    )

    def view():
        with pool.connection() as connection:
            connection.execute("SELECT pg_sleep(0.03)")
            with pytest.raises(psycopg_pool.PoolTimeout):
                pool.getconn(timeout=0.05)
        with pool.connection() as connection:
            return connection.execute("SELECT 7").fetchone()[0]

    with pool:
        assert answer(app, view).text == "7"
        response = app.test_client().get("/")

    parts = timing(response)
    assert parts["pool"] >= 50
    assert 30 <= parts["db"] <= parts["app"] - parts["pool"] - parts["cpu"]
    assert calls(response) == {"db": 2}
    found = samples(app)
    assert found.value("flask_db_pool_timeouts_total", pool="orders") == 2
    assert found.value("flask_db_pool_wait_seconds_count", pool="orders") == 6
    assert found.value("flask_db_pool_hold_seconds_count", url_rule="/") == 4
    assert found.value("flask_db_pool_connections", pool="orders", state="limit") == 1
    assert found.value("flask_db_pool_connections", pool="orders", state="in_use") == 0
    assert found.value("flask_db_pool_connections", pool="orders", state="waiting") == 0


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_postgresql_with_sqlalchemy(app, empty_database, driver):
    """Its ping before a connection is used is `db`, too."""
    instrument(app)
    info = psycopg.conninfo.conninfo_to_dict(empty_database)
    engine = sqlalchemy.create_engine(
        f"postgresql+{driver}://", connect_args=info, pool_pre_ping=True
    )

    def view():
        with engine.begin() as connection:
            return connection.execute(sqlalchemy.text("SELECT 1, pg_sleep(0.05)")).scalar()

    assert answer(app, view).text == "1"
    response = app.test_client().get("/")
    engine.dispose()

    assert calls(response)["db"] in (1, 2)  # with the ping, where it is a statement
    assert timing(response)["db"] >= 50
    assert timing(response)["pool"] < 50
