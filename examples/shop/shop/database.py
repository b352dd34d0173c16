"""The database: a session per request, and ``flask --app shop init-db``."""

from __future__ import annotations

import click
from flask import Flask, current_app, g
from flask.cli import with_appcontext
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session

from .models import Base
from .seed import fill


def init_app(app: Flask) -> None:
    """Give *app* an engine; it connects when it is first used."""
    engine = create_engine(
        app.config["DATABASE_URL"], pool_size=app.config["POOL_SIZE"], max_overflow=0
    )
    if make_url(app.config["DATABASE_URL"]).get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    app.extensions["engine"] = engine
    app.teardown_appcontext(_close_session)
    app.cli.add_command(init_db)


def engine() -> Engine:
    """Return the current app's engine."""
    found: Engine = current_app.extensions["engine"]
    return found


def db() -> Session:
    """Return the session of this request."""
    if "session" not in g:
        g.session = Session(engine(), expire_on_commit=False)
    session: Session = g.session
    return session


@click.command()
@with_appcontext
def init_db() -> None:
    """Create the tables, and fill them if they are empty."""
    Base.metadata.create_all(engine())
    with Session(engine()) as session, session.begin():
        fill(session, current_app.config["PASSWORD_HASH"])


def _close_session(_: BaseException | None) -> None:
    session = g.pop("session", None)
    if session is not None:
        session.close()


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    """Let readers and a writer work at the same time, and writers wait for each other."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA busy_timeout = 30000")  # ms
    cursor.close()
