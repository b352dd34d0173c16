"""Connections whose calls count as the component `db`: subclasses of a driver's own classes.

Everything that waits for the database or works for it is timed: connecting, statements, fetching
rows, committing. Where each driver does so is noted with it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from swarmscope.server.components.breakdown import DB, timed
from swarmscope.server.components.statements import executing, fetching
from swarmscope.sql_text import MYSQL, POSTGRESQL, SQLITE

STATEMENTS = ("execute", "executemany", "executescript", "callproc")
FETCHES = ("fetchone", "fetchmany", "fetchall")
COPIES = ("copy_from", "copy_to", "copy_expert")


def measured_connect(driver: ModuleType) -> Callable[..., Any]:
    """Return a function like the ``connect`` of *driver*, whose connections are measured.

    With SQLAlchemy nothing is needed. Without it, connect with what this returns::

        connect = measured_connect(sqlite3)
        connection = connect("shop.db")

    *driver* is the module ``sqlite3``, ``psycopg``, ``psycopg2`` or ``pymysql``; raises ValueError
    for another one.
    """
    make = CONNECTS.get(driver.__name__)
    if make is None:
        raise ValueError(
            f"cannot measure {driver.__name__}; one of {', '.join(CONNECTS)} is needed"
        )
    return make(driver)


def _subclass(base: type, names: tuple[str, ...], **methods: Any) -> type:
    """Return a subclass of *base* that times *names* as far as there are such methods."""
    there = {name: getattr(base, name) for name in names if hasattr(base, name)}
    calls = {name: timed(DB, there[name]) for name in there}
    about = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
    }
    return type(base.__name__, (base,), {**about, **calls, **methods, "swarmscope": True})


def is_replaceable(connection: Any) -> bool:
    """Return whether *connection* is of a driver's class that could have been measured."""
    kind = type(connection)
    return not hasattr(kind, "swarmscope") and kind.__module__.partition(".")[0] in CONNECTS


def _once(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return *function* with a memory, for classes and modules."""
    return functools.cache(function)


@functools.cache
def _cursor(base: Any, dialect: str, iterates: bool = False) -> Any:
    """Return a measured subclass of *base*; one whose rows come one by one *iterates*.

    Such a cursor of a server waits for it when it is closed, too.
    """
    if not inspect.isclass(base) or hasattr(base, "swarmscope"):
        return base
    make: dict[str, Callable[..., Any]] = dict.fromkeys(FETCHES, fetching)
    make |= dict.fromkeys(STATEMENTS, functools.partial(executing, dialect=dialect))
    make |= {"__next__": fetching} if iterates else {}
    methods = {name: make[name](getattr(base, name)) for name in make if hasattr(base, name)}
    closes = ("close",) if iterates and dialect != SQLITE else ()
    return _subclass(base, (*COPIES, *closes), **methods)


def _of_cursor(name: str) -> Callable[..., Any]:
    def execute(self: Any, *arguments: Any) -> Any:
        return getattr(self.cursor(), name)(*arguments)

    execute.__name__ = name
    return execute


def _sqlite3(driver: Any) -> Callable[..., Any]:
    """SQLite works when a row is fetched; ``Connection.execute`` would not call our `cursor`."""

    @_once
    def connection(base: Any) -> Any:
        def cursor(self: Any, factory: Any = driver.Cursor) -> Any:
            return base.cursor(self, _cursor(factory, SQLITE, True))

        shortcuts = {name: _of_cursor(name) for name in STATEMENTS[:3]}
        return _subclass(base, ("commit", "rollback", "__exit__"), cursor=cursor, **shortcuts)

    def connect(*arguments: Any, **named: Any) -> Any:
        factory: Any = named.get("factory", driver.Connection)
        if len(arguments) <= 5 and inspect.isclass(factory):  # else it is among the arguments
            named["factory"] = connection(factory)
        return driver.connect(*arguments, **named)

    return timed(DB, connect)


def _psycopg2(driver: Any) -> Callable[..., Any]:
    """Rows are in memory once a statement is done, except those of a named cursor.

    The method `cursor` comes last but the driver's: a subclass of an app may choose the factory.
    """
    extensions = driver.extensions

    def cursor(
        self: Any, name: Any = None, cursor_factory: Any = None, *rest: Any, **more: Any
    ) -> Any:
        factory = cursor_factory or self.cursor_factory or extensions.cursor
        more["cursor_factory"] = _cursor(factory, POSTGRESQL, name is not None)
        return extensions.connection.cursor(self, name, *rest, **more)

    last = type("connection", (extensions.connection,), {"cursor": cursor})

    @_once
    def connection(base: Any) -> Any:
        bases = (last,) if base is extensions.connection else (base, last)
        both = type(base.__name__, bases, {})
        return _subclass(both, ("commit", "rollback", "__exit__"))

    def connect(*arguments: Any, **named: Any) -> Any:
        factory: Any = named.get("connection_factory") or extensions.connection
        if len(arguments) <= 1 and inspect.isclass(factory):
            named["connection_factory"] = connection(factory)
        return driver.connect(*arguments, **named)

    return timed(DB, connect)


@functools.cache
def psycopg_connection(base: Any) -> Any:
    """Return a measured subclass of *base*, psycopg's own class or one of it.

    Whatever waits for the server calls `wait`: commit, transaction, copy, server cursors.
    """

    def cursor(self: Any, *arguments: Any, **named: Any) -> Any:
        self.cursor_factory = _cursor(self.cursor_factory, POSTGRESQL)
        self.server_cursor_factory = _cursor(self.server_cursor_factory, POSTGRESQL, True)
        return base.cursor(self, *arguments, **named)

    return _subclass(base, ("wait",), cursor=cursor)


def _psycopg(driver: Any) -> Callable[..., Any]:
    connection = psycopg_connection(driver.Connection)

    def connect(*arguments: Any, **named: Any) -> Any:
        return connection.connect(*arguments, **named)  # now: a tracer may have wrapped it since

    return timed(DB, connect)


def _pymysql(driver: Any) -> Callable[..., Any]:
    """An unbuffered cursor (`SSCursor`) waits when a row is fetched."""
    base = driver.connections.Connection

    def cursor(self: Any, cursor: Any = None) -> Any:
        kind = cursor or self.cursorclass
        unbuffered = inspect.isclass(kind) and issubclass(kind, driver.cursors.SSCursor)
        return base.cursor(self, _cursor(kind, MYSQL, unbuffered))

    names = ("connect", "ping", "begin", "commit", "rollback", "select_db")
    return _subclass(base, names, cursor=cursor)


CONNECTS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "sqlite3": _sqlite3,
    "sqlite3.dbapi2": _sqlite3,
    "psycopg2": _psycopg2,
    "psycopg": _psycopg,
    "pymysql": _pymysql,
}
